//! Writes the key of a map as text, as JSON needs it.

use std::fmt::{self, Write as _};

use serde::ser::{Error as _, Impossible, Serialize, Serializer};

use super::serializer::SerializeError;

/// Appends what a key prints, without a length.
pub(super) struct KeySerializer<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

struct Append<'o>(&'o mut Vec<u8>);

impl fmt::Write for Append<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn no_key() -> SerializeError {
    SerializeError::custom("a key of a map is neither a text nor a number")
}

macro_rules! printed {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<(), SerializeError> {
            self.collect_str(&value)
        }
    )*};
}

type Never = Impossible<(), SerializeError>;

impl Serializer for KeySerializer<'_> {
    type Ok = ();
    type Error = SerializeError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    printed!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32,
        serialize_i64 i64, serialize_i128 i128, serialize_u8 u8, serialize_u16 u16,
        serialize_u32 u32, serialize_u64 u64, serialize_u128 u128, serialize_f32 f32,
        serialize_f64 f64, serialize_char char
    );

    fn serialize_str(self, value: &str) -> Result<(), SerializeError> {
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), SerializeError> {
        write!(Append(self.out), "{value}").map_err(SerializeError::custom)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), SerializeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), SerializeError> {
        value.serialize(self)
    }

    fn serialize_bytes(self, _value: &[u8]) -> Result<(), SerializeError> {
        Err(no_key())
    }

    fn serialize_none(self) -> Result<(), SerializeError> {
        self.serialize_str("null")
    }

    fn serialize_unit(self) -> Result<(), SerializeError> {
        Err(no_key())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), SerializeError> {
        Err(no_key())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), SerializeError> {
        Err(no_key())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_tuple(self, _length: usize) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Never, SerializeError> {
        Err(no_key())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Never, SerializeError> {
        Err(no_key())
    }
}
