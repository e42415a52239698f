//! Spans in the hands of the program.

mod builder;
mod current;
mod guard;
mod limits;
mod methods;
mod owned;

pub use builder::{SpanBuilder, span};
pub use current::{CurrentSpan, current_span};
pub use guard::{SpanGuard, in_span};
pub(crate) use limits::{Counts, Part, UNCOUNTED_BYTES, VALUE_BYTES};
// A panic that aborts finds the spans of the thread only where they are entered.
#[cfg(panic = "abort")]
pub(crate) use owned::Entered as Polled;
#[cfg(not(panic = "abort"))]
pub(crate) use owned::Polled;
pub use owned::Span;
