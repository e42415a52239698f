//! Power cuts, simulated: what a disk was told is recorded, and what it may hold after a cut at
//! any moment is written into another folder.
//!
//! redb's files are recorded by a [`StorageBackend`](redb::StorageBackend) around its own, names
//! by `crate::files`, and journals, which are mapped, by looking at them after each step and sync.

mod cut;
mod disk;
mod full;
mod recorded;
mod tests;
mod workload;

pub(crate) use disk::{
    linked, made_folder, named, record, removed, renamed, synced_folder, synced_journals, wrote_new,
};
