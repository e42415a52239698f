//! The background thread that stores what was appended.
//!
//! One thread of the process holds the handles that write: commits take 1 to 20 ms, and seconds
//! on a busy disk, which is no time that a traced program should lose.

mod active;
mod committer;
mod counters;
mod draft;
mod earlier;
mod fold;
mod fresh;
mod gathered;
mod seal;
mod signal;
mod source;

pub(crate) use committer::Committer;
pub use counters::BackgroundFailure;
pub(crate) use counters::Counters;
pub(crate) use draft::{BLOCK_BYTES, BLOCK_SPANS, BLOCK_TRACES};
pub(crate) use earlier::Earlier;
pub(crate) use fold::{KnownNotes, Notes};
pub(crate) use signal::{BlocksRequest, Request, Signal, StoreRequest};
