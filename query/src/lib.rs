//! The Spanlite query language: TraceQL and MLflow filters over one tree.
//!
//! ```
//! use spanlite_model::{Span, SpanId, Status, Trace, TraceId};
//! use spanlite_query::Query;
//!
//! let mut span = Span::new(TraceId::from_bytes([7; 16]), SpanId::from_bytes([1; 8]), "answer");
//! span.status = Status::error("timed out");
//! let trace = Trace::new(span.trace_id, vec![span]);
//!
//! let query = Query::parse(r#"{ status = error && span:errorMessage contains "timed" }"#)?;
//! let span_sets = query.evaluate(&trace, 0)?;
//! assert_eq!(span_sets[0].spans[0].index, 0);
//!
//! let error = Query::parse("{ status = ERROR }").unwrap_err();
//! assert_eq!(error.replace.as_deref(), Some("error"));
//! # Ok::<(), spanlite_query::QueryError>(())
//! ```
//!
//! [`Query::run`] asks a store's snapshot, [`Query::evaluate`] one trace in memory.

mod bind;
mod cell;
mod check;
mod error;
mod eval;
mod header;
mod metrics;
mod notes;
mod order;
mod pattern;
mod plan;
mod query;
mod resolve;
mod row;
mod run;
mod suggest;
mod syntax;
mod verdict;

pub use bind::Argument;
pub use cell::Cell;
pub use error::{Code, Phase, QueryError};
pub use header::{Headers, TraceHeader};
pub use metrics::{MetricOptions, MetricTable, Series};
pub use order::{Cursor, CursorError};
pub use plan::{Explain, PlanStep, StageCount};
pub use query::Query;
pub use row::{Entered, SpanMatch, SpanSet, TraceMatch};
pub use run::{Rows, RunError, RunOptions};
pub use verdict::{Problem, Verdict};

/// The manual of the language: one screen, then the whole.
pub const LANGUAGE: &str = include_str!("../LANGUAGE.md");
