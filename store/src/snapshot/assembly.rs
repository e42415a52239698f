use std::collections::{HashMap, HashSet};

use spanlite_model::{Span, SpanId, Trace, TraceId, TraceState, TraceUpdate};
use uuid::Uuid;

use crate::record::{Origin, Record, encode_record};

/// A span with its writer, if it was not imported.
type SpanOf = (Span, Option<Uuid>);

/// A trace in the making: what was found of it, in the order it was stored.
#[derive(Debug, Clone)]
pub(crate) struct Assembly {
    trace_id: TraceId,
    spans: Vec<SpanOf>,
    numbers: HashMap<SpanId, usize>,
    updates: Vec<TraceUpdate>,
    has_writer: bool,
    /// A block holds the trace, be it that nothing is left of its changes.
    in_block: bool,
}

impl Assembly {
    pub(crate) fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            spans: Vec::new(),
            numbers: HashMap::new(),
            updates: Vec::new(),
            has_writer: false,
            in_block: false,
        }
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.updates.is_empty() && !self.in_block
    }

    /// Notes that a block holds the trace.
    pub(super) fn found_in_block(&mut self) {
        self.in_block = true;
    }

    /// Adds a record that came through `writer`'s journal; imported ones have no writer.
    pub(crate) fn add(&mut self, record: Record, writer: Option<Uuid>) {
        self.has_writer |= writer.is_some();
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

    pub(crate) fn add_updates(&mut self, updates: impl IntoIterator<Item = TraceUpdate>) {
        self.updates.extend(updates);
    }

    /// About how many bytes its spans have.
    pub(crate) fn weight(&self) -> usize {
        self.spans.iter().map(|(span, _)| span_weight(span)).sum()
    }

    /// The spans with their writers, the changes, and whether something came through a journal.
    pub(crate) fn into_parts(self) -> (Vec<SpanOf>, Vec<TraceUpdate>, bool) {
        (self.spans, self.updates, self.has_writer)
    }

    /// The spans and changes as they were stored; a change that several segments hold comes once.
    pub(super) fn into_stored(mut self) -> (Vec<Span>, Vec<TraceUpdate>) {
        let spans = self.spans.into_iter().map(|(span, _)| span).collect();
        let mut known = HashSet::new();
        self.updates.retain(|update| {
            let mut bytes = Vec::new();
            let record = Record::Update(update.clone());
            encode_record(&record, &Origin::default(), &mut bytes);
            known.insert(bytes)
        });
        (spans, self.updates)
    }

    /// The whole trace. `may_end` tells whether the writer of an open span, none if it was
    /// imported, can still end it.
    pub(crate) fn finish(mut self, may_end: impl Fn(Option<Uuid>) -> bool) -> Trace {
        let interrupted = self
            .spans
            .iter()
            .any(|(span, writer)| span.end_time_unix_nano.is_none() && !may_end(*writer));
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

/// About how many bytes a span has.
pub(crate) fn span_weight(span: &Span) -> usize {
    let texts = [&span.inputs, &span.outputs].into_iter().flatten();
    let texts: usize = texts.map(|text| text.as_text().len()).sum();
    let values = span
        .attributes
        .iter()
        .filter_map(|(_, value)| value.as_str());
    100 + texts + values.map(str::len).sum::<usize>()
}
