use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use spanlite_model::{PriceTable, TraceId};
use spanlite_store::{ReadError, Snapshot, TimeRange};

use crate::error::QueryError;
use crate::eval::View;
use crate::order::Cursor;
use crate::plan::{Candidate, Candidates, Explain};
use crate::query::Query;
use crate::resolve::{Body, Key, Resolved, Stage};
use crate::row::{self, TraceMatch};

/// How a query runs: the [default](Self::default), of which fields are set.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunOptions {
    /// What `now()` is, in Unix nanoseconds.
    pub now_unix_nano: u64,
    /// At most so many traces, whatever the query says; also bounded by the query's own `limit`.
    pub limit: Option<u64>,
    /// Continues behind this place; the query's `offset` no longer counts then.
    pub after: Option<Cursor>,
    /// Stops the query once it is true.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Stops the query at this moment.
    pub deadline: Option<Instant>,
    /// What a query may remember of results it has to order, in bytes.
    pub memory_limit_bytes: usize,
    /// Whether indexes are used; without them every trace is looked at.
    pub use_indexes: bool,
    /// Prices that tell what calls cost; without them only recorded costs are known. Traces come
    /// with the costs in them.
    pub prices: Option<Arc<PriceTable>>,
}

impl Default for RunOptions {
    /// The time of the computer, no limits but 256 MiB of memory.
    fn default() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            now_unix_nano: now.as_nanos() as u64,
            limit: None,
            after: None,
            cancel: None,
            deadline: None,
            memory_limit_bytes: 256 << 20,
            use_indexes: true,
            prices: None,
        }
    }
}

impl RunOptions {
    /// Whether the query has to stop.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        if self
            .cancel
            .as_ref()
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
        {
            return Err(RunError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(RunError::DeadlinePassed),
            _ => Ok(()),
        }
    }
}

/// Why a query stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The query cannot run: a parameter has no value.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The store cannot be read.
    #[error("the query could not read the store")]
    Read(#[from] ReadError),
    /// It was told to.
    #[error("the query was cancelled")]
    Cancelled,
    /// It took too long.
    #[error("the query ran out of time")]
    DeadlinePassed,
    /// It would have to remember too much.
    #[error("the query needs more than {limit_bytes} bytes of memory")]
    TooMuchMemory {
        /// What it may use.
        limit_bytes: usize,
    },
    /// The step is too short for the range of time.
    #[error("{n_steps} steps are more than the {max_steps} a table may have")]
    TooManySteps {
        /// How many it would be.
        n_steps: u64,
        /// How many there may be.
        max_steps: u64,
    },
    /// A query for metrics was asked for traces.
    #[error("this query yields metrics, not traces")]
    YieldsMetrics,
    /// A query for traces was asked for metrics.
    #[error("this query yields traces, not metrics")]
    YieldsTraces,
}

/// The traces that fit a query, one by one.
#[derive(Debug)]
pub struct Rows<'s> {
    candidates: Candidates<'s>,
    /// The candidates in the order the query asks for, where it does.
    ordered: Option<std::vec::IntoIter<Candidate>>,
    resolved: Resolved,
    options: RunOptions,
    to_skip: u64,
    left: u64,
    last: Option<Cursor>,
}

impl Query {
    /// Runs the query over what a snapshot holds. Traces come newest first unless the query says
    /// otherwise; then all of them are looked at before the first comes.
    pub fn run<'s>(
        &self,
        snapshot: &'s Snapshot,
        options: RunOptions,
    ) -> Result<Rows<'s>, RunError> {
        let resolved = self.resolved()?.clone();
        let Body::Search(stages) = &resolved.body else {
            return Err(RunError::YieldsMetrics);
        };
        let mut candidates =
            self.candidates(stages, snapshot, time_range(stages, &options), &options)?;
        let limit = resolved.limit.unwrap_or(u64::MAX);
        let left = limit.min(options.limit.unwrap_or(u64::MAX));
        let to_skip = if options.after.is_some() {
            0
        } else {
            resolved.offset
        };
        let ordered = if resolved.order.is_empty() {
            None
        } else {
            let wanted = left.saturating_add(to_skip);
            let best = ordered(stages, &resolved.order, &mut candidates, wanted, &options)?;
            Some(best.into_iter())
        };
        Ok(Rows {
            candidates,
            ordered,
            to_skip,
            left,
            last: None,
            resolved,
            options,
        })
    }

    /// The traces that may pass the stages, newest first.
    pub(crate) fn candidates<'s>(
        &self,
        stages: &[Stage],
        snapshot: &'s Snapshot,
        range: TimeRange,
        options: &RunOptions,
    ) -> Result<Candidates<'s>, RunError> {
        let mut candidates = Candidates::new(snapshot, stages, range, options)?;
        candidates.counts.steps = self.plan_steps();
        candidates.counts.stages = self.stage_counts();
        Ok(candidates)
    }

    /// Counts the traces that fit and calls `each` with their ids and starts, newest first,
    /// without putting together those that columns decide. Order and limit of the query do not
    /// count.
    pub fn find_ids(
        &self,
        snapshot: &Snapshot,
        options: &RunOptions,
        mut each: impl FnMut(TraceId, u64),
    ) -> Result<Explain, RunError> {
        let resolved = self.resolved()?;
        let Body::Search(stages) = &resolved.body else {
            return Err(RunError::YieldsMetrics);
        };
        let mut left = options.limit.unwrap_or(u64::MAX);
        let mut candidates =
            self.candidates(stages, snapshot, time_range(stages, options), options)?;
        while left > 0 {
            options.check()?;
            let Some(candidate) = candidates.next_candidate()? else {
                break;
            };
            let fits = candidate.is_certain
                || candidates.trace(&candidate)?.is_some_and(|trace| {
                    row::fits(stages, &View::new(&trace, options.now_unix_nano))
                });
            if fits {
                left -= 1;
                candidates.counts.traces_matched += 1;
                each(candidate.trace_id(), candidate.start_unix_nano);
            }
        }
        Ok(candidates.counts)
    }
}

impl Rows<'_> {
    /// Where the last trace that came stands: the next page continues behind it.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.last.as_ref()
    }

    /// How the query has been answered so far.
    pub fn explain(&self) -> &Explain {
        &self.candidates.counts
    }

    fn next_candidate(&mut self) -> Result<Option<Candidate>, RunError> {
        match &mut self.ordered {
            Some(ordered) => Ok(ordered.next()),
            None => Ok(self.candidates.next_candidate()?),
        }
    }

    fn find(&mut self) -> Result<Option<TraceMatch>, RunError> {
        while self.left > 0 {
            self.options.check()?;
            let Some(candidate) = self.next_candidate()? else {
                return Ok(None);
            };
            if self.is_passed(&candidate) {
                continue;
            }
            let Some(trace) = self.candidates.trace(&candidate)? else {
                continue;
            };
            let Body::Search(stages) = &self.resolved.body else {
                return Ok(None);
            };
            let view = View::new(&trace, self.options.now_unix_nano);
            let span_sets = row::span_sets(stages, &view);
            if span_sets.is_empty() {
                continue;
            }
            let place = Cursor::of(&self.resolved.order, &view, &span_sets);
            let entered = row::entered(stages, &view);
            drop(view);
            let behind = |after: &Cursor| place.compare(after, &self.resolved.order).is_gt();
            if !self.options.after.as_ref().is_none_or(behind) {
                continue;
            }
            if self.to_skip > 0 {
                self.to_skip -= 1;
                continue;
            }
            self.left -= 1;
            self.candidates.counts.traces_matched += 1;
            self.last = Some(place);
            return Ok(Some(TraceMatch {
                trace,
                span_sets,
                entered,
            }));
        }
        Ok(None)
    }

    /// Whether a candidate stands before the page, as far as its start tells.
    fn is_passed(&self, candidate: &Candidate) -> bool {
        let after = self.options.after.as_ref();
        self.ordered.is_none()
            && after.is_some_and(|after| candidate.start_unix_nano > after.start_time_unix_nano())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<TraceMatch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.find();
        if found.is_err() {
            self.left = 0;
        }
        found.transpose()
    }
}

/// The stretch of time the query's traces can begin in.
pub(crate) fn time_range(stages: &[Stage], options: &RunOptions) -> TimeRange {
    let mut range = TimeRange::default();
    for stage in stages {
        match stage {
            Stage::Since(bound) => {
                let start = bound.unix_nano(options.now_unix_nano).max(0) as u64;
                range.start_unix_nano = range.start_unix_nano.max(start);
            }
            Stage::Until(bound) => {
                let end = bound.unix_nano(options.now_unix_nano).max(0) as u64;
                range.end_unix_nano = range.end_unix_nano.min(end);
            }
            _ => {}
        }
    }
    range
}

/// A place in a heap whose top is the worst.
struct Ranked<'k> {
    place: Cursor,
    candidate: Candidate,
    keys: &'k [Key],
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.compare(&other.place, self.keys)
    }
}

/// The best `wanted` traces, in order.
fn ordered(
    stages: &[Stage],
    keys: &[Key],
    candidates: &mut Candidates<'_>,
    wanted: u64,
    options: &RunOptions,
) -> Result<Vec<Candidate>, RunError> {
    /// Roughly what one place takes.
    const PLACE_BYTES: usize = 256;
    let mut best: BinaryHeap<Ranked<'_>> = BinaryHeap::new();
    candidates.order_by(keys);
    while let Some(mut candidate) = candidates.next_candidate()? {
        options.check()?;
        let place = if let Some(known) = candidate.keys.take() {
            Cursor::at(known, candidate.start_unix_nano, candidate.trace_id())
        } else {
            let Some(trace) = candidates.trace(&candidate)? else {
                continue;
            };
            let view = View::new(&trace, options.now_unix_nano);
            let span_sets = row::span_sets(stages, &view);
            if span_sets.is_empty() {
                continue;
            }
            Cursor::of(keys, &view, &span_sets)
        };
        let behind = |after: &Cursor| place.compare(after, keys).is_gt();
        if !options.after.as_ref().is_none_or(behind) {
            continue;
        }
        best.push(Ranked {
            place,
            candidate,
            keys,
        });
        if best.len() as u64 > wanted {
            best.pop();
        }
        if best.len() * PLACE_BYTES > options.memory_limit_bytes {
            return Err(RunError::TooMuchMemory {
                limit_bytes: options.memory_limit_bytes,
            });
        }
    }
    let best = best.into_sorted_vec().into_iter();
    Ok(best.map(|ranked| ranked.candidate).collect())
}
