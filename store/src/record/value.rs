//! Values: written from the model, read as JSON or as the model's.

use std::borrow::Cow;
use std::fmt::Write as _;

use spanlite_model::{Json, Value};

use super::layout::{Reader, put_text, put_varint, tag};
use super::{MAX_DEPTH, RecordError};

/// A value of a record, not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a>(pub(super) &'a [u8]);

/// A value with its type, whose text or bytes stay where they are.
#[derive(Debug, Clone)]
pub(crate) enum FlatValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// A list or a map.
    Nested(Cow<'a, Value>),
}

impl<'a> From<&'a Value> for FlatValue<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Int(*number),
            Value::Double(number) => Self::Double(*number),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Array(_) | Value::Map(_) => Self::Nested(Cow::Borrowed(value)),
        }
    }
}

impl FlatValue<'_> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::Double(number) => Value::Double(*number),
            Self::String(text) => Value::from(&**text),
            Self::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Self::Nested(value) => value.clone().into_owned(),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// As [`ValueRef::to_value`], without copying texts and bytes.
    pub(crate) fn to_flat(self) -> Result<FlatValue<'a>, RecordError> {
        let mut reader = Reader(self.0);
        match reader.byte()? {
            tag::STRING => return Ok(FlatValue::String(Cow::Borrowed(reader.text()?))),
            tag::BYTES => return Ok(FlatValue::Bytes(reader.counted()?)),
            _ => {}
        }
        Ok(match self.to_value()? {
            Value::Null => FlatValue::Null,
            Value::Bool(flag) => FlatValue::Bool(flag),
            Value::Int(number) => FlatValue::Int(number),
            Value::Double(number) => FlatValue::Double(number),
            Value::String(text) => FlatValue::String(Cow::Owned(text)),
            value => FlatValue::Nested(Cow::Owned(value)),
        })
    }

    /// The value as JSON text, without copying what is JSON already.
    pub(crate) fn json_text(self) -> Result<Cow<'a, str>, RecordError> {
        let mut reader = Reader(self.0);
        if reader.byte()? == tag::JSON {
            return Ok(Cow::Borrowed(reader.text()?));
        }
        let mut text = String::new();
        self.write_json(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// The text, if the value is a string.
    pub fn as_str(self) -> Option<&'a str> {
        let mut reader = Reader(self.0);
        match reader.byte() {
            Ok(tag::STRING) => reader.text().ok(),
            _ => None,
        }
    }

    /// Appends the value as JSON text. Bytes and numbers that JSON does not know are written as
    /// [`Value::to_json_text`] writes them.
    pub fn write_json(self, out: &mut String) -> Result<(), RecordError> {
        write_json(&mut Reader(self.0), out, 0)
    }

    /// The value as JSON text.
    pub fn to_json(self) -> Result<Json, RecordError> {
        let mut text = String::new();
        self.write_json(&mut text)?;
        Ok(Json::from_trusted_text(text))
    }

    /// The value with its type. Integers above `i64` become the nearest float.
    pub fn to_value(self) -> Result<Value, RecordError> {
        read_value(&mut Reader(self.0), 0)
    }
}

/// How deep readers follow: the inputs of a function are a map around the captured values, and a
/// value may stand in quotes.
const READ_DEPTH: usize = MAX_DEPTH + 2;

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn unknown(found: u8) -> RecordError {
    RecordError::UnknownCode {
        what: "tag of a value",
        found,
    }
}

/// Moves the reader behind one value.
pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), RecordError> {
    let mut open = 0;
    loop {
        match reader.byte()? {
            tag::NULL | tag::FALSE | tag::TRUE => {}
            tag::INT | tag::UINT => {
                reader.varint()?;
            }
            tag::F64 => {
                reader.take(8)?;
            }
            tag::F32 => {
                reader.take(4)?;
            }
            tag::STRING | tag::BYTES | tag::JSON => {
                reader.counted()?;
            }
            tag::LIST | tag::MAP if open == READ_DEPTH => return Err(RecordError::TooDeep),
            tag::LIST | tag::MAP => open += 1,
            tag::QUOTED => continue,
            tag::END if open > 0 => open -= 1,
            found => return Err(unknown(found)),
        }
        if open == 0 {
            return Ok(());
        }
    }
}

/// Takes the bytes of one value off the front.
pub(super) fn take<'a>(reader: &mut Reader<'a>) -> Result<ValueRef<'a>, RecordError> {
    let bytes = reader.0;
    skip(reader)?;
    Ok(ValueRef(&bytes[..bytes.len() - reader.0.len()]))
}

/// Takes the end of a list or map off the front, if it is there.
fn at_end(reader: &mut Reader<'_>) -> Result<bool, RecordError> {
    let ended = reader.0.first().ok_or(RecordError::CutOff)? == &tag::END;
    if ended {
        reader.byte()?;
    }
    Ok(ended)
}

fn deeper(depth: usize) -> Result<usize, RecordError> {
    if depth == READ_DEPTH {
        return Err(RecordError::TooDeep);
    }
    Ok(depth + 1)
}

/// The key of a map's next entry.
fn read_key<'a>(reader: &mut Reader<'a>) -> Result<&'a str, RecordError> {
    match reader.byte()? {
        tag::STRING => reader.text(),
        found => Err(RecordError::UnknownCode {
            what: "tag of a key",
            found,
        }),
    }
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, RecordError> {
    Ok(match reader.byte()? {
        tag::NULL => Value::Null,
        tag::FALSE => Value::Bool(false),
        tag::TRUE => Value::Bool(true),
        tag::INT => Value::Int(zigzag(reader.varint()?)),
        tag::UINT => Value::Double(reader.varint()? as f64),
        tag::F64 => Value::Double(f64::from_le_bytes(reader.array()?)),
        tag::F32 => Value::Double(f32::from_le_bytes(reader.array()?).into()),
        tag::STRING => Value::from(reader.text()?),
        tag::BYTES => Value::Bytes(reader.counted()?.to_vec()),
        tag::JSON => {
            let text = reader.text()?;
            match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) => Value::from(&value),
                Err(_) => Value::from(text),
            }
        }
        tag::QUOTED => {
            let mut text = String::new();
            write_json(reader, &mut text, deeper(depth)?)?;
            Value::String(text)
        }
        tag::LIST => {
            let depth = deeper(depth)?;
            let mut values = Vec::new();
            while !at_end(reader)? {
                values.push(read_value(reader, depth)?);
            }
            Value::Array(values)
        }
        tag::MAP => {
            let depth = deeper(depth)?;
            let mut entries = Vec::new();
            while !at_end(reader)? {
                let key = read_key(reader)?.to_owned();
                entries.push((key, read_value(reader, depth)?));
            }
            Value::Map(entries)
        }
        found => return Err(unknown(found)),
    })
}

fn write_json(reader: &mut Reader<'_>, out: &mut String, depth: usize) -> Result<(), RecordError> {
    match reader.byte()? {
        tag::NULL => out.push_str("null"),
        tag::FALSE => out.push_str("false"),
        tag::TRUE => out.push_str("true"),
        tag::INT => write_display(out, zigzag(reader.varint()?)),
        tag::UINT => write_display(out, reader.varint()?),
        tag::F64 => {
            out.push_str(&Value::Double(f64::from_le_bytes(reader.array()?)).to_json_text());
        }
        tag::F32 => write_f32(out, f32::from_le_bytes(reader.array()?)),
        tag::STRING => write_string(out, reader.text()?),
        tag::BYTES => out.push_str(&Value::Bytes(reader.counted()?.to_vec()).to_json_text()),
        tag::JSON => out.push_str(reader.text()?),
        tag::QUOTED => {
            let mut text = String::new();
            write_json(reader, &mut text, deeper(depth)?)?;
            write_string(out, &text);
        }
        tag::LIST => {
            let depth = deeper(depth)?;
            out.push('[');
            let first = out.len();
            while !at_end(reader)? {
                if out.len() > first {
                    out.push(',');
                }
                write_json(reader, out, depth)?;
            }
            out.push(']');
        }
        tag::MAP => {
            let depth = deeper(depth)?;
            out.push('{');
            let first = out.len();
            while !at_end(reader)? {
                if out.len() > first {
                    out.push(',');
                }
                write_string(out, read_key(reader)?);
                out.push(':');
                write_json(reader, out, depth)?;
            }
            out.push('}');
        }
        found => return Err(unknown(found)),
    }
    Ok(())
}

fn write_display(out: &mut String, number: impl std::fmt::Display) {
    // Writing into a `String` cannot fail.
    write!(out, "{number}").unwrap_or_default();
}

/// A float of 32 bits keeps its short form; as one of 64 bits 0.1 would get 17 digits.
fn write_f32(out: &mut String, number: f32) {
    if number.is_finite() {
        out.push_str(&serde_json::to_string(&number).unwrap_or_default());
    } else {
        out.push_str(&Value::Double(number.into()).to_json_text());
    }
}

/// Writes a JSON string; runs without anything to escape are copied whole.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            8 => "\\b",
            12 => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        // Every escaped byte is ASCII, so both ends are character boundaries.
        out.push_str(text.get(copied..at).unwrap_or_default());
        copied = at + 1;
        if escape.is_empty() {
            write!(out, "\\u{byte:04x}").unwrap_or_default();
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out.push('"');
}

/// Writes a value of the model. What nests deeper than [`MAX_DEPTH`] is replaced by a mark.
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value) {
    put_nested(out, value, 0);
}

fn put_nested(out: &mut Vec<u8>, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push(tag::NULL),
        Value::Bool(false) => out.push(tag::FALSE),
        Value::Bool(true) => out.push(tag::TRUE),
        Value::Int(number) => {
            out.push(tag::INT);
            put_varint(out, (number << 1 ^ number >> 63) as u64);
        }
        Value::Double(number) => {
            out.push(tag::F64);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::String(text) => {
            out.push(tag::STRING);
            put_text(out, text);
        }
        Value::Bytes(bytes) => {
            out.push(tag::BYTES);
            put_varint(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Value::Array(_) | Value::Map(_) if depth == MAX_DEPTH => {
            out.push(tag::STRING);
            put_text(out, "… [deeper than 128 levels]");
        }
        Value::Array(values) => {
            out.push(tag::LIST);
            for value in values {
                put_nested(out, value, depth + 1);
            }
            out.push(tag::END);
        }
        Value::Map(entries) => {
            out.push(tag::MAP);
            for (key, value) in entries {
                out.push(tag::STRING);
                put_text(out, key);
                put_nested(out, value, depth + 1);
            }
            out.push(tag::END);
        }
    }
}

/// Writes a JSON value as the text it is.
pub(super) fn put_json(out: &mut Vec<u8>, json: &Json) {
    out.push(tag::JSON);
    put_text(out, json.as_text());
}
