//! Writes any `Serialize` as a value of the record.

use std::fmt::{self, Write as _};

use serde::ser::{self, Serialize, Serializer};

use super::MAX_DEPTH;
use super::compound::{Compound, Fields};
use super::layout::{fill_length, leave_length, put_text, put_varint, tag};

/// Names under which `serde_json` passes text that is JSON already.
const RAW_JSON: [&str; 2] = [
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
];

/// What stands for a value that must not be stored.
pub(super) const HIDDEN: &str = "[redacted]";

/// Decides what of the captured values must not be stored.
pub trait Redact: fmt::Debug {
    /// Returns whether the value under this key of a map or a struct is hidden.
    fn hides_key(&self, key: &str) -> bool;

    /// The text to store in place of `text`; nothing if it may stay.
    fn replace(&self, text: &str) -> Option<String>;
}

/// Why a value could not be written: what its `Serialize` said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SerializeError {
    message: Box<str>,
}

impl ser::Error for SerializeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string().into(),
        }
    }
}

/// Appends one value.
pub(super) struct ValueWriter<'e> {
    pub(super) out: &'e mut Vec<u8>,
    /// Length of `out` from which on texts are cut and elements are left out.
    pub(super) limit: usize,
    pub(super) depth: usize,
    pub(super) redact: Option<&'e dyn Redact>,
    /// Whether something was cut or left out.
    pub(super) cut: bool,
}

impl<'e> ValueWriter<'e> {
    pub(super) fn new(
        out: &'e mut Vec<u8>,
        limit_bytes: usize,
        redact: Option<&'e dyn Redact>,
    ) -> Self {
        let limit = out.len().saturating_add(limit_bytes);
        Self {
            out,
            limit,
            depth: 0,
            redact,
            cut: false,
        }
    }

    /// Writes what a formatting prints, as a string.
    pub(super) fn display(&mut self, text: fmt::Arguments<'_>) {
        if let Some(redact) = self.redact {
            let text = text.to_string();
            self.text(redact.replace(&text).as_deref().unwrap_or(&text));
            return;
        }
        self.out.push(tag::STRING);
        let start = leave_length(self.out);
        let mut limited = Limited {
            out: self.out,
            limit: self.limit.max(start),
        };
        if limited.write_fmt(text).is_err() {
            self.cut = true;
            self.out.extend_from_slice("… [cut]".as_bytes());
        }
        fill_length(self.out, start);
    }

    /// Writes a string, cut where it is too long.
    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        if self.out.len() + text.len() <= self.limit {
            self.out.reserve(text.len() + 16);
            self.out.push(tag::STRING);
            put_text(self.out, text);
        } else {
            self.cut_text(text);
        }
    }

    #[cold]
    fn cut_text(&mut self, text: &str) {
        self.cut = true;
        let room = self.limit.saturating_sub(self.out.len());
        let kept = prefix(text, room);
        self.out.push(tag::STRING);
        let start = leave_length(self.out);
        self.out.extend_from_slice(kept.as_bytes());
        let mark = format!("… [cut, {} bytes in all]", text.len());
        self.out.extend_from_slice(mark.as_bytes());
        fill_length(self.out, start);
    }

    #[inline]
    fn number(&mut self, number: i64) {
        self.out.push(tag::INT);
        put_varint(self.out, (number << 1 ^ number >> 63) as u64);
    }

    /// Opens a list or a map.
    fn open(&mut self, opening: u8) -> Compound<'_, 'e> {
        let too_deep = self.depth >= MAX_DEPTH;
        if too_deep {
            self.cut = true;
            self.text("… [deeper than 128 levels]");
        } else {
            self.out.push(opening);
        }
        self.depth += 1;
        Compound::new(self, opening == tag::MAP, usize::from(!too_deep))
    }

    /// Opens the map of an enum's variant, whose one value `inner` opens.
    fn open_variant(&mut self, variant: &str, inner: u8) -> Compound<'_, 'e> {
        if self.depth + 1 >= MAX_DEPTH {
            return self.open(inner);
        }
        self.out.push(tag::MAP);
        self.out.push(tag::STRING);
        put_text(self.out, variant);
        self.out.push(inner);
        self.depth += 1;
        Compound::new(self, inner == tag::MAP, 2)
    }
}

/// The longest prefix of at most `bytes`.
fn prefix(text: &str, bytes: usize) -> &str {
    // A character has at most four bytes, so one of the four ends is between two of them.
    (0..4)
        .find_map(|back| text.get(..bytes.checked_sub(back)?))
        .unwrap_or("")
}

/// Writes formatted text up to a limit.
struct Limited<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
}

impl fmt::Write for Limited<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit - self.out.len();
        if text.len() <= room {
            self.out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let kept = prefix(text, room);
        self.out.extend_from_slice(kept.as_bytes());
        Err(fmt::Error)
    }
}

impl<'w, 'e> Serializer for &'w mut ValueWriter<'e> {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = Compound<'w, 'e>;
    type SerializeTuple = Compound<'w, 'e>;
    type SerializeTupleStruct = Compound<'w, 'e>;
    type SerializeTupleVariant = Compound<'w, 'e>;
    type SerializeMap = Compound<'w, 'e>;
    type SerializeStruct = Fields<'w, 'e>;
    type SerializeStructVariant = Compound<'w, 'e>;

    fn serialize_bool(self, value: bool) -> Result<(), SerializeError> {
        self.out.push(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), SerializeError> {
        self.number(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), SerializeError> {
        match i64::try_from(value) {
            Ok(value) => self.number(value),
            Err(_) => self.raw_json(&value.to_string()),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), SerializeError> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), SerializeError> {
        if let Ok(value) = i64::try_from(value) {
            self.number(value);
        } else {
            self.out.push(tag::UINT);
            put_varint(self.out, value);
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), SerializeError> {
        match u64::try_from(value) {
            Ok(value) => return self.serialize_u64(value),
            Err(_) => self.raw_json(&value.to_string()),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), SerializeError> {
        self.out.push(tag::F32);
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), SerializeError> {
        self.out.push(tag::F64);
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), SerializeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), SerializeError> {
        match self.redact.and_then(|redact| redact.replace(value)) {
            Some(replaced) => self.text(&replaced),
            None => self.text(value),
        }
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), SerializeError> {
        self.display(format_args!("{value}"));
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), SerializeError> {
        let room = self.limit.saturating_sub(self.out.len());
        let kept = value.get(..room).unwrap_or(value);
        self.cut |= kept.len() < value.len();
        self.out.push(tag::BYTES);
        put_varint(self.out, kept.len() as u64);
        self.out.extend_from_slice(kept);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), SerializeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), SerializeError> {
        self.out.push(tag::NULL);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), SerializeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), SerializeError> {
        self.text(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        let mut map = self.open(tag::MAP);
        map.entry(variant, value)?;
        map.close();
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open(tag::LIST))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open(tag::LIST))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open(tag::LIST))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open_variant(variant, tag::LIST))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open(tag::MAP))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _length: usize,
    ) -> Result<Fields<'w, 'e>, SerializeError> {
        Ok(if RAW_JSON.contains(&name) {
            Fields::RawJson(self)
        } else {
            Fields::Map(self.open(tag::MAP))
        })
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'w, 'e>, SerializeError> {
        Ok(self.open_variant(variant, tag::MAP))
    }
}

impl ValueWriter<'_> {
    /// Writes text that is JSON already. Where something may have to be hidden in it, or it is
    /// too long to be kept whole, it is taken apart.
    pub(super) fn raw_json(&mut self, text: &str) {
        if self.redact.is_none() && self.out.len() + text.len() <= self.limit {
            self.out.push(tag::JSON);
            put_text(self.out, text);
            return;
        }
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        let written = match value {
            Ok(serde_json::Value::Number(_)) => {
                self.out.push(tag::JSON);
                put_text(self.out, text);
                return;
            }
            Ok(value) => value.serialize(&mut *self).is_ok(),
            Err(_) => false,
        };
        if !written {
            self.display(format_args!("{text}"));
        }
    }
}
