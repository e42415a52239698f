use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use redb::{ReadOnlyTable, ReadTransaction};
use spanlite_model::TraceId;
use uuid::Uuid;

use super::assembly::Assembly;
use super::blocks::{Blocks, OpenBlocks, begin, damaged, facts_of};
use super::damage::Damage;
use super::index::Index;
use crate::block::{BlockError, BlockReader};
use crate::codec::ValueError;
use crate::error::StorageError;
use crate::journal::Positions;
use crate::record::{Record, RecordRef};
use crate::segment::facts::BlockFacts;
use crate::segment::hot::{self, HotBatch, HotDirectory};
use crate::segment::sealed::{BlockEntry, Sections};
use crate::segment::{
    Counts, HOT, SegmentReader, counts, is_sealed, positions, protected, replaces, table,
};

/// How many bytes of decoded batches a segment of a snapshot keeps.
const KEPT_BYTES: usize = 32 << 20;

/// One segment as a snapshot sees it.
pub(super) struct SegmentView {
    reader: Arc<SegmentReader>,
    txn: ReadTransaction,
    positions: HashMap<Uuid, Positions>,
    counts: Counts,
    hot: OnceLock<Hot>,
    blocks: OnceLock<Blocks>,
    /// Which blocks hold something of loose traces, and when that began.
    loose_places: OnceLock<HashMap<TraceId, Vec<(u32, u64)>>>,
    open_blocks: Arc<OpenBlocks>,
    kept: Mutex<Kept>,
}

/// What a segment holds of traces.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) is_sealed: bool,
    pub(super) n_traces: u64,
    pub(super) last_start_unix_nano: u64,
    pub(super) loose: BTreeSet<TraceId>,
}

/// The hot batches of a segment.
struct Hot {
    table: Option<ReadOnlyTable<u64, &'static [u8]>>,
    directories: Vec<(u64, HotDirectory)>,
    /// The batches that hold something of a trace, as places in `directories`.
    batches: HashMap<TraceId, Vec<u32>>,
}

/// Batches that were decoded last.
#[derive(Default)]
struct Kept {
    batches: VecDeque<(u64, Arc<HotBatch>)>,
    bytes: usize,
}

impl std::fmt::Debug for SegmentView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SegmentView").field(&self.reader).finish()
    }
}

impl SegmentView {
    /// Begins to read a segment; its blocks are open among those of others.
    pub(super) fn begin(
        reader: Arc<SegmentReader>,
        open_blocks: &Arc<OpenBlocks>,
    ) -> Result<Self, StorageError> {
        let (txn, positions, counts) = protected(reader.path(), || {
            let txn = reader.begin()?;
            let positions = positions(&txn, reader.path())?;
            let counts = counts(&txn, reader.path())?;
            Ok((txn, positions, counts))
        })?;
        Ok(Self {
            positions,
            counts,
            txn,
            reader,
            hot: OnceLock::new(),
            blocks: OnceLock::new(),
            loose_places: OnceLock::new(),
            open_blocks: Arc::clone(open_blocks),
            kept: Mutex::default(),
        })
    }

    pub(super) fn reader(&self) -> &SegmentReader {
        &self.reader
    }

    /// What the segment holds.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The hot batches, as they are stored.
    pub(super) fn hot_table(
        &self,
    ) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, StorageError> {
        table(&self.txn, self.path(), HOT)
    }

    /// How far each journal is stored here.
    pub(super) fn positions(&self) -> &HashMap<Uuid, Positions> {
        &self.positions
    }

    fn hot(&self, report: &dyn Fn(Damage)) -> Result<&Hot, StorageError> {
        if let Some(hot) = self.hot.get() {
            return Ok(hot);
        }
        let path = self.reader.path();
        let table = table(&self.txn, path, HOT)?;
        let mut damaged = 0;
        let directories = match &table {
            Some(table) => hot::directories(table, path, |batch, source| {
                damaged += 1;
                let key = (batch << 16).to_le_bytes();
                report(Damage::value(path, "hot", &key, source));
            })?,
            None => Vec::new(),
        };
        let expected = self.counts.hot_batches;
        if (directories.len() + damaged) as u64 != expected {
            let reason = "the segment names another number of batches";
            report(Damage::value(path, "hot", &[], ValueError::Body { reason }));
        }
        let mut batches: HashMap<TraceId, Vec<u32>> = HashMap::new();
        for (number, (_, directory)) in directories.iter().enumerate() {
            for trace in &directory.traces {
                batches
                    .entry(trace.trace_id())
                    .or_default()
                    .push(number as u32);
            }
        }
        Ok(self.hot.get_or_init(|| Hot {
            table,
            directories,
            batches,
        }))
    }

    /// The blocks of the segment.
    pub(super) fn blocks(&self, report: &dyn Fn(Damage)) -> Result<&Blocks, StorageError> {
        if let Some(blocks) = self.blocks.get() {
            return Ok(blocks);
        }
        let known = self.reader.known_blocks();
        let blocks = Blocks::read(
            &self.txn,
            self.path(),
            known,
            self.counts.blocks,
            &self.open_blocks,
            report,
        )?;
        Ok(self.blocks.get_or_init(|| blocks))
    }

    /// Opens a block.
    pub(super) fn open_block(
        &self,
        entry: &BlockEntry,
    ) -> Result<Arc<BlockReader<Sections>>, BlockError> {
        match self.blocks.get() {
            Some(blocks) => blocks.open(entry, self.path()),
            None => Err(BlockError::Malformed {
                what: "its segment was not opened",
            }),
        }
    }

    /// What is known of the traces of a block; nothing if that is damaged.
    pub(super) fn facts<'e>(
        &self,
        entry: &'e BlockEntry,
        report: &dyn Fn(Damage),
    ) -> Result<Option<&'e BlockFacts>, StorageError> {
        facts_of(entry, &self.txn, self.path(), report)
    }

    /// Adds to the traces of the index what blocks hold of them.
    pub(super) fn complete_loose(
        &self,
        index: &mut Index,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        let blocks = self.blocks(report)?;
        let ids = index.ids();
        let mut found: HashMap<TraceId, Vec<(u32, u64)>> = HashMap::new();
        for entry in blocks.entries() {
            let range = entry.header.trace_ids();
            let from = ids.partition_point(|id| id < range.start());
            let until = ids.partition_point(|id| id <= range.end());
            let wanted = ids.get(from..until).unwrap_or_default();
            // The filter spares the ids of the block, unless there are more to be asked for.
            let n_traces = entry.header.summary().n_traces as usize;
            let may_have = |id: &TraceId| entry.header.may_have_trace(*id);
            if wanted.is_empty() || (wanted.len() < n_traces && !wanted.iter().any(may_have)) {
                continue;
            }
            let Some(facts) = self.facts(entry, report)? else {
                continue;
            };
            let is_wanted = |trace_id| wanted.binary_search(&trace_id).is_ok();
            match blocks.places(entry, facts, self.path(), is_wanted) {
                Ok(places) => {
                    for (trace_id, start, has_spans) in places {
                        index.add_from_block(trace_id, start, has_spans);
                        let known = found.entry(trace_id).or_default();
                        known.push((entry.number, start));
                    }
                }
                Err(error) => report(damaged(entry, self.path(), &error)),
            }
        }
        self.loose_places.get_or_init(|| found);
        Ok(())
    }

    /// What the segment holds. The index of the snapshot was made before.
    pub(super) fn held(&self, report: &dyn Fn(Damage)) -> Result<Held, StorageError> {
        let mut held = Held {
            is_sealed: is_sealed(&self.txn, self.path())?,
            ..Held::default()
        };
        for entry in self.blocks(report)?.entries() {
            let summary = entry.header.summary();
            held.n_traces += u64::from(summary.n_traces);
            held.last_start_unix_nano = held.last_start_unix_nano.max(summary.last_start_unix_nano);
        }
        for (trace_id, places) in self.loose_places.get().into_iter().flatten() {
            held.n_traces = held.n_traces.saturating_sub(places.len() as u64);
            let starts = places.iter().map(|(_, start)| *start);
            held.last_start_unix_nano = starts.fold(held.last_start_unix_nano, u64::max);
            held.loose.insert(*trace_id);
        }
        let directories = &self.hot(report)?.directories;
        for trace in directories.iter().flat_map(|(_, one)| &one.traces) {
            held.last_start_unix_nano = held.last_start_unix_nano.max(trace.start_time_unix_nano);
            held.loose.insert(trace.trace_id());
        }
        held.n_traces += held.loose.len() as u64;
        Ok(held)
    }

    /// Whether the segment may say of a loose trace that it is pinned.
    pub(super) fn may_have_pin(
        &self,
        trace_id: TraceId,
        report: &dyn Fn(Damage),
    ) -> Result<bool, StorageError> {
        if self.hot(report)?.batches.contains_key(&trace_id) {
            return Ok(true);
        }
        let entries = self.blocks(report)?.entries();
        let places = self.loose_places.get();
        let places = places.and_then(|places| places.get(&trace_id));
        Ok(places.into_iter().flatten().any(|(block, _)| {
            let place = entries.binary_search_by_key(block, |entry| entry.number);
            place.is_ok_and(|place| entries[place].may_have_pins)
        }))
    }

    /// How many traces and parts of traces the blocks hold.
    pub(super) fn count_in_blocks(&self, report: &dyn Fn(Damage)) -> Result<u64, StorageError> {
        let entries = self.blocks(report)?.entries().iter();
        Ok(entries
            .map(|entry| u64::from(entry.header.summary().n_traces))
            .sum())
    }

    /// Gives the ids in blocks.
    pub(super) fn for_each_id(
        &self,
        each: &mut impl FnMut(TraceId),
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        let blocks = self.blocks(report)?;
        for entry in blocks.entries() {
            let opened = blocks.open(entry, self.path());
            let ids = opened.as_ref().map(|reader| reader.trace_ids());
            match ids {
                Ok(Ok(ids)) => ids.iter().for_each(|id| each(TraceId::from_bytes(*id))),
                Ok(Err(error)) => report(damaged(entry, self.path(), &error)),
                Err(error) => report(damaged(entry, self.path(), error)),
            }
        }
        Ok(())
    }

    /// Adds the traces that are not whole in one block: those in hot batches, and those of which
    /// blocks hold a part.
    pub(super) fn enumerate_loose(
        &self,
        index: &mut Index,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        let blocks = self.blocks(report)?;
        let with_parts = blocks.entries().iter().filter(|entry| entry.has_parts);
        for entry in with_parts {
            let Some(facts) = facts_of(entry, &self.txn, self.path(), report)? else {
                continue;
            };
            let opened = blocks.open(entry, self.path());
            let added = opened.and_then(|reader| {
                let ids = reader.trace_ids()?;
                for part in &facts.parts {
                    if let Some(id) = ids.get(*part as usize) {
                        let (start, has_spans) = begin(&reader, facts, *part as usize)?;
                        index.add(TraceId::from_bytes(*id), start, has_spans);
                    }
                }
                Ok(())
            });
            if let Err(error) = added {
                report(damaged(entry, self.path(), &error));
            }
        }
        for (_, directory) in &self.hot(report)?.directories {
            for trace in &directory.traces {
                let has_spans = trace.n_spans > 0;
                index.add(trace.trace_id(), trace.start_time_unix_nano, has_spans);
            }
        }
        Ok(())
    }

    /// How many records of spans the segment holds.
    pub(super) fn count_spans(&self) -> u64 {
        self.counts.hot_spans + self.counts.block_spans
    }

    /// The number that the next block will have.
    pub(super) fn next_block(&self) -> u32 {
        self.counts.next_block
    }

    /// The names of the files that the segment stands for.
    pub(super) fn replaces(&self) -> Result<Vec<String>, StorageError> {
        protected(self.path(), || replaces(&self.txn, self.path()))
    }

    /// The transaction that the segment is read in.
    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.txn
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.reader.path()
    }

    /// Reads every batch and every section of every block.
    pub(super) fn check_values(&self, report: &dyn Fn(Damage)) -> Result<(), StorageError> {
        self.blocks(report)?.check(&self.txn, self.path(), report)?;
        let hot = self.hot(report)?;
        for (number, directory) in &hot.directories {
            let Some(batch) = self.batch(hot, *number, directory, report)? else {
                continue;
            };
            for trace in &directory.traces {
                let spans = batch.records(trace.trace_id());
                let spans = spans.filter(|record| matches!(record, Ok(Record::Span(_))));
                if spans.count() as u64 != u64::from(trace.n_spans) {
                    let reason = "the directory names other spans than the body holds";
                    report(self.damaged_batch(*number, ValueError::Body { reason }));
                }
            }
        }
        Ok(())
    }

    /// Adds what the segment holds of a trace.
    pub(super) fn collect(
        &self,
        trace_id: TraceId,
        assembly: &mut Assembly,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        let blocks = self.blocks(report)?;
        blocks.collect(&self.txn, self.path(), trace_id, assembly, report)?;
        let hot = self.hot(report)?;
        for &number in hot.batches.get(&trace_id).map_or(&[][..], Vec::as_slice) {
            let Some((number, directory)) = hot.directories.get(number as usize) else {
                continue;
            };
            let Some(batch) = self.batch(hot, *number, directory, report)? else {
                continue;
            };
            for bytes in batch.raw_records(trace_id) {
                if let Ok(RecordRef::Span(span)) = RecordRef::parse(bytes)
                    && !assembly.wants(span.span_id())
                {
                    assembly.found();
                    continue;
                }
                match batch.decode(bytes) {
                    Ok(None) => {}
                    Ok(Some(record)) => assembly.add(record, directory.journal()),
                    Err(source) => report(self.damaged_batch(*number, source)),
                }
            }
        }
        Ok(())
    }

    fn damaged_batch(&self, batch: u64, source: ValueError) -> Damage {
        let key = (batch << 16 | 1).to_le_bytes();
        Damage::value(self.reader.path(), "hot", &key, source)
    }

    fn batch(
        &self,
        hot: &Hot,
        number: u64,
        directory: &HotDirectory,
        report: &dyn Fn(Damage),
    ) -> Result<Option<Arc<HotBatch>>, StorageError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, batch)) = kept.batches.iter().find(|(known, _)| *known == number) {
            return Ok(Some(Arc::clone(batch)));
        }
        let Some(table) = &hot.table else {
            return Ok(None);
        };
        match HotBatch::read(table, self.reader.path(), number, directory)? {
            Ok(batch) => {
                let batch = Arc::new(batch);
                kept.bytes += batch.bytes();
                kept.batches.push_back((number, Arc::clone(&batch)));
                while kept.bytes > KEPT_BYTES
                    && kept.batches.len() > 1
                    && let Some((_, old)) = kept.batches.pop_front()
                {
                    kept.bytes -= old.bytes();
                }
                Ok(Some(batch))
            }
            Err(source) => {
                report(self.damaged_batch(number, source));
                Ok(None)
            }
        }
    }
}
