//! JSON text as Python's `json.dumps(value, ensure_ascii=False)` writes it, which is how MLflow
//! stores attribute values.

use std::fmt::Write as _;

use serde::de::DeserializeSeed as _;
use spanlite_model::Value;

use crate::value::ValueSeed;

/// The text of a value. Bytes become an array of numbers, since Python has no form for them.
pub(super) fn to_text(value: &Value) -> String {
    let mut out = String::new();
    push(value, &mut out);
    out
}

fn push(value: &Value, out: &mut String) {
    match value {
        Value::Double(number) => push_double(*number, out),
        Value::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                push(value, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                push_string(key, out);
                out.push_str(": ");
                push(value, out);
            }
            out.push('}');
        }
        Value::String(text) => push_string(text, out),
        Value::Bytes(bytes) => {
            let numbers = bytes.iter().map(|byte| Value::Int(i64::from(*byte)));
            push(&Value::Array(numbers.collect()), out);
        }
        Value::Null | Value::Bool(_) | Value::Int(_) => out.push_str(&value.to_json_text()),
    }
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(&Value::String(text.to_owned()).to_json_text());
}

/// A float as Python's `repr` writes it: the shortest digits, with an exponent below 1e-4 and
/// from 1e16 on.
fn push_double(number: f64, out: &mut String) {
    if !number.is_finite() {
        out.push_str(match number {
            _ if number.is_nan() => "NaN",
            _ if number > 0.0 => "Infinity",
            _ => "-Infinity",
        });
        return;
    }
    let size = number.abs();
    // Writing into a string cannot fail.
    let written = if number == 0.0 || (1e-4..1e16).contains(&size) {
        write!(out, "{number:?}")
    } else {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        write!(out, "{digits}e{sign}{exponent:0>2}")
    };
    debug_assert!(written.is_ok());
}

/// The value that a text holds, keys in the order they came. A text that Python's parser would
/// not read is none; `NaN` and the infinities are read where they stand alone.
pub(super) fn from_text(text: &str) -> Option<Value> {
    match text {
        "NaN" => Some(Value::Double(f64::NAN)),
        "Infinity" => Some(Value::Double(f64::INFINITY)),
        "-Infinity" => Some(Value::Double(f64::NEG_INFINITY)),
        _ => parsed(text).ok(),
    }
}

fn parsed(text: &str) -> Result<Value, serde_json::Error> {
    let seed = ValueSeed {
        rounds: true,
        object: |entries| Ok(Value::Map(entries)),
    };
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_python() {
        for text in [
            r#"{"b": 1, "a": [2.0, 1e-05, 1e+16, 1.5e-07, 123456789.25, 0.0001, -0.0], "c": {}}"#,
            r#""ü \" \\ \n \u0001 😀""#,
            "7",
            "2.0",
            "null",
            "NaN",
            "-Infinity",
            "[]",
        ] {
            assert_eq!(to_text(&from_text(text).unwrap()), text);
        }
        assert_eq!(from_text("{'a': 1}"), None);
        assert_eq!(from_text(&"[".repeat(5_000)), None);
    }
}
