//! A receiver on the loopback device.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail a test by panicking"
)]

mod grpc;
mod http;
mod scene;
#[path = "../../../../tests/support/small_disk.rs"]
mod small_disk;
