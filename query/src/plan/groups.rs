//! `by` and aggregates over the spans that columns are sure of.

use std::ops::Range;

use spanlite_store::block::BlockError;

use super::block::{Block, Flow};
use super::fields::Fields;
use super::mask::Rows;
use crate::eval::{At, Datum, fold, is_one_group};
use crate::resolve::{Aggregated, Node};
use crate::syntax::ast::{AggregateFn, BinaryOp};

type Read<T> = Result<T, BlockError>;

/// The group of every span, counted from 1 within its trace; 0 is that of no span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Groups(Vec<u32>);

impl Groups {
    fn of(&self, row: usize) -> u32 {
        self.0.get(row).copied().unwrap_or(0)
    }
}

impl Block<'_> {
    /// Splits the spans of every trace by the value of an expression, and by the groups they are
    /// in already.
    pub(super) fn split(&self, of: &Node, flow: Flow) -> Read<Flow> {
        let Some(fields) = Fields::of(self, &mut [of].into_iter())? else {
            return Ok(flow.unsure());
        };
        let values = &fields;
        let mut groups = vec![0; self.reader.n_spans()];
        let mut known: Vec<(u32, Datum<'_>)> = Vec::new();
        let mut flow = flow;
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            let range = bound[0] as usize..bound[1] as usize;
            if !flow.holds.maybe.contains(place) {
                continue;
            }
            if !flow.is_sure_in(place, range.clone()) {
                flow.doubt(place, range);
                continue;
            }
            known.clear();
            for row in flow.spans.maybe.iter_in(range.clone()) {
                let value = of.value(At::row(self.nowhere, &values, row));
                let before = flow.groups.as_ref().map_or(0, |groups| groups.of(row));
                let group = known
                    .iter()
                    .position(|(other, known)| *other == before && is_one_group(known, &value));
                let group = group.unwrap_or_else(|| {
                    known.push((before, value));
                    known.len() - 1
                });
                if let Some(slot) = groups.get_mut(row) {
                    *slot = group as u32 + 1;
                }
            }
            if fields.take_unknown() {
                flow.doubt(place, range);
            }
        }
        flow.groups = Some(Groups(groups));
        Ok(flow)
    }

    /// Keeps the groups whose aggregate fits; without `by` the spans of a trace are one.
    pub(super) fn aggregated(
        &self,
        aggregate: &Aggregated,
        op: BinaryOp,
        limit: &Datum<'_>,
        flow: Flow,
    ) -> Read<Flow> {
        let Some(fields) = Fields::of(self, &mut aggregate.argument.iter())? else {
            return Ok(flow.unsure());
        };
        let mut flow = flow;
        let values = &fields;
        let mut members: Vec<(u32, Vec<usize>)> = Vec::new();
        for (place, bound) in self.span_starts()?.windows(2).enumerate() {
            let range = bound[0] as usize..bound[1] as usize;
            if !flow.holds.maybe.contains(place) {
                continue;
            }
            if !flow.is_sure_in(place, range.clone()) {
                let never = aggregate.function == AggregateFn::Count
                    && !flow.may_count(op, limit, range.clone());
                if never {
                    flow.holds.remove(place);
                }
                flow.doubt(place, range);
                continue;
            }
            members.clear();
            for row in flow.spans.maybe.iter_in(range.clone()) {
                let group = flow.groups.as_ref().map_or(0, |groups| groups.of(row));
                match members.iter_mut().find(|(known, _)| *known == group) {
                    Some((_, rows)) => rows.push(row),
                    None => members.push((group, vec![row])),
                }
            }
            let mut any_fits = false;
            let mut dropped: Vec<usize> = Vec::new();
            for (_, rows) in members.drain(..) {
                let value = match &aggregate.argument {
                    None => Some(Datum::Int(rows.len() as i64)),
                    Some(argument) => fold(
                        aggregate.function,
                        &mut rows
                            .iter()
                            .map(|row| argument.value(At::row(self.nowhere, &values, *row))),
                    ),
                };
                if value.is_some_and(|value| value.compare(op, limit)) {
                    any_fits = true;
                } else {
                    dropped.extend(rows);
                }
            }
            if fields.take_unknown() {
                flow.doubt(place, range);
                continue;
            }
            for row in dropped {
                flow.spans.remove(row);
            }
            if !any_fits {
                flow.holds.remove(place);
            }
        }
        Ok(flow)
    }
}

impl Flow {
    /// Whether columns have told all of a trace, and it has spans here.
    fn is_sure_in(&self, place: usize, range: Range<usize>) -> bool {
        self.holds.sure.contains(place)
            && self.spans.maybe.any_in(range.clone())
            && self.spans.is_exact_in(range)
    }

    /// Whether the count of spans may fit where it is not sure which spans there are.
    fn may_count(&self, op: BinaryOp, limit: &Datum<'_>, range: Range<usize>) -> bool {
        let least = self.spans.sure.count_in(range.clone());
        let most = self.spans.maybe.count_in(range);
        self.groups.is_some()
            || most == 0
            || (least..=most).any(|count| Datum::Int(count as i64).compare(op, limit))
    }

    /// Leaves a trace to be looked at whole.
    fn doubt(&mut self, place: usize, range: Range<usize>) {
        self.holds.sure.remove(place);
        for row in range {
            self.spans.sure.remove(row);
        }
    }
}

impl Flow {
    /// Nothing is sure of any trace any more. Spans may have been put into groups.
    pub(super) fn unsure(mut self) -> Self {
        self.spans.sure = Rows::none(self.spans.len());
        self.holds.sure = Rows::none(self.holds.len());
        self.groups = Some(Groups::default());
        self
    }
}
