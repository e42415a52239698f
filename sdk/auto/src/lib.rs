//! Hooks that trace programs without touching their calls.
//!
//! Each hook is a feature, and none is on by default:
//!
//! | feature | records |
//! |---|---|
//! | `tracing` | spans of the `tracing` crate, as rig, genai, langchain-rust and swiftide make them |
//! | `http` | calls of models through `reqwest`: as a tower layer, and as a middleware of `reqwest-middleware` |
//! | `async-openai` | calls of clients of async-openai |
//! | `opentelemetry` | spans of the OpenTelemetry SDK |
//!
//! All of them nest with `#[trace]` and [`spanlite::span`] both ways: a span of a hook becomes a
//! child of the manual span it runs in, and a manual span made inside becomes its child (inside an
//! OpenTelemetry span where `otel_context` is attached). A call that `tracing` and HTTP both see
//! is recorded once, in the span of `tracing`.

#[cfg(any(feature = "tracing", feature = "http"))]
mod calls;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "tracing")]
mod layer;
#[cfg(feature = "opentelemetry")]
mod otel;

#[cfg(feature = "async-openai")]
pub use http::traced_openai;
#[cfg(feature = "http")]
pub use http::{ModelCallLayer, ModelCallService, ModelCalls};
#[cfg(feature = "tracing")]
pub use layer::{InstallError, Recorder, Targets, install, layer, layer_for};
#[cfg(feature = "opentelemetry")]
pub use otel::{OtelProcessor, otel_context};
