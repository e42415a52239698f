//! Calls of models over HTTP.

mod body;
mod call;
mod middleware;
#[cfg(feature = "async-openai")]
mod openai;
mod service;

pub use middleware::ModelCalls;
#[cfg(feature = "async-openai")]
pub use openai::traced_openai;
pub use service::{ModelCallLayer, ModelCallService};
