//! Reads records without copying them.

use std::sync::Arc;

use spanlite_model::{
    Attributes, Derived, Event, Link, Resource, Scope, Span, SpanId, SpanKind, SpanType,
    StatusCode, TraceChange, TraceId, TraceUpdate,
};

use super::RecordError;
use super::layout::{Reader, SPAN, SPAN_HEAD, UPDATE, UPDATE_HEAD, at, bit, field, utf8};
use super::update::read_change;
use super::value::{self, ValueRef};

/// The resource and the scope of a writer, which its records leave out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// What produced the spans.
    pub resource: Arc<Resource>,
    /// The library that recorded them.
    pub scope: Arc<Scope>,
}

/// A record whose head was read.
#[derive(Debug, Clone, Copy)]
pub enum RecordRef<'a> {
    /// A span, ended or open.
    Span(SpanRef<'a>),
    /// A change to a trace.
    Update(UpdateRef<'a>),
}

/// A span whose head was read.
#[derive(Debug, Clone, Copy)]
pub struct SpanRef<'a> {
    head: &'a [u8; SPAN_HEAD],
    fields: &'a [u8],
}

/// A change to a trace whose head was read.
#[derive(Debug, Clone, Copy)]
pub struct UpdateRef<'a> {
    head: &'a [u8; UPDATE_HEAD],
    fields: &'a [u8],
}

/// One field of a span.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FieldRef<'a> {
    /// The name.
    Name(&'a str),
    /// MLflow's role.
    SpanType(&'a str),
    /// The message of the status.
    StatusMessage(&'a str),
    /// An attribute.
    Attribute {
        /// Its key.
        key: &'a str,
        /// Its value.
        value: ValueRef<'a>,
        /// Whether it takes the place of an earlier attribute with its key.
        replaces: bool,
    },
    /// What went in.
    Inputs(ValueRef<'a>),
    /// What came out.
    Outputs(ValueRef<'a>),
    /// An event.
    Event(EventRef<'a>),
    /// A link.
    Link(LinkRef<'a>),
    /// The W3C trace state.
    TraceState(&'a str),
    /// How many attributes, events and links were dropped before they came here.
    Dropped([u32; 3]),
    /// The resource, where it is not the writer's; read by [`SpanRef::to_span`].
    Resource(&'a [u8]),
    /// The scope, where it is not the writer's; read by [`SpanRef::to_span`].
    Scope(&'a [u8]),
    /// A field of a newer version.
    Unknown(u8),
}

/// An event of a span.
#[derive(Debug, Clone)]
pub struct EventRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it happened, in Unix nanoseconds.
    pub time_unix_nano: u64,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// What was said of it.
    pub attributes: AttributesRef<'a>,
}

/// A link of a span.
#[derive(Debug, Clone)]
pub struct LinkRef<'a> {
    /// The trace pointed to.
    pub trace_id: TraceId,
    /// The span pointed to.
    pub span_id: SpanId,
    /// OTLP's flags.
    pub flags: u32,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// The W3C trace state of that span.
    pub trace_state: &'a str,
    /// What was said of it.
    pub attributes: AttributesRef<'a>,
}

/// Attributes of an event or a link, read one by one.
#[derive(Debug, Clone)]
pub struct AttributesRef<'a>(Reader<'a>);

impl<'a> Iterator for AttributesRef<'a> {
    type Item = Result<(&'a str, ValueRef<'a>), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = read_attribute(&mut self.0);
        if entry.is_err() {
            self.0 = Reader(&[]);
        }
        Some(entry)
    }
}

fn read_attribute<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, ValueRef<'a>), RecordError> {
    Ok((reader.text()?, value::take(reader)?))
}

fn read_attributes(attributes: AttributesRef<'_>) -> Result<Attributes, RecordError> {
    let mut read = Attributes::new();
    for attribute in attributes {
        let (key, value) = attribute?;
        read.push(key, value.to_value()?);
    }
    Ok(read)
}

impl<'a> RecordRef<'a> {
    /// Reads the head. What follows it is looked at when it is asked for.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match *bytes.first().ok_or(RecordError::CutOff)? {
            SPAN => {
                let (head, fields) = bytes.split_first_chunk().ok_or(RecordError::CutOff)?;
                let span = SpanRef { head, fields };
                span.checked_kind()?;
                span.checked_status()?;
                Ok(Self::Span(span))
            }
            UPDATE => {
                let (head, fields) = bytes.split_first_chunk().ok_or(RecordError::CutOff)?;
                Ok(Self::Update(UpdateRef { head, fields }))
            }
            found => Err(RecordError::UnknownRecord { found }),
        }
    }

    /// The trace the record belongs to.
    pub fn trace_id(self) -> TraceId {
        match self {
            Self::Span(span) => span.trace_id(),
            Self::Update(update) => update.trace_id(),
        }
    }
}

/// `N` bytes of a head; the ranges of [`at`] lie inside of it.
fn array<const N: usize>(head: &[u8], range: std::ops::Range<usize>) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[range]);
    bytes
}

impl<'a> SpanRef<'a> {
    /// The trace it belongs to.
    pub fn trace_id(self) -> TraceId {
        TraceId::from_bytes(array(self.head, at::TRACE_ID))
    }

    /// Its own id.
    pub fn span_id(self) -> SpanId {
        SpanId::from_bytes(array(self.head, at::SPAN_ID))
    }

    /// The span it ran in.
    pub fn parent_span_id(self) -> Option<SpanId> {
        self.has(bit::HAS_PARENT)
            .then(|| SpanId::from_bytes(array(self.head, at::PARENT)))
    }

    /// When it began, in Unix nanoseconds.
    pub fn start_time_unix_nano(self) -> u64 {
        u64::from_le_bytes(array(self.head, at::START))
    }

    /// When it ended, in Unix nanoseconds; nothing while it is open.
    pub fn end_time_unix_nano(self) -> Option<u64> {
        self.has(bit::ENDED)
            .then(|| u64::from_le_bytes(array(self.head, at::END)))
    }

    /// OTLP's flags.
    pub fn flags(self) -> u32 {
        u32::from_le_bytes(array(self.head, at::FLAGS))
    }

    /// OpenTelemetry's role.
    pub fn kind(self) -> SpanKind {
        self.checked_kind().unwrap_or_default()
    }

    /// Whether the span failed.
    pub fn status_code(self) -> StatusCode {
        self.checked_status().unwrap_or_default()
    }

    /// Which fields were worked out at ingest.
    pub fn derived(self) -> Derived {
        Derived {
            span_type: self.has(bit::DERIVED_SPAN_TYPE),
            inputs: self.has(bit::DERIVED_INPUTS),
            outputs: self.has(bit::DERIVED_OUTPUTS),
        }
    }

    fn has(self, bit: u8) -> bool {
        self.head[at::BITS] & bit != 0
    }

    fn checked_kind(self) -> Result<SpanKind, RecordError> {
        let found = self.head[at::KIND];
        SpanKind::from_number(found).ok_or(RecordError::UnknownCode {
            what: "kind of span",
            found,
        })
    }

    fn checked_status(self) -> Result<StatusCode, RecordError> {
        let found = self.head[at::STATUS];
        StatusCode::from_number(found).ok_or(RecordError::UnknownCode {
            what: "status",
            found,
        })
    }

    /// The fields in the order they were written. An error is the last item.
    pub fn fields(self) -> impl Iterator<Item = Result<FieldRef<'a>, RecordError>> {
        let mut reader = Reader(self.fields);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let field = reader
                .field()
                .and_then(|(tag, bytes)| read_field(tag, bytes));
            if field.is_err() {
                reader = Reader(&[]);
            }
            Some(field)
        })
    }

    /// The name; empty where none was written.
    pub fn name(self) -> Result<&'a str, RecordError> {
        let mut name = "";
        for field in self.fields() {
            if let FieldRef::Name(text) = field? {
                name = text;
            }
        }
        Ok(name)
    }

    /// The span as the model has it. What it says nothing of comes from `origin`.
    pub fn to_span(self, origin: &Origin) -> Result<Span, RecordError> {
        let mut span = Span::new(self.trace_id(), self.span_id(), "");
        span.parent_span_id = self.parent_span_id();
        span.kind = self.checked_kind()?;
        span.start_time_unix_nano = self.start_time_unix_nano();
        span.end_time_unix_nano = self.end_time_unix_nano();
        span.status.code = self.checked_status()?;
        span.flags = self.flags();
        span.derived = self.derived();
        span.resource = Arc::clone(&origin.resource);
        span.scope = Arc::clone(&origin.scope);
        for field in self.fields() {
            apply(&mut span, field?)?;
        }
        Ok(span)
    }
}

fn apply(span: &mut Span, field: FieldRef<'_>) -> Result<(), RecordError> {
    match field {
        FieldRef::Name(text) => text.clone_into(&mut span.name),
        FieldRef::SpanType(text) => span.span_type = SpanType::from(text),
        FieldRef::StatusMessage(text) => text.clone_into(&mut span.status.message),
        FieldRef::Attribute {
            key,
            value,
            replaces: true,
        } => span.attributes.set(key, value.to_value()?),
        FieldRef::Attribute { key, value, .. } => span.attributes.push(key, value.to_value()?),
        FieldRef::Inputs(value) => span.inputs = Some(value.to_json()?),
        FieldRef::Outputs(value) => span.outputs = Some(value.to_json()?),
        FieldRef::Event(event) => span.events.push(event.to_event()?),
        FieldRef::Link(link) => span.links.push(link.to_link()?),
        FieldRef::TraceState(text) => text.clone_into(&mut span.trace_state),
        FieldRef::Dropped([attributes, events, links]) => {
            span.dropped_attributes_count = attributes;
            span.dropped_events_count = events;
            span.dropped_links_count = links;
        }
        FieldRef::Resource(bytes) => span.resource = Arc::new(read_resource(bytes)?),
        FieldRef::Scope(bytes) => span.scope = Arc::new(read_scope(bytes)?),
        FieldRef::Unknown(_) => {}
    }
    Ok(())
}

fn read_field(tag: u8, bytes: &[u8]) -> Result<FieldRef<'_>, RecordError> {
    let mut reader = Reader(bytes);
    Ok(match tag {
        field::NAME => FieldRef::Name(utf8(bytes)?),
        field::SPAN_TYPE => FieldRef::SpanType(utf8(bytes)?),
        field::STATUS_MESSAGE => FieldRef::StatusMessage(utf8(bytes)?),
        field::ADD_ATTRIBUTE | field::SET_ATTRIBUTE => {
            let (key, value) = read_attribute(&mut reader)?;
            FieldRef::Attribute {
                key,
                value,
                replaces: tag == field::SET_ATTRIBUTE,
            }
        }
        field::INPUTS => FieldRef::Inputs(value::take(&mut reader)?),
        field::OUTPUTS => FieldRef::Outputs(value::take(&mut reader)?),
        field::EVENT => FieldRef::Event(EventRef {
            time_unix_nano: reader.u64()?,
            dropped_attributes_count: reader.varint_u32()?,
            name: reader.text()?,
            attributes: AttributesRef(reader),
        }),
        field::LINK => FieldRef::Link(LinkRef {
            trace_id: TraceId::from_bytes(reader.array()?),
            span_id: SpanId::from_bytes(reader.array()?),
            flags: reader.u32()?,
            dropped_attributes_count: reader.varint_u32()?,
            trace_state: reader.text()?,
            attributes: AttributesRef(reader),
        }),
        field::TRACE_STATE => FieldRef::TraceState(utf8(bytes)?),
        field::DROPPED => FieldRef::Dropped([
            reader.varint_u32()?,
            reader.varint_u32()?,
            reader.varint_u32()?,
        ]),
        field::RESOURCE => FieldRef::Resource(bytes),
        field::SCOPE => FieldRef::Scope(bytes),
        tag => FieldRef::Unknown(tag),
    })
}

impl EventRef<'_> {
    /// The event as the model has it.
    pub fn to_event(&self) -> Result<Event, RecordError> {
        Ok(Event {
            name: self.name.to_owned(),
            time_unix_nano: self.time_unix_nano,
            attributes: read_attributes(self.attributes.clone())?,
            dropped_attributes_count: self.dropped_attributes_count,
        })
    }
}

impl LinkRef<'_> {
    /// The link as the model has it.
    pub fn to_link(&self) -> Result<Link, RecordError> {
        Ok(Link {
            trace_id: self.trace_id,
            span_id: self.span_id,
            trace_state: self.trace_state.to_owned(),
            attributes: read_attributes(self.attributes.clone())?,
            dropped_attributes_count: self.dropped_attributes_count,
            flags: self.flags,
        })
    }
}

pub(crate) fn read_resource(bytes: &[u8]) -> Result<Resource, RecordError> {
    let mut reader = Reader(bytes);
    Ok(Resource {
        dropped_attributes_count: reader.varint_u32()?,
        schema_url: reader.text()?.to_owned(),
        attributes: read_attributes(AttributesRef(reader))?,
    })
}

pub(crate) fn read_scope(bytes: &[u8]) -> Result<Scope, RecordError> {
    let mut reader = Reader(bytes);
    Ok(Scope {
        dropped_attributes_count: reader.varint_u32()?,
        schema_url: reader.text()?.to_owned(),
        name: reader.text()?.to_owned(),
        version: reader.text()?.to_owned(),
        attributes: read_attributes(AttributesRef(reader))?,
    })
}

impl UpdateRef<'_> {
    /// The trace that changes.
    pub fn trace_id(self) -> TraceId {
        TraceId::from_bytes(array(self.head, at::TRACE_ID))
    }

    /// When the change was made, in Unix nanoseconds.
    pub fn time_unix_nano(self) -> u64 {
        u64::from_le_bytes(array(self.head, at::SPAN_ID))
    }

    /// The change. One of a newer version is skipped: it gives nothing.
    pub fn to_update(self) -> Result<Option<TraceUpdate>, RecordError> {
        let (tag, bytes) = Reader(self.fields).field()?;
        let change: Option<TraceChange> = read_change(tag, bytes)?;
        Ok(change.map(|change| TraceUpdate {
            trace_id: self.trace_id(),
            time_unix_nano: self.time_unix_nano(),
            change,
        }))
    }
}
