use std::borrow::Cow;
use std::ops::Range;

use spanlite_model::{
    Attributes, Derived, Resource, Scope, Span, SpanId, SpanKind, StatusCode, Trace, TraceId,
    TraceInfo,
};

use super::super::shared::{SharedParts, encode_resource, encode_scope};
use crate::record::{
    AttributesRef, FieldRef, FlatValue, Origin, RecordError, SpanRef, read_resource, read_scope,
};

/// What goes into a block: traces and their spans, whose texts stay where they are.
#[derive(Debug, Default)]
pub(crate) struct BlockInput<'a> {
    pub(super) traces: Vec<TraceInput<'a>>,
    pub(super) spans: Vec<SpanInput<'a>>,
    pub(super) events: Vec<EventInput<'a>>,
    pub(super) links: Vec<LinkInput<'a>>,
    /// Attributes of spans, one span after another.
    pub(super) attributes: Vec<(&'a str, FlatValue<'a>)>,
    /// Attributes of events and links.
    pub(super) inner_attributes: Vec<(&'a str, FlatValue<'a>)>,
    pub(super) resources: SharedParts<'a, Resource>,
    pub(super) scopes: SharedParts<'a, Scope>,
}

#[derive(Debug)]
pub(super) struct TraceInput<'a> {
    pub(super) trace_id: TraceId,
    pub(super) info: Cow<'a, TraceInfo>,
    pub(super) spans: Range<usize>,
}

/// A span. The ranges are places in the lists of the block.
#[derive(Debug)]
pub(super) struct SpanInput<'a> {
    pub(super) span_id: SpanId,
    pub(super) parent_span_id: Option<SpanId>,
    pub(super) name: &'a str,
    pub(super) span_type: &'a str,
    pub(super) kind: SpanKind,
    pub(super) status_code: StatusCode,
    pub(super) status_message: &'a str,
    pub(super) start_time_unix_nano: u64,
    pub(super) end_time_unix_nano: Option<u64>,
    pub(super) inputs: Option<Cow<'a, str>>,
    pub(super) outputs: Option<Cow<'a, str>>,
    pub(super) derived: Derived,
    pub(super) trace_state: &'a str,
    pub(super) flags: u32,
    /// How many attributes, events and links were dropped before they came here.
    pub(super) dropped: [u32; 3],
    /// The number of its resource, and of its scope.
    pub(super) resource: Option<u32>,
    pub(super) scope: Option<u32>,
    pub(super) attributes: Range<usize>,
    pub(super) events: Range<usize>,
    pub(super) links: Range<usize>,
}

#[derive(Debug)]
pub(super) struct EventInput<'a> {
    pub(super) name: &'a str,
    pub(super) time_unix_nano: u64,
    pub(super) dropped: u32,
    pub(super) attributes: Range<usize>,
}

#[derive(Debug)]
pub(super) struct LinkInput<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: u32,
    pub(super) dropped: u32,
    pub(super) trace_state: &'a str,
    pub(super) attributes: Range<usize>,
}

impl<'a> BlockInput<'a> {
    pub(crate) fn of(traces: &'a [Trace]) -> Self {
        let mut input = Self::default();
        for trace in traces {
            input.begin_trace(trace.trace_id, Cow::Borrowed(&trace.info));
            for span in &trace.spans {
                input.push_span(span);
            }
        }
        input
    }

    /// Begins a trace, to which the spans belong that are added next.
    pub(crate) fn begin_trace(&mut self, trace_id: TraceId, info: Cow<'a, TraceInfo>) {
        self.traces.push(TraceInput {
            trace_id,
            info,
            spans: self.spans.len()..self.spans.len(),
        });
    }

    pub(crate) fn push_span(&mut self, span: &'a Span) {
        let mut input = self.begin();
        input.span_id = span.span_id;
        input.parent_span_id = span.parent_span_id;
        input.name = &span.name;
        input.span_type = span.span_type.as_str();
        input.kind = span.kind;
        input.status_code = span.status.code;
        input.status_message = &span.status.message;
        input.start_time_unix_nano = span.start_time_unix_nano;
        input.end_time_unix_nano = span.end_time_unix_nano;
        let text = |json: &'a spanlite_model::Json| Cow::Borrowed(json.as_text());
        input.inputs = span.inputs.as_ref().map(text);
        input.outputs = span.outputs.as_ref().map(text);
        input.derived = span.derived;
        input.trace_state = &span.trace_state;
        input.flags = span.flags;
        input.dropped = [
            span.dropped_attributes_count,
            span.dropped_events_count,
            span.dropped_links_count,
        ];
        input.resource = Some(self.resources.number(&span.resource, encode_resource));
        input.scope = Some(self.scopes.number(&span.scope, encode_scope));
        self.attributes.extend(flat(&span.attributes));
        for event in &span.events {
            let attributes = self.put_inner(&event.attributes);
            self.events.push(EventInput {
                name: &event.name,
                time_unix_nano: event.time_unix_nano,
                dropped: event.dropped_attributes_count,
                attributes,
            });
        }
        for link in &span.links {
            let attributes = self.put_inner(&link.attributes);
            self.links.push(LinkInput {
                trace_id: link.trace_id,
                span_id: link.span_id,
                flags: link.flags,
                dropped: link.dropped_attributes_count,
                trace_state: &link.trace_state,
                attributes,
            });
        }
        self.end(input);
    }

    /// Adds the span of a record. What it says nothing of comes from `origin`. A record that does
    /// not decode changes nothing.
    pub(crate) fn push_record(
        &mut self,
        span: SpanRef<'a>,
        origin: &Origin,
    ) -> Result<(), RecordError> {
        let mut input = self.begin();
        input.span_id = span.span_id();
        input.parent_span_id = span.parent_span_id();
        input.kind = span.kind();
        input.status_code = span.status_code();
        input.start_time_unix_nano = span.start_time_unix_nano();
        input.end_time_unix_nano = span.end_time_unix_nano();
        input.derived = span.derived();
        input.flags = span.flags();
        let read = self.read_fields(span, &mut input);
        if read.is_ok() {
            let (resources, scopes) = (&mut self.resources, &mut self.scopes);
            input.resource = input
                .resource
                .or_else(|| Some(resources.number(&origin.resource, encode_resource)));
            input.scope = input
                .scope
                .or_else(|| Some(scopes.number(&origin.scope, encode_scope)));
            self.end(input);
        } else {
            self.attributes.truncate(input.attributes.start);
            self.events.truncate(input.events.start);
            self.links.truncate(input.links.start);
        }
        read
    }

    fn read_fields(
        &mut self,
        span: SpanRef<'a>,
        input: &mut SpanInput<'a>,
    ) -> Result<(), RecordError> {
        for field in span.fields() {
            match field? {
                FieldRef::Name(text) => input.name = text,
                FieldRef::SpanType(text) => input.span_type = text,
                FieldRef::StatusMessage(text) => input.status_message = text,
                FieldRef::Attribute {
                    key,
                    value,
                    replaces,
                } => {
                    let value = value.to_flat()?;
                    let mut earlier = self.attributes[input.attributes.start..].iter_mut();
                    match earlier.find(|(known, _)| replaces && *known == key) {
                        Some((_, old)) => *old = value,
                        None => self.attributes.push((key, value)),
                    }
                }
                FieldRef::Inputs(value) => input.inputs = Some(value.json_text()?),
                FieldRef::Outputs(value) => input.outputs = Some(value.json_text()?),
                FieldRef::Event(event) => {
                    let attributes = self.read_inner(event.attributes)?;
                    self.events.push(EventInput {
                        name: event.name,
                        time_unix_nano: event.time_unix_nano,
                        dropped: event.dropped_attributes_count,
                        attributes,
                    });
                }
                FieldRef::Link(link) => {
                    let attributes = self.read_inner(link.attributes)?;
                    self.links.push(LinkInput {
                        trace_id: link.trace_id,
                        span_id: link.span_id,
                        flags: link.flags,
                        dropped: link.dropped_attributes_count,
                        trace_state: link.trace_state,
                        attributes,
                    });
                }
                FieldRef::TraceState(text) => input.trace_state = text,
                FieldRef::Dropped(dropped) => input.dropped = dropped,
                FieldRef::Resource(bytes) => {
                    let resources = &mut self.resources;
                    let number =
                        resources.number_of(bytes, || read_resource(bytes), encode_resource)?;
                    input.resource = Some(number);
                }
                FieldRef::Scope(bytes) => {
                    let scopes = &mut self.scopes;
                    let number = scopes.number_of(bytes, || read_scope(bytes), encode_scope)?;
                    input.scope = Some(number);
                }
                FieldRef::Unknown(_) => {}
            }
        }
        Ok(())
    }

    /// A span of which nothing is known.
    fn begin(&self) -> SpanInput<'a> {
        let none = |length| length..length;
        SpanInput {
            span_id: SpanId::default(),
            parent_span_id: None,
            name: "",
            span_type: spanlite_model::SpanType::Unknown.as_str(),
            kind: SpanKind::default(),
            status_code: StatusCode::default(),
            status_message: "",
            start_time_unix_nano: 0,
            end_time_unix_nano: None,
            inputs: None,
            outputs: None,
            derived: Derived::default(),
            trace_state: "",
            flags: 0,
            dropped: [0; 3],
            resource: None,
            scope: None,
            attributes: none(self.attributes.len()),
            events: none(self.events.len()),
            links: none(self.links.len()),
        }
    }

    fn end(&mut self, mut input: SpanInput<'a>) {
        input.attributes.end = self.attributes.len();
        input.events.end = self.events.len();
        input.links.end = self.links.len();
        self.spans.push(input);
        if let Some(trace) = self.traces.last_mut() {
            trace.spans.end = self.spans.len();
        }
    }

    fn put_inner(&mut self, attributes: &'a Attributes) -> Range<usize> {
        let start = self.inner_attributes.len();
        self.inner_attributes.extend(flat(attributes));
        start..self.inner_attributes.len()
    }

    fn read_inner(&mut self, attributes: AttributesRef<'a>) -> Result<Range<usize>, RecordError> {
        let start = self.inner_attributes.len();
        for attribute in attributes {
            let (key, value) = attribute?;
            self.inner_attributes.push((key, value.to_flat()?));
        }
        Ok(start..self.inner_attributes.len())
    }

    /// The ids of the traces.
    pub(crate) fn trace_ids(&self) -> impl ExactSizeIterator<Item = TraceId> + '_ {
        self.traces.iter().map(|trace| trace.trace_id)
    }

    /// How many spans there are.
    pub(crate) fn n_spans(&self) -> usize {
        self.spans.len()
    }

    /// Whether a trace is pinned.
    pub(crate) fn has_pins(&self) -> bool {
        self.traces.iter().any(|trace| trace.info.pinned)
    }

    /// When the trace that was added last began; nothing if that is not known.
    pub(crate) fn last_start_unix_nano(&self) -> Option<u64> {
        let trace = self.traces.last()?;
        let spans = self.spans_of(trace).iter();
        let start = spans.map(|span| span.start_time_unix_nano).min();
        start.or(trace.info.request_time_unix_nano)
    }

    pub(super) fn spans_of(&self, trace: &TraceInput<'a>) -> &[SpanInput<'a>] {
        self.spans.get(trace.spans.clone()).unwrap_or_default()
    }
}

fn flat(attributes: &Attributes) -> impl Iterator<Item = (&str, FlatValue<'_>)> {
    let attributes = attributes.iter();
    attributes.map(|(key, value)| (key, FlatValue::from(value)))
}

impl SpanInput<'_> {
    /// As [`Span::duration_nanos`].
    pub(super) fn duration_nanos(&self) -> Option<u64> {
        let end = self.end_time_unix_nano?;
        Some(end.saturating_sub(self.start_time_unix_nano))
    }
}
