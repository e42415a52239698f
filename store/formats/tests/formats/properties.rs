//! Made-up traces through each format and back.

use std::slice::from_ref;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use spanlite_formats::{
    encode_otlp, read, read_otlp_protobuf, write_json_lines, write_mlflow_json, write_otlp_json,
};
use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Attributes, Event, Json, Link, Resource, Scope,
    SourceType, Span, SpanId, SpanKind, SpanType, Status, StatusCode, Trace, TraceId, TraceInfo,
    TraceState, Value,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z.]{0,8}",
        any::<String>(),
        Just("[1, 2]".to_owned()),
        Just("\"quoted\"".to_owned()),
        Just(" {".to_owned()),
        Just("NaN".to_owned()),
        Just("42".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("NaN equals nothing", |number| !number.is_nan())
            .prop_map(Value::Double),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..6).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((text(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let key = prop_oneof![
        4 => "[a-z$.]{1,6}",
        1 => Just("mlflow.spanInputs".to_owned()),
        1 => Just("mlflow.spanType".to_owned()),
        1 => Just("mlflow.traceRequestId".to_owned()),
    ];
    vec((key, value()), 0..5).prop_map(Attributes::from)
}

fn json() -> impl Strategy<Value = Option<Json>> {
    let texts = prop_oneof![
        value().prop_map(|value| value.to_json_text()),
        Just("{ \"b\": 1.0, \"a\" :[ ]}".to_owned()),
        Just("340282366920938463463374607431768211456".to_owned()),
    ];
    proptest::option::of(texts.prop_map(|text| Json::from_text(text).unwrap()))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (text(), any::<u64>(), attributes(), 0..3_u32);
    vec(
        event.prop_map(|(name, time_unix_nano, attributes, dropped)| Event {
            name,
            time_unix_nano,
            attributes,
            dropped_attributes_count: dropped,
        }),
        0..3,
    )
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (any::<[u8; 16]>(), any::<[u8; 8]>(), text(), attributes());
    vec(
        link.prop_map(|(trace_id, span_id, trace_state, attributes)| Link {
            trace_id: trace_id.into(),
            span_id: span_id.into(),
            trace_state,
            attributes,
            dropped_attributes_count: 1,
            flags: 2,
        }),
        0..2,
    )
}

fn producers() -> impl Strategy<Value = (Arc<Resource>, Arc<Scope>)> {
    (attributes(), text(), 0..2_u32).prop_map(|(attributes, name, dropped)| {
        let resource = Resource {
            attributes: attributes.clone(),
            dropped_attributes_count: dropped,
            schema_url: name.clone(),
        };
        let scope = Scope {
            name: name.clone(),
            version: name,
            attributes,
            dropped_attributes_count: dropped,
            schema_url: String::new(),
        };
        (Arc::new(resource), Arc::new(scope))
    })
}

fn span() -> impl Strategy<Value = Span> {
    let head = (
        1..5_u8,
        proptest::option::of(1..5_u8),
        text(),
        0..6_u8,
        text(),
    );
    let times = (any::<u64>(), proptest::option::of(1..u64::MAX), 0..3_u8);
    let body = (attributes(), json(), json(), events(), links(), producers());
    (head, times, body, any::<u32>()).prop_map(|(head, times, body, flags)| {
        let mut span = Span::new(
            TraceId::from_bytes([9; 16]),
            SpanId::from_bytes([head.0; 8]),
            head.2,
        );
        span.parent_span_id = head.1.map(|id| SpanId::from_bytes([id; 8]));
        span.kind = SpanKind::from_number(head.3).unwrap();
        span.span_type = match head.4.as_str() {
            "" => SpanType::Agent,
            name => SpanType::from(name),
        };
        span.start_time_unix_nano = times.0;
        span.end_time_unix_nano = times.1;
        span.status = Status {
            code: StatusCode::from_number(times.2).unwrap(),
            message: head.4.clone(),
        };
        span.attributes = body.0;
        span.inputs = body.1;
        span.outputs = body.2;
        span.events = body.3;
        span.links = body.4;
        (span.resource, span.scope) = body.5;
        span.trace_state = head.4;
        span.flags = flags;
        span.dropped_attributes_count = flags / 2;
        span.dropped_events_count = flags / 3;
        span.dropped_links_count = flags / 4;
        span
    })
}

fn info() -> impl Strategy<Value = TraceInfo> {
    let texts = proptest::collection::btree_map(text(), text(), 0..3);
    let names = (proptest::option::of(text()), proptest::option::of(text()));
    let times = (
        proptest::option::of(any::<u64>()),
        proptest::option::of(any::<u64>()),
    );
    (
        texts,
        names,
        times,
        proptest::option::of(0..5_usize),
        json(),
    )
        .prop_map(|(tags, names, times, state, value)| {
            let assessment = value.clone().filter(|json| json.as_text() != "null");
            TraceInfo {
                name: names.0.clone(),
                metadata: tags.clone(),
                tags,
                session: names.1.clone(),
                user: names.0.clone(),
                client_request_id: names.1,
                request_preview: names.0,
                response_preview: None,
                state: state.map(|number| TraceState::ALL[number]),
                request_time_unix_nano: times.0,
                execution_duration_nanos: times.1,
                assessments: assessment.into_iter().map(assess).collect(),
                pinned: state == Some(1),
                extra: value
                    .into_iter()
                    .map(|json| ("k".to_owned(), json))
                    .collect(),
            }
        })
}

fn assess(value: Json) -> Assessment {
    Assessment {
        assessment_id: "a-1".into(),
        name: "correct".to_owned(),
        value: AssessmentValue::Expectation { value },
        source: AssessmentSource {
            source_type: SourceType::LlmJudge,
            source_id: None,
        },
        span_id: Some(SpanId::from_bytes([1; 8])),
        rationale: Some("because".to_owned()),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        create_time_unix_nano: 1_795_302_973_549_788_928,
        update_time_unix_nano: u64::MAX,
        valid: false,
        overrides: Some("a-0".into()),
    }
}

pub(crate) fn trace() -> impl Strategy<Value = Trace> {
    (vec(span(), 1..4), info()).prop_map(|(spans, info)| Trace {
        trace_id: TraceId::from_bytes([9; 16]),
        info,
        spans,
    })
}

/// The trace as a reader leaves it: lifted and derived, which a writer does not undo.
fn read_once(trace: &Trace) -> Trace {
    let mut traces = read_otlp_protobuf(&encode_otlp(from_ref(trace))).unwrap();
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

/// Attributes by key, which is all that a JSON object promises.
fn sorted(mut trace: Trace) -> Trace {
    let sort = |attributes: &mut Attributes| {
        let mut entries: Vec<_> = std::mem::take(attributes).into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        *attributes = entries.into();
    };
    for span in &mut trace.spans {
        sort(&mut span.attributes);
        span.events
            .iter_mut()
            .for_each(|event| sort(&mut event.attributes));
        span.links
            .iter_mut()
            .for_each(|link| sort(&mut link.attributes));
    }
    trace
}

fn by_id(mut trace: Trace) -> Trace {
    trace
        .spans
        .sort_by_key(|span| (span.span_id, format!("{span:?}")));
    trace
}

proptest! {
    #[test]
    fn otlp_keeps_a_trace_as_it_was_read(trace in trace()) {
        let trace = read_once(&trace);
        let back = read_once(&trace);
        prop_assert_eq!(by_id(back), by_id(trace.clone()));
        let mut json = Vec::new();
        write_otlp_json(from_ref(&trace), &mut json).unwrap();
        let mut back = read(&json[..], "f").unwrap().traces;
        prop_assert_eq!(by_id(back.remove(0)), by_id(trace));
    }

    #[test]
    fn lines_keep_any_trace(trace in trace()) {
        let mut bytes = Vec::new();
        write_json_lines(from_ref(&trace), &mut bytes).unwrap();
        let back = read(&bytes[..], "f").unwrap().traces;
        prop_assert_eq!(back, vec![trace]);
    }

    #[test]
    fn mlflow_json_keeps_a_trace_as_it_was_read(trace in trace()) {
        let trace = read_once(&trace);
        let mut bytes = Vec::new();
        write_mlflow_json(&trace, &mut bytes).unwrap();
        let back = read(&bytes[..], "f").unwrap().traces.remove(0);
        prop_assert_eq!(sorted(back), sorted(trace));
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in vec(any::<u8>(), 0..200)) {
        drop(read(&bytes[..], "f"));
        drop(read_otlp_protobuf(&bytes));
    }
}
