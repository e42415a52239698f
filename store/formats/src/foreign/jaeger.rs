//! Jaeger's query API: `{"data": [{traceID, spans, processes}]}`, or one element of that list.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as JsonValue;
use spanlite_model::{
    Attributes, Event, Link, Resource, Span, SpanKind, Status, StatusCode, Trace, Value, keys,
};

use super::fields::{
    Object, need, number, objects, span, span_id, text, time_in, trace_id, traces,
};
use crate::detect::Format;
use crate::error::ReadFailure;

const MICROSECOND: u64 = 1_000;

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let mut spans = Vec::new();
    for trace in objects(document, "data") {
        let processes = processes(trace);
        let list = trace.get("spans").and_then(JsonValue::as_array);
        let list = need(list, Format::Jaeger, "spans")?;
        for one in list.iter().filter_map(JsonValue::as_object) {
            if one.contains_key("relativeStartTime") && one.contains_key("process") {
                return Err(ReadFailure::Unsupported {
                    what: "a trace as Jaeger's user interface holds it",
                    why: "save it from Jaeger's API instead",
                });
            }
            spans.push(read_span(one, &processes)?);
        }
    }
    Ok(traces(spans))
}

fn processes(trace: &Object) -> HashMap<&str, Arc<Resource>> {
    let processes = trace.get("processes").and_then(JsonValue::as_object);
    let one = |(id, process): (&'_ String, &'_ JsonValue)| {
        let mut attributes = Attributes::new();
        if let Some(name) = process.get("serviceName").and_then(JsonValue::as_str) {
            attributes.push(keys::SERVICE_NAME, name);
        }
        for (key, value) in tags(process.get("tags")) {
            attributes.push(key, value);
        }
        let resource = Resource {
            attributes,
            ..Resource::default()
        };
        (id.clone(), Arc::new(resource))
    };
    let mut out = HashMap::new();
    for (id, process) in processes.into_iter().flatten() {
        out.insert(id.as_str(), one((id, process)).1);
    }
    out
}

/// Tags with their types. A boolean may be written as text.
fn tags(list: Option<&JsonValue>) -> Vec<(String, Value)> {
    let list = list.and_then(JsonValue::as_array).into_iter().flatten();
    list.filter_map(JsonValue::as_object)
        .filter_map(|tag| Some((text(tag, "key")?.to_owned(), tag_value(tag))))
        .collect()
}

fn tag_value(tag: &Object) -> Value {
    let value = tag.get("value").unwrap_or(&JsonValue::Null);
    let typed = match (tag.get("type").and_then(JsonValue::as_str), value) {
        (Some("bool"), JsonValue::String(text)) => text.parse().ok().map(Value::Bool),
        (Some("int64"), JsonValue::String(text)) => text.parse().ok().map(Value::Int),
        (Some("float64"), JsonValue::String(text)) => text.parse().ok().map(Value::Double),
        (Some("float64"), JsonValue::Number(number)) => number.as_f64().map(Value::Double),
        (Some("binary"), JsonValue::String(text)) => STANDARD.decode(text).ok().map(Value::Bytes),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::from(value))
}

fn read_span(one: &Object, processes: &HashMap<&str, Arc<Resource>>) -> Result<Span, ReadFailure> {
    let own_trace = need(text(one, "traceID"), Format::Jaeger, "spans[].traceID")?;
    let own_id = need(text(one, "spanID"), Format::Jaeger, "spans[].spanID")?;
    let mut out = span(
        own_trace,
        own_id,
        text(one, "operationName").unwrap_or_default(),
    );
    let start = time_in(one, "startTime", MICROSECOND)?;
    let duration = time_in(one, "duration", MICROSECOND)?.unwrap_or(0);
    out.start_time_unix_nano = start.unwrap_or(0);
    out.end_time_unix_nano = start.map(|start| start.saturating_add(duration));
    out.flags = number(one.get("flags"))
        .and_then(|flags| u32::try_from(flags).ok())
        .unwrap_or(0);
    if let Some(process) = text(one, "processID").and_then(|id| processes.get(id)) {
        out.resource = Arc::clone(process);
    }
    for (key, value) in tags(one.get("tags")) {
        take_tag(&mut out, key, value);
    }
    let warnings = one.get("warnings").filter(|value| value.is_array());
    if let Some(warnings) = warnings {
        out.attributes.push("jaeger.warnings", warnings);
    }
    let logs = one.get("logs").and_then(JsonValue::as_array);
    for log in logs.into_iter().flatten().filter_map(JsonValue::as_object) {
        out.events.push(event(log)?);
    }
    refer(&mut out, one, own_trace);
    Ok(out)
}

fn take_tag(span: &mut Span, key: String, value: Value) {
    let kind = |name: &str| SpanKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    match (key.as_str(), &value) {
        ("span.kind", Value::String(name)) if kind(name).is_some() => {
            span.kind = kind(name).unwrap_or_default();
            return;
        }
        ("error", Value::Bool(true)) => span.status.code = StatusCode::Error,
        ("otel.status_code", Value::String(code)) => {
            span.status.code = match code.as_str() {
                "ERROR" => StatusCode::Error,
                "OK" => StatusCode::Ok,
                _ => span.status.code,
            };
        }
        ("otel.status_description", Value::String(message)) => {
            span.status = Status {
                code: span.status.code,
                message: message.clone(),
            };
        }
        _ => {}
    }
    span.attributes.push(key, value);
}

/// A log; its name is the field `event`, which OpenTelemetry's exporter writes too.
fn event(log: &Object) -> Result<Event, ReadFailure> {
    let mut event = Event {
        time_unix_nano: time_in(log, "timestamp", MICROSECOND)?.unwrap_or(0),
        ..Event::default()
    };
    for (key, value) in tags(log.get("fields")) {
        match value.as_str() {
            Some(name) if key == "event" && event.name.is_empty() => {
                name.clone_into(&mut event.name);
            }
            _ => event.attributes.push(key, value),
        }
    }
    if event.name.is_empty() {
        "log".clone_into(&mut event.name);
    }
    Ok(event)
}

/// The first reference into the same trace that says `CHILD_OF` is the parent, else the first
/// one; the others are links.
fn refer(span: &mut Span, one: &Object, own_trace: &str) {
    let references = one.get("references").and_then(JsonValue::as_array);
    let references: Vec<(&str, &str, bool)> = references
        .into_iter()
        .flatten()
        .filter_map(JsonValue::as_object)
        .filter_map(|reference| {
            let child = text(reference, "refType") == Some("CHILD_OF");
            Some((
                text(reference, "traceID")?,
                text(reference, "spanID")?,
                child,
            ))
        })
        .collect();
    let here = |(trace, _, _): &(&str, &str, bool)| *trace == own_trace;
    let parent = references
        .iter()
        .position(|one| here(one) && one.2)
        .or_else(|| references.iter().position(here));
    for (place, (trace, id, child)) in references.into_iter().enumerate() {
        if Some(place) == parent {
            span.parent_span_id = Some(span_id(id));
            continue;
        }
        let kind = if child { "CHILD_OF" } else { "FOLLOWS_FROM" };
        span.links.push(Link {
            trace_id: trace_id(trace),
            span_id: span_id(id),
            attributes: [("jaeger.ref_type", kind)].into_iter().collect(),
            ..Link::default()
        });
    }
}
