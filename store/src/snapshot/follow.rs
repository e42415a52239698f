use std::collections::HashMap;
use std::path::PathBuf;

use spanlite_model::Span;
use uuid::Uuid;

use super::Snapshot;
use super::segment::SegmentView;
use crate::error::{ReadError, StorageError};
use crate::journal::{JournalView, Positions};
use crate::record::{Record, decode_record};
use crate::segment::hot::{self, HotBatch};
use crate::segment::protected;
use crate::store::Store;

/// Follows what all writers of a store write, open spans among it.
///
/// Each [`Follow::poll`] reads what came since the one before: new records of the journals, new
/// hot batches, new blocks. Its cost is that of what is new, not of what is stored.
#[derive(Debug)]
pub struct Follow {
    store: Store,
    has_begun: bool,
    segments: HashMap<PathBuf, Reached>,
    journals: HashMap<Uuid, Positions>,
}

/// How far a segment was read.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    next_batch: u64,
    next_block: u32,
}

impl Store {
    /// Follows what is written from this moment on. The first [`Follow::poll`] also has what was
    /// written last, as far as it is not in blocks yet.
    pub fn follow(&self) -> Follow {
        Follow {
            store: self.clone(),
            has_begun: false,
            segments: HashMap::new(),
            journals: HashMap::new(),
        }
    }
}

impl Follow {
    /// The spans that were written since the last call, in no order. A span may come more than
    /// once: open and ended, from a journal and from a segment.
    pub fn poll(&mut self) -> Result<Vec<Span>, ReadError> {
        let snapshot = self.store.snapshot()?;
        let mut spans = Vec::new();
        let mut segments = HashMap::new();
        for segment in &snapshot.parts.segments {
            let known = self.segments.get(segment.path()).copied();
            // All of a segment is new that was begun since; one that was merged holds old things.
            let is_new = self.has_begun && known.is_none() && segment.replaces()?.is_empty();
            let known = known.or_else(|| is_new.then(Reached::default));
            let counts = segment.counts();
            let now = Reached {
                next_batch: counts.next_batch,
                next_block: counts.next_block,
            };
            segments.insert(segment.path().to_owned(), now);
            if known.is_none_or(|known| known.next_batch < now.next_batch) {
                let read = protected(segment.path(), || news(segment, known, &mut spans));
                snapshot.or_damage(segment.path(), read)?;
            }
            // Batches that came and went between two looks are in blocks, and so is what many
            // spans at once were made into.
            if let Some(known) = known
                && known.next_block < now.next_block
            {
                blocks(&snapshot, segment, known.next_block, &mut spans)?;
            }
        }
        self.segments = segments;
        self.has_begun = true;
        let mut journals = HashMap::new();
        for journal in &snapshot.parts.journals {
            let mut positions = self.journals.remove(&journal.id).unwrap_or_default();
            waiting(journal, &mut positions, &mut spans);
            journals.insert(journal.id, positions);
        }
        self.journals = journals;
        Ok(spans)
    }
}

/// Adds the spans of hot batches that were not there before.
fn news(
    segment: &SegmentView,
    known: Option<Reached>,
    spans: &mut Vec<Span>,
) -> Result<(), StorageError> {
    let Some(table) = segment.hot_table()? else {
        return Ok(());
    };
    let first = known.map_or(0, |known| known.next_batch);
    let path = segment.path();
    // What is damaged is reported by whoever reads the traces.
    for (number, directory) in hot::directories_from(&table, path, first, |_, _| {})? {
        let Ok(batch) = HotBatch::read(&table, path, number, &directory)? else {
            continue;
        };
        for trace in &directory.traces {
            spans.extend(batch.records(trace.trace_id()).filter_map(ended_or_open));
        }
    }
    Ok(())
}

fn ended_or_open(record: Result<Record, crate::codec::ValueError>) -> Option<Span> {
    match record {
        Ok(Record::Span(span)) => Some(*span),
        _ => None,
    }
}

/// Adds the spans of the traces of which something came in blocks that were not there before.
/// Traces in blocks that were made anew may have come long ago.
fn blocks(
    snapshot: &Snapshot,
    segment: &SegmentView,
    first: u32,
    spans: &mut Vec<Span>,
) -> Result<(), ReadError> {
    for block in snapshot.blocks()? {
        if block.segment.path() == segment.path() && block.entry.number >= first {
            let traces = block.traces_that_came(first)?.into_iter().flatten();
            spans.extend(traces.flat_map(|trace| trace.spans));
        }
    }
    Ok(())
}

/// Adds what a journal holds that was not seen, and all of its open spans.
fn waiting(journal: &JournalView, positions: &mut Positions, spans: &mut Vec<Span>) {
    let Ok(origin) = hot::origin_from_bytes(&journal.defaults) else {
        return;
    };
    let mut add = |bytes: &[u8]| {
        if let Ok(Some(Record::Span(span))) = decode_record(bytes, &origin) {
            spans.push(*span);
        }
    };
    for waiting in &journal.records {
        if waiting.reached > positions.get(waiting.region) {
            positions.advance(waiting.region, waiting.reached);
            add(&waiting.record);
        }
    }
    for open in &journal.open {
        add(open);
    }
}
