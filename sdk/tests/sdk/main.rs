//! What programs see of the SDK.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod functions;
mod stored;
