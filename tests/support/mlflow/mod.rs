//! A real MLflow server, and a bad network between it and a job.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "support of tests: what goes wrong here fails the test that called"
)]

mod proxy;
mod readback;
mod replay;
mod server;

pub use proxy::{BadProxy, Mode};
pub use readback::{Api, differences, python_readback};
pub use replay::replay;
pub use server::MlflowServer;
