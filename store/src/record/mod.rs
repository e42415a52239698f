//! The span record: the byte form of one span, or of one change to a trace, on its way to the
//! disk.
//!
//! The SDK writes it while the span runs, journals and hot batches keep it as it is, and readers
//! decode it. All integers are little-endian. `varint` is unsigned LEB128 of at most ten bytes and
//! may be padded; `text` is a varint length and that many bytes of UTF-8.
//!
//! # Span
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 1 | `1` |
//! | 1 | 1 | bits: 0 ended, 1 has a parent, 2 / 3 / 4 span type / inputs / outputs are derived |
//! | 2 | 1 | kind, OTLP's number |
//! | 3 | 1 | status code, OTLP's number |
//! | 4 | 4 | OTLP's flags |
//! | 8 | 16 | trace id |
//! | 24 | 8 | span id |
//! | 32 | 8 | parent span id; zero without a parent |
//! | 40 | 8 | start, Unix nanoseconds |
//! | 48 | 8 | end, Unix nanoseconds; zero while the span is open |
//! | 56 | … | fields |
//!
//! A field is a tag byte, a `u32` length and that many bytes. Of two fields with one tag the later
//! counts, except for attributes, events and links, which add up. Unknown tags are skipped.
//!
//! | tag | field | bytes |
//! |---|---|---|
//! | 1 | name | UTF-8 |
//! | 2 | span type | UTF-8 |
//! | 3 | status message | UTF-8 |
//! | 4 | attribute, added at the end | text key, value |
//! | 5 | attribute, in place of an earlier one with its key | text key, value |
//! | 6 | inputs | value |
//! | 7 | outputs | value |
//! | 8 | event | time `u64`, varint dropped attributes, text name, then (text key, value)… |
//! | 9 | link | trace id, span id, flags `u32`, varint dropped attributes, text trace state, then (text key, value)… |
//! | 10 | W3C trace state | UTF-8 |
//! | 11 | dropped counts | varints: attributes, events, links |
//! | 12 | resource | varint dropped attributes, text schema URL, then (text key, value)… |
//! | 13 | scope | varint dropped attributes, text schema URL, text name, text version, then (text key, value)… |
//!
//! Resource and scope are left out where they are the writer's own ([`Origin`]), which each
//! journal and each hot batch holds once.
//!
//! # Value
//!
//! Values are self-describing; JSON text is made of them when they are read.
//!
//! | tag | value | bytes |
//! |---|---|---|
//! | 0, 1, 2 | null, false, true | |
//! | 3 | integer | varint, zigzag |
//! | 4 | integer above the range of `i64` | varint |
//! | 5, 6 | `f64`, `f32` | 8, 4 bytes |
//! | 7 | string | text |
//! | 8 | bytes | varint length, bytes |
//! | 9 | list | values until tag 15 |
//! | 10 | map | (string value, value)… until tag 15 |
//! | 11 | JSON as it was written | text |
//! | 12 | string that holds the next value as JSON text | value |
//!
//! Lists and maps nest to [`MAX_DEPTH`] levels; what lies deeper is replaced by a mark when it is
//! written and refused when it is read.
//!
//! # Change to a trace
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 1 | `2` |
//! | 1 | 7 | zero |
//! | 8 | 16 | trace id |
//! | 24 | 8 | time of the change, Unix nanoseconds |
//! | 32 | … | one field: the change (tags in `update.rs`) |

#[cfg(test)]
pub(crate) mod arbitrary;
mod compound;
mod encoder;
mod key;
mod layout;
mod model;
mod room;
mod serializer;
mod span;
#[cfg(test)]
mod tests;
mod update;
mod value;

pub use encoder::{EventEncoder, InputsEncoder, SpanEncoder, SpanHead, ValueList};
pub(crate) use model::encode_span;
pub use model::{Record, decode_record, encode_record};
pub use serializer::{Redact, SerializeError};
pub use span::{AttributesRef, EventRef, FieldRef, LinkRef, Origin, RecordRef, SpanRef, UpdateRef};
pub(crate) use span::{read_resource, read_scope};
pub(crate) use value::FlatValue;
pub use value::ValueRef;

/// How deep lists and maps may nest in a value.
pub const MAX_DEPTH: usize = 128;

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end inside of something.
    #[error("the record is cut off")]
    CutOff,
    /// The first byte names no record.
    #[error("`{found}` is no kind of record")]
    UnknownRecord {
        /// The byte.
        found: u8,
    },
    /// A byte that names one of a few things names none of them.
    #[error("`{found}` is no {what}")]
    UnknownCode {
        /// What it should name.
        what: &'static str,
        /// The byte.
        found: u8,
    },
    /// A text is not UTF-8.
    #[error("a text of the record is not UTF-8")]
    NotUtf8,
    /// A number takes more than 64 bits.
    #[error("a number of the record is too long")]
    NumberTooLong,
    /// Lists and maps nest deeper than [`MAX_DEPTH`].
    #[error("a value of the record nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}
