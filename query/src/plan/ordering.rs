//! What traces are ordered by, out of the columns of a block.

use spanlite_store::block::BlockError;

use super::block::{Block, Flow};
use super::fields::Fields;
use crate::eval::{At, Datum, fold};
use crate::order::{SortKey, best};
use crate::resolve::{Key, KeyValue, Node};

/// The keys of the traces of a block.
pub(super) struct Ordering<'b, 'k> {
    block: &'b Block<'b>,
    fields: Fields<'b>,
    keys: &'k [Key],
}

impl<'b, 'k> Ordering<'b, 'k> {
    /// Nothing if columns do not have all that the keys are made of.
    pub(super) fn of(block: &'b Block<'b>, keys: &'k [Key]) -> Result<Option<Self>, BlockError> {
        let mut nodes = keys.iter().filter_map(|key| match &key.value {
            KeyValue::Field(node) => Some(node),
            KeyValue::Aggregate(aggregate) => aggregate.argument.as_ref(),
        });
        let fields = Fields::of(block, &mut nodes)?;
        Ok(fields.map(|fields| Self {
            block,
            fields,
            keys,
        }))
    }

    /// The keys of a trace that fits for sure; nothing where columns do not tell.
    pub(super) fn keys(
        &self,
        flow: &Flow,
        place: usize,
    ) -> Result<Option<Vec<SortKey>>, BlockError> {
        let starts = self.block.span_starts()?;
        let (Some(first), Some(end)) = (starts.get(place), starts.get(place + 1)) else {
            return Ok(None);
        };
        let range = *first as usize..*end as usize;
        if !flow.holds.sure.contains(place)
            || !flow.spans.is_exact_in(range.clone())
            || !flow.spans.maybe.any_in(range.clone())
        {
            return Ok(None);
        }
        let rows: Vec<usize> = flow.spans.maybe.iter_in(range).collect();
        let values = &self.fields;
        let value = |node: &'k Node| {
            rows.iter()
                .map(|row| node.value(At::row(self.block.nowhere, &values, *row)))
                .collect::<Vec<Datum<'_>>>()
        };
        let keys = self.keys.iter().map(|key| match &key.value {
            KeyValue::Field(node) => best(&mut value(node).into_iter(), key.descending),
            KeyValue::Aggregate(aggregate) => {
                let found = match &aggregate.argument {
                    None => Some(Datum::Int(rows.len() as i64)),
                    Some(node) => fold(aggregate.function, &mut value(node).into_iter()),
                };
                SortKey::of(&found.unwrap_or(Datum::Nil))
            }
        });
        let keys = keys.collect();
        Ok((!self.fields.take_unknown()).then_some(keys))
    }
}
