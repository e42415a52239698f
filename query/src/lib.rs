//! The Spanlite query language: TraceQL and MLflow filters over one tree.

mod cell;
mod check;
mod error;
mod eval;
mod pattern;
mod query;
mod resolve;
mod row;
mod suggest;
mod syntax;

pub use cell::Cell;
pub use error::{Code, Phase, QueryError};
pub use query::Query;
pub use row::{SpanMatch, SpanSet, TraceMatch};
