//! Jobs against a server that fails when it is told to.
#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test's own support fails the test"
)]

mod carry;
mod fake;
mod fixtures;
mod full;
mod jobs;
mod mlflow;
mod otlp;
#[path = "../../../../tests/support/small_disk.rs"]
mod small_disk;
mod tls;
