use std::time::Duration;

use spanlite_model::{Resource, Scope};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Whether a store is made where there is none. Default: yes.
    pub create: bool,
    /// Whether this process may write. Default: [`Access::ReadWrite`].
    pub access: Access,
    /// What survives what. Default: [`Durability::Journal`].
    pub durability: Durability,
    /// Whether the journal may be mapped into memory where its file system is known to be safe for
    /// that. If not, records are written to it 16 at a time, and no SIGBUS handler is installed.
    /// Default: yes.
    pub map_journal: bool,
    /// The longest time until an appended record is on disk: in the journal, from where it is
    /// committed to a segment after twenty intervals; without a journal on disk it is committed
    /// after one. Default: 250 ms.
    pub commit_interval: Duration,
    /// How many bytes of records make a commit start before that. Default: 4 MiB.
    pub commit_bytes: usize,
    /// How many bytes of records may wait for a commit, over all threads. Default: 64 MiB.
    pub memory_limit_bytes: usize,
    /// What happens to a record that does not fit into that memory. Default: [`Overload::Block`].
    pub overload: Overload,
    /// How large the active segment may grow before the next one is begun. Default: 256 MiB.
    pub segment_bytes: u64,
    /// How old the active segment may grow before the next one is begun. Default: 24 h.
    pub segment_age: Duration,
    /// How many spans in hot batches, or in one commit, are made into blocks. Default: 2,500.
    pub seal_spans: u64,
    /// What produces the spans of this process. Records that name none carry this one.
    pub resource: Resource,
    /// The library that records the spans of this process. Records that name none carry this one.
    pub scope: Scope,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            access: Access::ReadWrite,
            durability: Durability::Journal,
            map_journal: true,
            commit_interval: Duration::from_millis(250),
            commit_bytes: 4 << 20,
            memory_limit_bytes: 64 << 20,
            overload: Overload::Block,
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(24 * 3600),
            seal_spans: 2_500,
            resource: Resource::default(),
            scope: Scope::default(),
        }
    }
}

impl OpenOptions {
    /// Reads only: never creates, repairs or removes a file.
    pub fn read_only() -> Self {
        Self {
            create: false,
            access: Access::ReadOnly,
            ..Self::default()
        }
    }
}

/// Whether a process may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads and writes.
    ReadWrite,
    /// Reads only; nothing in the directory changes, not even to repair it after a kill.
    ReadOnly,
}

/// What survives what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A kill loses nothing whose append returned where the journal is mapped (ext4, xfs, tmpfs),
    /// and elsewhere at most the last 15 records of each thread; a power cut loses at most one
    /// commit interval.
    Journal,
    /// An append returns when the record is on disk. Costs a disk sync a record.
    EverySpan,
    /// A kill or a power cut loses at most one commit interval.
    Memory,
}

/// What happens to a record when the memory for records is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overload {
    /// The appending thread waits, as long as commits succeed. While they fail, the record is
    /// dropped and counted: a full disk must not stop the program.
    Block,
    /// The record is dropped and counted.
    DropNewest,
}
