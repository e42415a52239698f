use std::collections::HashMap;
use std::path::Path;

use redb::WriteTransaction;
use spanlite_model::{StatusCode, TraceId};
use uuid::Uuid;

use super::{
    BATCH_BYTES, HAS_ERROR, HAS_OPEN, HotDirectory, HotTrace, ROOT_ENDED, VERSION, body_place,
    directory_place, max_record_bytes, put_counted, split,
};
use crate::codec;
use crate::error::StorageError;
use crate::record::RecordRef;
use crate::segment::{HOT, blob};

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

struct Draft {
    max_record_bytes: usize,
    body: Vec<u8>,
    traces: Vec<HotTrace>,
    numbers: HashMap<TraceId, usize>,
}

impl Draft {
    fn new(origin: &[u8]) -> Self {
        let mut body = Vec::with_capacity(64 << 10);
        put_counted(&mut body, origin);
        Self {
            max_record_bytes: max_record_bytes(),
            body,
            traces: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> bool {
        let Ok(record) = RecordRef::parse(bytes) else {
            return false;
        };
        if bytes.len() > self.max_record_bytes {
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
