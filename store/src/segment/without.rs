//! What becomes of batches and blocks in a segment that is written anew: traces that were deleted
//! are left out, and changes that were kept apart go in.

use std::collections::BTreeSet;
use std::sync::Arc;

use redb::ReadTransaction;
use spanlite_model::{Trace, TraceId, TraceUpdate};

use super::facts::Changes;
use super::hot::{self, EncodedBatch, HotBatch, HotDirectory};
use super::sealed::{self, BlockEntry, NewBlock, Sections};
use super::{
    BLOCKS, HOT, LEFT_OUT, SegmentReader, TRACES_A_CHANGED_ONE, protected, read_meta, table,
};
use crate::block::{BlockError, BlockInput, BlockReader};
use crate::error::StorageError;
use crate::fork::Owned;

/// Whether a segment holds something of a trace that was deleted, or its file may.
pub(crate) fn holds_any(
    reader: &SegmentReader,
    deleted: &BTreeSet<TraceId>,
) -> Result<bool, StorageError> {
    let path = reader.path();
    protected(path, || {
        let txn = reader.begin()?;
        if read_meta::<u64>(&txn, path, LEFT_OUT)?.is_some() {
            return Ok(true);
        }
        if let Some(hot) = table(&txn, path, HOT)? {
            let directories = hot::directories(&hot, path, |_, _| {})?;
            if directories
                .iter()
                .any(|(_, directory)| names_any(directory, deleted))
            {
                return Ok(true);
            }
        }
        let mut entries = Vec::new();
        let mut each = |_, entry: Result<BlockEntry, _>| entries.extend(entry.ok());
        sealed::headers(&txn, path, 0, |_| false, &mut each)?;
        for entry in entries {
            if may_hold_any(&entry, deleted)
                && places(&open(&txn, reader, &entry)?, deleted)
                    .map_err(|error| damaged(reader, &error))?
                    .1
                    > 0
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

pub(super) fn names_any(directory: &HotDirectory, deleted: &BTreeSet<TraceId>) -> bool {
    let traces = &directory.traces;
    !deleted.is_empty()
        && traces
            .iter()
            .any(|trace| deleted.contains(&trace.trace_id()))
}

pub(super) fn may_hold_any(entry: &BlockEntry, deleted: &BTreeSet<TraceId>) -> bool {
    let mut ids = deleted.iter();
    ids.any(|trace_id| entry.header.may_have_trace(*trace_id))
}

/// The records of a batch that stay.
pub(super) fn batch_without(
    directory: &HotDirectory,
    batch: &HotBatch,
    deleted: &BTreeSet<TraceId>,
) -> Vec<EncodedBatch> {
    let mut records = Vec::new();
    for trace in &directory.traces {
        if deleted.contains(&trace.trace_id()) {
            continue;
        }
        for record in batch.raw_records(trace.trace_id()) {
            records.extend_from_slice(&(record.len() as u32).to_le_bytes());
            records.extend_from_slice(record);
        }
    }
    let journal = directory.journal().unwrap_or_default();
    hot::encode(&records, batch.origin_bytes(), journal).0
}

/// The changes kept apart that go into the blocks that are written, each into one.
#[derive(Default)]
pub(crate) struct Folding<'n> {
    /// The traces that take theirs.
    traces: BTreeSet<TraceId>,
    of: Option<ChangesOf<'n>>,
    folded: Vec<Vec<u8>>,
}

/// Gives the changes of a trace that are kept apart, with their keys.
type ChangesOf<'n> = Box<dyn Fn(TraceId) -> Vec<(Vec<u8>, TraceUpdate)> + 'n>;

impl<'n> Folding<'n> {
    /// Those of some traces.
    pub(crate) fn new(traces: BTreeSet<TraceId>, of: ChangesOf<'n>) -> Self {
        Self {
            traces,
            of: Some(of),
            folded: Vec::new(),
        }
    }

    /// The keys of the changes that went into blocks.
    pub(crate) fn into_folded(self) -> Vec<Vec<u8>> {
        self.folded
    }

    /// Whether so many traces may be in a block that it is made anew for them.
    pub(super) fn may_go_into(&self, entry: &BlockEntry) -> bool {
        let range = entry.header.trace_ids();
        if range.is_empty() {
            return false; // only a forged header has that, and a map panics at it
        }
        let n_traces = entry.header.summary().n_traces as usize;
        let may_have = |id: &&TraceId| entry.header.may_have_trace(**id);
        let enough = n_traces.div_ceil(TRACES_A_CHANGED_ONE).max(1);
        self.traces
            .range(range)
            .filter(may_have)
            .nth(enough - 1)
            .is_some()
    }

    /// Whether a block with these traces is made anew for them.
    fn go_into(&self, ids: &[[u8; 16]]) -> bool {
        let taking = ids
            .iter()
            .filter(|id| self.traces.contains(&TraceId::from_bytes(**id)));
        let n_taking = taking.count();
        n_taking > 0 && n_taking * TRACES_A_CHANGED_ONE >= ids.len()
    }

    /// Takes the changes of a trace.
    fn take(&mut self, trace_id: TraceId) -> Vec<TraceUpdate> {
        if !self.traces.remove(&trace_id) {
            return Vec::new();
        }
        let found = self.of.as_ref().map(|of| of(trace_id)).unwrap_or_default();
        let (keys, updates): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.folded.extend(keys);
        updates
    }
}

/// What is left of a block.
#[derive(Debug)]
pub(super) enum Left {
    /// None of its traces was deleted, and nothing goes in.
    All,
    /// Some of them, or all with something more.
    Some(Box<NewBlock>),
    /// All of its traces were deleted.
    Nothing,
}

/// The traces of a block that stay, with the changes that go in, as a block of their own.
pub(super) fn block_anew(
    txn: &ReadTransaction,
    reader: &SegmentReader,
    entry: &BlockEntry,
    deleted: &BTreeSet<TraceId>,
    folding: &mut Folding<'_>,
) -> Result<Left, StorageError> {
    let block = open(txn, reader, entry)?;
    let failed = |error: BlockError| damaged(reader, &error);
    let (kept, gone) = places(&block, deleted).map_err(failed)?;
    let takes = folding.go_into(block.trace_ids().map_err(failed)?);
    if gone == 0 && !takes {
        return Ok(Left::All);
    }
    if kept.is_empty() {
        return Ok(Left::Nothing);
    }
    let facts = entry.facts(txn, reader.path())?.as_ref();
    let damaged = |source| StorageError::DamagedValue {
        path: reader.path().to_owned(),
        table: "facts",
        source,
    };
    let facts = facts.map_err(|source| damaged(source.clone()))?;
    let decoder = block.decoder().map_err(failed)?;
    let traces: Result<Vec<_>, _> = kept.iter().map(|place| decoder.trace(*place)).collect();
    let mut traces: Vec<Trace> = traces.map_err(failed)?;
    let mut new_facts = facts.of(&kept);
    if takes {
        for ((new, old), trace) in (0..).zip(&kept).zip(&mut traces) {
            let changes = folding.take(trace.trace_id);
            if changes.is_empty() {
                continue;
            }
            let mut updates = facts.updates(*old, trace).map_err(damaged)?;
            updates.extend(changes);
            let (info, changes) = Changes::of(&updates);
            trace.info = info;
            new_facts.set_changes(new, changes);
        }
    }
    let block = NewBlock::new(&BlockInput::of(&traces), new_facts)?;
    Ok(Left::Some(Box::new(block)))
}

fn open(
    txn: &ReadTransaction,
    reader: &SegmentReader,
    entry: &BlockEntry,
) -> Result<BlockReader<Sections>, StorageError> {
    let rows = table(txn, reader.path(), BLOCKS)?.map(|table| Arc::new(Owned::new(table)));
    let sections = Sections::new(rows, reader.path().to_owned(), entry);
    BlockReader::open(Arc::clone(&entry.header), sections).map_err(|error| damaged(reader, &error))
}

/// The places of a block whose traces stay, and how many go.
fn places(
    block: &BlockReader<Sections>,
    deleted: &BTreeSet<TraceId>,
) -> Result<(Vec<usize>, usize), BlockError> {
    let ids = block.trace_ids()?;
    let kept: Vec<usize> = (0..)
        .zip(ids)
        .filter(|(_, id)| !deleted.contains(&TraceId::from_bytes(**id)))
        .map(|(place, _)| place)
        .collect();
    let gone = ids.len() - kept.len();
    Ok((kept, gone))
}

fn damaged(reader: &SegmentReader, error: &BlockError) -> StorageError {
    StorageError::DamagedValue {
        path: reader.path().to_owned(),
        table: "blocks",
        source: sealed::to_value_error(error),
    }
}
