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
    /// Something of the trace is stored, be it a block in which nothing is left of its changes.
    is_stored: bool,
    /// The spans that are asked for, if not all of them.
    wanted: Option<HashSet<SpanId>>,
}

impl Assembly {
    pub(crate) fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            spans: Vec::new(),
            numbers: HashMap::new(),
            updates: Vec::new(),
            has_writer: false,
            is_stored: false,
            wanted: None,
        }
    }

    /// The same with the changes and some of the spans only: what else there is of a trace, which
    /// may be long, is not read.
    pub(super) fn of_spans(trace_id: TraceId, wanted: HashSet<SpanId>) -> Self {
        Self {
            wanted: Some(wanted),
            ..Self::new(trace_id)
        }
    }

    /// Whether a span is asked for.
    pub(super) fn wants(&self, span_id: SpanId) -> bool {
        let mut wanted = self.wanted.iter();
        wanted.all(|wanted| wanted.contains(&span_id))
    }

    /// Whether only some spans are asked for.
    pub(super) fn is_partial(&self) -> bool {
        self.wanted.is_some()
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_stored
    }

    /// Notes that something of the trace is stored.
    pub(super) fn found(&mut self) {
        self.is_stored = true;
    }

    /// Adds a record that came through `writer`'s journal; imported ones have no writer.
    pub(crate) fn add(&mut self, record: Record, writer: Option<Uuid>) {
        self.has_writer |= writer.is_some();
        self.found();
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
