//! Zipkin's JSON, second version: a list of spans. The two sides of a call may share one id;
//! the server's side gets an id of its own here and hangs below the client's.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as JsonValue;
use spanlite_model::{Event, Resource, Span, SpanId, SpanKind, Status, Trace, Value, keys};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fields::{
    Object, attributes, need, number, objects, span, span_id, text, time_in, traces,
};
use crate::detect::Format;
use crate::error::ReadFailure;

const MICROSECOND: u64 = 1_000;
/// Makes the id of a server's side differ from the id that it shares.
const SERVER_SIDE: u64 = 1;

/// What is known of an id that two sides share.
#[derive(Default)]
struct Sides {
    client: bool,
    server_service: Option<String>,
}

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let list = objects(document, "spans");
    let mut sides: HashMap<(&str, &str), Sides> = HashMap::new();
    for one in &list {
        let Some(id) = ids(one) else { continue };
        let sides = sides.entry(id).or_default();
        match kind(one) {
            SpanKind::Client | SpanKind::Producer => sides.client = true,
            SpanKind::Server | SpanKind::Consumer => {
                sides.server_service = Some(service(one).unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
    let spans = list.iter().map(|one| read_span(one, &sides));
    Ok(traces(spans.collect::<Result<_, _>>()?))
}

fn ids(one: &Object) -> Option<(&str, &str)> {
    Some((text(one, "traceId")?, text(one, "id")?))
}

fn service(one: &Object) -> Option<&str> {
    one.get("localEndpoint")?.get("serviceName")?.as_str()
}

fn kind(one: &Object) -> SpanKind {
    match text(one, "kind") {
        Some("CLIENT") => SpanKind::Client,
        Some("SERVER") => SpanKind::Server,
        Some("PRODUCER") => SpanKind::Producer,
        Some("CONSUMER") => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn server_side(id: SpanId) -> SpanId {
    SpanId::from_bytes(xxh3_64_with_seed(id.as_bytes(), SERVER_SIDE).to_be_bytes())
}

fn read_span(one: &Object, sides: &HashMap<(&str, &str), Sides>) -> Result<Span, ReadFailure> {
    let (trace, id) = need(ids(one), Format::Zipkin, "[].traceId and [].id")?;
    let mut out = span(trace, id, text(one, "name").unwrap_or_default());
    out.kind = kind(one);
    let parent = text(one, "parentId");
    out.parent_span_id = parent.map(|parent| {
        // A child of a shared id belongs to the side that runs in the same service.
        let below_server = sides
            .get(&(trace, parent))
            .is_some_and(|sides| sides.client && sides.server_service.as_deref() == service(one));
        let parent = span_id(parent);
        if below_server {
            server_side(parent)
        } else {
            parent
        }
    });
    let both = sides
        .get(&(trace, id))
        .is_some_and(|sides| sides.client && sides.server_service.is_some());
    if both && matches!(out.kind, SpanKind::Server | SpanKind::Consumer) {
        out.parent_span_id = Some(out.span_id);
        out.span_id = server_side(out.span_id);
        out.attributes.push("zipkin.shared_id", id);
    }
    times(&mut out, one)?;
    for (key, value) in attributes(one.get("tags")) {
        if key == "error" {
            out.status = Status::error(value.as_str().unwrap_or_default());
        }
        out.attributes.push(key, value);
    }
    endpoints(&mut out, one);
    for flag in ["debug", "shared"] {
        if let Some(value) = one.get(flag).and_then(JsonValue::as_bool) {
            out.attributes.push(format!("zipkin.{flag}"), value);
        }
    }
    Ok(out)
}

/// A span without a duration stays open. One without a time begins with its first annotation.
fn times(span: &mut Span, one: &Object) -> Result<(), ReadFailure> {
    let annotations = one.get("annotations").and_then(JsonValue::as_array);
    for annotation in annotations
        .into_iter()
        .flatten()
        .filter_map(JsonValue::as_object)
    {
        span.events.push(Event {
            name: text(annotation, "value").unwrap_or_default().to_owned(),
            time_unix_nano: time_in(annotation, "timestamp", MICROSECOND)?.unwrap_or(0),
            ..Event::default()
        });
    }
    let first = span.events.iter().map(|event| event.time_unix_nano).min();
    let start = time_in(one, "timestamp", MICROSECOND)?.or(first);
    span.start_time_unix_nano = start.unwrap_or(0);
    let duration = number(one.get("duration"));
    span.end_time_unix_nano = start
        .zip(duration)
        .map(|(start, duration)| start.saturating_add(duration.saturating_mul(MICROSECOND)));
    Ok(())
}

fn endpoints(span: &mut Span, one: &Object) {
    let part = |side: &str, field: &str| -> Option<Value> {
        let value = one.get(side)?.get(field)?;
        (!value.is_null()).then(|| Value::from(value))
    };
    let mut resource = Resource::default();
    for (field, key) in [
        ("serviceName", keys::SERVICE_NAME),
        ("ipv4", "host.ip"),
        ("ipv6", "host.ip"),
        ("port", "service.port"),
    ] {
        if let Some(value) = part("localEndpoint", field) {
            resource.attributes.push(key, value);
        }
    }
    span.resource = Arc::new(resource);
    for (field, key) in [
        ("serviceName", "peer.service"),
        ("ipv4", "network.peer.address"),
        ("ipv6", "network.peer.address"),
        ("port", "network.peer.port"),
    ] {
        if let Some(value) = part("remoteEndpoint", field) {
            span.attributes.push(key, value);
        }
    }
}
