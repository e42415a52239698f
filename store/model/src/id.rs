use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// MLflow's prefix of a public trace id.
const PREFIX: &str = "tr-";

/// A W3C trace id. Shown as `tr-` and 32 lower-case hex digits, which is MLflow's public form.
///
/// Ids made by Spanlite begin with 48 bits of Unix milliseconds, so that they sort by time;
/// ids from elsewhere are kept unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId([u8; 16]);

/// A W3C span id, unique in its trace. Shown as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId([u8; 8]);

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has the wrong number of hex digits.
    #[error("an id of {expected} hex digits was expected, `{text}` has {found}")]
    Length {
        /// How many digits the id has.
        expected: usize,
        /// How many characters the text has after an optional `tr-`.
        found: usize,
        /// The text, cut to 80 characters.
        text: String,
    },
    /// A character is no hex digit.
    #[error("`{found}` is not a hex digit, in the id `{text}`")]
    Digit {
        /// The character.
        found: char,
        /// The text, cut to 80 characters.
        text: String,
    },
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let shown = || text.chars().take(80).collect::<String>();
    if let Some(found) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(IdError::Digit {
            found,
            text: shown(),
        });
    }
    if text.len() != 2 * N {
        return Err(IdError::Length {
            expected: 2 * N,
            found: text.len(),
            text: shown(),
        });
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16).unwrap_or(0);
            value << 4 | digit as u8
        });
    }
    Ok(bytes)
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! id_type {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// The id with these bytes, first byte first.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id, first byte first.
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// The bytes of the id, first byte first.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// Returns whether the id is all zero, which W3C calls invalid.
            pub fn is_zero(self) -> bool {
                self.0 == [0; $bytes]
            }
        }

        impl From<[u8; $bytes]> for $name {
            fn from(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(TraceId, 16);
id_type!(SpanId, 8);

impl TraceId {
    /// The 32 hex digits without `tr-`, as OTLP and W3C headers write it.
    pub fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Whether [`TraceId::to_hex`] begins with some digits, which are lower case.
    pub fn begins_with(self, digits: &str) -> bool {
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut nibbles = nibbles.map(|nibble| b"0123456789abcdef"[usize::from(nibble)]);
        digits.bytes().all(|digit| nibbles.next() == Some(digit))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        write_hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for TraceId {
    type Err = IdError;

    /// Reads 32 hex digits of any case, with or without `tr-`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex(text.strip_prefix(PREFIX).unwrap_or(text)).map(Self)
    }
}

impl FromStr for SpanId {
    type Err = IdError;

    /// Reads 16 hex digits of any case.
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_hex(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_trace_id_are_read() {
        let id = TraceId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string(), format!("tr-{}", "ab".repeat(16)));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("AB".repeat(16).parse(), Ok(id));
        assert_eq!(id.to_hex().parse(), Ok(id));
    }

    #[test]
    fn digits_are_compared_as_they_are_written() {
        let id: TraceId = "0123456789abcdef0f1e2d3c4b5a6978".parse().unwrap();
        for length in 0..=32 {
            let hex = id.to_hex();
            let (digits, _) = hex.split_at(length);
            assert!(id.begins_with(digits), "{digits}");
            assert!(!id.begins_with(&format!("{digits}g")), "{digits}");
        }
    }

    #[test]
    fn wrong_ids_say_what_is_wrong() {
        let short = "tr-abcd".parse::<TraceId>().unwrap_err();
        assert_eq!(
            short.to_string(),
            "an id of 32 hex digits was expected, `abcd` has 4"
        );
        let digit = "xyz".parse::<SpanId>().unwrap_err();
        assert_eq!(digit.to_string(), "`x` is not a hex digit, in the id `xyz`");
        assert!(matches!(
            "é".parse::<SpanId>(),
            Err(IdError::Digit { found: 'é', .. })
        ));
    }
}
