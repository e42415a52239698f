//! What is left of batches and blocks without the traces that were deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use redb::ReadTransaction;
use spanlite_model::TraceId;

use super::hot::{self, EncodedBatch, HotBatch, HotDirectory};
use super::sealed::{self, BlockEntry, NewBlock, Sections};
use super::{BLOCKS, HOT, LEFT_OUT, SegmentReader, protected, read_meta, table};
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

/// What is left of a block.
#[derive(Debug)]
pub(super) enum Left {
    /// None of its traces was deleted.
    All,
    /// Some of them.
    Some(Box<NewBlock>),
    /// All of its traces were deleted.
    Nothing,
}

/// The traces of a block that stay, as a block of their own.
pub(super) fn block_without(
    txn: &ReadTransaction,
    reader: &SegmentReader,
    entry: &BlockEntry,
    deleted: &BTreeSet<TraceId>,
) -> Result<Left, StorageError> {
    let block = open(txn, reader, entry)?;
    let failed = |error: BlockError| damaged(reader, &error);
    let (kept, gone) = places(&block, deleted).map_err(failed)?;
    if gone == 0 {
        return Ok(Left::All);
    }
    if kept.is_empty() {
        return Ok(Left::Nothing);
    }
    let facts = entry.facts(txn, reader.path())?.as_ref();
    let facts = facts.map_err(|source| StorageError::DamagedValue {
        path: reader.path().to_owned(),
        table: "facts",
        source: source.clone(),
    })?;
    let decoder = block.decoder().map_err(failed)?;
    let traces: Result<Vec<_>, _> = kept.iter().map(|place| decoder.trace(*place)).collect();
    let traces = traces.map_err(failed)?;
    let block = NewBlock::new(&BlockInput::of(&traces), facts.of(&kept))?;
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
