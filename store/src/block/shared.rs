//! Resources and scopes: stored once in a dictionary, because whole blocks share one or two.
//!
//! ```text
//! resource: varint dropped attributes, text schema URL, attributes
//! scope:    varint dropped attributes, text schema URL, text name, text version, attributes
//! ```

use std::sync::Arc;

use spanlite_model::{Resource, Scope};

use super::BlockError;
use super::bytes::{Cursor, put_bytes, put_varint};
use super::strings::FastMap;
use super::value::{put_attributes, read_attributes};

/// Resources or scopes, each once, with their numbers.
#[derive(Debug)]
pub(super) struct SharedParts<'a, T> {
    by_address: FastMap<usize, u32>,
    by_record: FastMap<&'a [u8], u32>,
    /// The number that was asked for last: most spans have the one of their neighbour.
    last: Option<(usize, u32)>,
    /// What has each number, and its bytes. It is kept, so that nothing else gets its address.
    parts: Vec<(Arc<T>, Vec<u8>)>,
}

impl<T> Default for SharedParts<'_, T> {
    fn default() -> Self {
        Self {
            by_address: FastMap::default(),
            by_record: FastMap::default(),
            last: None,
            parts: Vec::new(),
        }
    }
}

impl<'a, T> SharedParts<'a, T> {
    pub(super) fn number(&mut self, part: &Arc<T>, encode: impl FnOnce(&T) -> Vec<u8>) -> u32 {
        let address = Arc::as_ptr(part) as usize;
        if let Some((_, number)) = self.last.filter(|(last, _)| *last == address) {
            return number;
        }
        let next = self.parts.len() as u32;
        let number = *self.by_address.entry(address).or_insert(next);
        if number == next {
            self.parts.push((Arc::clone(part), encode(part)));
        }
        self.last = Some((address, number));
        number
    }

    /// The same for one that stands in a record.
    pub(super) fn number_of<E>(
        &mut self,
        record: &'a [u8],
        read: impl FnOnce() -> Result<T, E>,
        encode: impl FnOnce(&T) -> Vec<u8>,
    ) -> Result<u32, E> {
        if let Some(number) = self.by_record.get(record) {
            return Ok(*number);
        }
        let number = self.number(&Arc::new(read()?), encode);
        self.by_record.insert(record, number);
        Ok(number)
    }

    /// The bytes of the one with a number.
    pub(super) fn encoded(&self, number: Option<u32>) -> Option<&[u8]> {
        let (_, encoded) = self.parts.get(number? as usize)?;
        Some(encoded)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().map(|(part, _)| &**part)
    }
}

pub(super) fn encode_resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, u64::from(resource.dropped_attributes_count));
    put_bytes(&mut out, resource.schema_url.as_bytes());
    put_attributes(&mut out, &resource.attributes);
    out
}

pub(super) fn encode_scope(scope: &Scope) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, u64::from(scope.dropped_attributes_count));
    put_bytes(&mut out, scope.schema_url.as_bytes());
    put_bytes(&mut out, scope.name.as_bytes());
    put_bytes(&mut out, scope.version.as_bytes());
    put_attributes(&mut out, &scope.attributes);
    out
}

/// Decodes an entry of [`BlockReader::resources`](super::BlockReader::resources).
pub fn read_resource(bytes: &[u8]) -> Result<Resource, BlockError> {
    let mut cursor = Cursor::new(bytes);
    Ok(Resource {
        dropped_attributes_count: cursor.varint()? as u32,
        schema_url: cursor.text()?.to_owned(),
        attributes: read_attributes(&mut cursor)?,
    })
}

/// Decodes an entry of [`BlockReader::scopes`](super::BlockReader::scopes).
pub fn read_scope(bytes: &[u8]) -> Result<Scope, BlockError> {
    let mut cursor = Cursor::new(bytes);
    Ok(Scope {
        dropped_attributes_count: cursor.varint()? as u32,
        schema_url: cursor.text()?.to_owned(),
        name: cursor.text()?.to_owned(),
        version: cursor.text()?.to_owned(),
        attributes: read_attributes(&mut cursor)?,
    })
}
