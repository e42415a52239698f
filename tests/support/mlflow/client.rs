use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value as JsonValue, json};
use spanlite_model::{
    Assessment, AssessmentValue, Span, SpanType, StatusCode, Trace, keys, trace_usage,
};

use super::MlflowServer;
use super::readback::{first_of_each, payload, plain};

/// Every answer of the server cuts metadata here.
const METADATA_CHARACTERS: usize = 250;

/// Asks MLflow's Python client for traces and for the hits of filters.
pub fn python_readback(
    server: &MlflowServer,
    experiment_id: &str,
    trace_ids: &[String],
    filters: &[String],
) -> (Vec<JsonValue>, BTreeMap<String, Vec<String>>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/support/mlflow/readback.py");
    let mut child = Command::new(server.python())
        .arg(script)
        .args([&server.url(), experiment_id])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let asked = json!({"trace_ids": trace_ids, "filters": filters}).to_string();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(asked.as_bytes()).expect("Python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "the readback failed");
    let (mut traces, mut hits) = (Vec::new(), BTreeMap::new());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let value: JsonValue = serde_json::from_str(line).expect("JSON");
        if let Some(filter) = value["filter"].as_str() {
            let ids = value["trace_ids"].as_array().expect("ids");
            let ids = ids.iter().filter_map(JsonValue::as_str).map(str::to_owned);
            hits.insert(filter.to_owned(), ids.collect());
        } else {
            traces.push(value);
        }
    }
    (traces, hits)
}

/// What is compared, and what differs.
struct Comparison {
    wrong: Vec<String>,
}

impl Comparison {
    fn check(&mut self, what: &str, here: &JsonValue, there: &JsonValue) {
        if here != there {
            self.wrong.push(format!("{what}: {here} but {there}"));
        }
    }
}

/// What differs between a trace and what MLflow's client sees of it, in every field that MLflow
/// keeps.
pub fn client_differences(trace: &Trace, seen: &JsonValue) -> Vec<String> {
    let mut comparison = Comparison { wrong: Vec::new() };
    compare_info(trace, &seen["info"], &mut comparison);
    let by_id: BTreeMap<&str, &JsonValue> = seen["spans"]
        .as_array()
        .expect("spans")
        .iter()
        .filter_map(|span| Some((span["span_id"].as_str()?, span)))
        .collect();
    comparison.check(
        "number of spans",
        &json!(trace.spans.len()),
        &json!(by_id.len()),
    );
    for span in &trace.spans {
        let id = span.span_id.to_string();
        match by_id.get(id.as_str()) {
            Some(seen) => compare_span(span, seen, &mut comparison),
            None => comparison.wrong.push(format!("span {id} is missing")),
        }
    }
    comparison.wrong
}

fn compare_info(trace: &Trace, seen: &JsonValue, comparison: &mut Comparison) {
    let info = &trace.info;
    let has_open = trace
        .spans
        .iter()
        .any(|span| span.end_time_unix_nano.is_none());
    // What was open is sent closed, as an error.
    if !has_open {
        let state = trace.state();
        comparison.check("state", &json!(state.as_str()), &seen["state"]);
        let duration = info
            .execution_duration_nanos
            .unwrap_or_else(|| trace.duration_nanos());
        comparison.check(
            "duration",
            &json!(duration / 1_000_000),
            &seen["execution_duration"],
        );
    }
    let start = info
        .request_time_unix_nano
        .or_else(|| trace.start_time_unix_nano());
    comparison.check(
        "request time",
        &json!(start.unwrap_or(0) / 1_000_000),
        &seen["request_time"],
    );
    for (what, text) in [
        ("client_request_id", &info.client_request_id),
        ("request_preview", &info.request_preview),
        ("response_preview", &info.response_preview),
    ] {
        if text.is_some() {
            comparison.check(what, &json!(text), &seen[what]);
        }
    }
    let name = info
        .name
        .as_deref()
        .or_else(|| trace.root().map(|root| root.name.as_str()));
    comparison.check("name", &json!(name), &seen["tags"]["mlflow.traceName"]);
    for (key, value) in &info.tags {
        if !key.starts_with("mlflow.") {
            comparison.check(&format!("tag {key}"), &json!(value), &seen["tags"][key]);
        }
    }
    for (key, value) in &info.metadata {
        let is_ours = !key.starts_with("mlflow.trace");
        if is_ours && value.chars().count() <= METADATA_CHARACTERS {
            let what = format!("metadata {key}");
            comparison.check(&what, &json!(value), &seen["metadata"][key]);
        }
    }
    for (key, text) in [
        ("mlflow.trace.session", &info.session),
        ("mlflow.trace.user", &info.user),
    ] {
        if text.is_some() {
            comparison.check(key, &json!(text), &seen["metadata"][key]);
        }
    }
    let usage = trace_usage(trace);
    if !usage.is_empty() {
        let text = seen["metadata"]["mlflow.trace.tokenUsage"].as_str();
        let there: JsonValue = serde_json::from_str(text.unwrap_or("null")).expect("JSON");
        for (key, count) in [
            ("input_tokens", usage.input_tokens),
            ("output_tokens", usage.output_tokens),
        ] {
            if count.is_some() {
                comparison.check(key, &json!(count), &there[key]);
            }
        }
    }
    compare_assessments(&info.assessments, &seen["assessments"], comparison);
}

fn compare_assessments(here: &[Assessment], seen: &JsonValue, comparison: &mut Comparison) {
    let seen = seen.as_array().expect("assessments");
    comparison.check(
        "number of assessments",
        &json!(here.len()),
        &json!(seen.len()),
    );
    for one in here {
        let id = one.assessment_id.as_str();
        let Some(there) = seen.iter().find(|there| there["assessment_id"] == id) else {
            comparison.wrong.push(format!("assessment {id} is missing"));
            continue;
        };
        let value = match &one.value {
            AssessmentValue::Feedback { value, .. } => Some(("feedback", payload(value.as_ref()))),
            AssessmentValue::Expectation { value } => Some(("expectation", payload(Some(value)))),
            AssessmentValue::Issue { .. } => None,
        };
        if let Some((kind, Some(value))) = value {
            // Lists and maps of expectations are text there.
            let text = there[kind]["serialized_value"]["value"].as_str();
            let there = match text.map(serde_json::from_str) {
                Some(value) => value.unwrap_or_default(),
                None => there[kind]["value"].clone(),
            };
            if !is_same_judgement(&value, &there) {
                comparison.check(&format!("{kind} {id}"), &value, &there);
            }
        }
        // An empty one is none to the server, and its expectations have none.
        let is_feedback = matches!(one.value, AssessmentValue::Feedback { .. });
        let rationale = one.rationale.as_deref();
        let rationale = rationale.filter(|text| is_feedback && !text.is_empty());
        for (key, here) in [
            ("assessment_name", json!(one.name)),
            ("rationale", json!(rationale)),
            ("span_id", json!(one.span_id.map(|id| id.to_string()))),
        ] {
            comparison.check(&format!("{key} of {id}"), &here, &there[key]);
        }
        let source_type = json!(one.source.source_type.as_str());
        comparison.check("source", &source_type, &there["source"]["source_type"]);
    }
}

/// A `google.protobuf.Value` has floats only; larger integers are sent as text.
fn is_same_judgement(here: &JsonValue, there: &JsonValue) -> bool {
    match (here, there) {
        (JsonValue::Number(here), JsonValue::Number(there)) => here.as_f64() == there.as_f64(),
        (JsonValue::Number(here), JsonValue::String(there)) => here.to_string() == *there,
        (JsonValue::Array(here), JsonValue::Array(there)) => {
            let mut pairs = here.iter().zip(there);
            here.len() == there.len() && pairs.all(|(here, there)| is_same_judgement(here, there))
        }
        (JsonValue::Object(here), JsonValue::Object(there)) => {
            let is_there = |(key, here): (&String, &JsonValue)| {
                let there = there.get(key);
                there.is_some_and(|there| is_same_judgement(here, there))
            };
            here.len() == there.len() && here.iter().all(is_there)
        }
        _ => here == there,
    }
}

fn compare_span(span: &Span, seen: &JsonValue, comparison: &mut Comparison) {
    let id = span.span_id;
    let mut check = |what: &str, here: JsonValue, there: &JsonValue| {
        comparison.check(&format!("span {id}: {what}"), &here, there);
    };
    check("name", json!(span.name), &seen["name"]);
    let parent = span.parent_span_id.map(|id| id.to_string());
    check("parent", json!(parent), &seen["parent_id"]);
    check(
        "start",
        json!(span.start_time_unix_nano),
        &seen["start_time_ns"],
    );
    if let Some(end) = span.end_time_unix_nano {
        let status = match span.status.code {
            StatusCode::Unset => "UNSET",
            StatusCode::Ok => "OK",
            StatusCode::Error => "ERROR",
        };
        check("end", json!(end), &seen["end_time_ns"]);
        check("status", json!(status), &seen["status"]);
        let message = seen["status_message"].as_str().unwrap_or("");
        check("message", json!(span.status.message), &json!(message));
    }
    // Where no type is known the server works one out from foreign attributes.
    if span.span_type != SpanType::Unknown {
        check("type", json!(span.span_type.as_str()), &seen["span_type"]);
    }
    for (what, json) in [("inputs", &span.inputs), ("outputs", &span.outputs)] {
        if let Some(here) = payload(json.as_ref()) {
            check(what, here, &seen[what]);
        }
    }
    for (key, value) in first_of_each(&span.attributes) {
        if key != keys::MLFLOW_TRACE_REQUEST_ID
            && let Some(here) = plain(value)
        {
            check(key, here, &seen["attributes"][key]);
        }
    }
    let no_items = Vec::new();
    let events = seen["events"].as_array().unwrap_or(&no_items);
    check("events", json!(span.events.len()), &json!(events.len()));
    for (event, there) in span.events.iter().zip(events) {
        check("event", json!(event.name), &there["name"]);
        let time = json!(event.time_unix_nano);
        check("time of an event", time, &there["timestamp"]);
        for (key, value) in first_of_each(&event.attributes) {
            if let Some(here) = plain(value) {
                check(key, here, &there["attributes"][key]);
            }
        }
    }
    let links = seen["links"].as_array().unwrap_or(&no_items);
    check("links", json!(span.links.len()), &json!(links.len()));
    for (link, there) in span.links.iter().zip(links) {
        check("link", json!(link.trace_id.to_string()), &there["trace_id"]);
        let span_id = link.span_id.to_string();
        check("span of a link", json!(span_id), &there["span_id"]);
        for (key, value) in first_of_each(&link.attributes) {
            if let Some(here) = plain(value) {
                check(key, here, &there["attributes"][key]);
            }
        }
    }
}
