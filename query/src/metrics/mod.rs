//! Spans of all traces turned into numbers over time.

mod accumulate;
mod columns;
mod combine;
mod differences;

use std::cmp::Ordering;

use serde::Serialize;
use spanlite_store::{Snapshot, TimeRange};

use crate::cell::Cell;
use crate::eval::View;
use crate::plan::{BLOCKS_AT_ONCE, Explain, Search, in_parallel};
use crate::query::Query;
use crate::resolve::{Body, Measure, SeriesPlan};
use crate::run::{RunError, RunOptions, time_range};
use accumulate::Accumulator;

/// More steps than this are refused.
const MAX_STEPS: u64 = 20_000;

/// How a query for metrics runs.
#[derive(Debug, Clone, Default)]
pub struct MetricOptions {
    /// Time, limits of memory and the like.
    pub run: RunOptions,
    /// The length of a step in nanoseconds. Without one the whole range is one step, and the
    /// result a plain table.
    pub step_nanos: Option<u64>,
    /// The range of time; spans that begin outside of it do not count. `since` and `until` in the
    /// query narrow it; an end that is not given is now.
    pub range: TimeRange,
}

/// Numbers over time, one row for each combination of labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricTable {
    /// When the first step begins, in Unix nanoseconds.
    pub start_unix_nano: u64,
    /// The length of a step in nanoseconds.
    pub step_nanos: u64,
    /// How many steps there are; 1 for a plain table.
    pub n_steps: usize,
    /// The rows, by their labels.
    pub series: Vec<Series>,
}

/// One row of a [`MetricTable`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What the row is about; nil where a span has no such field.
    pub labels: Vec<(String, Cell)>,
    /// A number for each step; NaN (null in JSON) where there is none. Durations are in seconds.
    #[serde(serialize_with = "points")]
    pub points: Vec<f64>,
}

fn points<S: serde::Serializer>(points: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        points
            .iter()
            .map(|point| point.is_finite().then_some(*point)),
    )
}

impl Series {
    /// What rows are matched by.
    fn key(&self) -> String {
        format!("{:?}", self.labels)
    }

    /// The order of rows: by label, numbers by size.
    fn order(&self, other: &Self) -> Ordering {
        let pairs = self.labels.iter().zip(&other.labels);
        pairs
            .map(|((a_name, a), (b_name, b))| {
                a_name.cmp(b_name).then_with(|| match (a, b) {
                    (Cell::Float(a), Cell::Float(b)) => a.total_cmp(b),
                    (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
                    (a, b) => format!("{a:?}").cmp(&format!("{b:?}")),
                })
            })
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.labels.len().cmp(&other.labels.len()))
    }
}

/// The steps of a table: numbered from the epoch, so that tables of one step length fit together.
#[derive(Debug, Clone, Copy)]
struct Axis {
    /// Where the first step begins.
    start_unix_nano: u64,
    step_nanos: u64,
    first: i64,
    n_steps: usize,
    /// The length of the whole range in seconds, for a rate over it.
    range_seconds: f64,
}

impl Query {
    /// Runs a query for metrics over what a snapshot holds.
    pub fn measure(
        &self,
        snapshot: &Snapshot,
        options: &MetricOptions,
    ) -> Result<MetricTable, RunError> {
        let resolved = self.resolved()?;
        let Body::Metrics(measure) = &resolved.body else {
            return Err(RunError::YieldsTraces);
        };
        let mut plans = Vec::new();
        collect_plans(measure, &mut plans);
        let range = ranges(&plans, options);
        let step = options.step_nanos.filter(|step| *step > 0);
        let mut accumulators = Vec::with_capacity(plans.len());
        for plan in &plans {
            let limit_bytes = options.run.memory_limit_bytes / plans.len().max(1);
            let all = Accumulator::new(plan, step, range);
            accumulators.push(gather(all, snapshot, &options.run, limit_bytes)?);
        }
        let axis = axis(&accumulators, step, range)?;
        let mut tables = accumulators
            .into_iter()
            .map(|accumulator| accumulator.finish(axis));
        let series = combine::evaluate(measure, &mut tables, axis.n_steps).into_series();
        Ok(MetricTable {
            start_unix_nano: axis.start_unix_nano,
            step_nanos: axis.step_nanos,
            n_steps: axis.n_steps,
            series,
        })
    }
}

/// Adds the spans of all traces that pass the stages of a plan.
fn gather<'p>(
    mut all: Accumulator<'p>,
    snapshot: &Snapshot,
    options: &RunOptions,
    limit_bytes: usize,
) -> Result<Accumulator<'p>, RunError> {
    let stages = &all.plan().stages;
    let own = time_range(stages, options);
    let begins = TimeRange {
        end_unix_nano: own.end_unix_nano.min(all.range().end_unix_nano),
        ..own
    };
    let now = options.now_unix_nano;
    let search = Search::new(snapshot, stages, begins, options)?;
    for (trace_id, start) in snapshot.loose()? {
        options.check()?;
        if begins.contains(start)
            && let Some(trace) = search.loose_trace(trace_id)?
        {
            all.add(&View::new(&trace, now));
            all.check_memory(limit_bytes)?;
        }
    }
    let blocks = search.open_blocks(&mut Explain::default());
    for blocks in blocks.chunks(BLOCKS_AT_ONCE) {
        let gathered = in_parallel(blocks, |number| {
            options.check()?;
            all.empty().of_block(&search, *number)
        });
        for gathered in gathered {
            all.merge(gathered?);
            all.check_memory(limit_bytes)?;
        }
    }
    Ok(all)
}

/// The series of a query in the order they are written.
fn collect_plans<'m>(measure: &'m Measure, plans: &mut Vec<&'m SeriesPlan>) {
    match measure {
        Measure::Series(plan) => plans.push(plan),
        Measure::Number(_) => {}
        Measure::Binary { left, right, .. } => {
            collect_plans(left, plans);
            collect_plans(right, plans);
        }
        Measure::Second { inner, .. } => collect_plans(inner, plans),
    }
}

/// The widest range any of the series asks for.
fn ranges(plans: &[&SeriesPlan], options: &MetricOptions) -> TimeRange {
    let mut widest: Option<TimeRange> = None;
    for plan in plans {
        let own = time_range(&plan.stages, &options.run);
        let range = TimeRange {
            start_unix_nano: own.start_unix_nano.max(options.range.start_unix_nano),
            end_unix_nano: own.end_unix_nano.min(options.range.end_unix_nano),
        };
        widest = Some(widest.map_or(range, |other| TimeRange {
            start_unix_nano: other.start_unix_nano.min(range.start_unix_nano),
            end_unix_nano: other.end_unix_nano.max(range.end_unix_nano),
        }));
    }
    widest.unwrap_or(options.range)
}

fn axis(
    accumulators: &[Accumulator<'_>],
    step: Option<u64>,
    range: TimeRange,
) -> Result<Axis, RunError> {
    let seen = accumulators.iter().filter_map(Accumulator::seen);
    let seen = seen.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let (first_seen, last_seen) = seen.unwrap_or((range.start_unix_nano, range.start_unix_nano));
    let start = if range.start_unix_nano == 0 {
        first_seen
    } else {
        range.start_unix_nano
    };
    let end = if range.end_unix_nano == u64::MAX {
        last_seen.max(start)
    } else {
        range.end_unix_nano - 1
    };
    let Some(step) = step else {
        // A range without length would make every rate infinite: it counts as one second.
        let range_nanos = end.saturating_sub(start).max(1_000_000_000);
        return Ok(Axis {
            start_unix_nano: start,
            step_nanos: end.saturating_sub(start) + 1,
            first: 0,
            n_steps: 1,
            range_seconds: range_nanos as f64 / 1e9,
        });
    };
    let (first, last) = (start / step, end.max(start) / step);
    let n_steps = last - first + 1;
    if n_steps > MAX_STEPS {
        return Err(RunError::TooManySteps {
            n_steps,
            max_steps: MAX_STEPS,
        });
    }
    Ok(Axis {
        start_unix_nano: first * step,
        step_nanos: step,
        first: first as i64,
        n_steps: n_steps as usize,
        range_seconds: step as f64 / 1e9,
    })
}
