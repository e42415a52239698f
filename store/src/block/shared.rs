//! Resources and scopes: stored once in a dictionary, because whole blocks share one or two.
//!
//! ```text
//! resource: varint dropped attributes, text schema URL, attributes
//! scope:    varint dropped attributes, text schema URL, text name, text version, attributes
//! ```

use std::sync::Arc;

use spanlite_model::{Resource, Scope, Trace};

use super::BlockError;
use super::bytes::{Cursor, put_bytes, put_varint};
use super::strings::FastMap;
use super::value::{put_attributes, read_attributes};

/// Resources and scopes as bytes, each once.
#[derive(Default)]
pub(super) struct SharedParts {
    numbers: FastMap<usize, usize>,
    encoded: Vec<Vec<u8>>,
}

impl SharedParts {
    pub(super) fn of(traces: &[Trace]) -> Self {
        let mut shared = Self::default();
        let mut last = (0, 0);
        for span in traces.iter().flat_map(|trace| &trace.spans) {
            let pointers = (address(&span.resource), address(&span.scope));
            if pointers == last {
                continue;
            }
            last = pointers;
            shared.add(pointers.0, || encode_resource(&span.resource));
            shared.add(pointers.1, || encode_scope(&span.scope));
        }
        shared
    }

    fn add(&mut self, pointer: usize, encode: impl FnOnce() -> Vec<u8>) {
        let next = self.encoded.len();
        if *self.numbers.entry(pointer).or_insert(next) == next {
            self.encoded.push(encode());
        }
    }

    pub(super) fn get<T>(&self, part: &Arc<T>) -> Option<&[u8]> {
        let number = self.numbers.get(&address(part))?;
        self.encoded.get(*number).map(Vec::as_slice)
    }
}

fn address<T>(part: &Arc<T>) -> usize {
    Arc::as_ptr(part) as usize
}

fn encode_resource(resource: &Resource) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, u64::from(resource.dropped_attributes_count));
    put_bytes(&mut out, resource.schema_url.as_bytes());
    put_attributes(&mut out, &resource.attributes);
    out
}

fn encode_scope(scope: &Scope) -> Vec<u8> {
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
