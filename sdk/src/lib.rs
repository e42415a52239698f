//! Traces LLM applications into an embedded store: no server, nothing lost.
//!
//! [`init`] opens the store. `#[trace]` records the calls of a function: its arguments, what came
//! out, how long it took, what went wrong. [`span`] and [`in_span!`](macro@in_span) make spans of
//! any code, and spans find their parents by themselves.
//!
//! ```
//! use spanlite::{SpanType, trace};
//!
//! #[trace(span_type = SpanType::Tool)]
//! fn add(x: i64, y: i64) -> i64 {
//!     x + y
//! }
//!
//! #[trace(name = "sum of three")]
//! fn sum(x: i64, y: i64, z: i64) -> i64 {
//!     spanlite::current_trace().set_tag("fruit", "apple");
//!     add(add(x, y), z)
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("traces.spans");
//! let _tracing = spanlite::init(path)?;
//! assert_eq!(sum(1, 2, 3), 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The `guide` module goes through everything else, MLflow's Python beside our Rust.
//!
//! Tracing never breaks the program it traces: where it cannot record, spans do nothing, one line
//! on stderr says so, once for each kind of trouble, and [`dropped`] counts.

mod capture;
mod client;
mod clock;
mod config;
mod context;
mod failure;
mod fault;
mod future;
mod id;
mod init;
mod live;
mod local;
mod macros;
mod mailbox;
mod panics;
mod propagate;
mod recent;
mod redaction;
pub mod reducers;
#[doc(hidden)]
pub mod rt;
mod scope;
mod span;
mod stream;
pub mod testing;
mod trace;
mod traced;
mod tracer;
mod warning;

pub use capture::{AsDebug, AsDisplay, debug, display};
pub use client::Client;
pub use config::{Builder, builder};
pub use context::{Attached, Context, spawn, wrap};
pub use failure::{Failure, Sheet};
pub use future::{InContext, InSpan, InSpanExt};
pub use init::{Guard, InitError, dropped, flush, init};
pub use propagate::{Extract, Inject, baggage, extract, extract_environment, inject};
pub use recent::{last_trace_id, last_trace_id_of_thread};
pub use redaction::Redaction;
pub use scope::{ScopeBuilder, scope};
pub use span::{CurrentSpan, Span, SpanBuilder, SpanGuard, current_span, in_span, span};
pub use spanlite_macros::trace;
pub use spanlite_model as model;
pub use spanlite_model::{
    AssessmentId, SourceType, SpanId, SpanKind, SpanType, StatusCode, TraceChange, TraceId,
    TraceState, Value,
};
pub use spanlite_store::{
    CloseError, Durability, FlushError, OpenError, OpenOptions, Overload, Store,
};
pub use trace::{
    AssessmentBuilder, TraceHandle, current_trace, expectation, failed_feedback, feedback, trace_of,
};
pub use traced::{Traceable, traced, traced_async, try_traced, try_traced_async};
pub use tracer::OpenSpans;

/// Attribute: a captured value of the span was cut because it was too long, or something was left
/// out because the span was.
const CUT_ATTRIBUTE: &str = "spanlite.cut";

#[cfg(any(doc, doctest))]
#[doc = include_str!("../GUIDE.md")]
pub mod guide {}
