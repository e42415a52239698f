//! Spans, traces and what belongs to them: the types every Spanlite crate shares.
//!
//! A [`Span`] is OpenTelemetry's span with MLflow's meaning added ([`SpanType`], inputs, outputs).
//! A [`Trace`] is all spans of one id plus what belongs to the whole ([`TraceInfo`]): name, tags,
//! session, assessments. Times are Unix nanoseconds, ids are W3C ids, JSON payloads are kept as
//! the text they came as.
//!
//! ```
//! use spanlite_model::{Span, SpanId, SpanType, TraceId};
//!
//! let trace_id: TraceId = "tr-7692c3ad3540bb803c020b3aee66cd88".parse()?;
//! let mut span = Span::new(trace_id, SpanId::from_bytes([1; 8]), "answer");
//! span.span_type = SpanType::Llm;
//! assert_eq!(span.trace_id.to_string(), "tr-7692c3ad3540bb803c020b3aee66cd88");
//! # Ok::<(), spanlite_model::IdError>(())
//! ```

mod assessment;
mod attributes;
mod causes;
mod forest;
mod id;
mod json;
pub mod keys;
mod kind;
mod prices;
mod span;
mod trace;
mod update;
mod usage;

pub use assessment::{
    Assessment, AssessmentError, AssessmentId, AssessmentSource, AssessmentValue, SourceType,
};
pub use attributes::{Attributes, Value};
pub use causes::with_causes;
pub use forest::{Forest, Node};
pub use id::{IdError, SpanId, TraceId};
pub use json::{Json, JsonError};
pub use kind::{SpanKind, SpanType, Status, StatusCode, TraceState, UnknownName};
pub use prices::{ModelPrices, Price, PriceTable, PriceTableError};
pub use span::{Derived, Event, Link, Resource, Scope, Span};
pub use trace::{Trace, TraceInfo};
pub use update::{Subject, TraceChange, TraceUpdate};
pub use usage::{Cost, TokenCount, TokenUsage, trace_cost, trace_usage};
