//! Hot batches: the records of one commit, as one value with a directory beside it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use bincode::{Decode, Encode};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, WriteTransaction};
use spanlite_model::{Span, SpanId, StatusCode, TraceId};
use uuid::Uuid;

use super::{Counts, HOT, blob, table, without};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::record::{Origin, Record, RecordRef, decode_record, encode_record};

/// The version of directories and bodies.
const VERSION: u8 = 1;
/// How many bytes of records one batch holds; a larger record has a batch of its own.
pub(crate) const BATCH_BYTES: usize = 8 << 20;
/// The largest record that is stored.
pub(crate) const MAX_RECORD_BYTES: usize = 512 << 20;
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

/// A batch that is ready to be stored.
pub(crate) struct EncodedBatch {
    directory: HotDirectory,
    raw_bytes: u64,
    body: Vec<u8>,
}

/// Makes batches of records that stand one behind another, each behind its length. Bytes that are
/// no record are left out and counted.
pub(crate) fn encode(records: &[u8], origin: &[u8], journal: Uuid) -> (Vec<EncodedBatch>, u64) {
    let mut batches = Vec::new();
    let mut refused = 0;
    let mut open = Draft::new(origin);
    for record in split(records) {
        if open.body.len() + record.len() > BATCH_BYTES && !open.traces.is_empty() {
            batches.push(std::mem::replace(&mut open, Draft::new(origin)).finish(journal));
        }
        if !open.push(record) {
            refused += 1;
        }
    }
    if !open.traces.is_empty() {
        batches.push(open.finish(journal));
    }
    (batches, refused)
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

struct Draft {
    body: Vec<u8>,
    traces: Vec<HotTrace>,
    numbers: HashMap<TraceId, usize>,
}

impl Draft {
    fn new(origin: &[u8]) -> Self {
        let mut body = Vec::with_capacity(64 << 10);
        put_counted(&mut body, origin);
        Self {
            body,
            traces: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let Ok(record) = RecordRef::parse(bytes) else {
            return false;
        };
        if bytes.len() > MAX_RECORD_BYTES {
            return false;
        }
        let trace_id = record.trace_id();
        let number = *self.numbers.entry(trace_id).or_insert_with(|| {
            self.traces.push(HotTrace {
                trace_id: trace_id.to_bytes(),
                n_spans: 0,
                start_time_unix_nano: u64::MAX,
                end_time_unix_nano: 0,
                flags: 0,
            });
            self.traces.len() - 1
        });
        let trace = &mut self.traces[number];
        match record {
            RecordRef::Span(span) => {
                if trace.n_spans == 0 {
                    trace.start_time_unix_nano = u64::MAX;
                }
                trace.n_spans += 1;
                trace.start_time_unix_nano =
                    trace.start_time_unix_nano.min(span.start_time_unix_nano());
                match span.end_time_unix_nano() {
                    Some(end) => {
                        trace.end_time_unix_nano = trace.end_time_unix_nano.max(end);
                        if span.parent_span_id().is_none() {
                            trace.flags |= ROOT_ENDED;
                        }
                    }
                    None => trace.flags |= HAS_OPEN,
                }
                if span.status_code() == StatusCode::Error {
                    trace.flags |= HAS_ERROR;
                }
            }
            RecordRef::Update(update) => {
                if trace.n_spans == 0 {
                    trace.start_time_unix_nano =
                        trace.start_time_unix_nano.min(update.time_unix_nano());
                }
            }
        }
        put_counted(&mut self.body, bytes);
        true
    }

    fn finish(self, journal: Uuid) -> EncodedBatch {
        let body = Uuid::new_v4().as_u64_pair().1;
        EncodedBatch {
            raw_bytes: self.body.len() as u64,
            body: codec::seal_compressed(VERSION, &self.body, body_place(body)),
            directory: HotDirectory {
                body,
                journal: journal.into_bytes(),
                traces: self.traces,
            },
        }
    }
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

impl EncodedBatch {
    /// Records of spans in the batch.
    pub(crate) fn n_spans(&self) -> u64 {
        let traces = self.directory.traces.iter();
        traces.map(|trace| u64::from(trace.n_spans)).sum()
    }

    /// Bytes of the body before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Stores the batch under a number that was not used before.
    pub(crate) fn store(
        &self,
        txn: &WriteTransaction,
        path: &Path,
        batch: u64,
    ) -> Result<(), StorageError> {
        let failed = |error: redb::Error| StorageError::redb("write to", path, error);
        let directory = codec::seal_compressed(
            VERSION,
            &codec::to_bincode(&self.directory),
            directory_place(batch),
        );
        let mut table = txn.open_table(HOT).map_err(|error| failed(error.into()))?;
        let parts = std::iter::once(directory.as_slice()).chain(blob::pieces(&self.body));
        for (piece, bytes) in parts.enumerate() {
            let key = batch << 16 | piece as u64;
            table
                .insert(key, bytes)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }
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
