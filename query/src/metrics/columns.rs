//! Metrics out of the columns of a block.

use spanlite_store::ReadError;
use spanlite_store::block::BlockError;

use super::accumulate::{Accumulator, Counted};
use crate::eval::{At, View};
use crate::plan::{Explain, Fields, Found, Search};
use crate::resolve::{Node, SeriesFn};
use crate::run::RunError;

impl Accumulator<'_> {
    /// What the traces of a block add.
    pub(super) fn of_block(self, search: &Search<'_>, number: usize) -> Result<Self, RunError> {
        let mut gathered = self;
        let mut failure: Option<ReadError> = None;
        search.in_block(number, &mut Explain::default(), |found| {
            // Columns may have failed half-way.
            gathered = gathered.empty();
            let whole = gathered.of_columns(found, search)?;
            for place in whole {
                match found.trace(place) {
                    Ok(Some(trace)) => gathered.add(&View::new(&trace, search.now_unix_nano)),
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
            Ok(())
        })?;
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(gathered),
        }
    }

    /// Adds what columns are sure of. Returns the places of the traces that have to be looked at
    /// whole.
    fn of_columns(
        &mut self,
        found: &Found<'_, '_>,
        search: &Search<'_>,
    ) -> Result<Vec<usize>, BlockError> {
        let Some(block) = &found.block else {
            return Ok(found.wanted.iter().collect());
        };
        let flow = block.run(&search.stages)?;
        let kept = flow.holds.maybe.clone().and(found.wanted);
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan();
        let of: Option<&Node> = match &plan.function {
            SeriesFn::Rate | SeriesFn::Count => None,
            SeriesFn::Over(_, of) | SeriesFn::Histogram(of) | SeriesFn::Quantile(of, _) => Some(of),
            // Every attribute of the spans is counted.
            SeriesFn::Compare { .. } => return Ok(kept.iter().collect()),
        };
        let labels = plan.by.iter().map(|(_, node)| node);
        let Some(fields) = Fields::of(block, &mut labels.chain(of))? else {
            return Ok(kept.iter().collect());
        };
        let values = &fields;
        let starts = block.reader.start_times()?;
        let bounds = block.span_starts()?;
        let mut whole = Vec::new();
        let mut counted: Vec<Counted<'_>> = Vec::new();
        for place in kept.iter() {
            let (Some(first), Some(end)) = (bounds.get(place), bounds.get(place + 1)) else {
                continue;
            };
            let range = *first as usize..*end as usize;
            if !flow.holds.sure.contains(place) || !flow.spans.is_exact_in(range.clone()) {
                whole.push(place);
                continue;
            }
            counted.clear();
            for row in flow.spans.maybe.iter_in(range) {
                let start = starts.get(row).copied().unwrap_or(0);
                if self.range().contains(start) {
                    let at = At::row(block.nowhere, &values, row);
                    counted.extend(self.counted(at, start));
                }
            }
            if fields.take_unknown() {
                whole.push(place);
            } else {
                counted.drain(..).for_each(|one| self.count(one));
            }
        }
        Ok(whole)
    }
}
