//! Blocks: complete traces in columns, as pure bytes.
//!
//! [`encode_block`] turns traces into a header and sections; [`BlockReader`] reads them back,
//! loading a section when something in it is asked for. `store/DESIGN.md` has the layout.

mod attributes;
mod bytes;
mod chunks;
mod decode;
mod directory;
mod encode;
mod error;
mod header;
mod ints;
mod kept;
mod reader;
mod scan;
mod shared;
mod strings;
mod terms;
#[cfg(test)]
mod tests;
mod texts;
mod value;
mod words;

pub use attributes::{ColumnValues, Doubles, ValueType};
pub use decode::TraceDecoder;
pub(crate) use encode::{BlockInput, encode_input};
pub use encode::{EncodedBlock, encode_block};
pub use error::BlockError;
pub use header::{BlockHeader, BlockSummary, NumberRange, Section, SectionKind};
pub use ints::Ints;
pub use reader::{BlockReader, LoadSection};
pub use scan::{AttributeKind, AttributePart, AttributeReader, Matches, Structure, Texts};
pub use shared::{read_resource, read_scope};
pub use strings::Strings;
pub use terms::{Term, TermField};
pub use words::{for_each_word, for_each_word_of_json};
