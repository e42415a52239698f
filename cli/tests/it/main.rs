//! Runs the built command as people and programs do, in one test binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod ask;
#[cfg(unix)]
mod browser;
mod care;
mod habits;
mod hostile;
mod judge;
mod look;
mod mcp;
mod moves;
#[cfg(unix)]
mod page;
mod prices;
mod redact;
mod support;
#[cfg(unix)]
mod surface;
#[cfg(unix)]
mod tail;
mod tui;
