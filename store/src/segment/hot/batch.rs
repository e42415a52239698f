use std::collections::HashMap;
use std::path::Path;

use redb::ReadOnlyTable;
use spanlite_model::TraceId;

use super::{HotDirectory, LENGTH_BYTES, VERSION, body_place, origin_from_bytes, split};
use crate::codec::{self, ValueError};
use crate::error::StorageError;
use crate::record::{Origin, Record, RecordRef, decode_record};

/// A batch that was read.
#[derive(Debug)]
pub(crate) struct HotBatch {
    body: Vec<u8>,
    origin: Origin,
    /// Where the records of each trace stand in the body.
    records: HashMap<TraceId, Vec<(u32, u32)>>,
}

impl HotBatch {
    /// Reads a batch. Records that do not decode are counted as damage by [`HotBatch::records`].
    pub(crate) fn read(
        table: &ReadOnlyTable<u64, &'static [u8]>,
        path: &Path,
        batch: u64,
        directory: &HotDirectory,
    ) -> Result<Result<Self, ValueError>, StorageError> {
        let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
        let mut sealed = Vec::new();
        let first = batch << 16 | 1;
        for (row, expected) in table
            .range(first..(batch + 1) << 16)
            .map_err(failed)?
            .zip(first..)
        {
            let (key, value) = row.map_err(failed)?;
            if key.value() != expected {
                let piece = (expected & 0xffff) as u16;
                return Ok(Err(ValueError::MissingPiece { piece }));
            }
            sealed.extend_from_slice(value.value());
        }
        if sealed.is_empty() {
            return Ok(Err(ValueError::MissingPiece { piece: 1 }));
        }
        let body = codec::unseal(&sealed, body_place(directory.body), VERSION);
        Ok(body.and_then(Self::parse))
    }

    fn parse(body: Vec<u8>) -> Result<Self, ValueError> {
        let mut parts = split(&body);
        let origin = origin_from_bytes(parts.next().unwrap_or_default())?;
        let mut records: HashMap<TraceId, Vec<(u32, u32)>> = HashMap::new();
        let mut at = LENGTH_BYTES + body_length(&body);
        for record in parts {
            at += LENGTH_BYTES;
            if let Ok(parsed) = RecordRef::parse(record) {
                let place = (at as u32, record.len() as u32);
                records.entry(parsed.trace_id()).or_default().push(place);
            }
            at += record.len();
        }
        if at != body.len() {
            return Err(ValueError::Body {
                reason: "the records do not fill it",
            });
        }
        Ok(Self {
            body,
            origin,
            records,
        })
    }

    /// How much memory it takes, near enough.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The bytes of the origin.
    pub(crate) fn origin_bytes(&self) -> &[u8] {
        split(&self.body).next().unwrap_or_default()
    }

    /// What records say nothing of.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The records of one trace as they were appended, in the order they came.
    pub(crate) fn raw_records(&self, trace_id: TraceId) -> impl Iterator<Item = &[u8]> + '_ {
        let places = self.records.get(&trace_id).map_or(&[][..], Vec::as_slice);
        places
            .iter()
            .filter_map(|(at, length)| self.body.get(*at as usize..(*at + *length) as usize))
    }

    /// The records of one trace, in the order they came. Those of a later version are left out.
    pub(crate) fn records(
        &self,
        trace_id: TraceId,
    ) -> impl Iterator<Item = Result<Record, ValueError>> + '_ {
        let records = self.raw_records(trace_id);
        records.filter_map(|bytes| self.decode(bytes).transpose())
    }

    /// One of the records; nothing if it is of a later version.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Option<Record>, ValueError> {
        decode_record(bytes, &self.origin).map_err(|_| ValueError::Body {
            reason: "a record does not decode",
        })
    }
}

/// The length of the first part of a body, which is the origin.
fn body_length(body: &[u8]) -> usize {
    body.first_chunk::<LENGTH_BYTES>()
        .map_or(0, |length| u32::from_le_bytes(*length) as usize)
}
