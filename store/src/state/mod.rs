//! `state.redb`: later changes of stored traces, and keyed values for exporter jobs, saved
//! queries and the like.

mod change;
mod deleted;
mod notes;
mod writer;

pub(crate) use change::{KeyAndBytes, encode_value, readable_values, value_key};
pub use change::{State, StateChange, StateError, Versioned};
pub(crate) use deleted::{deleted_traces, is_deleted, read_deleted, readable_deleted};
pub(crate) use notes::{
    KeyedNote, count_notes, keyed_notes_of, note_keys_of, noted_traces, notes_of,
};
pub(crate) use writer::StateWriter;

use redb::TableDefinition;

use crate::codec::ValueError;

/// Changes of traces: trace id (16 bytes), time (8, big-endian), checksum of the change (8).
pub(crate) const NOTES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("notes");
/// Traces that were deleted, by their ids (16 bytes): when, in Unix milliseconds.
pub(crate) const DELETED: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("deleted");
/// Values of others: name of the space, a zero byte, key.
pub(crate) const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");
/// The version of the values in all tables.
const VERSION: u8 = 1;
/// A damaged page hides rows of a table.
const MISSING_ROWS: ValueError = ValueError::Body {
    reason: "the table names another number of rows",
};
