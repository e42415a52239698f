//! JSON read as attribute values, keys in the order they came.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserializer, Serialize, Serializer};
use serde_json::Value as JsonValue;
use spanlite_model::Value;

/// What becomes of an object; the error names the form that its value should have had.
type Object = fn(Vec<(String, Value)>) -> Result<Value, &'static str>;

/// Reads a value. What two formats read differently are its fields.
#[derive(Clone, Copy)]
pub(crate) struct ValueSeed {
    /// Whether an integer beyond 63 bits becomes a float; else it is an error.
    pub(crate) rounds: bool,
    pub(crate) object: Object,
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Value::Int(value)),
            Err(_) if self.rounds => Ok(Value::Double(value as f64)),
            Err(_) => Err(E::invalid_value(
                Unexpected::Unsigned(value),
                &"a 64-bit signed integer",
            )),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value_seed(self)?));
        }
        (self.object)(entries).map_err(|form| {
            Error::invalid_value(Unexpected::Other("a value of another form"), &form)
        })
    }
}

/// The text of a value with the keys of all objects in order, so that an id made of it does not
/// depend on whether some crate of the program switches on `preserve_order` of `serde_json`.
pub(crate) fn sorted_text(value: &JsonValue) -> String {
    // Writing a value as JSON into memory cannot fail.
    serde_json::to_string(&Sorted(value)).unwrap_or_default()
}

struct Sorted<'a>(&'a JsonValue);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            JsonValue::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| (key, Sorted(value)));
                let fields: BTreeMap<_, _> = fields.collect();
                fields.serialize(serializer)
            }
            JsonValue::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_texts_do_not_depend_on_the_order_of_keys() {
        let value: JsonValue =
            serde_json::from_str(r#"{"b": [{"z": 1, "y": 2.5}], "a": "\u00fc", "c": {}}"#).unwrap();
        let sorted = r#"{"a":"ü","b":[{"y":2.5,"z":1}],"c":{}}"#;
        assert_eq!(sorted_text(&value), sorted);
    }
}
