//! Attribute values and attribute lists as bytes, for those that have no column of their own.
//!
//! ```text
//! value: byte tag, then
//!   0 null | 1 false | 2 true | 3 signed | 4 double, 8 bytes | 5 text | 6 bytes
//!   7 array: varint n, n values | 8 map: varint n, n * (text key, value)
//! attributes: varint n, n * (text key, value)
//! ```
//!
//! Texts and bytes have a varint length. Arrays and maps are written and read with a stack of
//! our own, at most [`MAX_DEPTH`] levels deep; what lies deeper, which no record holds, is stored as
//! null.

use spanlite_model::{Attributes, Value};

use super::BlockError;
use super::bytes::{Cursor, put_bytes, put_signed, put_varint};
use crate::record::MAX_DEPTH;

/// One value still to be written, or the key before one.
enum Todo<'a> {
    Key(&'a str),
    Value(&'a Value, usize),
}

pub(super) fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut todo = vec![Todo::Value(value, 0)];
    while let Some(next) = todo.pop() {
        let (value, depth) = match next {
            Todo::Key(key) => {
                put_bytes(out, key.as_bytes());
                continue;
            }
            Todo::Value(value, depth) => (value, depth),
        };
        match value {
            Value::Null => out.push(0),
            Value::Bool(flag) => out.push(1 + u8::from(*flag)),
            Value::Int(number) => {
                out.push(3);
                put_signed(out, *number);
            }
            Value::Double(number) => {
                out.push(4);
                out.extend_from_slice(&number.to_bits().to_le_bytes());
            }
            Value::String(text) => {
                out.push(5);
                put_bytes(out, text.as_bytes());
            }
            Value::Bytes(bytes) => {
                out.push(6);
                put_bytes(out, bytes);
            }
            Value::Array(_) | Value::Map(_) if depth >= MAX_DEPTH => out.push(0),
            Value::Array(values) => {
                out.push(7);
                put_varint(out, values.len() as u64);
                todo.extend(values.iter().rev().map(|one| Todo::Value(one, depth + 1)));
            }
            Value::Map(entries) => {
                out.push(8);
                put_varint(out, entries.len() as u64);
                for (key, value) in entries.iter().rev() {
                    todo.push(Todo::Value(value, depth + 1));
                    todo.push(Todo::Key(key));
                }
            }
        }
    }
}

/// An array or map that is not complete yet.
enum Open {
    Array(Vec<Value>, usize),
    Map(Vec<(String, Value)>, String, usize),
}

pub(super) fn read_value(cursor: &mut Cursor<'_>) -> Result<Value, BlockError> {
    let mut open: Vec<Open> = Vec::new();
    loop {
        let mut value = match cursor.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(cursor.signed()?),
            4 => Value::Double(f64::from_bits(u64::from_le_bytes(cursor.array()?))),
            5 => Value::String(cursor.text()?.to_owned()),
            6 => Value::Bytes(cursor.bytes()?.to_vec()),
            7 | 8 if open.len() >= MAX_DEPTH => {
                return Err(BlockError::malformed("a value is too deep"));
            }
            7 => match cursor.count()? {
                0 => Value::Array(Vec::new()),
                count => {
                    open.push(Open::Array(Vec::new(), count));
                    continue;
                }
            },
            8 => match cursor.count()? {
                0 => Value::Map(Vec::new()),
                count => {
                    let key = cursor.text()?.to_owned();
                    open.push(Open::Map(Vec::new(), key, count));
                    continue;
                }
            },
            _ => return Err(BlockError::malformed("a value has an unknown type")),
        };
        loop {
            match open.pop() {
                None => return Ok(value),
                Some(Open::Array(mut values, missing)) => {
                    values.push(value);
                    if missing > 1 {
                        open.push(Open::Array(values, missing - 1));
                        break;
                    }
                    value = Value::Array(values);
                }
                Some(Open::Map(mut entries, key, missing)) => {
                    entries.push((key, value));
                    if missing > 1 {
                        let key = cursor.text()?.to_owned();
                        open.push(Open::Map(entries, key, missing - 1));
                        break;
                    }
                    value = Value::Map(entries);
                }
            }
        }
    }
}

pub(super) fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    put_varint(out, attributes.len() as u64);
    for (key, value) in attributes.iter() {
        put_bytes(out, key.as_bytes());
        put_value(out, value);
    }
}

pub(super) fn read_attributes(cursor: &mut Cursor<'_>) -> Result<Attributes, BlockError> {
    let mut attributes = Attributes::new();
    for _ in 0..cursor.count()? {
        let key = cursor.text()?;
        attributes.push(key, read_value(cursor)?);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Int(7), |inner, level| {
            if level % 2 == 0 {
                Value::Array(vec![Value::Bool(true), inner])
            } else {
                Value::Map(vec![
                    ("k".to_owned(), inner),
                    ("k".to_owned(), Value::from("é\0")),
                    (String::new(), Value::Array(Vec::new())),
                ])
            }
        })
    }

    fn there_and_back(value: &Value) -> Result<Value, BlockError> {
        let mut out = Vec::new();
        put_value(&mut out, value);
        read_value(&mut Cursor::new(&out))
    }

    #[test]
    fn nested_values_come_back() {
        for depth in [0, 1, 2, 3, MAX_DEPTH] {
            let value = nested(depth);
            assert_eq!(there_and_back(&value).unwrap(), value);
        }
    }

    #[test]
    fn what_is_too_deep_is_null_and_a_deep_text_is_refused() {
        let value = Value::Array(vec![nested(MAX_DEPTH), Value::Int(1)]);
        let Value::Array(values) = there_and_back(&value).unwrap() else {
            panic!("an array was written");
        };
        assert_eq!(values[1], Value::Int(1));
        let deep = [7u8, 1].repeat(100_000);
        assert!(matches!(
            read_value(&mut Cursor::new(&deep)),
            Err(BlockError::Malformed {
                what: "a value is too deep"
            })
        ));
    }

    #[test]
    fn a_count_beyond_the_bytes_ends_early() {
        assert!(read_value(&mut Cursor::new(&[7, 0xff, 0xff, 0xff, 0x7f, 0])).is_err());
    }
}
