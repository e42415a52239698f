//! Segments: redb files that hold the traces of one stretch of time.
//!
//! `store/DESIGN.md` lists the tables, keys and values.

mod backend;
mod blob;
mod checked;
mod create;
pub(crate) mod database;
mod draft;
pub(crate) mod facts;
pub(crate) mod hot;
mod meta;
mod overlay;
mod pages;
mod reader;
pub(crate) mod sealed;
mod without;

use redb::TableDefinition;
use uuid::Uuid;

#[cfg(test)]
pub(crate) use backend::{Backend, forward_locks};
pub(crate) use create::{
    OpenSegment, create, disk_bytes, guard, open_for_writing, protected, seal_file,
};
pub(crate) use draft::SegmentDraft;
pub(crate) use meta::{counts, is_sealed, positions, put_positions, read_meta, replaces};
use meta::{meta, put_meta};
pub(crate) use overlay::ChangedUnderneath;
pub(crate) use reader::{SegmentReader, open_for_reading, table};
pub use sealed::Sections;
pub(crate) use without::{Folding, holds_any};

/// Facts about the segment, by name; values are framed.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// How far each journal is stored, by the 16 bytes of its id; values are framed.
pub(crate) const JOURNALS: TableDefinition<'static, &[u8], &[u8]> =
    TableDefinition::new("journals");
/// Hot batches: `batch << 16 | piece`.
pub(crate) const HOT: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("hot");

/// Headers of blocks, by the number of the block; values are framed.
pub(crate) const HEADERS: TableDefinition<'static, u32, &[u8]> = TableDefinition::new("headers");
/// What is known of the traces of a block, by its number; values are framed.
pub(crate) const FACTS: TableDefinition<'static, u32, &[u8]> = TableDefinition::new("facts");
/// Sections of blocks: `block << 32 | piece`, `block << 32 | section << 16 | piece` where the block
/// is of version 1. The header has their checksums.
pub(crate) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");

/// The version of the values in `meta` and `journals`.
pub(crate) const META_VERSION: u8 = 1;
/// Key in `meta`: when the segment was made, in Unix milliseconds.
pub(crate) const CREATED: &str = "created";
/// Key in `meta`: when the segment was sealed; nobody writes to it any more.
pub(crate) const SEALED: &str = "sealed";
/// Key in `meta`: the names of the files that a merged segment stands for.
pub(crate) const REPLACES: &str = "replaces";
/// Key in `meta`: when a deleted trace was last left out as blocks were made, in Unix milliseconds:
/// pages of the file that nothing uses may have bytes of it.
pub(crate) const LEFT_OUT: &str = "left out";
/// Key in `meta`: the format and the id of the store that a bundle was made of.
pub(crate) const BUNDLE: &str = "bundle";
/// Key in `meta`: which writer is making blocks of hot batches, a [`Lease`].
pub(crate) const LEASE: &str = "lease";
/// Key in `meta`: what the segment holds, a [`Counts`].
pub(crate) const COUNTS: &str = "counts";

/// The page cache of a redb handle that writes. The default of redb is 1 GiB; a larger one than
/// this did not change the speed of writing, and 4 MiB cost 6 %.
pub(crate) const WRITE_CACHE_BYTES: usize = 16 << 20;
/// The page cache of a redb handle that only reads. Blocks that were read stay open outside of it,
/// so that a larger one did not change the speed of any question.
pub(crate) const READ_CACHE_BYTES: usize = 4 << 20;

/// A block is made anew if something came later of one trace in so many of it.
pub(crate) const TRACES_A_CHANGED_ONE: usize = 8;

/// Who does something that others should not do at the same time. It saves work only: what is
/// done twice is found out when it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Lease {
    /// The id of the journal of the writer.
    pub(crate) writer: [u8; 16],
    /// When others may take over, in Unix milliseconds.
    pub(crate) until_millis: u64,
}

/// What a segment holds, so that rows that are missing show, and what is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub(crate) struct Counts {
    /// The number of the next hot batch. Numbers are never used twice, so that a batch that was
    /// moved into a block is not mistaken for another.
    pub(crate) next_batch: u64,
    /// The number of the next block.
    pub(crate) next_block: u32,
    /// Hot batches that are there.
    pub(crate) hot_batches: u64,
    /// Records of spans in hot batches.
    pub(crate) hot_spans: u64,
    /// Bytes of the bodies of hot batches, before compression.
    pub(crate) hot_bytes: u64,
    /// Blocks that are there.
    pub(crate) blocks: u32,
    /// Spans in blocks.
    pub(crate) block_spans: u64,
}

impl Counts {
    /// Whether the segment holds no traces.
    pub(crate) fn is_empty(&self) -> bool {
        self.hot_batches == 0 && self.blocks == 0
    }

    /// Counts a hot batch that was stored under the next number.
    pub(crate) fn add_batch(&mut self, spans: u64, bytes: u64) {
        self.next_batch += 1;
        self.hot_batches += 1;
        self.hot_spans += spans;
        self.hot_bytes += bytes;
    }
}

/// The name of a segment: when it was made, and a random part, so that no two processes ever make
/// the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentName {
    start_millis: u64,
    random: u64,
}

impl SegmentName {
    pub(crate) fn new(start_millis: u64) -> Self {
        Self {
            start_millis,
            random: Uuid::new_v4().as_u64_pair().1,
        }
    }

    /// When the segment was made, in Unix milliseconds.
    pub(crate) fn start_millis(self) -> u64 {
        self.start_millis
    }

    pub(crate) fn file_name(self) -> String {
        format!("seg-{:013}-{:016x}.redb", self.start_millis, self.random)
    }

    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let (start, random) = file_name
            .strip_prefix("seg-")?
            .strip_suffix(".redb")?
            .split_once('-')?;
        let name = Self {
            start_millis: start.parse().ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
        };
        (name.file_name() == file_name).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_only_exact_ones_are_read() {
        let early = SegmentName::new(999);
        let late = SegmentName::new(1_700_000_000_000);
        assert!(early.file_name() < late.file_name() && early < late);
        assert_eq!(SegmentName::parse(&late.file_name()), Some(late));
        for wrong in [
            "seg-1-2.redb",
            "seg-0000000000001-00.redb",
            "state.redb",
            "",
        ] {
            assert_eq!(SegmentName::parse(wrong), None, "{wrong}");
        }
    }
}
