//! How values must be written so that an MLflow server gives them back unchanged.
//!
//! The server stores `json.dumps(value)` of each attribute, then takes one layer of quotes off a
//! string that parses as a JSON string, list or object. Objects and lists therefore travel as their
//! JSON text, and a string that could be taken for JSON travels quoted. Read in the source of
//! MLflow 3.17.2 and held by tests against that server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use spanlite_model::{Attributes, Json, Value};

use crate::adjust::Adjustments;
use crate::json::{Bounds, fit, is_integer, quoted};

/// A protobuf reader gives up at 100 messages in one another; these are left for a value after
/// request, resource, scope, span, event and entry, with a margin.
const EVENT_NESTING_COST: u32 = 80;

/// A string as an attribute must carry it: raw, unless it begins like a JSON string, list or
/// object.
fn string(text: &str) -> String {
    let first = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if first.starts_with(['"', '[', '{']) {
        quoted(text)
    } else {
        text.to_owned()
    }
}

/// A span attribute as it must be sent.
pub(super) fn wire_value(value: &Value, adjusted: &mut Adjustments) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) => value.clone(),
        Value::String(text) => Value::String(string(text)),
        Value::Bytes(bytes) => {
            adjusted.bytes_as_text += 1;
            Value::String(BASE64.encode(bytes))
        }
        Value::Array(_) | Value::Map(_) => {
            let text = json_text(value, adjusted);
            Value::String(fit(&text, Bounds::ATTRIBUTE, adjusted).into_owned())
        }
    }
}

/// Inputs or outputs as they must be sent.
pub(super) fn wire_json(json: &Json, adjusted: &mut Adjustments) -> Value {
    let text = json.as_text().trim();
    if text.starts_with(['[', '{']) {
        return Value::String(fit(text, Bounds::ATTRIBUTE, adjusted).into_owned());
    }
    if text.starts_with('"') {
        // A string with a lone surrogate has no Rust form; its JSON text does the same.
        return Value::String(
            json.as_str()
                .map_or_else(|| text.to_owned(), |plain| string(&plain)),
        );
    }
    match text {
        "null" | "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_integer(text) => text.parse().map_or_else(
            |_| {
                adjusted.integers_as_text += 1;
                Value::String(text.to_owned())
            },
            Value::Int,
        ),
        number => number
            .parse()
            .map_or_else(|_| Value::String(number.to_owned()), Value::Double),
    }
}

/// The JSON text of a value for a Python reader, which has NaN and the infinities.
fn json_text(value: &Value, adjusted: &mut Adjustments) -> String {
    let mut out = String::new();
    write_json(value, &mut out, adjusted);
    out
}

fn write_json(value: &Value, out: &mut String, adjusted: &mut Adjustments) {
    match value {
        Value::Double(number) if number.is_nan() => out.push_str("NaN"),
        Value::Double(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            });
        }
        Value::Bytes(bytes) => {
            adjusted.bytes_as_text += 1;
            out.push_str(&quoted(&BASE64.encode(bytes)));
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(value, out, adjusted);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(key));
                out.push(':');
                write_json(value, out, adjusted);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_json_text()),
    }
}

/// Attributes of events, links and resources: the server keeps these as they come, so they are
/// sent as they are but for bytes, repeated keys and values nested beyond what it can read.
pub(super) fn native(attributes: &Attributes, adjusted: &mut Adjustments) -> Attributes {
    let mut out = Attributes::new();
    for (key, value) in attributes.iter() {
        if out.get(key).is_some() {
            adjusted.duplicate_keys += 1;
            continue;
        }
        out.push(key, native_value(value, EVENT_NESTING_COST, adjusted));
    }
    out
}

fn native_value(value: &Value, budget: u32, adjusted: &mut Adjustments) -> Value {
    let cost = match value {
        Value::Array(_) => 2,
        Value::Map(_) => 3,
        Value::Bytes(bytes) => {
            adjusted.bytes_as_text += 1;
            return Value::String(BASE64.encode(bytes));
        }
        scalar => return scalar.clone(),
    };
    let Some(left) = budget.checked_sub(cost) else {
        adjusted.subtrees_as_text += 1;
        return Value::String(json_text(value, adjusted));
    };
    match value {
        Value::Array(values) => Value::Array(
            values
                .iter()
                .map(|value| native_value(value, left, adjusted))
                .collect(),
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), native_value(value, left, adjusted)))
                .collect(),
        ),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(value: impl Into<Value>) -> Value {
        wire_value(&value.into(), &mut Adjustments::default())
    }

    #[test]
    fn strings_that_look_like_json_are_quoted_and_no_others() {
        for (text, sent) in [
            ("plain", "plain"),
            ("42", "42"),
            ("null", "null"),
            ("NaN", "NaN"),
            ("", ""),
            ("  ", "  "),
            ("\0", "\0"),
            ("[1,2]", "\"[1,2]\""),
            (" \n{\"a\":1}", "\" \\n{\\\"a\\\":1}\""),
            ("\"q\"", "\"\\\"q\\\"\""),
            ("{no json", "\"{no json\""),
            ("\u{a0}[1]", "\u{a0}[1]"),
        ] {
            assert_eq!(wire(text), Value::from(sent), "{text:?}");
        }
    }

    #[test]
    fn lists_and_objects_are_their_json_text() {
        let value = Value::Map(vec![
            ("b".to_owned(), Value::Double(2.0)),
            (
                "a".to_owned(),
                Value::Array(vec![1_i64.into(), Value::Null, Value::Double(f64::NAN)]),
            ),
        ]);
        assert_eq!(wire(value), Value::from(r#"{"b":2.0,"a":[1,null,NaN]}"#));
    }

    #[test]
    fn scalars_stay_what_they_are() {
        assert_eq!(wire(7_i64), Value::Int(7));
        assert_eq!(wire(f64::INFINITY), Value::Double(f64::INFINITY));
        assert_eq!(wire(Value::Null), Value::Null);
        let mut adjusted = Adjustments::default();
        let bytes = wire_value(&Value::Bytes(vec![0, 255]), &mut adjusted);
        assert_eq!(bytes, Value::from("AP8="));
        assert_eq!(adjusted.bytes_as_text, 1);
    }

    #[test]
    fn payloads_follow_the_same_rule() {
        let mut adjusted = Adjustments::default();
        for (text, sent) in [
            (r#" {"a": 2.0 }"#, Value::from(r#"{"a": 2.0 }"#)),
            (r#""[1]""#, Value::from(r#""[1]""#)),
            (r#""plain""#, Value::from("plain")),
            (r#""\ud800""#, Value::from(r#""\ud800""#)),
            ("7", Value::Int(7)),
            ("2.0", Value::Double(2.0)),
            ("1e400", Value::Double(f64::INFINITY)),
            ("null", Value::Null),
            ("9223372036854775808", Value::from("9223372036854775808")),
        ] {
            let json = Json::from_text(text).unwrap();
            assert_eq!(wire_json(&json, &mut adjusted), sent, "{text}");
        }
        assert_eq!(adjusted.integers_as_text, 1);
    }

    #[test]
    fn events_keep_their_types_up_to_the_depth_a_reader_bears() {
        let mut deep = Value::from("leaf");
        for _ in 0..60 {
            deep = Value::Array(vec![deep]);
        }
        let attributes: Attributes = [("deep", deep), ("text", "[1]".into()), ("deep", 1.into())]
            .into_iter()
            .collect();
        let mut adjusted = Adjustments::default();
        let sent = native(&attributes, &mut adjusted);
        assert_eq!(sent.get_str("text"), Some("[1]"));
        assert_eq!(sent.len(), 2);
        assert_eq!((adjusted.subtrees_as_text, adjusted.duplicate_keys), (1, 1));
        let mut level = sent.get("deep").unwrap();
        let mut depth = 0;
        while let Value::Array(values) = level {
            (level, depth) = (&values[0], depth + 1);
        }
        assert_eq!(depth, 40);
        assert!(level.as_str().unwrap().starts_with("[["));
    }
}
