//! Which traces are worth looking at, newest first: whole blocks are ruled out by their headers,
//! traces by columns, and only what is left is put together.

mod block;
mod condition;
mod explain;
mod header;
mod leaf;
mod mask;
mod relate;
mod trace_leaf;

pub(crate) use explain::steps;
pub use explain::{Explain, PlanStep};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use spanlite_model::{PriceTable, Trace, TraceId};
use spanlite_store::{ReadError, SealedBlock, Snapshot, TimeRange};

use crate::eval::View;
use crate::resolve::Stage;
use block::Block;
use mask::Rows;

/// A trace that may fit a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) start_unix_nano: u64,
    trace_id: Reverse<TraceId>,
    source: Source,
    /// The columns have told that it fits.
    pub(crate) is_certain: bool,
}

impl Candidate {
    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Loose,
    Block { block: usize, place: usize },
}

/// The candidates of a snapshot, newest first. A block is searched when its turn comes.
pub(crate) struct Candidates<'s> {
    snapshot: &'s Snapshot,
    stages: Vec<Stage>,
    range: TimeRange,
    now_unix_nano: u64,
    uses_indexes: bool,
    ready: BinaryHeap<Candidate>,
    blocks: Vec<SealedBlock<'s>>,
    /// Places in `blocks` of those not searched yet, the newest last.
    closed: Vec<usize>,
    /// What puts costs into the traces.
    pub(crate) prices: Option<Arc<PriceTable>>,
    pub(crate) counts: Explain,
}

impl<'s> Candidates<'s> {
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        stages: Vec<Stage>,
        range: TimeRange,
        now_unix_nano: u64,
        uses_indexes: bool,
    ) -> Result<Self, ReadError> {
        let mut this = Self {
            snapshot,
            stages,
            range,
            now_unix_nano,
            uses_indexes,
            ready: BinaryHeap::new(),
            blocks: snapshot.blocks()?,
            closed: Vec::new(),
            prices: None,
            counts: Explain::default(),
        };
        this.counts.uses_indexes = uses_indexes;
        this.counts.blocks = this.blocks.len();
        for (number, block) in this.blocks.iter().enumerate() {
            let header = block.header();
            let summary = header.summary();
            let in_time = summary.last_start_unix_nano >= range.start_unix_nano
                && (summary.first_start_unix_nano < range.end_unix_nano
                    || range.end_unix_nano == u64::MAX);
            if !in_time {
                this.counts.blocks_outside_time += 1;
            } else if uses_indexes && !header::may_pass(&this.stages, header) {
                this.counts.blocks_ruled_out += 1;
            } else {
                this.closed.push(number);
            }
        }
        this.closed
            .sort_by_key(|number| this.blocks[*number].header().summary().last_start_unix_nano);
        for (trace_id, start) in snapshot.loose()? {
            if range.contains(start) {
                this.counts.traces_loose += 1;
                this.ready.push(Candidate {
                    start_unix_nano: start,
                    trace_id: Reverse(trace_id),
                    source: Source::Loose,
                    is_certain: false,
                });
            }
        }
        Ok(this)
    }

    /// The next candidate.
    pub(crate) fn next_candidate(&mut self) -> Result<Option<Candidate>, ReadError> {
        while let Some(&number) = self.closed.last() {
            let last_start = self.blocks[number].header().summary().last_start_unix_nano;
            if self
                .ready
                .peek()
                .is_some_and(|next| next.start_unix_nano > last_start)
            {
                break;
            }
            self.closed.pop();
            self.search(number)?;
        }
        Ok(self.ready.pop())
    }

    /// Puts a candidate together.
    pub(crate) fn trace(&mut self, candidate: Candidate) -> Result<Option<Trace>, ReadError> {
        self.counts.traces_read += 1;
        let mut trace = match candidate.source {
            Source::Loose => self.snapshot.trace(candidate.trace_id()),
            Source::Block { block, place } => self.blocks[block].trace(place),
        }?;
        if let (Some(trace), Some(prices)) = (&mut trace, &self.prices) {
            prices.apply(trace);
        }
        Ok(trace)
    }

    fn search(&mut self, number: usize) -> Result<(), ReadError> {
        let sealed = self.blocks[number];
        self.counts.blocks_searched += 1;
        let traces = sealed.traces()?;
        let mut wanted = Rows::none(traces.len());
        for (place, (trace_id, start)) in traces.iter().enumerate() {
            if self.range.contains(*start) && !self.snapshot.is_loose(*trace_id)? {
                wanted.insert(place);
            }
        }
        self.counts.traces_in_blocks += wanted.count();
        let (kept, certain) = match self.sift(sealed, &wanted) {
            Ok(found) => found,
            Err(error) => {
                // Columns that cannot be read decide nothing; the traces may be whole.
                sealed.report(&error);
                let none = Rows::none(traces.len());
                (wanted, none)
            }
        };
        self.counts.traces_kept += kept.count();
        for place in kept.iter() {
            if let Some((trace_id, start)) = traces.get(place) {
                self.ready.push(Candidate {
                    start_unix_nano: *start,
                    trace_id: Reverse(*trace_id),
                    source: Source::Block {
                        block: number,
                        place,
                    },
                    is_certain: certain.contains(place),
                });
            }
        }
        Ok(())
    }

    /// The places that may fit, and those that do.
    fn sift(
        &mut self,
        sealed: SealedBlock<'s>,
        wanted: &Rows,
    ) -> Result<(Rows, Rows), spanlite_store::block::BlockError> {
        if !self.uses_indexes || wanted.is_empty() {
            return Ok((wanted.clone(), Rows::none(wanted.len())));
        }
        let nowhere = Trace::new(TraceId::default(), Vec::new());
        let view = View::new(&nowhere, self.now_unix_nano);
        let reader = sealed.reader()?;
        self.counts.spans_searched += reader.n_spans();
        let block = Block::new(reader, wanted.clone(), &view);
        let flow = block.run(&self.stages)?;
        self.counts.text_bytes_read += block.text_bytes();
        let kept = flow.holds.maybe.and(wanted);
        let certain = flow.holds.sure.and(wanted);
        Ok((kept, certain))
    }
}
