use std::cmp::Reverse;
use std::collections::BinaryHeap;

use spanlite_model::{Trace, TraceId};

use super::{SealedBlock, Snapshot, TimeRange};
use crate::error::ReadError;

/// The traces of a snapshot, newest first. Blocks are opened when their turn comes: a block whose
/// last trace began before the one that is next has nothing to say yet.
pub(super) struct NewestFirst<'s> {
    snapshot: &'s Snapshot,
    range: TimeRange,
    /// Traces whose turn may come, with when they began.
    ready: BinaryHeap<(u64, Reverse<TraceId>, Source)>,
    blocks: Vec<OpenBlock<'s>>,
    /// Blocks that are not opened yet, as places in `blocks`; the newest is last.
    closed: Vec<usize>,
    failure: Option<ReadError>,
}

/// How many traces of a block are decoded one by one, before all of them are.
const DECODED_ALONE: usize = 3;

struct OpenBlock<'s> {
    block: SealedBlock<'s>,
    /// How many traces were asked for.
    asked: usize,
    /// All traces, once enough were asked for; each is taken out when its turn comes.
    decoded: Option<Vec<Option<Trace>>>,
    /// Traces of the block whose turn has not come.
    left: usize,
}

impl OpenBlock<'_> {
    fn trace(&mut self, place: usize) -> Result<Option<Trace>, ReadError> {
        self.asked += 1;
        self.left = self.left.saturating_sub(1);
        if self.decoded.is_none() && self.asked > DECODED_ALONE {
            self.decoded = Some(self.block.all_traces()?);
        }
        let trace = match &mut self.decoded {
            Some(decoded) => decoded.get_mut(place).and_then(Option::take),
            None => self.block.trace(place)?,
        };
        if self.left == 0 {
            self.decoded = Some(Vec::new());
        }
        Ok(trace)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// It has to be put together.
    Loose,
    /// It is whole in one block.
    Whole { block: usize, place: usize },
}

impl<'s> NewestFirst<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, range: TimeRange) -> Self {
        let mut this = Self {
            snapshot,
            range,
            ready: BinaryHeap::new(),
            blocks: Vec::new(),
            closed: Vec::new(),
            failure: None,
        };
        this.failure = this.begin().err();
        this
    }

    fn begin(&mut self) -> Result<(), ReadError> {
        let blocks = self.snapshot.blocks()?.into_iter();
        self.blocks = blocks
            .map(|block| OpenBlock {
                block,
                asked: 0,
                decoded: None,
                left: 0,
            })
            .collect();
        let mut closed: Vec<usize> = (0..self.blocks.len()).collect();
        closed.retain(|block| {
            let summary = self.blocks[*block].block.header().summary();
            summary.last_start_unix_nano >= self.range.start_unix_nano
                && self.range.begins_before_end(summary.first_start_unix_nano)
        });
        // Traces without spans are loose, so the header knows of every start that matters.
        closed.sort_by_key(|block| self.blocks[*block].block.last_start());
        self.closed = closed;
        for (trace_id, start) in self.snapshot.index()?.starts() {
            self.push(trace_id, start, Source::Loose);
        }
        Ok(())
    }

    fn push(&mut self, trace_id: TraceId, start: u64, source: Source) {
        if self.range.contains(start) {
            self.ready.push((start, Reverse(trace_id), source));
        }
    }

    /// Opens the blocks that may hold a trace newer than the one that is next.
    fn open_due(&mut self) -> Result<(), ReadError> {
        while let Some(&block) = self.closed.last() {
            let next = self.ready.peek().map(|(start, _, _)| *start);
            if next.is_some_and(|start| start > self.blocks[block].block.last_start()) {
                return Ok(());
            }
            self.closed.pop();
            let index = self.snapshot.index()?;
            let traces = self.blocks[block].block.traces()?;
            for (place, (trace_id, start)) in traces.into_iter().enumerate() {
                if !index.contains(trace_id) && self.range.contains(start) {
                    self.blocks[block].left += 1;
                    self.push(trace_id, start, Source::Whole { block, place });
                }
            }
        }
        Ok(())
    }
}

/// The ids of the traces of a snapshot, newest first, without reading the traces.
pub(super) fn newest_ids(snapshot: &Snapshot, range: TimeRange) -> Result<Vec<TraceId>, ReadError> {
    let index = snapshot.index()?;
    let mut found: Vec<(Reverse<u64>, TraceId)> = index
        .starts()
        .map(|(trace_id, start)| (Reverse(start), trace_id))
        .collect();
    for block in snapshot.blocks()? {
        let traces = block.traces()?.into_iter();
        found.extend(
            traces
                .filter(|(trace_id, _)| !index.contains(*trace_id))
                .map(|(trace_id, start)| (Reverse(start), trace_id)),
        );
    }
    found.retain(|(start, _)| range.contains(start.0));
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, trace_id)| trace_id).collect())
}

impl Iterator for NewestFirst<'_> {
    type Item = Result<Trace, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            if let Err(error) = self.open_due() {
                self.closed.clear();
                self.ready.clear();
                return Some(Err(error));
            }
            let (_, Reverse(trace_id), source) = self.ready.pop()?;
            let trace = match source {
                Source::Loose => self.snapshot.trace(trace_id),
                Source::Whole { block, place } => self.blocks[block].trace(place),
            };
            if let Some(trace) = trace.transpose() {
                return Some(trace);
            }
        }
    }
}
