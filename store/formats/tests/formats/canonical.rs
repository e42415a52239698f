//! The comparison behind "unchanged": it ignores the order of keys and attributes, how numbers
//! and enums are spelled, hex case, and fields at their protobuf default.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// All spans of OTLP/JSON documents, each with its resource and scope, sorted.
pub(crate) fn otlp(documents: &[Value]) -> Vec<Value> {
    let mut spans = Vec::new();
    for document in documents {
        for of_resource in list(document, "resourceSpans") {
            for of_scope in list(of_resource, "scopeSpans") {
                for span in list(of_scope, "spans") {
                    spans.push(json!({
                        "resource": message(&of_resource["resource"]),
                        "resource schema": of_resource["schemaUrl"].as_str().unwrap_or(""),
                        "scope": message(&of_scope["scope"]),
                        "scope schema": of_scope["schemaUrl"].as_str().unwrap_or(""),
                        "span": message(span),
                    }));
                }
            }
        }
    }
    spans.sort_by_cached_key(sorted_text);
    spans
}

/// A span that stands alone, as the list that [`otlp`] makes, without ids and times.
pub(crate) fn bare_span(span: &Value) -> Vec<Value> {
    let document = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
    without_ids(otlp(&[document]))
}

/// The list without trace and span ids.
pub(crate) fn without_ids(mut spans: Vec<Value>) -> Vec<Value> {
    for one in &mut spans {
        let span = one["span"].as_object_mut().unwrap();
        span.remove("traceId");
        span.remove("spanId");
    }
    spans
}

fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object[key].as_array().map_or(&[], Vec::as_slice)
}

fn message(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return json!({});
    };
    let mut out = Map::new();
    for (key, value) in fields {
        let value = field(key, value);
        let default = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty() || text == "0",
            Value::Array(list) => list.is_empty(),
            Value::Object(object) => object.is_empty(),
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Bool(_) => false,
        };
        if !default {
            out.insert(key.clone(), value);
        }
    }
    out.into()
}

fn field(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("attributes", Value::Array(list)) => attributes(list),
        ("traceId" | "spanId" | "parentSpanId", Value::String(id)) => json!(id.to_lowercase()),
        ("kind", Value::String(name)) => {
            let kinds = [
                "UNSPECIFIED",
                "INTERNAL",
                "SERVER",
                "CLIENT",
                "PRODUCER",
                "CONSUMER",
            ];
            let name = name.strip_prefix("SPAN_KIND_").unwrap();
            json!(kinds.iter().position(|one| *one == name).unwrap())
        }
        ("code", Value::String(name)) => {
            let codes = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
            json!(codes.iter().position(|one| one == name).unwrap())
        }
        (_, Value::Number(number)) if key.ends_with("UnixNano") => json!(number.to_string()),
        (_, Value::Array(list)) => list.iter().map(message).collect(),
        (_, Value::Object(_)) => message(value),
        _ => value.clone(),
    }
}

fn attributes(list: &[Value]) -> Value {
    let mut out: Vec<Value> = list
        .iter()
        .map(|one| json!([one["key"], any_value(&one["value"])]))
        .collect();
    out.sort_by_cached_key(sorted_text);
    out.into()
}

/// Values keep their type and whether they are there: `false`, 0 and "" are values.
fn any_value(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return json!({});
    };
    let one = |(key, value): (&String, &Value)| {
        let value = match (key.as_str(), value) {
            ("intValue", Value::Number(number)) => json!(number.to_string()),
            ("arrayValue", array) => list(array, "values").iter().map(any_value).collect(),
            ("kvlistValue", map) => attributes(list(map, "values")),
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    fields.iter().map(one).collect::<Map<_, _>>().into()
}

/// A JSON document without what is `null` or empty. Nothing else is touched.
pub(crate) fn mlflow(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields
                .iter()
                .map(|(key, value)| (key.clone(), mlflow(value)))
                .filter(|(_, value)| {
                    !(value.is_null() || *value == json!([]) || *value == json!({}))
                })
                .collect();
            json!(fields)
        }
        Value::Array(list) => list.iter().map(mlflow).collect(),
        other => other.clone(),
    }
}

/// The text of a value with all keys in order, also where a crate of the same build switches on
/// `preserve_order` of `serde_json`.
fn sorted_text(value: &Value) -> String {
    let Value::Object(fields) = value else {
        let Value::Array(list) = value else {
            return value.to_string();
        };
        return format!("{:?}", list.iter().map(sorted_text).collect::<Vec<_>>());
    };
    let texts = fields.iter().map(|(key, value)| (key, sorted_text(value)));
    format!("{:?}", texts.collect::<BTreeMap<_, _>>())
}
