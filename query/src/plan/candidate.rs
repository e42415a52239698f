use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use spanlite_model::{Trace, TraceId};
use spanlite_store::{ReadError, Snapshot, TimeRange};

use super::explain::Explain;
use super::parallel::{self, Ahead};
use super::search::Search;
use crate::header::TraceHeader;
use crate::order::SortKey;
use crate::resolve::{Key, Stage};
use crate::run::RunOptions;

/// A trace that may fit a query.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) start_unix_nano: u64,
    pub(super) trace_id: Reverse<TraceId>,
    pub(super) source: Source,
    /// The columns have told that it fits.
    pub(crate) is_certain: bool,
    /// What columns tell of it, if that was asked for and they tell all.
    pub(crate) header: Option<Box<TraceHeader>>,
    /// What it is ordered by, if that was asked for and columns tell.
    pub(crate) keys: Option<Vec<SortKey>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Loose,
    Block { block: usize, place: usize },
}

impl Candidate {
    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id.0
    }

    fn place(&self) -> (u64, Reverse<TraceId>, Source) {
        (self.start_unix_nano, self.trace_id, self.source)
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// The candidates of a snapshot, newest first. A block is searched when its turn comes, with a
/// few that follow it.
pub(crate) struct Candidates<'s> {
    search: Search<'s>,
    ready: BinaryHeap<Candidate>,
    /// Places of the blocks not searched yet, the newest last.
    closed: Vec<usize>,
    ahead: Ahead,
    pub(crate) counts: Explain,
}

impl std::fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidates")
            .field("ready", &self.ready.len())
            .field("closed", &self.closed.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl<'s> Candidates<'s> {
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        stages: &[Stage],
        range: TimeRange,
        options: &RunOptions,
    ) -> Result<Self, ReadError> {
        let search = Search::new(snapshot, stages, range, options)?;
        let mut counts = Explain::default();
        let closed = search.open_blocks(&mut counts);
        let mut ready = BinaryHeap::new();
        for (trace_id, start) in snapshot.loose()? {
            if range.contains(start) {
                counts.traces_loose += 1;
                ready.push(Candidate {
                    start_unix_nano: start,
                    trace_id: Reverse(trace_id),
                    source: Source::Loose,
                    is_certain: false,
                    header: None,
                    keys: None,
                });
            }
        }
        Ok(Self {
            search,
            ready,
            closed,
            ahead: Ahead::default(),
            counts,
        })
    }

    /// Lets candidates bring their headers.
    pub(crate) fn with_headers(mut self) -> Self {
        self.search.wants_headers = true;
        self
    }

    /// Lets candidates bring what they are ordered by.
    pub(crate) fn order_by(&mut self, keys: &[Key]) {
        self.search.keys = keys.to_vec();
    }

    /// The next candidate.
    pub(crate) fn next_candidate(&mut self) -> Result<Option<Candidate>, ReadError> {
        while let Some(&number) = self.closed.last() {
            let last_start = self.search.last_start(number);
            let next = self.ready.peek();
            if next.is_some_and(|next| next.start_unix_nano > last_start) {
                break;
            }
            let first = self.closed.len().saturating_sub(self.ahead.grow());
            let due = self.closed.split_off(first);
            for searched in parallel::map(&due, |number| self.search.block(*number)) {
                let searched = searched?;
                self.counts.add(&searched.counts);
                self.ready.extend(searched.candidates);
            }
        }
        Ok(self.ready.pop())
    }

    /// Puts a candidate together.
    pub(crate) fn trace(&mut self, candidate: &Candidate) -> Result<Option<Trace>, ReadError> {
        self.counts.traces_read += 1;
        match candidate.source {
            Source::Loose => self.search.loose_trace(candidate.trace_id()),
            Source::Block { block, place } => match self.search.blocks.get(block) {
                Some(block) => Ok(self.search.priced(block.trace(place)?)),
                None => Ok(None),
            },
        }
    }
}
