//! The background thread that stores what was appended.

mod signal;

pub(crate) use signal::Signal;
