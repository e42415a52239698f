use std::sync::Arc;

use crate::{Attributes, Json, SpanId, SpanKind, SpanType, Status, StatusCode, TraceId};

/// One recorded operation.
///
/// The fields are OTLP's, with those that have a meaning in MLflow lifted out of the attributes:
/// `span_type`, `inputs` and `outputs` stand for `mlflow.spanType`, `mlflow.spanInputs` and
/// `mlflow.spanOutputs`, which are not in `attributes` as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id, unique in the trace.
    pub span_id: SpanId,
    /// The span it ran in; a root has none.
    pub parent_span_id: Option<SpanId>,
    /// Its name, as the program wrote it.
    pub name: String,
    /// OpenTelemetry's role.
    pub kind: SpanKind,
    /// MLflow's role.
    pub span_type: SpanType,
    /// When it began, in Unix nanoseconds.
    pub start_time_unix_nano: u64,
    /// When it ended, in Unix nanoseconds; an open span has no end. It may lie before the start
    /// when the clock of the program was set back.
    pub end_time_unix_nano: Option<u64>,
    /// How it ended.
    pub status: Status,
    /// Everything else the program said of it.
    pub attributes: Attributes,
    /// What went in.
    pub inputs: Option<Json>,
    /// What came out.
    pub outputs: Option<Json>,
    /// Which of the lifted fields Spanlite worked out itself, from attributes that are kept.
    pub derived: Derived,
    /// Points in time inside the span.
    pub events: Vec<Event>,
    /// Pointers to other spans.
    pub links: Vec<Link>,
    /// The W3C `tracestate` header it came with.
    pub trace_state: String,
    /// OTLP's flags; the low 8 bits are W3C's.
    pub flags: u32,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// How many events the sender dropped.
    pub dropped_events_count: u32,
    /// How many links the sender dropped.
    pub dropped_links_count: u32,
    /// What produced it.
    pub resource: Arc<Resource>,
    /// The library that recorded it.
    pub scope: Arc<Scope>,
}

/// Which of a span's lifted fields were worked out from other attributes at ingest.
///
/// A derived field is left out when the span goes back to the format it came from, because the
/// attributes it was worked out from are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Derived {
    /// `span_type` was.
    pub span_type: bool,
    /// `inputs` was.
    pub inputs: bool,
    /// `outputs` was.
    pub outputs: bool,
}

/// A point in time inside a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// Its name; `exception` for errors.
    pub name: String,
    /// When it happened, in Unix nanoseconds.
    pub time_unix_nano: u64,
    /// What the program said of it.
    pub attributes: Attributes,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
}

/// A pointer to another span, of this or another trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Link {
    /// The trace pointed to.
    pub trace_id: TraceId,
    /// The span pointed to.
    pub span_id: SpanId,
    /// The W3C `tracestate` of that span.
    pub trace_state: String,
    /// What the program said of the link.
    pub attributes: Attributes,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// OTLP's flags.
    pub flags: u32,
}

/// What produced a span: a service, a process, a host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// `service.name` and the like.
    pub attributes: Attributes,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// The address of the schema its names follow.
    pub schema_url: String,
}

/// The library that recorded a span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it said of itself.
    pub attributes: Attributes,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// The address of the schema its names follow.
    pub schema_url: String,
}

impl Span {
    /// A span with a name, open, from time 0, with nothing else said.
    pub fn new(trace_id: TraceId, span_id: SpanId, name: impl Into<String>) -> Self {
        Self {
            trace_id,
            span_id,
            parent_span_id: None,
            name: name.into(),
            kind: SpanKind::default(),
            span_type: SpanType::default(),
            start_time_unix_nano: 0,
            end_time_unix_nano: None,
            status: Status::default(),
            attributes: Attributes::new(),
            inputs: None,
            outputs: None,
            derived: Derived::default(),
            events: Vec::new(),
            links: Vec::new(),
            trace_state: String::new(),
            flags: 0,
            dropped_attributes_count: 0,
            dropped_events_count: 0,
            dropped_links_count: 0,
            resource: Arc::default(),
            scope: Arc::default(),
        }
    }

    /// End minus start in nanoseconds; nothing while the span is open, 0 when it ends before it
    /// began.
    pub fn duration_nanos(&self) -> Option<u64> {
        self.end_time_unix_nano
            .map(|end| end.saturating_sub(self.start_time_unix_nano))
    }

    /// Returns whether the span failed.
    pub fn is_error(&self) -> bool {
        self.status.code == StatusCode::Error
    }

    /// The exception event of the span: the last one, which is the one that ended it.
    pub fn exception(&self) -> Option<&Event> {
        self.events
            .iter()
            .rev()
            .find(|event| event.name == crate::keys::EXCEPTION)
    }

    /// The class of the error: of the exception event, else the attribute `error.type`.
    pub fn error_type(&self) -> Option<&str> {
        self.exception()
            .and_then(|event| event.attributes.get_str(crate::keys::EXCEPTION_TYPE))
            .or_else(|| self.attributes.get_str(crate::keys::ERROR_TYPE))
    }

    /// The text of the error: of the exception event, else the status message of a failed span.
    pub fn error_message(&self) -> Option<&str> {
        self.exception()
            .and_then(|event| event.attributes.get_str(crate::keys::EXCEPTION_MESSAGE))
            .or_else(|| {
                (self.is_error() && !self.status.message.is_empty())
                    .then_some(self.status.message.as_str())
            })
    }

    /// The resource's `service.name`.
    pub fn service_name(&self) -> Option<&str> {
        self.resource.attributes.get_str(crate::keys::SERVICE_NAME)
    }
}
