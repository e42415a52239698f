use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value kept as the text it came as: inputs and outputs of spans.
///
/// The text is valid JSON and is never reformatted, so that a value read from a file or captured
/// from a program comes back byte for byte, numbers beyond 64 bits included.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Box<str>);

/// The text is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("not valid JSON")]
pub struct JsonError {
    #[from]
    source: serde_json::Error,
}

impl Json {
    /// Takes a text that is JSON already. Depth is not limited.
    pub fn from_text(text: impl Into<Box<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        serde_json::from_str::<&RawValue>(&text)?;
        Ok(Self(text))
    }

    /// Takes a text that this program wrote as JSON, without looking at it again.
    ///
    /// A text that is not JSON makes exported documents invalid; it breaks nothing else.
    pub fn from_trusted_text(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The JSON string that holds `text`.
    pub fn string(text: &str) -> Self {
        // Writing a `str` as JSON into memory cannot fail.
        Self(serde_json::to_string(text).unwrap_or_default().into())
    }

    /// Serialises any value.
    pub fn serialize(value: &(impl Serialize + ?Sized)) -> Result<Self, JsonError> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// The JSON text.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// The JSON text, owned.
    pub fn into_text(self) -> Box<str> {
        self.0
    }

    /// The text inside when the value is a JSON string, else nothing.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        if !self.0.trim_start().starts_with('"') {
            return None;
        }
        if let Ok(plain) = serde_json::from_str::<&str>(&self.0) {
            return Some(Cow::Borrowed(plain));
        }
        serde_json::from_str::<String>(&self.0).ok().map(Cow::Owned)
    }

    /// Parses the value. Fails beyond 128 levels and never for the text's syntax.
    pub fn to_value(&self) -> Result<serde_json::Value, JsonError> {
        Ok(serde_json::from_str(&self.0)?)
    }

    /// The value as a person reads it: a string without its quotes, else the JSON text.
    pub fn to_display_text(&self) -> Cow<'_, str> {
        self.as_str().unwrap_or(Cow::Borrowed(&self.0))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({})", self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_as_it_came() {
        let text = "{ \"a\": 2.0, \"big\": 340282366920938463463374607431768211456 }";
        let json = Json::from_text(text).unwrap();
        assert_eq!(json.as_text(), text);
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        assert!(Json::from_text("{").is_err());
    }

    #[test]
    fn strings_lose_their_quotes_for_people_only() {
        assert_eq!(Json::string("a \"b\"\n").as_str().unwrap(), "a \"b\"\n");
        assert_eq!(Json::from_text(" [1]").unwrap().as_str(), None);
        assert_eq!(Json::from_text("7").unwrap().to_display_text(), "7");
    }

    #[test]
    fn depth_is_not_limited() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        assert_eq!(Json::from_text(deep.clone()).unwrap().as_text(), deep);
    }
}
