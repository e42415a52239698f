//! Words of texts, and the index of them that a block has.

mod bits;
mod index;
mod split;
mod table;

pub(super) use index::{STRETCH_SPANS, WordsBuilder, find_rows, section_of};
pub use split::{for_each_word, for_each_word_of_json};
