use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeSeed as _;
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spanlite_model::{Attributes, Value};

use crate::value::ValueSeed;

/// A value in the JSON that keeps its type.
pub(super) struct Typed(pub(super) Value);

struct TypedRef<'a>(&'a Value);

impl Serialize for TypedRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::Double(value) if value.is_nan() => marked(serializer, "$double", &"NaN"),
            Value::Double(value) if *value > 0.0 => marked(serializer, "$double", &"Infinity"),
            Value::Double(_) => marked(serializer, "$double", &"-Infinity"),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => marked(serializer, "$bytes", &STANDARD.encode(bytes)),
            Value::Array(values) => serializer.collect_seq(values.iter().map(TypedRef)),
            Value::Map(entries) => entries_of(
                entries.iter().map(|(key, value)| (key.as_str(), value)),
                serializer,
            ),
        }
    }
}

fn marked<S: Serializer>(
    serializer: S,
    mark: &str,
    value: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(mark, value)?;
    map.end()
}

fn entries_of<'a, S: Serializer>(
    entries: impl Iterator<Item = (&'a str, &'a Value)> + Clone,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut seen = HashSet::new();
    if entries
        .clone()
        .all(|(key, _)| !key.starts_with('$') && seen.insert(key))
    {
        return serializer.collect_map(entries.map(|(key, value)| (key, TypedRef(value))));
    }
    let pairs: Vec<_> = entries.map(|(key, value)| (key, TypedRef(value))).collect();
    marked(serializer, "$entries", &pairs)
}

/// Writes attributes as an object.
#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
pub(super) fn serialize_attributes<S: Serializer>(
    attributes: &Option<Attributes>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(attributes) = attributes else {
        return Err(S::Error::custom("absent attributes are skipped"));
    };
    let entries: Vec<_> = attributes.iter().collect();
    entries_of(entries.iter().copied(), serializer)
}

/// Reads attributes from an object.
pub(super) fn deserialize_attributes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Attributes>, D::Error> {
    match Typed::deserialize(deserializer)?.0 {
        Value::Map(entries) => Ok(Some(entries.into())),
        _ => Err(serde::de::Error::custom("attributes must be an object")),
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seed = ValueSeed {
            rounds: false,
            object: unmark,
        };
        seed.deserialize(deserializer).map(Self)
    }
}

/// Takes the three marked forms back; the error names the form whose value is none.
fn unmark(entries: Vec<(String, Value)>) -> Result<Value, &'static str> {
    let [(mark, value)] = entries.as_slice() else {
        return Ok(Value::Map(entries));
    };
    match (mark.as_str(), value) {
        ("$bytes", Value::String(text)) => STANDARD
            .decode(text)
            .map(Value::Bytes)
            .map_err(|_| "base64 text"),
        ("$bytes", _) => Err("base64 text"),
        ("$double", Value::String(text)) => match text.as_str() {
            "NaN" => Ok(Value::Double(f64::NAN)),
            "Infinity" => Ok(Value::Double(f64::INFINITY)),
            "-Infinity" => Ok(Value::Double(f64::NEG_INFINITY)),
            _ => Err("`NaN`, `Infinity` or `-Infinity`"),
        },
        ("$double", _) => Err("`NaN`, `Infinity` or `-Infinity`"),
        ("$entries", Value::Array(pairs)) => pairs
            .iter()
            .map(|pair| match pair {
                Value::Array(pair) => match pair.as_slice() {
                    [Value::String(key), value] => Ok((key.clone(), value.clone())),
                    _ => Err("a list of key and value"),
                },
                _ => Err("a list of key and value"),
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        ("$entries", _) => Err("a list of key and value"),
        _ => Ok(Value::Map(entries)),
    }
}
