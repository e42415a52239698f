//! Hooks that trace programs without touching their calls.
//!
//! Each hook is a feature, and none is on by default:
//!
//! | feature | records |
//! |---|---|
//! | `tracing` | spans of the `tracing` crate, as rig, genai, langchain-rust and swiftide make them |
//!
//! All of them nest with `#[trace]` and [`spanlite::span`] both ways: a span of a hook becomes a
//! child of the manual span it runs in, and a manual span made inside becomes its child.

#[cfg(feature = "tracing")]
mod calls;
#[cfg(feature = "tracing")]
mod layer;

#[cfg(feature = "tracing")]
pub use layer::{InstallError, Recorder, Targets, install, layer, layer_for};
