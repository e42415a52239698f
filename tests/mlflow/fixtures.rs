use std::collections::BTreeMap;

use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Event, Json, Span, SpanId, SpanType, Status,
    StatusCode, Trace, TraceId, keys,
};

const START_UNIX_NANO: u64 = 1_790_000_000_000_000_000;

fn id(number: u64) -> TraceId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TraceId::from_bytes(bytes)
}

fn span(number: u64, place: u8, parent: Option<u8>, name: &str) -> Span {
    let mut span = Span::new(id(number), SpanId::from_bytes([place; 8]), name);
    span.parent_span_id = parent.map(|place| SpanId::from_bytes([place; 8]));
    span.start_time_unix_nano = START_UNIX_NANO + number * 1_000_000_000 + u64::from(place);
    span.end_time_unix_nano = Some(span.start_time_unix_nano + 900_000_000 / u64::from(place));
    span
}

/// A run of an agent with a model call, a failed tool, tags, a session and feedback. Runs of other
/// numbers differ in ids, times and texts.
pub(crate) fn agent_run(number: u64) -> Trace {
    let mut root = span(number, 1, None, "answer");
    root.span_type = SpanType::Agent;
    root.status.code = StatusCode::Ok;
    root.inputs = Some(Json::serialize(&BTreeMap::from([("question", number)])).unwrap());
    root.outputs = Some(Json::string(&format!("the answer to {number} is 42")));
    let mut call = span(number, 2, Some(1), "chat");
    call.span_type = SpanType::ChatModel;
    call.attributes.push(keys::MLFLOW_LLM_MODEL, "gpt-4o-mini");
    call.attributes.push("gen_ai.usage.input_tokens", 12);
    call.attributes.push("gen_ai.usage.output_tokens", 3);
    call.attributes.push("looks.like.json", "[1, 2]");
    let mut tool = span(number, 3, Some(1), "search");
    tool.span_type = SpanType::Tool;
    tool.status = Status::error("no route");
    tool.events.push(Event {
        name: keys::EXCEPTION.to_owned(),
        time_unix_nano: tool.start_time_unix_nano + 5,
        attributes: [(keys::EXCEPTION_MESSAGE, "no route")]
            .into_iter()
            .collect(),
        dropped_attributes_count: 0,
    });
    let mut trace = Trace::new(id(number), vec![root, call, tool]);
    trace.info.session = Some(format!("s-{}", number % 10));
    trace.info.tags = [("edited", "first"), ("changed", "old")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    trace.info.assessments.push(Assessment {
        assessment_id: format!("a-{number:032x}").as_str().into(),
        name: "correct".to_owned(),
        value: AssessmentValue::Feedback {
            value: Some(Json::from_text("true").unwrap()),
            error: None,
        },
        source: AssessmentSource {
            source_type: "HUMAN".into(),
            source_id: Some("ann".to_owned()),
        },
        span_id: None,
        rationale: None,
        metadata: BTreeMap::new(),
        create_time_unix_nano: START_UNIX_NANO,
        update_time_unix_nano: START_UNIX_NANO,
        valid: true,
        overrides: None,
    });
    trace
}
