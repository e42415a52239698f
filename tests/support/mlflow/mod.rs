//! A real MLflow server, and a bad network between it and a job.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "support of tests: what goes wrong here fails the test that called"
)]

mod client;
mod proxy;
mod readback;
mod replay;
mod server;

pub use client::{client_differences, python_readback};
pub use proxy::{BadProxy, Mode};
pub use readback::{Api, differences};
pub use replay::replay;
pub use server::MlflowServer;
