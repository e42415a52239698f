//! Fields of foreign JSON: ids of any form, times of any unit, lists that may stand alone.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Map, Value as JsonValue};
use spanlite_model::{Attributes, Event, Resource, Scope, Span, SpanId, Trace, TraceId, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::detect::Format;
use crate::error::{ReadFailure, shown};
use crate::group::ByTrace;

pub(super) type Object = Map<String, JsonValue>;

/// Attributes for ids that are no W3C ids, as they were written.
const ORIGINAL_TRACE_ID: &str = "source.trace_id";
const ORIGINAL_SPAN_ID: &str = "source.span_id";

/// The objects of a document: of a list, of a field that holds one, or the document itself.
pub(super) fn objects<'a>(document: &'a JsonValue, field: &str) -> Vec<&'a Object> {
    let list = document
        .as_array()
        .or_else(|| document.get(field)?.as_array());
    match list {
        Some(list) => list.iter().filter_map(JsonValue::as_object).collect(),
        None => document.as_object().into_iter().collect(),
    }
}

/// A text that is there and not empty.
pub(super) fn text<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    let text = object.get(field)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// A field that a format cannot do without.
pub(super) fn need<T>(
    value: Option<T>,
    format: Format,
    field: &'static str,
) -> Result<T, ReadFailure> {
    value.ok_or(ReadFailure::Field { format, field })
}

/// The digits of an id that is hex, with `0x` or the dashes of a UUID.
fn digits(text: &str, most: usize) -> Option<String> {
    let digits = text.strip_prefix("0x").unwrap_or(text).replace('-', "");
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && digits.len() <= most).then_some(digits)
}

/// A trace id: hex is filled up with zeros in front, any other text is hashed.
pub(super) fn trace_id(text: &str) -> TraceId {
    let parsed = digits(text, 32).and_then(|digits| format!("{digits:0>32}").parse().ok());
    parsed.unwrap_or_else(|| TraceId::from_bytes(xxh3_128(text.as_bytes()).to_be_bytes()))
}

/// A span id: hex is filled up with zeros in front, any other text is hashed.
pub(super) fn span_id(text: &str) -> SpanId {
    let parsed = digits(text, 16).and_then(|digits| format!("{digits:0>16}").parse().ok());
    parsed.unwrap_or_else(|| SpanId::from_bytes(xxh3_64(text.as_bytes()).to_be_bytes()))
}

/// A span with ids of any form; those that were changed beyond recognition are kept beside it.
pub(super) fn span(trace: &str, own: &str, name: &str) -> Span {
    let mut span = Span::new(trace_id(trace), span_id(own), name);
    if digits(trace, 32).is_none() {
        span.attributes.push(ORIGINAL_TRACE_ID, trace);
    }
    if digits(own, 16).is_none() {
        span.attributes.push(ORIGINAL_SPAN_ID, own);
    }
    span
}

/// A whole number that may be written as a text.
pub(super) fn number(value: Option<&JsonValue>) -> Option<u64> {
    match value? {
        JsonValue::String(text) => text.parse().ok(),
        number => number.as_u64(),
    }
}

fn no_time(field: &'static str, value: &JsonValue) -> ReadFailure {
    ReadFailure::Time {
        field,
        text: shown(&value.to_string()),
    }
}

/// The value of a field unless it is absent or `null`.
fn present<'a>(object: &'a Object, field: &str) -> Option<&'a JsonValue> {
    object.get(field).filter(|value| !value.is_null())
}

/// A time in a unit of so many nanoseconds.
pub(super) fn time_in(
    object: &Object,
    field: &'static str,
    unit_nanos: u64,
) -> Result<Option<u64>, ReadFailure> {
    let Some(value) = present(object, field) else {
        return Ok(None);
    };
    let count = number(Some(value)).ok_or_else(|| no_time(field, value))?;
    Ok(Some(count.saturating_mul(unit_nanos)))
}

/// A time as RFC 3339 text.
pub(super) fn time_text(object: &Object, field: &'static str) -> Result<Option<u64>, ReadFailure> {
    let Some(value) = present(object, field) else {
        return Ok(None);
    };
    let nanos = value
        .as_str()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .and_then(|time| time.timestamp_nanos_opt())
        .and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Some).ok_or_else(|| no_time(field, value))
}

/// The events of a span; `time` reads when one happened.
pub(super) fn events(
    span: &Map<String, JsonValue>,
    time: impl Fn(&Map<String, JsonValue>) -> Result<Option<u64>, ReadFailure>,
) -> Result<Vec<Event>, ReadFailure> {
    let events = span.get("events").and_then(JsonValue::as_array);
    let events = events
        .into_iter()
        .flatten()
        .filter_map(JsonValue::as_object);
    events
        .map(|event| {
            Ok(Event {
                name: text(event, "name").unwrap_or_default().to_owned(),
                time_unix_nano: time(event)?.unwrap_or(0),
                attributes: attributes(event.get("attributes")),
                dropped_attributes_count: 0,
            })
        })
        .collect()
}

/// Attributes of a plain object.
pub(super) fn attributes(object: Option<&JsonValue>) -> Attributes {
    let entries = object.and_then(JsonValue::as_object).into_iter().flatten();
    entries
        .map(|(key, value)| (key.as_str(), Value::from(value)))
        .collect()
}

/// A resource of plain `{attributes, schema_url}`.
pub(super) fn resource(object: &Object) -> Arc<Resource> {
    let resource = object.get("resource");
    let part = |field: &str| resource.and_then(|resource| resource.get(field));
    let schema_url = part("schema_url").or_else(|| part("schemaUrl"));
    Arc::new(Resource {
        attributes: attributes(part("attributes")),
        dropped_attributes_count: 0,
        schema_url: schema_url
            .and_then(JsonValue::as_str)
            .unwrap_or_default()
            .to_owned(),
    })
}

/// A scope of plain `{name, version}`.
pub(super) fn scope(object: &Object) -> Arc<Scope> {
    let scope = object.get("scope").and_then(JsonValue::as_object);
    let part = |field: &str| {
        scope
            .and_then(|scope| text(scope, field))
            .unwrap_or_default()
    };
    Arc::new(Scope {
        name: part("name").to_owned(),
        version: part("version").to_owned(),
        attributes: attributes(scope.and_then(|scope| scope.get("attributes"))),
        dropped_attributes_count: 0,
        schema_url: part("schemaUrl").to_owned(),
    })
}

/// Adds `prefix` plus field for each field that is not among the known ones and says something.
pub(super) fn keep_rest(span: &mut Span, object: &Object, prefix: &str, known: &[&str]) {
    for (field, value) in object {
        let empty = match value {
            JsonValue::Null => true,
            JsonValue::Array(list) => list.is_empty(),
            JsonValue::Object(object) => object.is_empty(),
            _ => false,
        };
        if !empty && !known.contains(&field.as_str()) {
            span.attributes.push(format!("{prefix}{field}"), value);
        }
    }
}

/// Puts spans together by trace and works out what they do not say.
pub(super) fn traces(spans: Vec<Span>) -> Vec<Trace> {
    let mut grouped = ByTrace::default();
    for span in spans {
        grouped.push(span);
    }
    let mut traces = grouped.into_traces();
    traces.iter_mut().for_each(crate::dialect::derive_trace);
    traces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_form() {
        assert_eq!(trace_id("0x0A").to_hex(), format!("{:032x}", 10));
        let uuid = "35cc6c90-b657-4819-b66c-c931c03ad569";
        assert_eq!(trace_id(uuid).to_hex(), uuid.replace('-', ""));
        assert_eq!(span_id("0562809467078eab").to_string(), "0562809467078eab");
        assert_ne!(span_id("span-1"), span_id("span-2"));
        let kept = span("trace-123", "0a", "");
        assert_eq!(
            kept.attributes.get_str(ORIGINAL_TRACE_ID),
            Some("trace-123")
        );
        assert_eq!(kept.attributes.get(ORIGINAL_SPAN_ID), None);
    }
}
