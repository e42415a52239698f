//! Built-ins of the trace as a whole, by trace, out of the columns of a block.

use std::ops::Range;

use spanlite_model::{TraceId, TraceState, keys};
use spanlite_store::block::{AttributeKind, BlockError, Ints, Strings};

use super::block::Block;
use crate::eval::Datum;
use crate::syntax::field::Builtin;

type Read<T> = Result<T, BlockError>;

/// Takes the value at every place; nothing where columns do not tell.
type Each<'e> = &'e mut dyn FnMut(usize, Option<Datum<'_>>);

/// When traces begin and end.
pub(super) struct Times<'b> {
    bases: Ints<'b>,
    offsets: Ints<'b>,
    durations: Ints<'b>,
    open: Vec<u32>,
}

impl Times<'_> {
    pub(super) fn start(&self, place: usize) -> i64 {
        self.bases.get(place)
    }

    /// How long after the first start the last span of a trace ended; open spans have no end.
    pub(super) fn last_end(&self, rows: Range<usize>) -> Option<i64> {
        let mut last: Option<i64> = None;
        let mut add = |row: usize, nanos: i64| {
            let end = self.offsets.get(row).saturating_add(nanos);
            last = Some(last.map_or(end, |last| last.max(end)));
        };
        if self.open.is_empty() {
            self.durations.for_each(rows.start, rows.end, add);
        } else {
            self.durations.for_each(rows.start, rows.end, |row, nanos| {
                if self.open.binary_search(&(row as u32)).is_err() {
                    add(row, nanos);
                }
            });
        }
        last
    }
}

/// The states of traces.
pub(super) struct States<'b> {
    set: Ints<'b>,
    codes: Ints<'b>,
    open: Vec<u32>,
}

impl States<'_> {
    /// The state of the trace at a place with these rows and this root, of which it is told
    /// whether it names no parent.
    pub(super) fn get(
        &self,
        place: usize,
        rows: Range<usize>,
        (root, whole): (Option<usize>, bool),
    ) -> Option<TraceState> {
        use TraceState as S;
        let before = |row: usize| self.open.partition_point(|open| (*open as usize) < row);
        match (self.set.get(place), root) {
            (number, _) if number > 0 => S::ALL.get(number as usize - 1).copied(),
            // Whether its writer lives is known elsewhere.
            _ if before(rows.start) < before(rows.end) => None,
            (_, Some(row)) if whole && self.codes.get(row) == 2 => Some(S::Error),
            (_, Some(_)) if whole => Some(S::Ok),
            (_, Some(_)) => Some(S::InProgress),
            (_, None) => None,
        }
    }
}

/// The names of traces.
pub(super) struct Names<'b> {
    given: Strings<'b>,
    of_spans: Strings<'b>,
}

impl<'b> Names<'b> {
    /// The name given to a trace, else that of its root; nothing if it has neither.
    pub(super) fn get(&self, place: usize, root: Option<usize>) -> Read<Option<&'b str>> {
        match (self.given.get(place)?, root) {
            (Some(name), _) if !name.is_empty() => Ok(Some(name)),
            (_, Some(row)) => Ok(Some(self.of_spans.get(row)?.unwrap_or(""))),
            (_, None) => Ok(None),
        }
    }
}

impl Block<'_> {
    /// Calls `each` with the value of every trace. Returns whether columns have the built-in.
    pub(super) fn each_trace_value(&self, builtin: Builtin, each: Each<'_>) -> Read<bool> {
        use Builtin as B;
        let starts = self.span_starts()?;
        match builtin {
            B::TraceId => {
                for (place, id) in self.reader.trace_ids()?.iter().enumerate() {
                    let hex = TraceId::from_bytes(*id).to_hex();
                    each(place, Some(Datum::Text(hex.into())));
                }
            }
            B::TraceStart | B::Timestamp => {
                let column = self.reader.trace_starts()?;
                column.for_each(0, column.len(), |place, start| {
                    let has_spans = starts.get(place) != starts.get(place + 1);
                    each(place, has_spans.then(|| Datum::time(start as u64)));
                });
            }
            B::TraceDuration | B::ExecutionTime => {
                let times = self.times()?;
                for (place, rows) in rows_of_traces(starts) {
                    let last = times.last_end(rows);
                    each(place, last.map(|nanos| Datum::Duration(nanos.max(0))));
                }
            }
            B::TraceEnd | B::EndTime => {
                let times = self.times()?;
                for (place, rows) in rows_of_traces(starts) {
                    let end = |nanos| Datum::time(times.start(place).wrapping_add(nanos) as u64);
                    each(place, times.last_end(rows).map(end));
                }
            }
            B::TraceSpanCount => {
                for (place, bound) in starts.windows(2).enumerate() {
                    each(place, Some(Datum::Int(i64::from(bound[1] - bound[0]))));
                }
            }
            B::TraceErrorCount => {
                let codes = self.reader.status_codes()?;
                for (place, bound) in starts.windows(2).enumerate() {
                    let mut errors = 0;
                    codes.for_each(bound[0] as usize, bound[1] as usize, |_, code| {
                        errors += i64::from(code == 2);
                    });
                    each(place, Some(Datum::Int(errors)));
                }
            }
            B::TraceRootName | B::TraceName => self.root_names(builtin, each)?,
            B::TraceStatus | B::TraceState => self.each_state(builtin, each)?,
            B::TraceSession => {
                self.given_texts(keys::MLFLOW_TRACE_SESSION, &self.reader.sessions()?, each)?;
            }
            B::TraceUser => {
                self.given_texts(keys::MLFLOW_TRACE_USER, &self.reader.users()?, each)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn times(&self) -> Read<Times<'_>> {
        Ok(Times {
            bases: self.reader.trace_starts()?,
            offsets: self.reader.start_offsets()?,
            durations: self.reader.durations()?,
            open: self.reader.open_spans()?,
        })
    }

    pub(super) fn states(&self) -> Read<States<'_>> {
        Ok(States {
            set: self.reader.trace_states()?,
            codes: self.reader.status_codes()?,
            open: self.reader.open_spans()?,
        })
    }

    pub(super) fn trace_names(&self) -> Read<Names<'_>> {
        Ok(Names {
            given: self.reader.trace_names()?,
            of_spans: self.reader.names()?,
        })
    }

    /// Texts that stand in a column of their own, if no metadata has them under MLflow's key.
    fn given_texts(&self, key: &str, column: &Strings<'_>, each: Each<'_>) -> Read<()> {
        let mut keys = self.reader.attribute_keys(AttributeKind::Metadata);
        let is_elsewhere = keys.any(|known| known == key)
            || !self
                .reader
                .header()
                .is_indexed(spanlite_store::block::TermField::Metadata(key));
        for place in 0..self.reader.n_traces() {
            let value = column.get(place)?.map_or(Datum::Nil, Datum::text);
            each(place, (!is_elsewhere).then_some(value));
        }
        Ok(())
    }

    fn root_names(&self, builtin: Builtin, each: Each<'_>) -> Read<()> {
        let names = self.trace_names()?;
        for place in 0..self.reader.n_traces() {
            let (root, whole) = self.root(place)?;
            let name = match (builtin, root) {
                (Builtin::TraceName, _) => names.get(place, root)?.map_or(Datum::Nil, Datum::text),
                (_, Some(row)) if whole => Datum::text(names.of_spans.get(row)?.unwrap_or("")),
                _ => Datum::text(""),
            };
            each(place, Some(name));
        }
        Ok(())
    }

    fn each_state(&self, builtin: Builtin, each: Each<'_>) -> Read<()> {
        let states = self.states()?;
        for (place, rows) in rows_of_traces(self.span_starts()?) {
            let state = match states.get(place, rows, self.root(place)?) {
                Some(TraceState::Interrupted) if builtin == Builtin::TraceStatus => {
                    Some(TraceState::InProgress)
                }
                state => state,
            };
            each(place, state.map(|state| Datum::text(state.as_str())));
        }
        Ok(())
    }
}

/// The rows of every trace.
fn rows_of_traces(starts: &[u32]) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
    let bounds = starts.windows(2).enumerate();
    bounds.map(|(place, bound)| (place, bound[0] as usize..bound[1] as usize))
}
