use serde::{Serialize, Serializer};

/// A typed attribute value, as OTLP's `AnyValue` has them.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value: an `AnyValue` with nothing set, JSON's `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A 64-bit float, with NaN and the infinities.
    Double(f64),
    /// A text.
    String(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// A list; its elements may differ in type.
    Array(Vec<Self>),
    /// Keys with values in the order they came; a key may come twice.
    Map(Vec<(String, Self)>),
}

/// Keys with values in the order they came, as OTLP sends them. A key may come twice; reads take
/// the first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(Vec<(String, Value)>);

impl Value {
    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number as an integer: an [`Value::Int`], a whole [`Value::Double`], or a text that
    /// holds an integer, which some instrumentations send for token counts.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Double(number)
                if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 =>
            {
                Some(*number as i64)
            }
            Self::String(text) => text.trim_matches('"').parse().ok(),
            _ => None,
        }
    }

    /// The number as a float: an int, a double, or a text that holds a number.
    pub fn to_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::String(text) => text.trim_matches('"').parse().ok(),
            _ => None,
        }
    }

    /// The value under `key` of a map; the first if the key comes twice.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The value as JSON text. Bytes become base16 text; NaN and the infinities become
    /// `NaN`, `Infinity` and `-Infinity` strings, because JSON has no such numbers.
    pub fn to_json_text(&self) -> String {
        // Only a `Serialize` that returns an error can fail here, and ours does not.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A map as the JSON object of its entries, in order.
struct Object<'a>(&'a [(String, Value)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Double(value) if value.is_nan() => serializer.serialize_str("NaN"),
            Self::Double(value) if value.is_infinite() => {
                serializer.serialize_str(if *value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                })
            }
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Bytes(value) => {
                let digits = value.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let hex: String = digits
                    .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
                    .collect();
                serializer.serialize_str(&hex)
            }
            Self::Array(values) => serializer.collect_seq(values),
            Self::Map(entries) => Object(entries).serialize(serializer),
        }
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Object(&self.0).serialize(serializer)
    }
}

impl From<&serde_json::Value> for Value {
    /// Takes a JSON value over. A number that is neither an `i64` nor a finite `f64` of the same
    /// text keeps its nearest float.
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => number.as_i64().map_or_else(
                || Self::Double(number.as_f64().unwrap_or(f64::NAN)),
                Self::Int,
            ),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(values) => {
                Self::Array(values.iter().map(Self::from).collect())
            }
            serde_json::Value::Object(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect(),
            ),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

value_from!(bool => Bool, i64 => Int, i32 => Int, u32 => Int, f64 => Double, f32 => Double,
    &str => String, String => String, Vec<u8> => Bytes);

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Attributes {
    /// No attributes.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `key`; the first if the key comes twice.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value)
    }

    /// The text of `key`, if it has one.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// Replaces the value of `key`, or adds the key at the end.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Adds at the end, without looking whether the key is there.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// Takes the first value of `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(index).1)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Keys and values in order, to change in place.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&mut String, &mut Value)> {
        self.0.iter_mut().map(|(key, value)| (key, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<(String, Value)>> for Attributes {
    fn from(entries: Vec<(String, Value)>) -> Self {
        Self(entries)
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

impl IntoIterator for Attributes {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_and_keeps_the_place() {
        let mut attributes: Attributes = [("a", 1), ("b", 2)].into_iter().collect();
        attributes.set("a", "x");
        attributes.set("c", 2.5);
        assert_eq!(
            serde_json::to_string(&attributes).unwrap(),
            r#"{"a":"x","b":2,"c":2.5}"#
        );
    }

    #[test]
    fn numbers_are_read_from_texts_too() {
        assert_eq!(Value::from("26").to_i64(), Some(26));
        assert_eq!(Value::from("\"26\"").to_i64(), Some(26));
        assert_eq!(Value::from(3.0).to_i64(), Some(3));
        assert_eq!(Value::from(3.5).to_i64(), None);
    }
}
