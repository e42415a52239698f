//! Amazon Bedrock AgentCore's raw log: a list of `{timestamp, raw_otel_json}`, where the JSON is
//! a span, a log record of OpenTelemetry, or a line of the runtime. Log records become events
//! of the spans they name, if those stand in the same document.

use std::collections::HashMap;

use serde_json::Value as JsonValue;
use spanlite_model::{Event, Span, SpanId, SpanKind, Trace, TraceId, Value};

use super::console::status_code;
use super::fields::{
    Object, attributes, events, need, number, objects, resource, scope, span, span_id, text,
    time_in, trace_id, traces,
};
use crate::detect::Format;
use crate::dialect::BODY;
use crate::error::ReadFailure;

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let mut spans = Vec::new();
    let mut records: HashMap<(TraceId, SpanId), Vec<Event>> = HashMap::new();
    for entry in objects(document, "entries") {
        let Some(one) = entry.get("raw_otel_json").and_then(JsonValue::as_object) else {
            continue;
        };
        if one.contains_key("startTimeUnixNano") {
            spans.push(read_span(one)?);
        } else if let (Some(trace), Some(span)) = (text(one, "traceId"), text(one, "spanId")) {
            let of = (trace_id(trace), span_id(span));
            records.entry(of).or_default().push(record(one)?);
        }
    }
    if spans.is_empty() {
        return Err(ReadFailure::Unsupported {
            what: "AgentCore's log records without their spans",
            why: "records have no place of their own; put them into one list with the spans",
        });
    }
    for span in &mut spans {
        if let Some(events) = records.remove(&(span.trace_id, span.span_id)) {
            span.events.extend(events);
        }
    }
    Ok(traces(spans))
}

fn read_span(one: &Object) -> Result<Span, ReadFailure> {
    let trace = need(
        text(one, "traceId"),
        Format::AgentCore,
        "raw_otel_json.traceId",
    )?;
    let own = need(
        text(one, "spanId"),
        Format::AgentCore,
        "raw_otel_json.spanId",
    )?;
    let mut out = span(trace, own, text(one, "name").unwrap_or_default());
    out.parent_span_id = text(one, "parentSpanId").map(span_id);
    let kind = text(one, "kind").unwrap_or_default().to_ascii_lowercase();
    let mut kinds = SpanKind::ALL.into_iter();
    out.kind = kinds.find(|one| one.as_str() == kind).unwrap_or_default();
    out.flags = number(one.get("flags"))
        .and_then(|flags| u32::try_from(flags).ok())
        .unwrap_or(0);
    out.start_time_unix_nano = time_in(one, "startTimeUnixNano", 1)?.unwrap_or(0);
    out.end_time_unix_nano = time_in(one, "endTimeUnixNano", 1)?;
    if let Some(status) = one.get("status").and_then(JsonValue::as_object) {
        out.status.code = status_code(text(status, "code").unwrap_or_default());
        let message = text(status, "message").unwrap_or_default();
        message.clone_into(&mut out.status.message);
    }
    for (key, value) in attributes(one.get("attributes")) {
        out.attributes.push(key, value);
    }
    out.events = events(one, |event| time_in(event, "timeUnixNano", 1))?;
    out.resource = resource(one);
    out.scope = scope(one);
    Ok(out)
}

fn record(one: &Object) -> Result<Event, ReadFailure> {
    let mut attributes = attributes(one.get("attributes"));
    let name = attributes.get_str("event.name").unwrap_or("log").to_owned();
    if let Some(body) = one.get(BODY).filter(|body| !body.is_null()) {
        attributes.push(BODY, body);
    }
    if let Some(severity) = text(one, "severityText") {
        attributes.push("severity_text", Value::from(severity));
    }
    Ok(Event {
        name,
        time_unix_nano: time_in(one, "timeUnixNano", 1)?.unwrap_or(0),
        attributes,
        dropped_attributes_count: 0,
    })
}
