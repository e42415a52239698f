//! Built-ins of the trace as a whole, by trace, out of the columns of a block.

use spanlite_model::{TraceId, TraceState, keys};
use spanlite_store::block::{AttributeKind, BlockError, Strings};

use super::block::Block;
use crate::eval::Datum;
use crate::syntax::field::Builtin;

type Read<T> = Result<T, BlockError>;

/// Takes the value at every place; nothing where columns do not tell.
type Each<'e> = &'e mut dyn FnMut(usize, Option<Datum<'_>>);

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
                    each(place, has_spans.then_some(Datum::Time(start)));
                });
            }
            B::TraceDuration | B::ExecutionTime => {
                self.last_ends(&mut |place, _, last| {
                    each(place, last.map(|nanos| Datum::Duration(nanos.max(0))));
                })?;
            }
            B::TraceEnd | B::EndTime => {
                self.last_ends(&mut |place, start, last| {
                    each(
                        place,
                        last.map(|nanos| Datum::Time(start.wrapping_add(nanos))),
                    );
                })?;
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
            B::TraceStatus | B::TraceState => self.states(builtin, each)?,
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

    /// Calls `each` with the first start of every trace and how long after it its last span
    /// ended; open spans have no end.
    fn last_ends(&self, each: &mut dyn FnMut(usize, i64, Option<i64>)) -> Read<()> {
        let offsets = self.reader.start_offsets()?;
        let durations = self.reader.durations()?;
        let open = self.reader.open_spans()?;
        let bases = self.reader.trace_starts()?;
        let starts = self.span_starts()?;
        let mut ends = Vec::with_capacity(durations.len());
        offsets.for_each(0, offsets.len(), |_, offset| ends.push(offset));
        durations.for_each(0, durations.len(), |row, nanos| {
            if let Some(end) = ends.get_mut(row) {
                *end = end.saturating_add(nanos);
            }
        });
        let mut open = open.iter().peekable();
        for (place, bound) in starts.windows(2).enumerate() {
            let mut last: Option<i64> = None;
            for row in bound[0]..bound[1] {
                while open.next_if(|open| **open < row).is_some() {}
                if open.peek() != Some(&&row)
                    && let Some(end) = ends.get(row as usize)
                {
                    last = Some(last.map_or(*end, |last| last.max(*end)));
                }
            }
            each(place, bases.get(place), last);
        }
        Ok(())
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
        let names = self.reader.names()?;
        let given = self.reader.trace_names()?;
        for place in 0..self.reader.n_traces() {
            let (root, whole) = self.root(place)?;
            let own = if builtin == Builtin::TraceName {
                given.get(place)?
            } else {
                None
            };
            let root_name = root.map(|row| names.get(row)).transpose()?;
            let name = match (own.filter(|name| !name.is_empty()), root_name) {
                (Some(name), _) => Datum::text(name),
                (None, Some(name)) if whole || builtin == Builtin::TraceName => {
                    Datum::text(name.unwrap_or(""))
                }
                (None, None) if builtin == Builtin::TraceName => Datum::Nil,
                _ => Datum::text(""),
            };
            each(place, Some(name));
        }
        Ok(())
    }

    fn states(&self, builtin: Builtin, each: Each<'_>) -> Read<()> {
        use TraceState as S;
        let set = self.reader.trace_states()?;
        let codes = self.reader.status_codes()?;
        let open = self.reader.open_spans()?;
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            let any_open = open.partition_point(|row| *row < bound[0])
                < open.partition_point(|row| *row < bound[1]);
            let (root, whole) = self.root(place)?;
            let state = match (set.get(place), root) {
                (number, _) if number > 0 => S::ALL.get(number as usize - 1).copied(),
                // Whether its writer lives is known elsewhere.
                _ if any_open => None,
                (_, Some(row)) if whole && codes.get(row) == 2 => Some(S::Error),
                (_, Some(_)) if whole => Some(S::Ok),
                (_, Some(_)) => Some(S::InProgress),
                (_, None) => None,
            };
            let state = match state {
                Some(S::Interrupted) if builtin == Builtin::TraceStatus => Some(S::InProgress),
                state => state,
            };
            each(place, state.map(|state| Datum::text(state.as_str())));
        }
        Ok(())
    }
}
