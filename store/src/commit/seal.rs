//! Making blocks of hot batches.
//!
//! What is to go into blocks is read and encoded under a read transaction, while others write. A
//! short write transaction then looks whether the batches are still there, and swaps them: blocks
//! in, batches out, and what stays hot in again as new batches.

use std::collections::{HashMap, HashSet};

use redb::WriteTransaction;
use spanlite_model::TraceId;
use uuid::Uuid;

use super::draft::{BlocksDraft, Readiness, begin_read};
use super::earlier::Earlier;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal;
use crate::segment::hot::{self, EncodedBatch, HotBatch, HotDirectory, HotTrace};
use crate::segment::sealed::{NewBlock, store_blocks};
use crate::segment::{Counts, HOT, OpenSegment, table};
use crate::snapshot::Assembly;
use crate::state::read_deleted;

/// A writer that closes makes blocks of this part of what it waits for otherwise.
pub(super) const PART_AT_CLOSE: u64 = 5;
/// Bytes of hot batches that are worth a block, however few spans they are.
const BYTES: u64 = 8 << 20;
/// Bytes of new records that are worth a block.
const BYTES_AT_ONCE: u64 = 3 << 20;
/// No more hot batches are read at once than have this many bytes together, before compression:
/// the rest waits for another time.
const AT_ONCE_BYTES: usize = 16 << 20;

/// Returns whether a segment has enough in hot batches.
pub(super) fn is_worthwhile(counts: &Counts, seal_spans: u64) -> bool {
    counts.hot_spans >= seal_spans || counts.hot_bytes >= BYTES
}

/// Returns whether records are enough for blocks of their own.
pub(super) fn is_enough(records: &[u8], seal_spans: u64) -> bool {
    records.len() as u64 >= BYTES_AT_ONCE || {
        let wanted = usize::try_from(seal_spans).unwrap_or(usize::MAX);
        hot::split(records).take(wanted).count() >= wanted
    }
}

/// What takes the place of hot batches.
pub(super) struct Swap {
    batches: Vec<(u64, HotDirectory)>,
    blocks: Vec<NewBlock>,
    carried: Vec<EncodedBatch>,
    /// Records of spans and bytes of the batches that go.
    spans: u64,
    bytes: u64,
    /// The first block of the segment that was not looked at.
    next_block: u32,
}

/// Reads the hot batches of a segment and makes what takes their place. Nothing if no trace in
/// them is complete.
pub(super) fn prepare(
    segment: &OpenSegment,
    directory: &Directory,
    earlier: &mut Earlier,
) -> Result<Option<Swap>, StorageError> {
    let path = &segment.path;
    let txn = begin_read(segment)?;
    let Some(hot_table) = table(&txn, path, HOT)? else {
        return Ok(None);
    };
    let mut source = Source::default();
    let mut read_bytes = 0;
    for (number, directory) in hot::directories(&hot_table, path, |_, _| {})? {
        if read_bytes > AT_ONCE_BYTES {
            source.add_unread(&directory);
            continue;
        }
        // A damaged batch stays where it is, and is reported by whoever reads it.
        if let Ok(batch) = HotBatch::read(&hot_table, path, number, &directory)? {
            read_bytes += batch.bytes();
            source.add(number, directory, batch);
        }
    }
    earlier.refresh(&txn, segment, directory)?;
    let mut draft = BlocksDraft::new(earlier, directory);
    let mut carried = Carried::default();
    let deleted = read_deleted(directory)?;
    let mut any_gone = false;
    let journals = directory.journals();
    for trace_id in &source.order {
        if deleted.contains(trace_id) {
            any_gone = true;
            continue;
        }
        if source.goes_on.contains(trace_id) {
            source.carry(*trace_id, &mut carried);
            continue;
        }
        let assembly = source.assemble(*trace_id);
        match Readiness::of(&assembly, |writer| journal::is_alive(&journals, writer)) {
            Readiness::Ready { interrupted } => {
                draft.push(assembly, interrupted, source.record_bytes(*trace_id))?;
            }
            Readiness::Waiting => source.carry(*trace_id, &mut carried),
        }
    }
    let blocks = draft.finish()?;
    if blocks.is_empty() && !any_gone {
        return Ok(None);
    }
    Ok(Some(Swap {
        spans: source.spans(),
        bytes: source.bytes(),
        batches: source
            .batches
            .into_iter()
            .map(|(number, directory, _)| (number, directory))
            .collect(),
        blocks,
        carried: carried.encode(),
        next_block: earlier.next_block(segment.name),
    }))
}

impl Swap {
    /// Carries the swap out. Returns what the segment holds then; nothing if somebody else was
    /// faster, and nothing changes.
    pub(super) fn store(
        mut self,
        txn: &WriteTransaction,
        segment: &OpenSegment,
    ) -> Result<Option<Counts>, StorageError> {
        let path = &segment.path;
        for (number, directory) in &self.batches {
            if !hot::is_unchanged(txn, path, *number, directory)? {
                return Ok(None);
            }
        }
        let mut counts = segment.counts(txn)?;
        for (number, _) in &self.batches {
            hot::remove(txn, path, *number)?;
        }
        counts.hot_batches = counts.hot_batches.saturating_sub(self.batches.len() as u64);
        counts.hot_spans = counts.hot_spans.saturating_sub(self.spans);
        counts.hot_bytes = counts.hot_bytes.saturating_sub(self.bytes);
        store_blocks(&mut self.blocks, txn, path, self.next_block, &mut counts)?;
        for batch in &self.carried {
            batch.store(txn, path, counts.next_batch)?;
            counts.add_batch(batch.n_spans(), batch.bytes());
        }
        segment.put_counts(txn, &counts)?;
        segment.drop_lease(txn)?;
        Ok(Some(counts))
    }
}

/// The hot batches of a segment, read.
#[derive(Default)]
struct Source {
    batches: Vec<(u64, HotDirectory, HotBatch)>,
    /// The traces, in the order of their first record.
    order: Vec<TraceId>,
    /// The batches that hold something of a trace.
    holders: HashMap<TraceId, Vec<usize>>,
    /// Traces of which batches hold something that are left for another time.
    goes_on: HashSet<TraceId>,
}

impl Source {
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

    fn assemble(&self, trace_id: TraceId) -> Assembly {
        let mut assembly = Assembly::new(trace_id);
        for (_, directory, batch) in self.of(trace_id) {
            for record in batch.records(trace_id).flatten() {
                assembly.add(record, directory.journal());
            }
        }
        assembly
    }

    fn carry(&self, trace_id: TraceId, carried: &mut Carried) {
        for (_, directory, batch) in self.of(trace_id) {
            let journal = directory.journal().unwrap_or_default();
            for record in batch.raw_records(trace_id) {
                carried.push(journal, batch.origin_bytes(), record);
            }
        }
    }

    fn record_bytes(&self, trace_id: TraceId) -> usize {
        self.of(trace_id)
            .flat_map(|(_, _, batch)| batch.raw_records(trace_id))
            .map(<[u8]>::len)
            .sum()
    }

    fn spans(&self) -> u64 {
        let directories = self
            .batches
            .iter()
            .flat_map(|(_, directory, _)| &directory.traces);
        directories.map(|trace| u64::from(trace.n_spans)).sum()
    }

    fn bytes(&self) -> u64 {
        self.batches
            .iter()
            .map(|(_, _, batch)| batch.bytes() as u64)
            .sum()
    }
}

/// Records that stay hot, by the journal and the origin they came with.
#[derive(Default)]
struct Carried {
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

    fn encode(self) -> Vec<EncodedBatch> {
        let groups = self.groups.into_iter();
        groups
            .flat_map(|(journal, origin, records)| hot::encode(&records, &origin, journal).0)
            .collect()
    }
}
