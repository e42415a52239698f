//! What the blocks of a store may hold, so that a new block says which of its traces have parts
//! elsewhere.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;
use spanlite_model::TraceId;

use crate::block::BlockHeader;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::options::Access;
use crate::segment::sealed::{self, BlockEntry};
use crate::segment::{OpenSegment, SegmentName, is_sealed, open_for_reading};

/// The headers of the blocks of a store, each read once.
#[derive(Default)]
pub(super) struct Earlier {
    segments: HashMap<SegmentName, Seen>,
}

#[derive(Default)]
struct Seen {
    /// One more than the largest number of a block that was read.
    next_block: u32,
    headers: Vec<Arc<BlockHeader>>,
    /// Nothing is added to a sealed segment.
    is_sealed: bool,
}

impl Earlier {
    /// Reads the headers that were added since the last call; `txn` reads `segment`.
    pub(super) fn refresh(
        &mut self,
        txn: &ReadTransaction,
        segment: &OpenSegment,
        directory: &Directory,
    ) -> Result<(), StorageError> {
        let names = directory.segments()?;
        self.segments.retain(|name, _| names.contains(name));
        for name in names {
            let seen = self.segments.entry(name).or_default();
            if name == segment.name {
                seen.read(txn, &segment.path)?;
            } else if !seen.is_sealed
                // A segment that cannot be read cannot be looked at either: what it holds is damage.
                && let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite)
                && let Ok(txn) = reader.begin()
            {
                seen.read(&txn, reader.path())?;
                seen.is_sealed = is_sealed(&txn, reader.path())?;
            }
        }
        Ok(())
    }

    /// The first block of a segment that was not looked at.
    pub(super) fn next_block(&self, segment: SegmentName) -> u32 {
        self.segments
            .get(&segment)
            .map_or(0, |seen| seen.next_block)
    }

    /// Whether an earlier block may hold something of a trace.
    pub(super) fn may_have(&self, trace_id: TraceId) -> bool {
        let mut headers = self.segments.values().flat_map(|seen| &seen.headers);
        headers.any(|header| header.may_have_trace(trace_id))
    }
}

impl Seen {
    fn read(&mut self, txn: &ReadTransaction, path: &Path) -> Result<(), StorageError> {
        let (from, mut next) = (self.next_block, self.next_block);
        sealed::headers(
            txn,
            path,
            from,
            |_| false,
            |number, entry: Result<BlockEntry, _>| {
                next = next.max(number + 1);
                self.headers.extend(entry.ok().map(|entry| entry.header));
            },
        )?;
        self.next_block = next;
        Ok(())
    }
}
