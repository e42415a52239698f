//! The encoding rule between MLflow's span keys as OTLP attributes and the lifted fields of a
//! [`Span`].
//!
//! MLflow's server reads a text that parses as a JSON string, list or object as that value, and
//! any other text as itself. So an object or list is sent as its JSON text, a string as itself
//! unless it begins with `"`, `[` or `{`, and numbers and booleans natively.

use spanlite_model::{Json, Span, SpanType, Value, keys};

/// The attribute value that MLflow's server reads as `json`.
///
/// An integer beyond 64 bits has no such form and becomes its text; everything else comes back
/// equal through [`from_attribute`].
pub fn to_attribute(json: &Json) -> Value {
    let text = json.as_text();
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => Value::String(text.to_owned()),
        Some(b'"') => match json.as_str() {
            Some(inner) if !looks_like_json(&inner) => Value::String(inner.into_owned()),
            _ => Value::String(text.to_owned()),
        },
        _ => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Null) => Value::Null,
            Ok(serde_json::Value::Bool(value)) => Value::Bool(value),
            Ok(serde_json::Value::Number(number)) if !number.is_u64() || number.is_i64() => {
                Value::from(&serde_json::Value::Number(number))
            }
            _ => Value::String(text.to_owned()),
        },
    }
}

/// The JSON value that MLflow's server reads from an attribute.
pub fn from_attribute(value: &Value) -> Json {
    match value {
        Value::String(text) if looks_like_json(text) => {
            Json::from_text(text.as_str()).unwrap_or_else(|_| Json::string(text))
        }
        Value::String(text) => Json::string(text),
        other => Json::from_trusted_text(other.to_json_text()),
    }
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['"', '[', '{'])
}

/// Takes MLflow's keys out of the attributes into the fields that stand for them.
///
/// A value that would not be written back as it came stays an attribute; the field is filled
/// from it and marked as derived. `UNKNOWN` stays an attribute as well, since the field cannot
/// tell it from nothing.
pub(crate) fn lift(span: &mut Span) {
    if span.span_type == SpanType::Unknown
        && let Some(value) = span.attributes.get(keys::MLFLOW_SPAN_TYPE)
    {
        let exact = value
            .as_str()
            .filter(|text| !text.is_empty() && !looks_like_json(text));
        if let Some(name) = exact {
            span.span_type = SpanType::from(name);
            if span.span_type != SpanType::Unknown {
                span.attributes.remove(keys::MLFLOW_SPAN_TYPE);
            }
        } else if let Some(name) = from_attribute(value)
            .as_str()
            .filter(|name| !name.is_empty())
        {
            span.span_type = SpanType::from(name.as_ref());
            span.derived.span_type = span.span_type != SpanType::Unknown;
        }
    }
    let (inputs, derived) = take(span, keys::MLFLOW_SPAN_INPUTS);
    if span.inputs.is_none() {
        span.inputs = inputs;
        span.derived.inputs = derived;
    }
    let (outputs, derived) = take(span, keys::MLFLOW_SPAN_OUTPUTS);
    if span.outputs.is_none() {
        span.outputs = outputs;
        span.derived.outputs = derived;
    }
}

/// The value under `key`, taken out if it would be written back unchanged, and whether it was
/// left in its place.
fn take(span: &mut Span, key: &str) -> (Option<Json>, bool) {
    let Some(value) = span.attributes.get(key) else {
        return (None, false);
    };
    let json = from_attribute(value);
    let derived = to_attribute(&json) != *value;
    if !derived {
        span.attributes.remove(key);
    }
    (Some(json), derived)
}

/// The attributes that stand for the lifted fields, those that were derived left out.
pub(crate) fn put_back(span: &Span) -> Vec<(&'static str, Value)> {
    let mut attributes = Vec::new();
    if span.span_type != SpanType::Unknown && !span.derived.span_type {
        let name = Value::from(span.span_type.as_str());
        attributes.push((keys::MLFLOW_SPAN_TYPE, name));
    }
    if let Some(inputs) = span.inputs.as_ref().filter(|_| !span.derived.inputs) {
        attributes.push((keys::MLFLOW_SPAN_INPUTS, to_attribute(inputs)));
    }
    if let Some(outputs) = span.outputs.as_ref().filter(|_| !span.derived.outputs) {
        attributes.push((keys::MLFLOW_SPAN_OUTPUTS, to_attribute(outputs)));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use spanlite_model::{SpanId, TraceId};

    use super::*;

    fn span(key: &str, value: Value) -> Span {
        let mut span = Span::new(TraceId::default(), SpanId::default(), "");
        span.attributes.push(key, value);
        span
    }

    #[test]
    fn json_values_survive_the_way_over_an_attribute() {
        for text in [
            r#""plain""#,
            r#""[1,2]""#,
            r#"" {\"a\":1}""#,
            r#""\"q\"""#,
            r#"{ "b": 2.0, "a": 1 }"#,
            "[]",
            "7",
            "-1.5",
            "true",
            "null",
        ] {
            let json = Json::from_text(text).unwrap();
            assert_eq!(from_attribute(&to_attribute(&json)), json, "{text}");
        }
        let sent = to_attribute(&Json::from_text(r#""[1,2]""#).unwrap());
        assert_eq!(sent, Value::from(r#""[1,2]""#));
    }

    #[test]
    fn a_value_that_cannot_be_put_back_exactly_stays() {
        for value in [
            Value::from("[not json"),
            Value::from("\"quoted\""),
            Value::Bytes(vec![1]),
            Value::Array(vec![Value::Int(1)]),
            Value::Double(f64::NAN),
        ] {
            let mut span = span(keys::MLFLOW_SPAN_INPUTS, value.clone());
            lift(&mut span);
            assert!(span.derived.inputs && span.inputs.is_some(), "{value:?}");
            assert_eq!(span.attributes.len(), 1, "{value:?}");
            assert!(put_back(&span).is_empty(), "{value:?}");
        }
    }

    #[test]
    fn a_quoted_span_type_is_understood() {
        let mut span = span(keys::MLFLOW_SPAN_TYPE, "\"AGENT\"".into());
        lift(&mut span);
        assert_eq!(span.span_type, SpanType::Agent);
        assert!(span.derived.span_type);
    }
}
