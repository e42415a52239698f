//! How OTLP/JSON spells the fields of [`super::wire`]: ids as hex, 64-bit integers as texts,
//! enums as numbers. Reading takes numbers or texts, names of enums, base64 ids (recognised by
//! their `=`) and `null` for anything absent.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spanlite_model::{SpanId, TraceId};

use super::wire::{AnyOf, AnyValue};

pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A number that is written as a number or as a text.
struct Number<T>(PhantomData<T>);

impl<T: FromStr + TryFrom<u64> + TryFrom<i64> + Default> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer that fits its field, as a number or a text")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<T, E> {
        let whole = value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
        whole
            .then(|| T::try_from(value as i64).ok())
            .flatten()
            .ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(&crate::error::shown(text)), &self))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

pub(super) fn unsigned<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr + TryFrom<u64> + TryFrom<i64> + Default,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Number(PhantomData))
}

struct Signed(i64);

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Number(PhantomData))
            .map(Signed)
    }
}

/// A number, or one of the names that follow `prefix`, whose places are their numbers.
struct Named {
    prefix: &'static str,
    names: &'static [&'static str],
}

impl Visitor<'_> for &Named {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number or a name that begins with `{}`", self.prefix)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i32, E> {
        i32::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i32, E> {
        i32::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i32, E> {
        let name = text.strip_prefix(self.prefix).unwrap_or(text);
        let named = self.names.iter().position(|one| *one == name);
        named
            .and_then(|number| i32::try_from(number).ok())
            .or_else(|| text.parse().ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Str(&crate::error::shown(text)), &self))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<i32, E> {
        Ok(0)
    }
}

pub(super) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    deserializer.deserialize_any(&Named {
        prefix: "SPAN_KIND_",
        names: &[
            "UNSPECIFIED",
            "INTERNAL",
            "SERVER",
            "CLIENT",
            "PRODUCER",
            "CONSUMER",
        ],
    })
}

pub(super) fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    deserializer.deserialize_any(&Named {
        prefix: "STATUS_CODE_",
        names: &["UNSET", "OK", "ERROR"],
    })
}

/// The bytes of an id in base64, which ends with `=` at both lengths; hex never holds one.
fn base64_id(text: &str) -> Option<Vec<u8>> {
    text.ends_with('=')
        .then(|| STANDARD.decode(text).ok())
        .flatten()
}

pub(super) fn trace_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: String = or_default(deserializer)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(bytes) = base64_id(&text).filter(|bytes| bytes.len() == 16) {
        return Ok(bytes);
    }
    let id: TraceId = text.parse().map_err(D::Error::custom)?;
    Ok(id.to_bytes().to_vec())
}

pub(super) fn span_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: String = or_default(deserializer)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(bytes) = base64_id(&text).filter(|bytes| bytes.len() == 8) {
        return Ok(bytes);
    }
    let id: SpanId = text.parse().map_err(D::Error::custom)?;
    Ok(id.to_bytes().to_vec())
}

pub(super) fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    struct Hex<'a>(&'a [u8]);
    impl fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
    serializer.collect_str(&Hex(bytes))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
pub(super) fn text<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
pub(super) fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
pub(super) fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
pub(super) fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}

struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or `NaN`, `Infinity` or `-Infinity`")
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
                text.parse().map_err(|_| {
                    E::invalid_value(Unexpected::Str(&crate::error::shown(text)), &self)
                })
            }
        }
        deserializer.deserialize_any(Visit).map(Double)
    }
}

/// The keys of an `AnyValue`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Key {
    #[serde(alias = "string_value")]
    StringValue,
    #[serde(alias = "bool_value")]
    BoolValue,
    #[serde(alias = "int_value")]
    IntValue,
    #[serde(alias = "double_value")]
    DoubleValue,
    #[serde(alias = "array_value")]
    ArrayValue,
    #[serde(alias = "kvlist_value")]
    KvlistValue,
    #[serde(alias = "bytes_value")]
    BytesValue,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = AnyValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `stringValue`, `intValue` or another typed value")
            }

            fn visit_unit<E>(self) -> Result<AnyValue, E> {
                Ok(AnyValue { value: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
                let mut value = None;
                while let Some(key) = map.next_key()? {
                    let next = match key {
                        Key::StringValue => map.next_value::<Option<_>>()?.map(AnyOf::String),
                        Key::BoolValue => map.next_value::<Option<_>>()?.map(AnyOf::Bool),
                        Key::IntValue => {
                            map.next_value::<Option<Signed>>()?.map(|v| AnyOf::Int(v.0))
                        }
                        Key::DoubleValue => map
                            .next_value::<Option<Double>>()?
                            .map(|v| AnyOf::Double(v.0)),
                        Key::ArrayValue => map.next_value::<Option<_>>()?.map(AnyOf::Array),
                        Key::KvlistValue => map.next_value::<Option<_>>()?.map(AnyOf::Map),
                        Key::BytesValue => map
                            .next_value::<Option<String>>()?
                            .map(|text| STANDARD.decode(text).map(AnyOf::Bytes))
                            .transpose()
                            .map_err(A::Error::custom)?,
                        Key::Unknown => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                            None
                        }
                    };
                    value = next.or(value);
                }
                Ok(AnyValue { value })
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl Serialize for AnyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(usize::from(self.value.is_some())))?;
        match &self.value {
            None => {}
            Some(AnyOf::String(value)) => map.serialize_entry("stringValue", value)?,
            Some(AnyOf::Bool(value)) => map.serialize_entry("boolValue", value)?,
            Some(AnyOf::Int(value)) => map.serialize_entry("intValue", &value.to_string())?,
            Some(AnyOf::Double(value)) if value.is_nan() => {
                map.serialize_entry("doubleValue", "NaN")?;
            }
            Some(AnyOf::Double(value)) if value.is_infinite() => {
                let text = if *value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                };
                map.serialize_entry("doubleValue", text)?;
            }
            Some(AnyOf::Double(value)) => map.serialize_entry("doubleValue", value)?,
            Some(AnyOf::Array(value)) => map.serialize_entry("arrayValue", value)?,
            Some(AnyOf::Map(value)) => map.serialize_entry("kvlistValue", value)?,
            Some(AnyOf::Bytes(value)) => {
                map.serialize_entry("bytesValue", &STANDARD.encode(value))?;
            }
        }
        map.end()
    }
}
