//! The hot batches that blocks are made of.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use redb::ReadTransaction;
use spanlite_model::TraceId;
use uuid::Uuid;

use super::gathered::Gathered;
use crate::error::StorageError;
use crate::record::RecordRef;
use crate::segment::hot::{self, EncodedBatch, HotBatch, HotDirectory, HotTrace};
use crate::segment::{HOT, table};

/// No more hot batches are read at once than have this many bytes together, before compression:
/// the rest waits for another time.
const AT_ONCE_BYTES: usize = 16 << 20;

/// The hot batches of a segment, read.
#[derive(Default)]
pub(super) struct Source {
    batches: Vec<(u64, HotDirectory, HotBatch)>,
    /// The traces, in the order of their first record.
    pub(super) order: Vec<TraceId>,
    /// The batches that hold something of a trace.
    holders: HashMap<TraceId, Vec<usize>>,
    /// Traces of which batches hold something that are left for another time.
    pub(super) goes_on: HashSet<TraceId>,
}

impl Source {
    /// Reads the hot batches, but no more than so many at once.
    pub(super) fn read(txn: &ReadTransaction, path: &Path) -> Result<Self, StorageError> {
        let mut source = Self::default();
        let Some(table) = table(txn, path, HOT)? else {
            return Ok(source);
        };
        let mut read_bytes = 0;
        for (number, directory) in hot::directories(&table, path, |_, _| {})? {
            if read_bytes > AT_ONCE_BYTES {
                source.add_unread(&directory);
                continue;
            }
            // A damaged batch stays where it is, and is reported by whoever reads it.
            if let Ok(batch) = HotBatch::read(&table, path, number, &directory)? {
                read_bytes += batch.bytes();
                source.add(number, directory, batch);
            }
        }
        Ok(source)
    }

    fn add(&mut self, number: u64, directory: HotDirectory, batch: HotBatch) {
        for trace in &directory.traces {
            let trace_id = trace.trace_id();
            let holders = self.holders.entry(trace_id).or_insert_with(|| {
                self.order.push(trace_id);
                Vec::new()
            });
            holders.push(self.batches.len());
        }
        self.batches.push((number, directory, batch));
    }

    fn add_unread(&mut self, directory: &HotDirectory) {
        let traces = directory.traces.iter();
        self.goes_on.extend(traces.map(HotTrace::trace_id));
    }

    fn of(&self, trace_id: TraceId) -> impl Iterator<Item = &(u64, HotDirectory, HotBatch)> {
        let holders = self.holders.get(&trace_id).map_or(&[][..], Vec::as_slice);
        holders.iter().filter_map(|place| self.batches.get(*place))
    }

    /// Whether something of a trace is hot.
    pub(super) fn has(&self, trace_id: TraceId) -> bool {
        self.holders.contains_key(&trace_id)
    }

    /// Whether all of a trace was read and no span of it was ever open.
    pub(super) fn may_go(&self, trace_id: TraceId) -> bool {
        let mut traces = self
            .of(trace_id)
            .flat_map(|(_, directory, _)| &directory.traces);
        !self.goes_on.contains(&trace_id)
            && !traces.any(|trace| trace.trace_id() == trace_id && trace.has_open())
    }

    /// What is hot of a trace, and how many of its records do not decode.
    pub(super) fn gather(&self, trace_id: TraceId) -> (Gathered<'_>, u64) {
        let mut gathered = Gathered::new(trace_id);
        let refused = self.add_to(&mut gathered);
        (gathered, refused)
    }

    /// Adds what is hot of a trace. Returns how many of its records do not decode.
    pub(super) fn add_to<'s>(&'s self, gathered: &mut Gathered<'s>) -> u64 {
        let mut refused = 0;
        let trace_id = gathered.trace_id();
        for (_, directory, batch) in self.of(trace_id) {
            for bytes in batch.raw_records(trace_id) {
                let added = RecordRef::parse(bytes)
                    .and_then(|record| gathered.add(record, batch.origin(), directory.journal()));
                refused += u64::from(added.is_err());
            }
        }
        refused
    }

    /// Has the records of a trace stay hot.
    pub(super) fn carry(&self, trace_id: TraceId, carried: &mut Carried) {
        for (_, directory, batch) in self.of(trace_id) {
            let journal = directory.journal().unwrap_or_default();
            for record in batch.raw_records(trace_id) {
                carried.push(journal, batch.origin_bytes(), record);
            }
        }
    }

    /// Bytes of the records of a trace.
    pub(super) fn record_bytes(&self, trace_id: TraceId) -> usize {
        self.of(trace_id)
            .flat_map(|(_, _, batch)| batch.raw_records(trace_id))
            .map(<[u8]>::len)
            .sum()
    }

    /// The batches with their numbers.
    pub(super) fn into_directories(self) -> Vec<(u64, HotDirectory)> {
        let batches = self.batches.into_iter();
        batches
            .map(|(number, directory, _)| (number, directory))
            .collect()
    }

    /// Records of spans.
    pub(super) fn spans(&self) -> u64 {
        let directories = self
            .batches
            .iter()
            .flat_map(|(_, directory, _)| &directory.traces);
        directories.map(|trace| u64::from(trace.n_spans)).sum()
    }

    /// Bytes of the batches, before compression.
    pub(super) fn bytes(&self) -> u64 {
        self.batches
            .iter()
            .map(|(_, _, batch)| batch.bytes() as u64)
            .sum()
    }
}

/// Records that stay hot, by the journal and the origin they came with.
#[derive(Default)]
pub(super) struct Carried {
    groups: Vec<(Uuid, Vec<u8>, Vec<u8>)>,
}

impl Carried {
    fn push(&mut self, journal: Uuid, origin: &[u8], record: &[u8]) {
        let known = self
            .groups
            .iter()
            .position(|(group, known, _)| *group == journal && known == origin);
        let place = known.unwrap_or_else(|| {
            self.groups.push((journal, origin.to_vec(), Vec::new()));
            self.groups.len() - 1
        });
        let records = &mut self.groups[place].2;
        records.extend_from_slice(&(record.len() as u32).to_le_bytes());
        records.extend_from_slice(record);
    }

    pub(super) fn encode(self) -> Vec<EncodedBatch> {
        let groups = self.groups.into_iter();
        groups
            .flat_map(|(journal, origin, records)| hot::encode(&records, &origin, journal).0)
            .collect()
    }
}
