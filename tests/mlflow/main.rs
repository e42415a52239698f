//! Jobs against a real MLflow server. Skipped where MLflow cannot be installed, but not in CI.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "what goes wrong in a test's own support fails the test"
)]

mod command;
mod files;
mod fixtures;
mod kill;
mod page;
mod random;
mod rate;
mod recordings;
mod replicate;
