//! One span: the dictionary of `Span.to_dict`, and the older one with a `context`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as JsonValue, json};
use spanlite_model::{
    Event, Json, Link, Span, SpanId, SpanType, Status, StatusCode, TraceId, Value, keys,
};

use super::Object;
use super::text::{from_text, to_text};
use crate::Format;
use crate::error::{ReadFailure, shown};

pub(super) fn missing(field: &'static str) -> ReadFailure {
    ReadFailure::Field {
        format: Format::MlflowJson,
        field,
    }
}

/// A time in nanoseconds; nothing when it is `null` or absent.
fn time(span: &Object, field: &'static str) -> Result<Option<u64>, ReadFailure> {
    match span.get(field) {
        None | Some(JsonValue::Null) => Ok(None),
        Some(value) => {
            let number = match value {
                JsonValue::String(text) => text.parse().ok(),
                other => other.as_u64(),
            };
            number.map(Some).ok_or_else(|| ReadFailure::Time {
                field,
                text: shown(&value.to_string()),
            })
        }
    }
}

fn text<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    object.get(field).and_then(JsonValue::as_str)
}

/// The bytes of an id in base64, else in hex with an optional `0x` or `tr-`.
fn id_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if let Some(bytes) = STANDARD.decode(text).ok().and_then(|b| b.try_into().ok()) {
        return Some(bytes);
    }
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("tr-"));
    let digits = digits.unwrap_or(text);
    let digits = format!("{digits:0>32}");
    let id: TraceId = digits.parse().ok()?;
    let (zeros, bytes) = id.as_bytes().split_at(16 - N);
    let fits = zeros.iter().all(|byte| *byte == 0);
    fits.then(|| bytes.try_into().ok()).flatten()
}

pub(super) fn trace_id(text: &str) -> Option<TraceId> {
    id_bytes(text).map(TraceId::from_bytes)
}

fn span_id(text: &str) -> Option<SpanId> {
    id_bytes(text).map(SpanId::from_bytes)
}

/// The trace id that a span names.
pub(super) fn trace_id_of(span: &Object) -> Option<TraceId> {
    let context = span.get("context").and_then(JsonValue::as_object);
    trace_id(text(context.unwrap_or(span), "trace_id")?)
}

/// Reads a span; the field names of both dictionaries are understood.
pub(super) fn read(span: &Object, trace_id: TraceId) -> Result<Span, ReadFailure> {
    let name = text(span, "name").unwrap_or_default();
    let old = span.get("context").and_then(JsonValue::as_object);
    let own_id = text(old.unwrap_or(span), "span_id")
        .and_then(span_id)
        .ok_or_else(|| missing("data.spans[].span_id"))?;
    let (parent, start, end) = match old {
        Some(_) => ("parent_id", "start_time", "end_time"),
        None => (
            "parent_span_id",
            "start_time_unix_nano",
            "end_time_unix_nano",
        ),
    };
    let parent = match span.get(parent) {
        None | Some(JsonValue::Null) => None,
        Some(JsonValue::String(text)) if text.is_empty() => None,
        Some(JsonValue::String(text)) => {
            Some(span_id(text).ok_or_else(|| missing("data.spans[].parent_span_id"))?)
        }
        Some(_) => return Err(missing("data.spans[].parent_span_id")),
    };
    let mut out = Span::new(trace_id, own_id, name);
    out.parent_span_id = parent;
    out.start_time_unix_nano = time(span, start)?.unwrap_or(0);
    out.end_time_unix_nano = time(span, end)?;
    out.status = status(span);
    if let Some(attributes) = span.get("attributes").and_then(JsonValue::as_object) {
        for (key, value) in attributes {
            read_attribute(&mut out, key, value);
        }
    }
    if let Some(events) = span.get("events").and_then(JsonValue::as_array) {
        out.events = events
            .iter()
            .filter_map(JsonValue::as_object)
            .map(read_event)
            .collect::<Result<_, _>>()?;
    }
    if let Some(links) = span.get("links").and_then(JsonValue::as_array) {
        let links = links.iter().filter_map(JsonValue::as_object);
        out.links = links.filter_map(read_link).collect();
    }
    Ok(out)
}

fn status(span: &Object) -> Status {
    let (code, message) = match span.get("status").and_then(JsonValue::as_object) {
        Some(status) => (text(status, "code"), text(status, "message")),
        None => (text(span, "status_code"), text(span, "status_message")),
    };
    let code = code.unwrap_or_default();
    Status {
        code: match code.strip_prefix("STATUS_CODE_").unwrap_or(code) {
            "OK" => StatusCode::Ok,
            "ERROR" => StatusCode::Error,
            _ => StatusCode::Unset,
        },
        message: message.unwrap_or_default().to_owned(),
    }
}

/// Takes one attribute. Its value is a text that holds JSON; what is no JSON is the text itself.
fn read_attribute(span: &mut Span, key: &str, value: &JsonValue) {
    let JsonValue::String(text) = value else {
        span.attributes.push(key, Value::from(value));
        return;
    };
    match key {
        keys::MLFLOW_SPAN_INPUTS => span.inputs = Some(json_or_text(text)),
        keys::MLFLOW_SPAN_OUTPUTS => span.outputs = Some(json_or_text(text)),
        keys::MLFLOW_TRACE_REQUEST_ID if *text == request_id(span.trace_id) => {}
        keys::MLFLOW_SPAN_TYPE => {
            let name = from_text(text).unwrap_or_else(|| text.as_str().into());
            match name.as_str() {
                Some(name) if !name.is_empty() && name != SpanType::default().as_str() => {
                    span.span_type = name.into();
                }
                _ => span.attributes.push(key, name),
            }
        }
        _ => {
            let value = from_text(text).unwrap_or_else(|| text.as_str().into());
            span.attributes.push(key, value);
        }
    }
}

fn json_or_text(text: &str) -> Json {
    Json::from_text(text).unwrap_or_else(|_| Json::string(text))
}

fn request_id(trace_id: TraceId) -> String {
    format!("\"{trace_id}\"")
}

fn read_event(event: &Object) -> Result<Event, ReadFailure> {
    let time = match time(event, "time_unix_nano")? {
        Some(time) => time,
        None => time_of_old_event(event)?,
    };
    let attributes = event.get("attributes").and_then(JsonValue::as_object);
    Ok(Event {
        name: text(event, "name").unwrap_or_default().to_owned(),
        time_unix_nano: time,
        attributes: attributes.map_or_else(Default::default, |entries| {
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), Value::from(value)))
                .collect()
        }),
        dropped_attributes_count: 0,
    })
}

/// The older dictionary gives the time of an event in microseconds.
fn time_of_old_event(event: &Object) -> Result<u64, ReadFailure> {
    let micros = time(event, "timestamp")?.unwrap_or(0);
    Ok(micros.saturating_mul(1_000))
}

/// A link whose ids are none is left to what is kept beside the model.
fn read_link(link: &Object) -> Option<Link> {
    let attributes = link.get("attributes").and_then(JsonValue::as_object);
    Some(Link {
        trace_id: trace_id(text(link, "trace_id")?)?,
        span_id: span_id(text(link, "span_id")?)?,
        attributes: attributes.map_or_else(Default::default, |entries| {
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), Value::from(value)))
                .collect()
        }),
        ..Link::default()
    })
}

/// Renders a span; fields that were derived are written only when asked for.
pub(super) fn write(span: &Span, with_derived: bool) -> Object {
    let mut attributes = Object::new();
    let mut put = |key: &str, text: String| {
        attributes.insert(key.to_owned(), JsonValue::String(text));
    };
    put(keys::MLFLOW_TRACE_REQUEST_ID, request_id(span.trace_id));
    if span.span_type != SpanType::Unknown && (with_derived || !span.derived.span_type) {
        put(
            keys::MLFLOW_SPAN_TYPE,
            to_text(&span.span_type.as_str().into()),
        );
    }
    if let Some(inputs) = &span.inputs
        && (with_derived || !span.derived.inputs)
    {
        put(keys::MLFLOW_SPAN_INPUTS, inputs.as_text().to_owned());
    }
    if let Some(outputs) = &span.outputs
        && (with_derived || !span.derived.outputs)
    {
        put(keys::MLFLOW_SPAN_OUTPUTS, outputs.as_text().to_owned());
    }
    for (key, value) in span.attributes.iter() {
        if !attributes.contains_key(key) {
            attributes.insert(key.to_owned(), JsonValue::String(to_text(value)));
        }
    }
    let object = json!({
        "trace_id": STANDARD.encode(span.trace_id.as_bytes()),
        "span_id": STANDARD.encode(span.span_id.as_bytes()),
        "parent_span_id": span.parent_span_id.map(|id| STANDARD.encode(id.as_bytes())),
        "name": span.name,
        "start_time_unix_nano": span.start_time_unix_nano,
        "end_time_unix_nano": span.end_time_unix_nano,
        "events": span.events.iter().map(write_event).collect::<Vec<_>>(),
        "status": {
            "code": status_name(span.status.code),
            "message": span.status.message,
        },
        "attributes": attributes,
        "links": span.links.iter().map(write_link).collect::<Vec<_>>(),
    });
    match object {
        JsonValue::Object(object) => object,
        _ => Object::new(),
    }
}

fn status_name(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "STATUS_CODE_UNSET",
        StatusCode::Ok => "STATUS_CODE_OK",
        StatusCode::Error => "STATUS_CODE_ERROR",
    }
}

fn native(attributes: &spanlite_model::Attributes) -> JsonValue {
    attributes
        .iter()
        .map(|(key, value)| {
            let value = serde_json::to_value(value).unwrap_or_default();
            (key.to_owned(), value)
        })
        .collect::<Object>()
        .into()
}

fn write_event(event: &Event) -> JsonValue {
    json!({
        "name": event.name,
        "time_unix_nano": event.time_unix_nano,
        "attributes": native(&event.attributes),
    })
}

fn write_link(link: &Link) -> JsonValue {
    json!({
        "trace_id": link.trace_id.to_string(),
        "span_id": link.span_id.to_string(),
        "attributes": native(&link.attributes),
    })
}
