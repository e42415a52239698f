use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use redb::{ReadTransaction, ReadableDatabase as _};
use spanlite_model::{Trace, TraceId, TraceUpdate};
use uuid::Uuid;

use super::earlier::Earlier;
use super::fresh::FreshRecords;
use crate::block::encode_block;
use crate::clock;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal;
use crate::options::Access;
use crate::segment::hot::{self, EncodedBatch, HotTrace};
use crate::segment::sealed::{BlockFacts, NewBlock};
use crate::segment::{HOT, OpenSegment, SegmentName, SegmentReader, table};
use crate::snapshot::Assembly;
use crate::state::notes_of;

/// A block gets no more traces.
pub(crate) const BLOCK_TRACES: usize = 500;
/// A block gets no more spans, unless one trace has more.
pub(crate) const BLOCK_SPANS: usize = 5_000;
/// A block gets no more bytes of records, unless one trace has more.
pub(crate) const BLOCK_BYTES: usize = 16 << 20;
/// A trace that is not complete after this time is sealed as far as it is there.
const PATIENCE_NANOS: u64 = 600_000_000_000;

/// What a commit stores: traces that are whole as blocks, everything else as hot batches.
#[derive(Default)]
pub(super) struct Portion {
    pub(super) blocks: Vec<NewBlock>,
    pub(super) batches: Vec<EncodedBatch>,
    /// For each segment, the first block that was not looked at when they were made.
    pub(super) looked_at: HashMap<SegmentName, u32>,
    /// Records that could not be read as records.
    pub(super) refused: u64,
}

impl Portion {
    /// Everything as hot batches.
    pub(super) fn hot(records: &[u8], origin: &[u8], journal: Uuid) -> Self {
        let (batches, refused) = hot::encode(records, origin, journal);
        Self {
            batches,
            refused,
            ..Self::default()
        }
    }

    /// Makes blocks of the traces of which everything is among the records. A trace goes on in hot
    /// batches where the segment has some of it there.
    pub(super) fn of(
        records: &[u8],
        origin: &[u8],
        journal: Uuid,
        segment: &OpenSegment,
        directory: &Directory,
        earlier: &mut Earlier,
    ) -> Result<Self, StorageError> {
        let Ok(fresh) = FreshRecords::parse(records, origin) else {
            return Ok(Self::hot(records, origin, journal));
        };
        let txn = begin_read(segment)?;
        let hot_already = hot_traces(&txn, segment)?;
        earlier.refresh(&txn, segment, directory)?;
        let writer = (!journal.is_nil()).then_some(journal);
        let mut draft = BlocksDraft::new(earlier, directory);
        let mut rest = Vec::new();
        let mut refused = fresh.refused();
        let journals = directory.journals();
        for trace_id in fresh.traces() {
            let mut assembly = Assembly::new(trace_id);
            if !hot_already.contains(&trace_id) {
                for record in fresh.records(trace_id) {
                    match record {
                        Ok(record) => assembly.add(record, writer),
                        Err(_no_record) => refused += 1,
                    }
                }
            }
            match Readiness::of(&assembly, |writer| journal::is_alive(&journals, writer)) {
                Readiness::Ready { interrupted } if !assembly.is_empty() => {
                    draft.push(assembly, interrupted, fresh.bytes(trace_id))?;
                }
                _ => fresh.copy(trace_id, &mut rest),
            }
        }
        let (batches, _counted) = hot::encode(&rest, origin, journal);
        Ok(Self {
            blocks: draft.finish()?,
            batches,
            looked_at: [(segment.name, earlier.next_block(segment.name))].into(),
            refused,
        })
    }
}

/// Begins to read a segment that this process writes to.
pub(super) fn begin_read(segment: &OpenSegment) -> Result<ReadTransaction, StorageError> {
    segment
        .database
        .begin_read()
        .map_err(|error| StorageError::redb("read", &segment.path, error))
}

fn hot_traces(
    txn: &ReadTransaction,
    segment: &OpenSegment,
) -> Result<HashSet<TraceId>, StorageError> {
    let Some(table) = table(txn, &segment.path, HOT)? else {
        return Ok(HashSet::new());
    };
    // What a damaged directory holds is not known to anybody.
    let directories = hot::directories(&table, &segment.path, |_, _| {})?;
    let traces = directories.iter().flat_map(|(_, one)| &one.traces);
    Ok(traces.map(HotTrace::trace_id).collect())
}

/// Whether a trace can go into a block.
pub(super) enum Readiness {
    Ready { interrupted: bool },
    Waiting,
}

impl Readiness {
    pub(super) fn of(assembly: &Assembly, mut is_alive: impl FnMut(Uuid) -> bool) -> Self {
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

/// The changes of traces that are kept apart, opened when the first is asked for.
struct Notes<'d> {
    directory: &'d Directory,
    opened: OnceCell<Option<(SegmentReader, ReadTransaction)>>,
}

impl Notes<'_> {
    /// The changes of a trace up to a time. What is damaged is reported by whoever reads the trace.
    fn until(&self, trace_id: TraceId, unix_nano: u64) -> Vec<TraceUpdate> {
        let opened = self.opened.get_or_init(|| {
            let path = self.directory.state();
            let reader = self.directory.has_state().then(|| {
                SegmentReader::open(&path, Access::ReadWrite)
                    .and_then(|reader| Ok((reader.begin()?, reader)))
            });
            let (txn, reader) = reader?.ok()?;
            Some((reader, txn))
        });
        let Some((reader, txn)) = opened else {
            return Vec::new();
        };
        let mut notes = notes_of(txn, reader.path(), trace_id, |_| {}).unwrap_or_default();
        notes.retain(|note| note.time_unix_nano <= unix_nano);
        notes
    }
}

/// Blocks in the making.
pub(super) struct BlocksDraft<'e> {
    earlier: &'e Earlier,
    notes: Notes<'e>,
    blocks: Vec<NewBlock>,
    traces: Vec<Trace>,
    facts: BlockFacts,
    spans: usize,
    bytes: usize,
}

impl<'e> BlocksDraft<'e> {
    pub(super) fn new(earlier: &'e Earlier, directory: &'e Directory) -> Self {
        Self {
            earlier,
            notes: Notes {
                directory,
                opened: OnceCell::new(),
            },
            blocks: Vec::new(),
            traces: Vec::new(),
            facts: BlockFacts::default(),
            spans: 0,
            bytes: 0,
        }
    }

    pub(super) fn push(
        &mut self,
        mut assembly: Assembly,
        interrupted: bool,
        bytes: usize,
    ) -> Result<(), StorageError> {
        let changed = assembly.changed_unix_nano();
        // A block has one time for all changes of a trace, the last. What was changed in between
        // and is kept apart must not lose against an earlier change that the block calls later.
        if let Some(changed) = changed.filter(|_| assembly.changed_repeatedly()) {
            let notes = self.notes.until(assembly.trace_id(), changed);
            assembly.add_updates(notes);
        }
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
        if !has_root || self.earlier.has(trace.trace_id, self.notes.directory) {
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
        (self.spans, self.bytes) = (0, 0);
        let encoded = encode_block(&traces).map_err(|source| StorageError::Encode { source })?;
        self.blocks.push(NewBlock::new(&traces, encoded, facts));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<NewBlock>, StorageError> {
        if !self.traces.is_empty() {
            self.close()?;
        }
        Ok(self.blocks)
    }
}
