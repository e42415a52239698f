use std::collections::{BTreeMap, HashMap};

use spanlite_model::{Attributes, Value};

use super::{Axis, Series};
use crate::cell::Cell;
use crate::eval::{At, Datum};
use crate::resolve::Node;

/// What `compare` counts: every value of every attribute, in the selection and in the rest.
pub(super) struct Differences {
    selection: Node,
    top: usize,
    /// Spans that begin outside of it belong to the baseline.
    window: Option<(i64, i64)>,
    counts: HashMap<(bool, String), HashMap<String, BTreeMap<i64, u64>>>,
    n_cells: usize,
}

/// Longer values say nothing about what spans have in common.
const MAX_VALUE_BYTES: usize = 256;

impl Differences {
    pub(super) fn new(selection: Node, top: usize, window: Option<(i64, i64)>) -> Self {
        Self {
            selection,
            top,
            window,
            counts: HashMap::new(),
            n_cells: 0,
        }
    }

    pub(super) fn n_cells(&self) -> usize {
        self.n_cells
    }

    pub(super) fn add(&mut self, at: At<'_, '_>, start: u64, step: i64) {
        let Some(span) = at.span() else {
            return;
        };
        let inside = self
            .window
            .is_none_or(|(first, end)| (first..end).contains(&(start as i64)));
        let selected = inside && self.selection.is_true(at);
        let mut count = |field: String, value: &Datum<'_>| {
            value.any_text(&mut |text| {
                if text.len() <= MAX_VALUE_BYTES {
                    let values = self.counts.entry((selected, field.clone())).or_default();
                    let steps = values.entry(text.to_owned()).or_default();
                    *steps.entry(step).or_insert_with(|| {
                        self.n_cells += 1;
                        0
                    }) += 1;
                }
                false
            });
        };
        count("name".to_owned(), &Datum::text(&span.name));
        count("kind".to_owned(), &Datum::Kind(span.kind));
        count("status".to_owned(), &Datum::Status(span.status.code));
        count(
            "span:type".to_owned(),
            &Datum::text(span.span_type.as_str()),
        );
        let mut all = |scope: &str, attributes: &Attributes| {
            for (key, value) in attributes.iter() {
                if !matches!(value, Value::Bytes(_) | Value::Map(_)) {
                    count(format!("{scope}.{key}"), &Datum::of(value));
                }
            }
        };
        all("span", &span.attributes);
        all("resource", &span.resource.attributes);
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, other: Self) {
        for (field, values) in other.counts {
            let own = self.counts.entry(field).or_default();
            for (value, steps) in values {
                let own = own.entry(value).or_default();
                for (step, count) in steps {
                    *own.entry(step).or_insert_with(|| {
                        self.n_cells += 1;
                        0
                    }) += count;
                }
            }
        }
    }

    /// The most frequent values of each attribute on either side, and the total of each side.
    pub(super) fn finish(self, axis: Axis) -> Vec<Series> {
        let mut all = Vec::new();
        for ((selected, field), values) in self.counts {
            let side = if selected { "selection" } else { "baseline" };
            let mut ranked: Vec<(String, BTreeMap<i64, u64>)> = values.into_iter().collect();
            ranked.sort_by_cached_key(|(value, steps)| {
                (
                    std::cmp::Reverse(steps.values().sum::<u64>()),
                    value.clone(),
                )
            });
            for (value, steps) in ranked.into_iter().take(self.top) {
                let mut points = vec![0.0; axis.n_steps];
                for (step, count) in steps {
                    let place = usize::try_from(step - axis.first).ok();
                    if let Some(point) = place.and_then(|place| points.get_mut(place)) {
                        *point = count as f64;
                    }
                }
                let labels = [
                    ("field", field.clone()),
                    ("value", value),
                    ("side", side.to_owned()),
                ];
                let labels = labels.map(|(name, text)| (name.to_owned(), Cell::Text(text)));
                all.push(Series {
                    labels: labels.into(),
                    points,
                });
            }
        }
        all.sort_by(Series::order);
        all
    }
}
