use std::collections::HashMap;

use spanlite_model::{Span, SpanId, Trace, TraceId, TraceState, TraceUpdate};
use uuid::Uuid;

use crate::record::Record;

/// A trace in the making: what was found of it, in the order it was stored.
#[derive(Debug)]
pub(super) struct Assembly {
    trace_id: TraceId,
    spans: Vec<(Span, Option<Uuid>)>,
    numbers: HashMap<SpanId, usize>,
    updates: Vec<TraceUpdate>,
}

impl Assembly {
    pub(super) fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            spans: Vec::new(),
            numbers: HashMap::new(),
            updates: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.updates.is_empty()
    }

    /// Adds a record that came through `writer`'s journal; imported ones have no writer.
    pub(super) fn add(&mut self, record: Record, writer: Option<Uuid>) {
        match record {
            Record::Span(span) => self.add_span(*span, writer),
            Record::Update(update) => self.updates.push(update),
        }
    }

    /// Of two forms of one span the later counts, unless it is open and the earlier has ended.
    fn add_span(&mut self, span: Span, writer: Option<Uuid>) {
        if let Some(&number) = self.numbers.get(&span.span_id) {
            let old = &mut self.spans[number];
            if span.end_time_unix_nano.is_some() || old.0.end_time_unix_nano.is_none() {
                *old = (span, writer);
            }
        } else {
            self.numbers.insert(span.span_id, self.spans.len());
            self.spans.push((span, writer));
        }
    }

    pub(super) fn add_updates(&mut self, updates: Vec<TraceUpdate>) {
        self.updates.extend(updates);
    }

    /// The spans and changes as they were stored.
    pub(super) fn into_stored(self) -> (Vec<Span>, Vec<TraceUpdate>) {
        let spans = self.spans.into_iter().map(|(span, _)| span).collect();
        (spans, self.updates)
    }

    /// The whole trace. `is_alive` tells whether a writer still runs.
    pub(super) fn finish(mut self, is_alive: impl Fn(Uuid) -> bool) -> Trace {
        let interrupted = self.spans.iter().any(|(span, writer)| {
            span.end_time_unix_nano.is_none() && writer.is_some_and(|writer| !is_alive(writer))
        });
        let spans = self.spans.into_iter().map(|(span, _)| span).collect();
        let mut trace = Trace::new(self.trace_id, spans);
        self.updates.sort_by_key(|update| update.time_unix_nano);
        for update in self.updates {
            trace.info.apply(update.change);
        }
        if interrupted && trace.info.state.is_none() {
            trace.info.state = Some(TraceState::Interrupted);
        }
        trace
    }
}
