//! Seeded workloads of LLM traces for benchmarks, tests and trying Spanlite out.
//!
//! The shapes are those measured on real traces of agents and services: how many calls, how
//! deep, how many bytes, how much of each prompt was in the one before. A workload of one seed
//! is always the same, byte for byte, and every trace of it can be made alone.
//!
//! ```
//! use spanlite_generate::{Profile, Workload};
//!
//! let workload = Workload::new(Profile::ToolAgent, 7, 100);
//! let third = workload.trace(2);
//! assert_eq!(workload.into_iter().nth(2), Some(third));
//! ```

mod agents;
mod conversation;
mod draft;
mod hostile;
mod plain;
mod profile;
mod random;
mod services;
mod text;

pub use profile::{Profile, Size, Traces, UnknownProfile, Workload};
