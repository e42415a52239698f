//! Texts: inputs, outputs and other long values, apart from the span columns.
//!
//! Every trace has a table of its distinct values. A value is a list of parts, each either new
//! bytes or a slice of an earlier value of the same trace, so that a message list which repeats
//! the one before it costs a few bytes plus its new messages. New bytes of all traces form one
//! stream, cut into chunks that are compressed alone; a trace is cut only where it is longer
//! than a chunk may be.
//!
//! ```text
//! value: varint 0: no parts, the empty value
//!        varint length << 1 | 1: one part, new bytes
//!        varint n << 1: n parts
//! part:  varint 0, varint length: new bytes
//!        varint back, varint start, varint length: a slice of the value `back` values before
//! ```

mod items;
mod parts;
mod split;

pub(super) use parts::{Part, TraceTexts};
pub(super) use split::{TextsBuilder, known_bytes};

/// Strings from this length on are texts.
pub(super) const MIN_TEXT_BYTES: usize = 256;
