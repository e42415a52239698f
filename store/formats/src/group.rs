use std::collections::HashMap;

use spanlite_model::{Span, Trace, TraceId};

/// Spans, put together by trace, both in the order they came.
#[derive(Default)]
pub(crate) struct ByTrace {
    traces: Vec<Trace>,
    places: HashMap<TraceId, usize>,
}

impl ByTrace {
    pub(crate) fn push(&mut self, span: Span) {
        // The spans of a trace mostly come one after another.
        if let Some(last) = self.traces.last_mut()
            && last.trace_id == span.trace_id
        {
            last.spans.push(span);
            return;
        }
        let next = self.traces.len();
        let place = *self.places.entry(span.trace_id).or_insert(next);
        if let Some(trace) = self.traces.get_mut(place) {
            trace.spans.push(span);
            return;
        }
        // Many a trace has one span, and room for four is the least that a list takes by itself.
        let mut spans = Vec::with_capacity(1);
        let trace_id = span.trace_id;
        spans.push(span);
        self.traces.push(Trace::new(trace_id, spans));
    }

    pub(crate) fn into_traces(self) -> Vec<Trace> {
        self.traces
    }
}
