//! What the console exporter of OpenTelemetry's Python SDK prints: objects with a `context` and
//! RFC 3339 times, in a list or one after another. Also the layout of Monocle's trace files,
//! `{"spans": [{span_name, trace_id, …}]}`.

use serde_json::Value as JsonValue;
use spanlite_model::{Link, Span, SpanKind, StatusCode, Trace};

use super::fields::{
    Object, attributes, events, need, objects, resource, span, span_id, text, time_text, trace_id,
    traces,
};
use crate::detect::Format;
use crate::error::ReadFailure;

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let spans = objects(document, "spans").into_iter().map(read_span);
    Ok(traces(spans.collect::<Result<_, _>>()?))
}

fn read_span(one: &Object) -> Result<Span, ReadFailure> {
    let context = one.get("context").and_then(JsonValue::as_object);
    let ids = context.unwrap_or(one);
    let trace = need(
        text(ids, "trace_id"),
        Format::OtelConsole,
        "context.trace_id",
    )?;
    let own = need(text(ids, "span_id"), Format::OtelConsole, "context.span_id")?;
    let name = text(one, "name").or_else(|| text(one, "span_name"));
    let mut out = span(trace, own, name.unwrap_or_default());
    out.parent_span_id = text(one, "parent_id").map(span_id);
    let state = text(ids, "trace_state").filter(|state| *state != "[]");
    state.unwrap_or_default().clone_into(&mut out.trace_state);
    let kind = text(one, "kind").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.rsplit('.').next().unwrap_or_default();
    let kinds = SpanKind::ALL.into_iter();
    out.kind = kinds
        .into_iter()
        .find(|one| one.as_str() == kind)
        .unwrap_or_default();
    out.start_time_unix_nano = time_text(one, "start_time")?.unwrap_or(0);
    out.end_time_unix_nano = time_text(one, "end_time")?;
    if let Some(status) = one.get("status").and_then(JsonValue::as_object) {
        let code = text(status, "status_code").or_else(|| text(status, "code"));
        out.status.code = status_code(code.unwrap_or_default());
        let message = text(status, "description").or_else(|| text(status, "message"));
        message
            .unwrap_or_default()
            .clone_into(&mut out.status.message);
    }
    for (key, value) in attributes(one.get("attributes")) {
        out.attributes.push(key, value);
    }
    out.events = events(one, |event| time_text(event, "timestamp"))?;
    let links = one.get("links").and_then(JsonValue::as_array);
    for link in links.into_iter().flatten().filter_map(JsonValue::as_object) {
        let context = link.get("context").and_then(JsonValue::as_object);
        let context = context.unwrap_or(link);
        let (Some(trace), Some(span)) = (text(context, "trace_id"), text(context, "span_id"))
        else {
            continue;
        };
        out.links.push(Link {
            trace_id: trace_id(trace),
            span_id: span_id(span),
            attributes: attributes(link.get("attributes")),
            ..Link::default()
        });
    }
    out.resource = resource(one);
    Ok(out)
}

/// The status of a name in any case, with or without `StatusCode.` in front.
pub(super) fn status_code(name: &str) -> StatusCode {
    let name = name.rsplit('.').next().unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "ok" => StatusCode::Ok,
        "error" => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}
