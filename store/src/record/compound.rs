//! Lists, maps and structs while they are written.

use serde::ser::{self, Serialize};

use super::key::KeySerializer;
use super::layout::{fill_length, leave_length, put_text, tag};
use super::serializer::{HIDDEN, SerializeError, ValueWriter};

/// A list, map, struct or variant that is being written.
pub(super) struct Compound<'w, 'e> {
    writer: &'w mut ValueWriter<'e>,
    is_map: bool,
    /// How many ends it takes: a variant with its map has two, one too deep to be written none.
    closings: usize,
    left_out: usize,
    /// The value of the last key is hidden.
    hidden: bool,
}

impl<'w, 'e> Compound<'w, 'e> {
    pub(super) fn new(writer: &'w mut ValueWriter<'e>, is_map: bool, closings: usize) -> Self {
        Self {
            writer,
            is_map,
            closings,
            left_out: 0,
            hidden: false,
        }
    }
}

impl Compound<'_, '_> {
    /// Returns whether there is room for one more element.
    #[inline]
    fn has_room(&mut self) -> bool {
        let room = self.closings > 0 && self.writer.out.len() < self.writer.limit;
        self.left_out += usize::from(!room);
        room
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if self.has_room() {
            value.serialize(&mut *self.writer)?;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn entry<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), SerializeError> {
        if !self.has_room() {
            return Ok(());
        }
        self.writer.out.push(tag::STRING);
        put_text(self.writer.out, key);
        match self.writer.redact {
            Some(redact) if redact.hides_key(key) => self.writer.text(HIDDEN),
            _ => value.serialize(&mut *self.writer)?,
        }
        Ok(())
    }

    pub(super) fn close(self) {
        let writer = self.writer;
        writer.depth -= 1;
        if self.left_out > 0 {
            writer.cut = true;
        }
        if self.left_out > 0 && self.closings > 0 {
            if self.is_map {
                writer.out.push(tag::STRING);
                put_text(writer.out, "…");
            }
            writer.out.push(tag::STRING);
            put_text(writer.out, &format!("[cut, {} more]", self.left_out));
        }
        for _ in 0..self.closings {
            writer.out.push(tag::END);
        }
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident),*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = SerializeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
                self.element(value)
            }

            fn end(self) -> Result<(), SerializeError> {
                self.close();
                Ok(())
            }
        }
    )*};
}

elements!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        if !self.has_room() {
            return Ok(());
        }
        self.writer.out.push(tag::STRING);
        let start = leave_length(self.writer.out);
        key.serialize(KeySerializer {
            out: self.writer.out,
        })?;
        fill_length(self.writer.out, start);
        self.hidden = match (self.writer.redact, self.writer.out.get(start..)) {
            (Some(redact), Some(key)) => redact.hides_key(&String::from_utf8_lossy(key)),
            _ => false,
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        if self.left_out > 0 {
            return Ok(());
        }
        if self.hidden {
            self.writer.text(HIDDEN);
            return Ok(());
        }
        value.serialize(&mut *self.writer)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), SerializeError> {
        self.serialize_key(key)?;
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), SerializeError> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStructVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.entry(key, value)
    }

    fn end(self) -> Result<(), SerializeError> {
        self.close();
        Ok(())
    }
}

/// The fields of a struct, or JSON text that comes in the shape of one.
pub(super) enum Fields<'w, 'e> {
    Map(Compound<'w, 'e>),
    RawJson(&'w mut ValueWriter<'e>),
}

impl ser::SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = SerializeError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        match self {
            Self::Map(map) => map.entry(key, value),
            Self::RawJson(writer) => {
                let mut text = Vec::new();
                value.serialize(KeySerializer { out: &mut text })?;
                writer.raw_json(&String::from_utf8_lossy(&text));
                Ok(())
            }
        }
    }

    fn end(self) -> Result<(), SerializeError> {
        if let Self::Map(map) = self {
            map.close();
        }
        Ok(())
    }
}
