//! Spans in the hands of the program.

mod builder;
mod current;
mod guard;
mod methods;
mod owned;

pub use builder::{SpanBuilder, span};
pub use current::{CurrentSpan, current_span};
pub use guard::{SpanGuard, in_span, try_in_span};
pub(crate) use owned::Entered;
pub use owned::Span;
