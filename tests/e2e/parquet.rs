//! What is exported as Parquet reads in DuckDB as the store holds it.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in the support of a test fails it"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value as JsonValue, json};
use spanlite_model::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Attributes, Event, Json, Link,
    Resource, Scope, Span, SpanId, SpanKind, SpanType, Status, Trace, TraceId, Value, keys,
};
use spanlite_store::{OpenOptions, Store, TimeRange};
use spanlite_tests::{Answer, python_with, real_traces};

use crate::{import, run};

const DUCKDB: &str = "2.0.0";
const START_UNIX_NANO: u64 = 1_790_000_000_123_456_789;

/// Columns and types, then the rows.
fn read(python: &Path, file: &Path, query: Option<&str>) -> (JsonValue, Vec<JsonValue>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/parquet.py");
    let mut command = Command::new(python);
    command.arg(script).arg(file).args(query);
    let mut lines = Answer::of(&mut command).expect_code(0).json_lines();
    let types = lines.remove(0);
    (types, lines)
}

fn attributes(attributes: &Attributes) -> JsonValue {
    // Of a key that comes twice a reader of JSON takes one; so does this one.
    serde_json::from_str(&serde_json::to_string(attributes).unwrap()).unwrap()
}

fn whole(trace: &Trace) -> JsonValue {
    let info = &trace.info;
    let usage = spanlite_model::trace_usage(trace);
    let assessments = info.assessments.iter().map(|one| {
        let (kind, value, error) = match &one.value {
            AssessmentValue::Feedback { value, error } => {
                ("feedback", value.as_ref().map(Json::as_text), error.clone())
            }
            AssessmentValue::Expectation { value } => ("expectation", Some(value.as_text()), None),
            AssessmentValue::Issue { .. } => ("issue", None, None),
        };
        json!({
            "id": one.assessment_id.as_str(), "name": one.name, "kind": kind, "value": value,
            "error": error.map(|error| format!("{}: {}", error.code, error.message.unwrap())),
            "source_type": one.source.source_type.as_str(), "source_id": one.source.source_id,
            "span_id": one.span_id.map(|id| id.to_string()), "rationale": one.rationale,
            "create_time": one.create_time_unix_nano / 1_000,
            "update_time": one.update_time_unix_nano / 1_000, "valid": one.valid,
        })
    });
    let start = info
        .request_time_unix_nano
        .or_else(|| trace.start_time_unix_nano());
    let duration = info
        .execution_duration_nanos
        .unwrap_or_else(|| trace.duration_nanos());
    json!({
        "name": trace.name(), "state": trace.state().as_str(),
        "start_time": start.map(|start| start / 1_000),
        "duration_nanos": duration,
        "n_spans": trace.spans.len(), "session": info.session, "user": info.user,
        "client_request_id": info.client_request_id, "request_preview": info.request_preview,
        "response_preview": info.response_preview, "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens, "total_tokens": usage.total_tokens,
        "total_cost": spanlite_model::trace_cost(trace).total_cost, "tags": info.tags,
        "metadata": info.metadata, "assessments": assessments.collect::<Vec<_>>(),
    })
}

fn row(span: &Span, index: usize, trace: &Trace) -> JsonValue {
    let usage = spanlite_model::TokenUsage::of(span);
    let events = span.events.iter().map(|event| {
        json!({
            "name": event.name, "time": event.time_unix_nano / 1_000,
            "time_unix_nano": event.time_unix_nano, "attributes": attributes(&event.attributes),
        })
    });
    let links = span.links.iter().map(|link| {
        json!({
            "trace_id": link.trace_id.to_string(), "span_id": link.span_id.to_string(),
            "attributes": attributes(&link.attributes),
        })
    });
    let mut row = json!({
        "trace_id": span.trace_id.to_string(), "span_id": span.span_id.to_string(),
        "parent_span_id": span.parent_span_id.map(|id| id.to_string()), "span_index": index,
        "name": span.name, "kind": span.kind.as_str(), "span_type": span.span_type.as_str(),
        "start_time": span.start_time_unix_nano / 1_000,
        "end_time": span.end_time_unix_nano.map(|end| end / 1_000),
        "start_time_unix_nano": span.start_time_unix_nano,
        "end_time_unix_nano": span.end_time_unix_nano, "duration_nanos": span.duration_nanos(),
        "status": span.status.code.as_str(), "status_message": span.status.message,
        "error_type": span.error_type(), "error_message": span.error_message(),
        "inputs": span.inputs.as_ref().map(Json::as_text),
        "outputs": span.outputs.as_ref().map(Json::as_text),
        "attributes": attributes(&span.attributes), "model": span.model(),
        "provider": span.provider(), "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens, "total_tokens": usage.total_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_input_tokens,
        "total_cost": spanlite_model::Cost::of(span).total_cost,
    });
    let rest = json!({
        "events": events.collect::<Vec<_>>(), "links": links.collect::<Vec<_>>(),
        "service_name": span.service_name(), "resource": attributes(&span.resource.attributes),
        "scope_name": span.scope.name, "scope_version": span.scope.version,
        "w3c_trace_state": span.trace_state, "trace": whole(trace),
    });
    for (key, value) in rest.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

/// The JSON texts of attributes as values: how they are laid out is not promised.
fn parsed(mut row: JsonValue) -> JsonValue {
    let parse = |text: &mut JsonValue| {
        if let Some(json) = text.as_str() {
            *text = serde_json::from_str(json).unwrap();
        }
    };
    parse(&mut row["attributes"]);
    parse(&mut row["resource"]);
    for list in ["events", "links"] {
        for one in row[list].as_array_mut().unwrap() {
            parse(&mut one["attributes"]);
        }
    }
    row
}

const ID: TraceId = TraceId::from_bytes([7; 16]);

/// Everything a span can hold.
fn full_span() -> Span {
    let id = ID;
    let mut root = Span::new(id, SpanId::from_bytes([1; 8]), "a \"name\" of é\n");
    root.start_time_unix_nano = START_UNIX_NANO;
    root.end_time_unix_nano = Some(START_UNIX_NANO + 1_001);
    root.kind = SpanKind::Client;
    root.span_type = SpanType::ChatModel;
    root.status = Status::error("broken");
    root.inputs =
        Some(Json::from_text(r#"{ "b": [1.0, 12345678901234567890], "a": null }"#).unwrap());
    root.outputs = Some(Json::string("tëxt"));
    "a=b".clone_into(&mut root.trace_state);
    root.resource = Arc::new(Resource {
        attributes: [(keys::SERVICE_NAME, "svc")].into_iter().collect(),
        ..Resource::default()
    });
    root.scope = Arc::new(Scope {
        name: "lib".to_owned(),
        version: "1".to_owned(),
        ..Scope::default()
    });
    root.attributes = [
        (keys::GEN_AI_REQUEST_MODEL, Value::from("gpt-4o")),
        (keys::GEN_AI_PROVIDER_NAME, Value::from("openai")),
        ("gen_ai.usage.input_tokens", Value::from(12)),
        ("gen_ai.usage.output_tokens", Value::from(3)),
        ("gen_ai.usage.cache_read.input_tokens", Value::from(2)),
        (
            keys::MLFLOW_LLM_COST,
            Value::Map(vec![("total_cost".to_owned(), Value::Double(0.25))]),
        ),
        (
            "list",
            Value::Array(vec![Value::Bool(true), Value::Double(f64::NAN)]),
        ),
        ("bytes", Value::Bytes(vec![0, 255])),
    ]
    .into_iter()
    .collect();
    for (name, number) in [("first", 1), (keys::EXCEPTION, 2)] {
        root.events.push(Event {
            name: name.to_owned(),
            time_unix_nano: START_UNIX_NANO + number,
            attributes: [(keys::EXCEPTION_TYPE, "Broken")].into_iter().collect(),
            ..Event::default()
        });
    }
    root.links.push(Link {
        trace_id: TraceId::from_bytes([9; 16]),
        span_id: SpanId::from_bytes([9; 8]),
        attributes: [("why", "follows")].into_iter().collect(),
        ..Link::default()
    });
    root
}

/// Everything a trace can hold, and a span that is bare and still open.
fn full() -> Trace {
    let root = full_span();
    let id = ID;
    let mut child = Span::new(id, SpanId::from_bytes([2; 8]), "");
    child.parent_span_id = Some(root.span_id);
    child.start_time_unix_nano = START_UNIX_NANO + 7;
    let mut trace = Trace::new(id, vec![child, root]);
    trace.info.tags = [("env", "prod"), ("tier", "")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    trace.info.metadata.insert("m".to_owned(), "1".to_owned());
    trace.info.session = Some("s".to_owned());
    trace.info.user = Some("u".to_owned());
    trace.info.request_preview = Some("p".to_owned());
    let assessment = |number: u64, value| Assessment {
        assessment_id: format!("a-{number}").as_str().into(),
        name: "quality".to_owned(),
        value,
        source: AssessmentSource {
            source_type: "HUMAN".into(),
            source_id: Some("ann".to_owned()),
        },
        span_id: (number == 1).then(|| SpanId::from_bytes([1; 8])),
        rationale: None,
        metadata: BTreeMap::new(),
        create_time_unix_nano: START_UNIX_NANO + number,
        update_time_unix_nano: START_UNIX_NANO + number,
        valid: number != 2,
        overrides: None,
    };
    let error = AssessmentError {
        code: "TIMEOUT".to_owned(),
        message: Some("late".to_owned()),
        stack_trace: None,
    };
    trace.info.assessments = vec![
        assessment(
            1,
            AssessmentValue::Expectation {
                value: Json::from_text(r#"{"x":1}"#).unwrap(),
            },
        ),
        assessment(
            2,
            AssessmentValue::Feedback {
                value: None,
                error: Some(error),
            },
        ),
    ];
    trace
}

#[test]
fn duckdb_reads_what_the_store_holds() {
    let Some(python) = python_with("duckdb", DUCKDB) else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("t.spans");
    let store = Store::open(&path, OpenOptions::default()).unwrap();
    store.write(&[full()]).unwrap();
    store.close().unwrap();
    drop(store);
    if let Some(folder) = real_traces() {
        import(&path, &[&folder]);
    }
    let file = scratch.path().join("t.parquet");
    run(
        &path,
        &["export", "--to", "parquet", file.to_str().unwrap()],
    );

    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    let mut expected = BTreeMap::new();
    for trace in store.snapshot().unwrap().traces(TimeRange::default()) {
        let mut trace = trace.unwrap();
        trace
            .spans
            .sort_by_key(|span| (span.start_time_unix_nano, span.span_id));
        for (index, span) in trace.spans.iter().enumerate() {
            expected.insert((span.trace_id, index), row(span, index, &trace));
        }
    }
    let (types, rows) = read(&python, &file, None);
    assert_eq!(rows.len(), expected.len());
    for (found, (place, expected)) in rows.into_iter().zip(expected) {
        let found = parsed(found);
        for (column, value) in expected.as_object().unwrap() {
            assert_eq!(found[column], *value, "{column} of {place:?}");
        }
        assert_eq!(
            found.as_object().unwrap().len(),
            expected.as_object().unwrap().len()
        );
    }
    for (column, kind) in [
        ("trace_id", "VARCHAR"),
        ("start_time", "TIMESTAMP WITH TIME ZONE"),
        ("start_time_unix_nano", "BIGINT"),
        ("inputs", "JSON"),
        ("total_cost", "DOUBLE"),
        (
            "links",
            "STRUCT(trace_id VARCHAR, span_id VARCHAR, attributes JSON)[]",
        ),
    ] {
        assert_eq!(types[column], kind, "{column}");
    }
    let whole = types["trace"].as_str().unwrap();
    assert!(whole.contains("tags MAP(VARCHAR, VARCHAR)"), "{whole}");
}

/// The questions of `PARQUET.md` in the words that stand there.
#[test]
fn duckdb_answers_the_questions_of_the_document() {
    let Some(python) = python_with("duckdb", DUCKDB) else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("t.spans");
    let store = Store::open(&path, OpenOptions::default()).unwrap();
    store.write(&[full()]).unwrap();
    store.close().unwrap();
    drop(store);
    let file = scratch.path().join("traces.parquet");
    run(
        &path,
        &[
            "export",
            "--to",
            "parquet",
            "--redact",
            "key=list",
            file.to_str().unwrap(),
        ],
    );
    let document = include_str!("../../sdk/export/PARQUET.md");
    let sql = document
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the document has questions");
    let answers: Vec<Vec<JsonValue>> = sql
        .split(';')
        .map(str::trim)
        .filter(|question| !question.is_empty())
        .map(|question| {
            let question = question.replace("'traces.parquet'", "traces");
            read(&python, &file, Some(&question)).1
        })
        .collect();
    assert_eq!(answers.len(), 3);
    assert_eq!(
        answers[0],
        [json!({"name": "a \"name\" of é\n", "model": "gpt-4o", "calls": 1, "tokens": 3})]
    );
    assert_eq!(answers[1][0]["outputs"], "\"tëxt\"");
    assert_eq!(answers[2].len(), 1);
    assert_eq!(answers[2][0]["n_assessments"], 2);
    let question = "SELECT attributes->>'list' AS list FROM traces WHERE span_index = 0";
    let (_, redacted) = read(&python, &file, Some(question));
    assert_eq!(redacted[0]["list"], "[redacted:list]");
}
