//! Making blocks of hot batches.
//!
//! What is to go into blocks is read and encoded under a read transaction, while others write. A
//! short write transaction then looks whether the batches are still there, and swaps them: blocks
//! in, batches out, and what stays hot in again as new batches.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase as _, WriteTransaction};
use spanlite_model::{Trace, TraceId};
use uuid::Uuid;

use crate::block::{BlockHeader, encode_block};
use crate::clock;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal;
use crate::options::Access;
use crate::segment::hot::{self, EncodedBatch, HotBatch, HotDirectory, HotTrace};
use crate::segment::sealed::{self, BlockEntry, BlockFacts, NewBlock};
use crate::segment::{Counts, HOT, OpenSegment, open_for_reading, table};
use crate::snapshot::Assembly;

/// A writer that closes makes blocks of this part of what it waits for otherwise.
pub(super) const PART_AT_CLOSE: u64 = 5;
/// Bytes of hot batches that are worth a block, however few spans they are.
const BYTES: u64 = 8 << 20;
/// A block gets no more traces.
const BLOCK_TRACES: usize = 500;
/// A block gets no more spans, unless one trace has more.
const BLOCK_SPANS: usize = 5_000;
/// A block gets no more bytes of records, unless one trace has more.
const BLOCK_BYTES: usize = 16 << 20;
/// No more hot batches are read at once than have this many bytes together, before compression:
/// the rest waits for another time.
const AT_ONCE_BYTES: usize = 16 << 20;
/// A trace that is not complete after this time is sealed as far as it is there.
const PATIENCE_NANOS: u64 = 600_000_000_000;

/// Returns whether a segment has enough in hot batches.
pub(super) fn is_worthwhile(counts: &Counts, seal_spans: u64) -> bool {
    counts.hot_spans >= seal_spans || counts.hot_bytes >= BYTES
}

/// What takes the place of hot batches.
pub(super) struct Swap {
    batches: Vec<(u64, HotDirectory)>,
    blocks: Vec<NewBlock>,
    carried: Vec<EncodedBatch>,
    /// Records of spans and bytes of the batches that go.
    spans: u64,
    bytes: u64,
    block_spans: u64,
}

/// Reads the hot batches of a segment and makes what takes their place. Nothing if no trace in
/// them is complete.
pub(super) fn prepare(
    segment: &OpenSegment,
    directory: &Directory,
) -> Result<Option<Swap>, StorageError> {
    let path = &segment.path;
    let txn = segment
        .database
        .begin_read()
        .map_err(|error| StorageError::redb("read", path, error))?;
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
    let mut draft = Draft::new(Earlier::read(&txn, segment, directory)?);
    let mut carried = Carried::default();
    let journals = directory.journals();
    for trace_id in &source.order {
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
    let (blocks, block_spans) = draft.finish()?;
    if blocks.is_empty() {
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
        block_spans,
    }))
}

impl Swap {
    /// Carries the swap out. Returns what the segment holds then; nothing if somebody else was
    /// faster, and nothing changes.
    pub(super) fn store(
        &self,
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
        for block in &self.blocks {
            block.store(txn, path, counts.next_block)?;
            counts.next_block += 1;
            counts.blocks += 1;
        }
        counts.block_spans += self.block_spans;
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

/// Whether a trace can go into a block.
enum Readiness {
    Ready { interrupted: bool },
    Waiting,
}

impl Readiness {
    fn of(assembly: &Assembly, mut is_alive: impl FnMut(Uuid) -> bool) -> Self {
        let mut open_writers = assembly.open_writers();
        let has_open = open_writers.next().is_some();
        let still_open = has_open && assembly.open_writers().any(&mut is_alive);
        if still_open {
            return Self::Waiting;
        }
        let now = clock::unix_millis().saturating_mul(1_000_000);
        let old = now.abs_diff(assembly.first_time_unix_nano()) > PATIENCE_NANOS;
        if has_open || assembly.has_ended_root() || old || assembly.is_imported() {
            return Self::Ready {
                interrupted: has_open,
            };
        }
        Self::Waiting
    }
}

/// The blocks that the store has already.
struct Earlier {
    headers: Vec<Arc<BlockHeader>>,
    /// When the segment was made.
    segment_start_unix_nano: u64,
    elsewhere: Vec<Arc<BlockHeader>>,
}

impl Earlier {
    fn read(
        txn: &ReadTransaction,
        segment: &OpenSegment,
        directory: &Directory,
    ) -> Result<Self, StorageError> {
        let mut elsewhere = Vec::new();
        for name in directory.segments()? {
            if name == segment.name {
                continue;
            }
            // A segment that cannot be read cannot be looked at either: what it holds is damage.
            if let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite)
                && let Ok(txn) = reader.begin()
            {
                read_headers(&txn, reader.path(), &mut elsewhere)?;
            }
        }
        let mut headers = Vec::new();
        read_headers(txn, &segment.path, &mut headers)?;
        Ok(Self {
            headers,
            elsewhere,
            segment_start_unix_nano: segment.name.start_millis().saturating_mul(1_000_000),
        })
    }

    /// Whether an earlier block may hold something of a trace.
    fn may_have(&self, trace_id: TraceId, start_unix_nano: u64) -> bool {
        let may_have = |header: &Arc<BlockHeader>| header.may_have_trace(trace_id);
        self.headers.iter().any(may_have)
            || (!self.is_younger_than_segment(trace_id, start_unix_nano)
                && self.elsewhere.iter().any(may_have))
    }

    /// Whether the id of a trace was made, by a clock that agrees with ours, when the other
    /// segments were sealed: ids of ours begin with their time. When its spans began says too
    /// little: clocks differ and are set, and imports have any time.
    fn is_younger_than_segment(&self, trace_id: TraceId, start_unix_nano: u64) -> bool {
        let id = u128::from_be_bytes(trace_id.to_bytes());
        let made_millis = (id >> 80) as u64;
        let made_unix_nano = made_millis.saturating_mul(1_000_000);
        start_unix_nano >= self.segment_start_unix_nano
            && made_unix_nano >= self.segment_start_unix_nano
            && made_millis <= clock::unix_millis()
    }
}

fn read_headers(
    txn: &ReadTransaction,
    path: &Path,
    headers: &mut Vec<Arc<BlockHeader>>,
) -> Result<(), StorageError> {
    let mut each = |_, entry: Result<BlockEntry, _>| {
        headers.extend(entry.ok().map(|entry| entry.header));
    };
    sealed::headers(txn, path, |_| false, &mut each)
}

/// Blocks in the making.
struct Draft {
    earlier: Earlier,
    blocks: Vec<NewBlock>,
    traces: Vec<Trace>,
    facts: BlockFacts,
    spans: usize,
    bytes: usize,
    all_spans: u64,
}

impl Draft {
    fn new(earlier: Earlier) -> Self {
        Self {
            earlier,
            blocks: Vec::new(),
            traces: Vec::new(),
            facts: BlockFacts::default(),
            spans: 0,
            bytes: 0,
            all_spans: 0,
        }
    }

    fn push(
        &mut self,
        assembly: Assembly,
        interrupted: bool,
        bytes: usize,
    ) -> Result<(), StorageError> {
        let changed = assembly.changed_unix_nano();
        let has_root = assembly.has_ended_root();
        let trace = assembly.finish(|_| true);
        if self.traces.len() >= BLOCK_TRACES
            || (self.spans + trace.spans.len() > BLOCK_SPANS && self.spans > 0)
            || (self.bytes + bytes > BLOCK_BYTES && self.bytes > 0)
        {
            self.close()?;
        }
        let place = self.traces.len() as u32;
        let start = trace.start_time_unix_nano().or(changed).unwrap_or(0);
        self.facts.starts.push(start);
        if let Some(changed) = changed.filter(|changed| *changed != start) {
            self.facts.changed.push((place, changed));
        }
        if !has_root || self.earlier.may_have(trace.trace_id, start) {
            self.facts.parts.push(place);
        }
        if interrupted {
            self.facts.interrupted.push(place);
        }
        self.spans += trace.spans.len();
        self.bytes += bytes;
        self.traces.push(trace);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StorageError> {
        let traces = std::mem::take(&mut self.traces);
        let facts = std::mem::take(&mut self.facts);
        self.all_spans += self.spans as u64;
        (self.spans, self.bytes) = (0, 0);
        let encoded = encode_block(&traces).map_err(|source| StorageError::Encode { source })?;
        self.blocks.push(NewBlock { encoded, facts });
        Ok(())
    }

    /// The blocks, and how many spans they hold.
    fn finish(mut self) -> Result<(Vec<NewBlock>, u64), StorageError> {
        if !self.traces.is_empty() {
            self.close()?;
        }
        Ok((self.blocks, self.all_spans))
    }
}
