//! The embedded trace store: a directory of redb segments, journals and state.
#![expect(
    dead_code,
    reason = "the parts land one after another; the store that uses them comes next"
)]

pub mod block;
mod codec;
mod commit;
mod error;
mod fork;
mod journal;
mod options;
pub mod record;

pub use codec::ValueError;
pub use error::{CloseError, FlushError, OpenError, ReadError, StorageError, WriteError};
pub use journal::{Appended, Lane};
pub use options::{Access, Durability, OpenOptions, Overload};
