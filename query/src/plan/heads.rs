//! Headers of traces out of the columns of a block.

use spanlite_model::TraceId;
use spanlite_store::block::{BlockError, Ints};

use super::block::Block;
use super::trace_values::{Names, States, Times};
use crate::header::TraceHeader;

/// What is shown of the traces of a block.
pub(super) struct Heads<'b> {
    block: &'b Block<'b>,
    names: Names<'b>,
    times: Times<'b>,
    states: States<'b>,
    codes: Ints<'b>,
}

impl Heads<'_> {
    /// The header of the trace at a place; nothing where columns do not tell all of it.
    pub(super) fn header(
        &self,
        place: usize,
        trace_id: TraceId,
    ) -> Result<Option<TraceHeader>, BlockError> {
        let starts = self.block.span_starts()?;
        let (Some(first), Some(end)) = (starts.get(place), starts.get(place + 1)) else {
            return Ok(None);
        };
        let rows = *first as usize..*end as usize;
        let root = self.block.root(place)?;
        let (Some(nanos), Some(state)) = (
            self.times.last_end(rows.clone()),
            self.states.get(place, rows.clone(), root),
        ) else {
            return Ok(None);
        };
        let mut n_errors = 0;
        self.codes.for_each(rows.start, rows.end, |_, code| {
            n_errors += u32::from(code == 2);
        });
        Ok(Some(TraceHeader {
            trace_id,
            name: self.names.get(place, root.0)?.map(Into::into),
            start_time_unix_nano: self.times.start(place) as u64,
            duration_nanos: nanos.max(0) as u64,
            state,
            n_spans: rows.len() as u32,
            n_errors,
        }))
    }
}

impl Block<'_> {
    pub(super) fn heads(&self) -> Result<Heads<'_>, BlockError> {
        Ok(Heads {
            block: self,
            names: self.trace_names()?,
            times: self.times()?,
            states: self.states()?,
            codes: self.reader.status_codes()?,
        })
    }
}
