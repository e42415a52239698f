//! What the tests share: real traces, the answers of a command, a real MLflow server.

mod answer;
mod files;
#[cfg(unix)]
pub mod mlflow;
mod python;

pub use answer::Answer;
pub use files::{files_below, real_traces, repository};
pub use python::{python_with, skip};

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
