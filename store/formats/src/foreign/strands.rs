//! Spans as evaluation tools for Strands agents collect them: a list, or `{"spans": […]}`, of
//! objects with `trace_id`, `span_id`, and times in nanoseconds. Events may be log records with
//! a body.

use serde_json::Value as JsonValue;
use spanlite_model::{Event, Span, Trace};

use super::console::status_code;
use super::fields::{
    Object, attributes, keep_rest, need, objects, resource, scope, span, span_id, text, time_in,
    traces,
};
use crate::detect::Format;
use crate::dialect::BODY;
use crate::error::ReadFailure;

const KNOWN: &[&str] = &[
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "start_time",
    "end_time",
    "attributes",
    "scope",
    "resource",
    "status",
    "span_events",
    "events",
];

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let spans = objects(document, "spans").into_iter().map(read_span);
    Ok(traces(spans.collect::<Result<_, _>>()?))
}

fn read_span(one: &Object) -> Result<Span, ReadFailure> {
    let trace = need(text(one, "trace_id"), Format::StrandsSpans, "[].trace_id")?;
    let own = need(text(one, "span_id"), Format::StrandsSpans, "[].span_id")?;
    let mut out = span(trace, own, text(one, "name").unwrap_or_default());
    out.parent_span_id = text(one, "parent_span_id").map(span_id);
    out.start_time_unix_nano = time_in(one, "start_time", 1)?.unwrap_or(0);
    out.end_time_unix_nano = time_in(one, "end_time", 1)?;
    if let Some(status) = one.get("status").and_then(JsonValue::as_object) {
        out.status.code = status_code(text(status, "code").unwrap_or_default());
        let message = text(status, "message").or_else(|| text(status, "description"));
        message
            .unwrap_or_default()
            .clone_into(&mut out.status.message);
    }
    for (key, value) in attributes(one.get("attributes")) {
        out.attributes.push(key, value);
    }
    let events = one.get("span_events").or_else(|| one.get("events"));
    let events = events.and_then(JsonValue::as_array).into_iter().flatten();
    for event in events.filter_map(JsonValue::as_object) {
        let name = text(event, "event_name").or_else(|| text(event, "name"));
        let mut attributes = attributes(event.get("attributes"));
        if let Some(body) = event.get(BODY) {
            attributes.push(BODY, body);
        }
        out.events.push(Event {
            name: name.unwrap_or_default().to_owned(),
            time_unix_nano: time_in(event, "timestamp", 1)?.unwrap_or(0),
            attributes,
            dropped_attributes_count: 0,
        });
    }
    out.scope = scope(one);
    out.resource = resource(one);
    keep_rest(&mut out, one, "source.", KNOWN);
    Ok(out)
}
