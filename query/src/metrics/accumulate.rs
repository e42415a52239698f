use std::collections::{BTreeMap, HashMap};

use spanlite_store::TimeRange;

use super::combine::Table;
use super::differences::Differences;
use super::{Axis, Series};
use crate::cell::Cell;
use crate::eval::{self, At, Datum, View, group_name, push_group_key};
use crate::resolve::{Node, SeriesFn, SeriesPlan};
use crate::run::RunError;
use crate::syntax::ast::OverTime;

/// What the spans seen so far add up to, for one series plan.
pub(super) struct Accumulator<'p> {
    plan: &'p SeriesPlan,
    step: Option<u64>,
    range: TimeRange,
    /// By the keys of their labels.
    groups: HashMap<String, Group>,
    differences: Option<Differences>,
    n_cells: usize,
    seen: Option<(u64, u64)>,
    /// The key at hand, kept for its memory.
    key: String,
}

/// What one span adds.
pub(super) struct Counted<'a> {
    start: u64,
    labels: Vec<Datum<'a>>,
    value: Option<Measured>,
}

struct Group {
    labels: Vec<(String, Cell)>,
    /// By step.
    sums: BTreeMap<i64, Sum>,
}

/// What the spans of one group and step add up to.
struct Sum {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Counts by the exponent of the power of two that is the upper end.
    buckets: BTreeMap<i32, u64>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            buckets: BTreeMap::new(),
        }
    }
}

impl Sum {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (exponent, count) in &other.buckets {
            *self.buckets.entry(*exponent).or_default() += count;
        }
    }
}

impl Group {
    fn n_cells(&self) -> usize {
        let buckets = self.sums.values().map(|sum| sum.buckets.len());
        self.sums.len() + buckets.sum::<usize>()
    }
}

/// What one remembered number and its place take.
const CELL_BYTES: usize = 160;

/// Values below this fall into no bucket; nanoseconds for durations.
const LEAST_BUCKETED: f64 = 2.0;

impl<'p> Accumulator<'p> {
    pub(super) fn new(plan: &'p SeriesPlan, step: Option<u64>, range: TimeRange) -> Self {
        let differences = match &plan.function {
            SeriesFn::Compare {
                selection,
                top,
                window,
            } => Some(Differences::new(selection.clone(), *top, *window)),
            _ => None,
        };
        Self {
            plan,
            step,
            range,
            groups: HashMap::new(),
            differences,
            n_cells: 0,
            seen: None,
            key: String::new(),
        }
    }

    /// Another one of the same plan, which nothing was added to.
    pub(super) fn empty(&self) -> Self {
        Self::new(self.plan, self.step, self.range)
    }

    pub(super) fn plan(&self) -> &'p SeriesPlan {
        self.plan
    }

    /// Spans that begin outside of it do not count.
    pub(super) fn range(&self) -> TimeRange {
        self.range
    }

    /// Refuses to remember more than so many bytes.
    pub(super) fn check_memory(&self, limit_bytes: usize) -> Result<(), RunError> {
        let differences = self.differences.as_ref().map_or(0, Differences::n_cells);
        if (self.n_cells + differences) * CELL_BYTES > limit_bytes {
            return Err(RunError::TooMuchMemory { limit_bytes });
        }
        Ok(())
    }

    /// Adds what another one of the same plan has.
    pub(super) fn merge(&mut self, other: Self) {
        for (key, group) in other.groups {
            let Some(own) = self.groups.get_mut(&key) else {
                self.n_cells += group.n_cells();
                self.groups.insert(key, group);
                continue;
            };
            let before = own.n_cells();
            for (step, sum) in group.sums {
                own.sums.entry(step).or_default().merge(&sum);
            }
            self.n_cells += own.n_cells() - before;
        }
        if let (Some(own), Some(other)) = (&mut self.differences, other.differences) {
            own.merge(other);
        }
        if let Some((first, last)) = other.seen {
            self.see(first);
            self.see(last);
        }
    }

    /// The first and the last start of a span that counted.
    pub(super) fn seen(&self) -> Option<(u64, u64)> {
        self.seen
    }

    pub(super) fn add(&mut self, view: &View<'_>) {
        let mut spans: Vec<u32> = eval::run(&self.plan.stages, view)
            .into_iter()
            .flat_map(|state| state.spans)
            .collect();
        spans.sort_unstable();
        spans.dedup();
        for number in spans {
            let at = At::span_of(view, number as usize);
            let start = view.span(number as usize).start_time_unix_nano;
            if self.range.contains(start) {
                self.add_span(at, start);
            }
        }
    }

    fn add_span(&mut self, at: At<'_, '_>, start: u64) {
        if let Some(differences) = &mut self.differences {
            let step = self.step.map_or(0, |step| (start / step) as i64);
            differences.add(at, start, step);
            self.see(start);
            return;
        }
        if let Some(counted) = self.counted(at, start) {
            self.count(counted);
        }
    }

    /// What a span adds; nothing if it has no number to add.
    pub(super) fn counted<'a>(&self, at: At<'_, 'a>, start: u64) -> Option<Counted<'a>> {
        let value = match &self.plan.function {
            SeriesFn::Rate | SeriesFn::Count | SeriesFn::Compare { .. } => None,
            SeriesFn::Over(_, of) => Some(seconds(of, at)?),
            SeriesFn::Histogram(of) | SeriesFn::Quantile(of, _) => Some(bucketed(of, at)?),
        };
        let labels = self.plan.by.iter().map(|(_, node)| node.value(at));
        Some(Counted {
            start,
            labels: labels.collect(),
            value,
        })
    }

    pub(super) fn count(&mut self, counted: Counted<'_>) {
        let Counted {
            start,
            labels,
            value,
        } = counted;
        self.see(start);
        let step = self.step.map_or(0, |step| (start / step) as i64);
        self.key.clear();
        for label in &labels {
            push_group_key(&mut self.key, label);
        }
        if !self.groups.contains_key(&self.key) {
            let names = self.plan.by.iter().map(|(name, _)| name.clone());
            let labels = labels.into_iter().map(group_name).map(Cell::from);
            let group = Group {
                labels: names.zip(labels).collect(),
                sums: BTreeMap::new(),
            };
            self.groups.insert(self.key.clone(), group);
        }
        let Some(group) = self.groups.get_mut(&self.key) else {
            return;
        };
        let n_cells = &mut self.n_cells;
        let sum = group.sums.entry(step).or_insert_with(|| {
            *n_cells += 1;
            Sum::default()
        });
        sum.count += 1;
        match value {
            Some(Measured::Number(number)) => {
                sum.sum += number;
                sum.min = sum.min.min(number);
                sum.max = sum.max.max(number);
            }
            Some(Measured::Bucket(exponent)) => {
                *sum.buckets.entry(exponent).or_insert_with(|| {
                    *n_cells += 1;
                    0
                }) += 1;
            }
            None => {}
        }
    }

    fn see(&mut self, start: u64) {
        let (first, last) = self.seen.unwrap_or((start, start));
        self.seen = Some((first.min(start), last.max(start)));
    }

    /// The rows over the steps of `axis`.
    pub(super) fn finish(self, axis: Axis) -> Table {
        if let Some(differences) = self.differences {
            return Table::Series(differences.finish(axis));
        }
        let mut all = Vec::new();
        for group in self.groups.into_values() {
            rows(&self.plan.function, &group, axis, &mut all);
        }
        all.sort_by(Series::order);
        Table::Series(all)
    }
}

pub(super) enum Measured {
    Number(f64),
    Bucket(i32),
}

/// The number of a span, durations in seconds.
fn seconds(of: &Node, at: At<'_, '_>) -> Option<Measured> {
    let value = of.value(at);
    let number = value.number().filter(|number| !number.is_nan())?;
    let is_time = matches!(value, Datum::Duration(_) | Datum::Time(_));
    Some(Measured::Number(if is_time {
        number / 1e9
    } else {
        number
    }))
}

/// The power of two a number lies below; durations are counted in nanoseconds, which a bucket
/// exponent of their own tells.
fn bucketed(of: &Node, at: At<'_, '_>) -> Option<Measured> {
    let value = of.value(at);
    let number = value.number().filter(|number| *number >= LEAST_BUCKETED)?;
    let exponent = number.log2().ceil() as i32;
    let is_duration = matches!(value, Datum::Duration(_));
    Some(Measured::Bucket(if is_duration {
        exponent + DURATION
    } else {
        exponent
    }))
}

/// Added to the exponent of a duration.
const DURATION: i32 = 10_000;

/// The upper end of a bucket, seconds for durations.
fn upper_end(exponent: i32) -> f64 {
    if exponent >= DURATION / 2 {
        f64::from(exponent - DURATION).exp2() / 1e9
    } else {
        f64::from(exponent).exp2()
    }
}

fn rows(function: &SeriesFn, group: &Group, axis: Axis, all: &mut Vec<Series>) {
    let dense = |missing: f64, of: &dyn Fn(&Sum) -> f64| {
        let mut points = vec![missing; axis.n_steps];
        for (step, sum) in &group.sums {
            let place = usize::try_from(step - axis.first).ok();
            if let Some(point) = place.and_then(|place| points.get_mut(place)) {
                *point = of(sum);
            }
        }
        points
    };
    let labelled = |label: Option<(&str, Cell)>, points: Vec<f64>| {
        let mut labels = group.labels.clone();
        labels.extend(label.map(|(name, value)| (name.to_owned(), value)));
        Series { labels, points }
    };
    match function {
        SeriesFn::Rate => {
            all.push(labelled(
                None,
                dense(0.0, &|sum| sum.count as f64 / axis.range_seconds),
            ));
        }
        SeriesFn::Count => all.push(labelled(None, dense(0.0, &|sum| sum.count as f64))),
        SeriesFn::Over(over, _) => {
            let points = dense(f64::NAN, &|sum| match over {
                OverTime::Min => sum.min,
                OverTime::Max => sum.max,
                OverTime::Sum => sum.sum,
                OverTime::Avg => sum.sum / sum.count as f64,
            });
            all.push(labelled(None, points));
        }
        SeriesFn::Histogram(_) => {
            let mut exponents: Vec<i32> = group
                .sums
                .values()
                .flat_map(|sum| sum.buckets.keys().copied())
                .collect();
            exponents.sort_unstable();
            exponents.dedup();
            for exponent in exponents {
                let points = dense(0.0, &|sum| {
                    sum.buckets.get(&exponent).copied().unwrap_or(0) as f64
                });
                all.push(labelled(
                    Some(("bucket", Cell::Float(upper_end(exponent)))),
                    points,
                ));
            }
        }
        SeriesFn::Quantile(_, quantiles) => {
            for &wanted in quantiles {
                let points = dense(f64::NAN, &|sum| quantile(wanted, &sum.buckets));
                all.push(labelled(Some(("p", Cell::Float(wanted))), points));
            }
        }
        SeriesFn::Compare { .. } => {}
    }
}

/// A quantile of bucketed values: rounded up to whole values, exponential inside a bucket.
fn quantile(wanted: f64, buckets: &BTreeMap<i32, u64>) -> f64 {
    let total: u64 = buckets.values().sum();
    let samples = ((wanted * total as f64).ceil() as u64).max(1);
    let mut before = 0;
    for (&exponent, &count) in buckets {
        if before + count >= samples {
            let part = (samples - before) as f64 / count as f64;
            let end = upper_end(exponent);
            return (end.log2() - 1.0 + part).exp2();
        }
        before += count;
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exponential_inside_a_bucket() {
        let buckets = BTreeMap::from([(2, 4), (3, 4)]);
        assert!((quantile(1.0, &buckets) - 8.0).abs() < 1e-9);
        assert!((quantile(0.5, &buckets) - 4.0).abs() < 1e-9);
        assert!((quantile(0.75, &buckets) - 4.0 * 2f64.sqrt()).abs() < 1e-9);
        assert!((quantile(0.0, &buckets) - 2.0 * 2f64.powf(0.25)).abs() < 1e-9);
        assert!(quantile(0.5, &BTreeMap::new()).is_nan());
    }
}
