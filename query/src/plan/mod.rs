//! Which traces are worth looking at, newest first: whole blocks are ruled out by their headers,
//! traces by columns, and only what is left is put together.

mod block;
mod candidate;
mod condition;
mod explain;
mod fields;
mod groups;
mod header;
mod heads;
mod leaf;
mod mask;
mod ordering;
mod parallel;
mod payloads;
mod relate;
mod search;
mod span_values;
mod trace_values;
mod verdicts;

pub(crate) use candidate::{Candidate, Candidates};
pub use explain::{Explain, PlanStep, StageCount};
pub(crate) use explain::{stage_counts, steps};
pub(crate) use fields::Fields;
pub(crate) use parallel::map as in_parallel;
pub(crate) use search::{Found, Search};

/// So many blocks are searched before what they gave is put together.
pub(crate) const BLOCKS_AT_ONCE: usize = parallel::MAX_AHEAD;
