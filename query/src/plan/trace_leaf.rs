//! Conditions on one field of the trace as a whole.

use spanlite_store::block::BlockError;

use super::block::Block;
use super::leaf::Leaf;
use super::mask::{Mask, Truth};
use crate::eval::Datum;
use crate::syntax::field::Builtin;

type Read<T> = Result<T, BlockError>;

impl Block<'_> {
    pub(super) fn trace_leaf(&self, builtin: Builtin, leaf: &Leaf<'_, '_>) -> Read<Option<Mask>> {
        use Builtin as B;
        let mut mask = Mask::empty(self.reader.n_traces());
        let starts = self.span_starts()?;
        match builtin {
            B::TraceStart => {
                let column = self.reader.trace_starts()?;
                column.for_each(0, column.len(), |place, start| {
                    let empty = starts.get(place) == starts.get(place + 1);
                    mask.set(
                        place,
                        if empty {
                            Truth::Maybe
                        } else {
                            leaf.truth(&Datum::Time(start))
                        },
                    );
                });
            }
            B::TraceDuration => {
                let (starts_of, offsets) = (self.reader.start_offsets()?, self.reader.durations()?);
                let open = self.reader.open_spans()?;
                for (place, bound) in starts.windows(2).enumerate() {
                    let (first, end) = (bound[0] as usize, bound[1] as usize);
                    // Ends, told from the first start; open spans have none.
                    let mut last: Option<i64> = None;
                    for row in first..end {
                        if open.binary_search(&(row as u32)).is_err() {
                            let ends = starts_of.get(row).saturating_add(offsets.get(row));
                            last = Some(last.map_or(ends, |last| last.max(ends)));
                        }
                    }
                    mask.set(
                        place,
                        match last {
                            Some(nanos) => leaf.truth(&Datum::Duration(nanos.max(0))),
                            None => Truth::Maybe,
                        },
                    );
                }
            }
            B::TraceSpanCount => {
                for (place, bound) in starts.windows(2).enumerate() {
                    mask.set(
                        place,
                        leaf.truth(&Datum::Int(i64::from(bound[1] - bound[0]))),
                    );
                }
            }
            B::TraceErrorCount => {
                let codes = self.reader.status_codes()?;
                for (place, bound) in starts.windows(2).enumerate() {
                    let mut errors = 0;
                    codes.for_each(bound[0] as usize, bound[1] as usize, |_, code| {
                        errors += i64::from(code == 2);
                    });
                    mask.set(place, leaf.truth(&Datum::Int(errors)));
                }
            }
            B::TraceRootName | B::TraceName => self.root_names(builtin, leaf, &mut mask)?,
            B::TraceStatus | B::TraceState => self.states(builtin, leaf, &mut mask)?,
            _ => return Ok(None),
        }
        Ok(Some(mask))
    }

    fn root_names(&self, builtin: Builtin, leaf: &Leaf<'_, '_>, mask: &mut Mask) -> Read<()> {
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
            mask.set(place, leaf.truth(&name));
        }
        Ok(())
    }

    fn states(&self, builtin: Builtin, leaf: &Leaf<'_, '_>, mask: &mut Mask) -> Read<()> {
        use spanlite_model::TraceState as S;
        let set = self.reader.trace_states()?;
        let codes = self.reader.status_codes()?;
        let open = self.reader.open_spans()?;
        let starts = self.span_starts()?.to_vec();
        for (place, bound) in starts.windows(2).enumerate() {
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
            mask.set(
                place,
                state.map_or(Truth::Maybe, |state| {
                    leaf.truth(&Datum::text(state.as_str()))
                }),
            );
        }
        Ok(())
    }
}
