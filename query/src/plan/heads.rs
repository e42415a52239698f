//! Headers of traces out of the columns of a block.

use spanlite_model::{TraceId, TraceState};
use spanlite_store::block::BlockError;

use super::block::Block;
use crate::eval::Datum;
use crate::header::TraceHeader;
use crate::syntax::field::Builtin;

/// What is shown of every trace of a block; nothing where columns do not tell.
pub(super) struct Heads {
    names: Vec<Option<Name>>,
    starts: Vec<Option<u64>>,
    durations: Vec<Option<u64>>,
    states: Vec<Option<TraceState>>,
    n_spans: Vec<u32>,
    n_errors: Vec<u32>,
}

/// The name of a trace, if it has one.
struct Name(Option<Box<str>>);

impl Heads {
    pub(super) fn header(&self, place: usize, trace_id: TraceId) -> Option<TraceHeader> {
        Some(TraceHeader {
            trace_id,
            name: self.names.get(place)?.as_ref()?.0.clone(),
            start_time_unix_nano: (*self.starts.get(place)?)?,
            duration_nanos: (*self.durations.get(place)?)?,
            state: (*self.states.get(place)?)?,
            n_spans: *self.n_spans.get(place)?,
            n_errors: *self.n_errors.get(place)?,
        })
    }
}

impl Block<'_> {
    pub(super) fn heads(&self) -> Result<Heads, BlockError> {
        let mut heads = Heads {
            names: Vec::new(),
            starts: Vec::new(),
            durations: Vec::new(),
            states: Vec::new(),
            n_spans: Vec::new(),
            n_errors: Vec::new(),
        };
        self.each_trace_value(Builtin::TraceName, &mut |_, name| {
            heads.names.push(match name {
                Some(Datum::Text(name)) => Some(Name(Some(name.into()))),
                Some(Datum::Nil) => Some(Name(None)),
                _ => None,
            });
        })?;
        let whole = |value: Option<Datum<'_>>| match value {
            Some(Datum::Time(number) | Datum::Duration(number) | Datum::Int(number)) => {
                Some(number as u64)
            }
            _ => None,
        };
        self.each_trace_value(Builtin::TraceStart, &mut |_, start| {
            heads.starts.push(whole(start));
        })?;
        self.each_trace_value(Builtin::TraceDuration, &mut |_, nanos| {
            heads.durations.push(whole(nanos));
        })?;
        self.each_trace_value(Builtin::TraceState, &mut |_, state| {
            heads.states.push(match state {
                Some(Datum::Text(state)) => TraceState::ALL
                    .into_iter()
                    .find(|known| known.as_str() == state),
                _ => None,
            });
        })?;
        self.each_trace_value(Builtin::TraceSpanCount, &mut |_, count| {
            heads.n_spans.push(whole(count).unwrap_or(0) as u32);
        })?;
        self.each_trace_value(Builtin::TraceErrorCount, &mut |_, count| {
            heads.n_errors.push(whole(count).unwrap_or(0) as u32);
        })?;
        Ok(heads)
    }
}
