//! The order of results, and where a page ends.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spanlite_model::TraceId;

use crate::cell::Cell;
use crate::eval::{self, At, Datum, View};
use crate::resolve::{Key, KeyValue};
use crate::row::SpanSet;

/// A value that results are ordered by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum SortKey {
    /// Stands last, in either direction.
    Nil,
    Whole(i64),
    Number(f64),
    Text(String),
}

impl SortKey {
    pub(crate) fn of(value: &Datum<'_>) -> Self {
        match value {
            Datum::Int(number) | Datum::Duration(number) | Datum::Time(number) => {
                Self::Whole(*number)
            }
            Datum::Float(number) if number.is_nan() => Self::Nil,
            Datum::Float(number) => Self::Number(*number),
            Datum::Bool(value) => Self::Whole(i64::from(*value)),
            other => match Cell::from(other.clone()) {
                Cell::Nil => Self::Nil,
                cell => Self::Text(cell.to_string()),
            },
        }
    }

    /// Numbers before texts.
    fn compare(&self, other: &Self) -> Ordering {
        let number = |key: &Self| match key {
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        };
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (left, right) => match (number(left), number(right)) {
                (Some(left), Some(right)) => left.total_cmp(&right),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        }
    }
}

/// Where a result stands among all results, whatever else the store holds: pages that continue
/// behind it neither repeat nor skip a trace when the store grows.
///
/// Shown and read as a text that means nothing to anybody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    keys: Vec<SortKey>,
    start_time_unix_nano: u64,
    trace_id: TraceId,
}

/// The text is no cursor.
#[derive(Debug, thiserror::Error)]
#[error("this is no cursor of a query")]
pub struct CursorError {
    #[from]
    source: serde_json::Error,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        Ok(serde_json::from_str(text)?)
    }
}

impl Cursor {
    /// Where a trace stands under these keys.
    pub(crate) fn of(keys: &[Key], view: &View<'_>, sets: &[SpanSet]) -> Self {
        Self {
            keys: keys.iter().map(|key| sort_key(key, view, sets)).collect(),
            start_time_unix_nano: view.trace.start_time_unix_nano().unwrap_or(0),
            trace_id: view.trace.trace_id,
        }
    }

    /// Where a trace stands whose keys are known.
    pub(crate) fn at(keys: Vec<SortKey>, start_time_unix_nano: u64, trace_id: TraceId) -> Self {
        Self {
            keys,
            start_time_unix_nano,
            trace_id,
        }
    }

    /// The start of the trace it stands behind.
    pub(crate) fn start_time_unix_nano(&self) -> u64 {
        self.start_time_unix_nano
    }

    /// The order of results: by the keys, then newest first, then by id.
    pub(crate) fn compare(&self, other: &Self, keys: &[Key]) -> Ordering {
        for ((left, right), key) in self.keys.iter().zip(&other.keys).zip(keys) {
            let ordering = match (left, right) {
                (SortKey::Nil, SortKey::Nil) => Ordering::Equal,
                (SortKey::Nil, _) => Ordering::Greater,
                (_, SortKey::Nil) => Ordering::Less,
                (left, right) if key.descending => right.compare(left),
                (left, right) => left.compare(right),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        other
            .start_time_unix_nano
            .cmp(&self.start_time_unix_nano)
            .then(self.trace_id.cmp(&other.trace_id))
    }
}

/// The value of a key: for a field of spans the best matching span decides.
fn sort_key(key: &Key, view: &View<'_>, sets: &[SpanSet]) -> SortKey {
    let mut numbers = Vec::new();
    let mut wanted = vec![false; view.trace.spans.len()];
    for span in sets.iter().flat_map(|set| &set.spans) {
        wanted[span.index] = true;
    }
    for (number, node) in view.forest().nodes().iter().enumerate() {
        if wanted[node.span] {
            numbers.push(number as u32);
        }
    }
    match &key.value {
        KeyValue::Aggregate(aggregate) => {
            let value = eval::aggregate_of(aggregate, view, &numbers);
            SortKey::of(&value.unwrap_or(Datum::Nil))
        }
        KeyValue::Field(node) => {
            let whole = (!node.mentions(crate::syntax::field::Level::Span))
                .then(|| node.value(At::whole(view)));
            let values = numbers
                .iter()
                .map(|&number| node.value(At::span_of(view, number as usize)));
            best(&mut whole.into_iter().chain(values), key.descending)
        }
    }
}

/// Of the values of a trace's spans the one that decides where the trace stands.
pub(crate) fn best(values: &mut dyn Iterator<Item = Datum<'_>>, descending: bool) -> SortKey {
    let keys = values.map(|value| SortKey::of(&value));
    let keys = keys.filter(|key| *key != SortKey::Nil);
    let best = if descending {
        keys.max_by(SortKey::compare)
    } else {
        keys.min_by(SortKey::compare)
    };
    best.unwrap_or(SortKey::Nil)
}
