use std::collections::HashMap;

use spanlite_model::{SpanId, TraceId, TraceInfo, TraceUpdate};
use uuid::Uuid;

use crate::block::BlockInput;
use crate::record::{Origin, RecordError, RecordRef, SpanRef};
use crate::segment::facts::Changes;
use crate::snapshot::Assembly;

/// Traces of so many spans are searched from end to end: that is quicker than to keep a map.
const FEW_SPANS: usize = 16;

/// A trace on its way into a block: what was found of it, in the order it was stored. Spans of
/// records stay where they are, and only their heads are read.
#[derive(Clone)]
pub(super) struct Gathered<'a> {
    trace_id: TraceId,
    spans: Vec<(Part<'a>, Option<Uuid>)>,
    /// The places of the spans, once there are more than a few.
    places: HashMap<SpanId, usize>,
    updates: Vec<TraceUpdate>,
    has_writer: bool,
}

/// A span.
#[derive(Clone)]
enum Part<'a> {
    Record(SpanRef<'a>, &'a Origin),
    Span(Box<spanlite_model::Span>),
}

impl Part<'_> {
    fn span_id(&self) -> SpanId {
        match self {
            Self::Record(span, _) => span.span_id(),
            Self::Span(span) => span.span_id,
        }
    }

    fn is_root(&self) -> bool {
        match self {
            Self::Record(span, _) => span.parent_span_id().is_none(),
            Self::Span(span) => span.parent_span_id.is_none(),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Record(span, _) => span.end_time_unix_nano().is_some(),
            Self::Span(span) => span.end_time_unix_nano.is_some(),
        }
    }

    fn start_unix_nano(&self) -> u64 {
        match self {
            Self::Record(span, _) => span.start_time_unix_nano(),
            Self::Span(span) => span.start_time_unix_nano,
        }
    }
}

impl From<Assembly> for Gathered<'_> {
    fn from(assembly: Assembly) -> Self {
        let mut gathered = Self::new(assembly.trace_id());
        let (spans, updates, has_writer) = assembly.into_parts();
        for (span, writer) in spans {
            gathered.add_span(Part::Span(Box::new(span)), writer);
        }
        gathered.updates = updates;
        gathered.has_writer = has_writer;
        gathered
    }
}

impl<'a> Gathered<'a> {
    pub(super) fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            spans: Vec::new(),
            places: HashMap::new(),
            updates: Vec::new(),
            has_writer: false,
        }
    }

    pub(super) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.updates.is_empty()
    }

    pub(super) fn n_spans(&self) -> usize {
        self.spans.len()
    }

    /// Adds a record that came through `writer`'s journal; imported ones have no writer. A change
    /// of a later version is left out.
    pub(super) fn add(
        &mut self,
        record: RecordRef<'a>,
        origin: &'a Origin,
        writer: Option<Uuid>,
    ) -> Result<(), RecordError> {
        match record {
            RecordRef::Span(span) => self.add_span(Part::Record(span, origin), writer),
            RecordRef::Update(update) => self.updates.extend(update.to_update()?),
        }
        self.has_writer |= writer.is_some();
        Ok(())
    }

    /// Of two forms of one span the later counts, unless it is open and the earlier has ended.
    fn add_span(&mut self, span: Part<'a>, writer: Option<Uuid>) {
        let span_id = span.span_id();
        let known = if self.spans.len() <= FEW_SPANS {
            let mut spans = self.spans.iter();
            spans.position(|(known, _)| known.span_id() == span_id)
        } else {
            if self.places.is_empty() {
                let spans = self.spans.iter().enumerate();
                let places = spans.map(|(place, (known, _))| (known.span_id(), place));
                self.places = places.collect();
            }
            self.places.get(&span_id).copied()
        };
        if let Some(place) = known {
            let old = &mut self.spans[place];
            if span.has_ended() || !old.0.has_ended() {
                *old = (span, writer);
            }
            return;
        }
        if !self.places.is_empty() {
            self.places.insert(span_id, self.spans.len());
        }
        self.spans.push((span, writer));
    }

    pub(super) fn add_update(&mut self, update: TraceUpdate) {
        self.updates.push(update);
    }

    /// The writers of spans that are open.
    pub(super) fn open_writers(&self) -> impl Iterator<Item = Uuid> + '_ {
        let open = self.spans.iter().filter(|(span, _)| !span.has_ended());
        open.filter_map(|(_, writer)| *writer)
    }

    /// Whether a span without a parent has ended.
    pub(super) fn has_ended_root(&self) -> bool {
        let mut spans = self.spans.iter();
        spans.any(|(span, _)| span.is_root() && span.has_ended())
    }

    /// Whether nothing came through a journal.
    pub(super) fn is_imported(&self) -> bool {
        !self.has_writer
    }

    /// The first start of a span or time of a change.
    pub(super) fn first_time_unix_nano(&self) -> u64 {
        let spans = self.spans.iter().map(|(span, _)| span.start_unix_nano());
        let updates = self.updates.iter().map(|update| update.time_unix_nano);
        spans.chain(updates).min().unwrap_or(0)
    }

    /// Adds the spans to a block. Returns how many records are none.
    pub(super) fn put_spans<'i>(&'i self, input: &mut BlockInput<'i>) -> u64 {
        let mut refused = 0;
        for (part, _) in &self.spans {
            match part {
                Part::Record(span, origin) => {
                    refused += u64::from(input.push_record(*span, origin).is_err());
                }
                Part::Span(span) => input.push_span(span),
            }
        }
        refused
    }

    /// What belongs to the whole trace, and how it came to that.
    pub(super) fn info(&self) -> (TraceInfo, Changes) {
        Changes::of(&self.updates)
    }
}
