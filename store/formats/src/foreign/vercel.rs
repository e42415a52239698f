//! Spans of OpenTelemetry's JavaScript SDK as programs dump them: objects with a `spanContext`
//! and times as pairs of seconds and nanoseconds. Vercel's AI SDK writes its `ai.*` keys there.

use serde_json::Value as JsonValue;
use spanlite_model::{Link, Span, SpanKind, StatusCode, Trace};

use super::fields::{
    Object, attributes, events, need, objects, resource, span, span_id, text, trace_id, traces,
};
use crate::detect::Format;
use crate::error::{ReadFailure, shown};

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let spans = objects(document, "spans").into_iter().map(read_span);
    Ok(traces(spans.collect::<Result<_, _>>()?))
}

/// A pair of seconds and nanoseconds; nothing when it is absent.
fn pair(object: &Object, field: &'static str) -> Result<Option<u64>, ReadFailure> {
    let Some(value) = object.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let part = |place: usize| value.get(place).and_then(JsonValue::as_u64);
    let nanos = part(0)
        .and_then(|seconds| seconds.checked_mul(1_000_000_000))
        .zip(part(1))
        .and_then(|(seconds, nanos)| seconds.checked_add(nanos));
    nanos.map(Some).ok_or_else(|| ReadFailure::Time {
        field,
        text: shown(&value.to_string()),
    })
}

fn read_span(one: &Object) -> Result<Span, ReadFailure> {
    let context = one.get("spanContext").and_then(JsonValue::as_object);
    let context = need(context, Format::VercelAi, "[].spanContext")?;
    let trace = need(
        text(context, "traceId"),
        Format::VercelAi,
        "[].spanContext.traceId",
    )?;
    let own = need(
        text(context, "spanId"),
        Format::VercelAi,
        "[].spanContext.spanId",
    )?;
    let mut out = span(trace, own, text(one, "name").unwrap_or_default());
    let parent = one.get("parentSpanContext").and_then(JsonValue::as_object);
    let parent = parent.and_then(|parent| text(parent, "spanId"));
    let parent = parent.or_else(|| text(one, "parentSpanId"));
    out.parent_span_id = parent.map(span_id);
    // The JavaScript SDK counts kinds from INTERNAL = 0.
    let kind = one.get("kind").and_then(JsonValue::as_u64);
    out.kind = kind
        .and_then(|kind| u8::try_from(kind + 1).ok())
        .and_then(SpanKind::from_number)
        .unwrap_or_default();
    out.start_time_unix_nano = pair(one, "startTime")?.unwrap_or(0);
    out.end_time_unix_nano = pair(one, "endTime")?;
    if let Some(status) = one.get("status").and_then(JsonValue::as_object) {
        let code = status.get("code").and_then(JsonValue::as_u64);
        out.status.code = code
            .and_then(|code| u8::try_from(code).ok())
            .and_then(StatusCode::from_number)
            .unwrap_or_default();
        let message = text(status, "message").unwrap_or_default();
        message.clone_into(&mut out.status.message);
    }
    for (key, value) in attributes(one.get("attributes")) {
        out.attributes.push(key, value);
    }
    out.events = events(one, |event| pair(event, "time"))?;
    let links = one.get("links").and_then(JsonValue::as_array);
    for link in links.into_iter().flatten().filter_map(JsonValue::as_object) {
        let context = link.get("context").and_then(JsonValue::as_object);
        let ids = context.and_then(|ids| Some((text(ids, "traceId")?, text(ids, "spanId")?)));
        if let Some((trace, span)) = ids {
            out.links.push(Link {
                trace_id: trace_id(trace),
                span_id: span_id(span),
                attributes: attributes(link.get("attributes")),
                ..Link::default()
            });
        }
    }
    out.resource = resource(one);
    Ok(out)
}
