//! Hot batches: the records of one commit, as one value with a directory beside it.

mod batch;
mod encoded;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bincode::{Decode, Encode};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, WriteTransaction};
use spanlite_model::{Span, SpanId, TraceId};
use uuid::Uuid;

pub(crate) use self::batch::HotBatch;
pub(crate) use self::encoded::{EncodedBatch, encode};
use super::{Counts, HOT, table, without};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::limit;
use crate::record::{Origin, Record, decode_record, encode_record};

/// The version of directories and bodies.
const VERSION: u8 = 1;
/// How many bytes of records one batch holds; a larger record has a batch of its own.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// The largest record that is stored.
const MAX_RECORD_BYTES: usize = 512 << 20;
const LENGTH_BYTES: usize = 4;

/// What a batch holds, without its records.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HotDirectory {
    /// A random number that ties the body to this directory.
    body: u64,
    /// The id of the journal the records came through; zero for an import.
    journal: [u8; 16],
    /// The traces, in the order of their first record.
    pub(crate) traces: Vec<HotTrace>,
}

/// What a batch holds of one trace.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HotTrace {
    trace_id: [u8; 16],
    /// How many records of spans there are; a span that was open first counts twice.
    pub(crate) n_spans: u32,
    /// The first start of a span; the time of the first change where there are only changes.
    pub(crate) start_time_unix_nano: u64,
    /// The last end of a span; 0 if none ended.
    pub(crate) end_time_unix_nano: u64,
    /// Of it, a span without a parent has ended, a span failed, a record is of an open span.
    flags: u8,
}

const ROOT_ENDED: u8 = 1;
const HAS_ERROR: u8 = 2;
const HAS_OPEN: u8 = 4;

impl HotTrace {
    pub(crate) fn trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.trace_id)
    }

    /// Whether there is a record of an open span, be it that it ended.
    pub(crate) fn has_open(&self) -> bool {
        self.flags & HAS_OPEN != 0
    }
}

impl HotDirectory {
    /// The writer, or nothing if the records were imported.
    pub(crate) fn journal(&self) -> Option<Uuid> {
        let journal = Uuid::from_bytes(self.journal);
        (!journal.is_nil()).then_some(journal)
    }
}

/// Records out of the bytes in which each stands behind its length.
pub(crate) fn split(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = records.split_first_chunk::<LENGTH_BYTES>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        records = rest;
        Some(record)
    })
}

/// Adds bytes behind their length.
pub(crate) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn directory_place(batch: u64) -> Place {
    Place::new("hot", &batch.to_le_bytes())
}

/// A body is tied to the number in its directory and not to its key, so that compressing and
/// summing it up needs no lock on the file.
fn body_place(body: u64) -> Place {
    Place::new("hot body", &body.to_le_bytes())
}

/// Copies all batches into another segment, without what was deleted, under the numbers that come
/// next there.
pub(crate) fn copy(
    from: &ReadTransaction,
    from_path: &Path,
    to: &WriteTransaction,
    to_path: &Path,
    deleted: &BTreeSet<TraceId>,
    counts: &mut Counts,
) -> Result<(), StorageError> {
    let read = |error| StorageError::redb("read", from_path, redb::Error::from(error));
    let write = |error: redb::Error| StorageError::redb("write to", to_path, error);
    let Some(source) = table(from, from_path, HOT)? else {
        return Ok(());
    };
    let damaged = |source| StorageError::DamagedValue {
        path: from_path.to_owned(),
        table: "hot",
        source,
    };
    let mut damage = None;
    let found = directories(&source, from_path, |_, error| damage = Some(error))?;
    if let Some(source) = damage {
        return Err(damaged(source));
    }
    for (batch, directory) in found {
        if without::names_any(&directory, deleted) {
            let read = HotBatch::read(&source, from_path, batch, &directory)?.map_err(damaged)?;
            for batch in without::batch_without(&directory, &read, deleted) {
                batch.store(to, to_path, counts.next_batch)?;
                counts.add_batch(batch.n_spans(), batch.bytes());
            }
            continue;
        }
        let next = counts.next_batch;
        let mut target = to.open_table(HOT).map_err(|error| write(error.into()))?;
        // Only the directory is tied to the number of the batch.
        let body = codec::to_bincode(&directory);
        let value = codec::seal_compressed(VERSION, &body, directory_place(next));
        target
            .insert(next << 16, value.as_slice())
            .map_err(|error| write(error.into()))?;
        let pieces = (batch << 16 | 1)..((batch + 1) << 16);
        let mut stored = 0;
        for row in source.range(pieces).map_err(read)? {
            let (key, value) = row.map_err(read)?;
            stored += value.value().len() as u64;
            target
                .insert(next << 16 | (key.value() & 0xffff), value.value())
                .map_err(|error| write(error.into()))?;
        }
        let traces = directory.traces.iter();
        let spans = traces.map(|trace| u64::from(trace.n_spans)).sum();
        // Compressed, so near enough: it only tells when there is enough for blocks, and nobody
        // makes blocks in a segment that is sealed.
        counts.add_batch(spans, stored);
    }
    Ok(())
}

/// Returns whether a batch is still the one whose directory was read.
pub(crate) fn is_unchanged(
    txn: &WriteTransaction,
    path: &Path,
    batch: u64,
    directory: &HotDirectory,
) -> Result<bool, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("read", path, error);
    let table = txn.open_table(HOT).map_err(|error| failed(error.into()))?;
    let value = table
        .get(batch << 16)
        .map_err(|error| failed(error.into()))?;
    Ok(value.is_some_and(|value| {
        decode_directory(batch, value.value()).is_ok_and(|stored| stored == *directory)
    }))
}

/// Removes a batch.
pub(crate) fn remove(txn: &WriteTransaction, path: &Path, batch: u64) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut table = txn.open_table(HOT).map_err(|error| failed(error.into()))?;
    table
        .retain_in(batch << 16..(batch + 1) << 16, |_, _| false)
        .map_err(|error| failed(error.into()))
}

/// The largest record that is stored: one that might not fit into a file would keep all behind it.
pub(crate) fn max_record_bytes() -> usize {
    limit::part(MAX_RECORD_BYTES as u64, 4) as usize
}

/// The directories of all batches of a segment, by number. Damaged ones go to `damaged`.
pub(crate) fn directories(
    table: &ReadOnlyTable<u64, &'static [u8]>,
    path: &Path,
    damaged: impl FnMut(u64, ValueError),
) -> Result<Vec<(u64, HotDirectory)>, StorageError> {
    directories_from(table, path, 0, damaged)
}

/// The same for batches from a number on.
pub(crate) fn directories_from(
    table: &ReadOnlyTable<u64, &'static [u8]>,
    path: &Path,
    first: u64,
    mut damaged: impl FnMut(u64, ValueError),
) -> Result<Vec<(u64, HotDirectory)>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let mut found = Vec::new();
    let mut next = first << 16;
    loop {
        let mut rest = table.range(next..).map_err(failed)?;
        let Some(row) = rest.next() else {
            return Ok(found);
        };
        let (key, value) = row.map_err(failed)?;
        let batch = key.value() >> 16;
        if key.value() == batch << 16 {
            match decode_directory(batch, value.value()) {
                Ok(directory) => found.push((batch, directory)),
                Err(error) => damaged(batch, error),
            }
        } else {
            damaged(batch, ValueError::MissingPiece { piece: 0 });
        }
        next = (batch + 1) << 16;
    }
}

fn decode_directory(batch: u64, value: &[u8]) -> Result<HotDirectory, ValueError> {
    codec::from_bincode(&codec::unseal(value, directory_place(batch), VERSION)?)
}

/// The bytes of an origin: an otherwise empty span that names it.
pub(crate) fn origin_to_bytes(origin: &Origin) -> Vec<u8> {
    let mut span = Span::new(TraceId::default(), SpanId::default(), "");
    span.resource = Arc::clone(&origin.resource);
    span.scope = Arc::clone(&origin.scope);
    let mut bytes = Vec::new();
    encode_record(
        &Record::Span(Box::new(span)),
        &Origin::default(),
        &mut bytes,
    );
    bytes
}

/// Reads the bytes of an origin back.
pub(crate) fn origin_from_bytes(bytes: &[u8]) -> Result<Origin, ValueError> {
    match decode_record(bytes, &Origin::default()) {
        Ok(Some(Record::Span(span))) => Ok(Origin {
            resource: span.resource,
            scope: span.scope,
        }),
        _ => Err(ValueError::Body {
            reason: "the origin does not decode",
        }),
    }
}
