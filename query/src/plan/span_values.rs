//! Built-ins of spans that stand in no column as they are, worked out span by span.

use spanlite_model::SpanId;
use spanlite_store::block::{BlockError, Structure};

use super::block::Block;
use crate::eval::Datum;
use crate::syntax::field::Builtin;

type Read<T> = Result<T, BlockError>;

impl Block<'_> {
    /// Calls `each` with the value of every span; nothing where columns do not tell. Returns
    /// whether columns have the built-in.
    pub(super) fn each_span_value(
        &self,
        builtin: Builtin,
        each: &mut dyn FnMut(usize, Option<Datum<'static>>),
    ) -> Read<bool> {
        use Builtin as B;
        match builtin {
            B::SpanStart => {
                for (row, start) in self.reader.start_times()?.into_iter().enumerate() {
                    each(row, Some(Datum::time(start)));
                }
            }
            B::SpanEnd => {
                let starts = self.reader.start_times()?;
                let durations = self.reader.durations()?;
                let open = self.reader.open_spans()?;
                durations.for_each(0, durations.len(), |row, nanos| {
                    let end = if open.binary_search(&(row as u32)).is_ok() {
                        Datum::Nil
                    } else {
                        let start = starts.get(row).copied().unwrap_or(0);
                        Datum::time(start.wrapping_add(nanos as u64))
                    };
                    each(row, Some(end));
                });
            }
            B::SpanDepth => {
                for (row, depth) in self.structure()?.depths.iter().enumerate() {
                    each(row, Some(Datum::Int(i64::from(*depth))));
                }
            }
            B::SpanId => {
                for (row, id) in self.reader.span_ids()?.iter().enumerate() {
                    let id = SpanId::from_bytes(*id).to_string();
                    each(row, Some(Datum::Text(id.into())));
                }
            }
            B::SpanParentId => {
                let ids = self.reader.span_ids()?;
                let structure = self.structure()?;
                for (row, parent) in structure.parents.iter().enumerate() {
                    let id = ids.get(*parent as usize);
                    let id = id.map(|id| SpanId::from_bytes(*id).to_string());
                    // The name of a parent that is missing stands elsewhere.
                    let is_orphan = structure.orphans.binary_search(&(row as u32)).is_ok();
                    let id = (!is_orphan).then(|| Datum::Text(id.unwrap_or_default().into()));
                    each(row, id);
                }
            }
            B::SpanChildCount => self.child_counts(each)?,
            B::NestedSetLeft | B::NestedSetRight | B::NestedSetParent => {
                self.nested_sets(builtin, each)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn child_counts(&self, each: &mut dyn FnMut(usize, Option<Datum<'static>>)) -> Read<()> {
        let structure = self.structure()?;
        let mut counts = vec![0_i64; structure.parents.len()];
        for parent in &structure.parents {
            if let Some(count) = counts.get_mut(*parent as usize) {
                *count += 1;
            }
        }
        for bound in structure.span_starts.windows(2) {
            // A span of a broken circle names a parent that the tree does not give it.
            let orphans = structure.orphans.partition_point(|row| *row < bound[0])
                ..structure.orphans.partition_point(|row| *row < bound[1]);
            for row in bound[0] as usize..bound[1] as usize {
                let count = counts.get(row).copied().unwrap_or(0);
                each(row, orphans.is_empty().then_some(Datum::Int(count)));
            }
        }
        Ok(())
    }

    /// TraceQL's numbers: given on entering and on leaving a span, 0 below a missing parent.
    fn nested_sets(
        &self,
        builtin: Builtin,
        each: &mut dyn FnMut(usize, Option<Datum<'static>>),
    ) -> Read<()> {
        let structure = self.structure()?;
        let mut lefts = vec![0_i64; structure.parents.len()];
        for bound in structure.span_starts.windows(2) {
            let mut before = 0;
            let mut loose_until = 0;
            for row in bound[0]..bound[1] {
                let at = row as usize;
                let parent = structure.parents.get(at).copied();
                let parent = parent.filter(|parent| *parent != Structure::NO_PARENT);
                if parent.is_none() && structure.orphans.binary_search(&row).is_ok() {
                    loose_until = structure.ends.get(at).copied().unwrap_or(row + 1);
                }
                if row < loose_until {
                    each(at, Some(Datum::Int(0)));
                    continue;
                }
                let depth = structure.depths.get(at).copied().unwrap_or(0);
                let end = structure.ends.get(at).copied().unwrap_or(row + 1);
                let left = 1 + 2 * before - i64::from(depth);
                if let Some(known) = lefts.get_mut(at) {
                    *known = left;
                }
                before += 1;
                let above = parent.and_then(|parent| lefts.get(parent as usize));
                each(
                    at,
                    Some(Datum::Int(match builtin {
                        Builtin::NestedSetLeft => left,
                        Builtin::NestedSetRight => left + 2 * i64::from(end - row) - 1,
                        _ => above.copied().unwrap_or(-1),
                    })),
                );
            }
        }
        Ok(())
    }
}
