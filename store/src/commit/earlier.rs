//! What the blocks of a store may hold, so that a new block says which of its traces have parts
//! elsewhere.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;
use spanlite_model::TraceId;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{BlockHeader, BlockReader};
use crate::directory::Directory;
use crate::error::StorageError;
use crate::fork::Owned;
use crate::options::Access;
use crate::segment::sealed::{self, BlockEntry, Sections};
use crate::segment::{BLOCKS, OpenSegment, SegmentName, is_sealed, open_for_reading, table};

/// The headers of the blocks of a store, each read once.
#[derive(Default)]
pub(super) struct Earlier {
    segments: HashMap<SegmentName, Seen>,
}

#[derive(Default)]
struct Seen {
    /// One more than the largest number of a block that was read.
    next_block: u32,
    blocks: Vec<SeenBlock>,
    /// Nothing is added to a sealed segment.
    is_sealed: bool,
}

struct SeenBlock {
    number: u32,
    header: Arc<BlockHeader>,
    /// The hashes of its trace ids in order, read when the header's filter first says yes: where
    /// ids are random every header is asked for every trace, and some say yes by mistake. Nothing
    /// if they cannot be read.
    ids: OnceCell<Option<Box<[u64]>>>,
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

    /// Whether an earlier block holds something of a trace. A block that cannot be read may.
    pub(super) fn has(&self, trace_id: TraceId, directory: &Directory) -> bool {
        self.segments.iter().any(|(name, seen)| {
            seen.blocks.iter().any(|block| {
                block.header.may_have_trace(trace_id) && {
                    let read = || read_ids(directory, *name, block);
                    let ids = block.ids.get_or_init(|| read().ok().flatten());
                    let hash = xxh3_64(trace_id.as_bytes());
                    ids.as_ref()
                        .is_none_or(|ids| ids.binary_search(&hash).is_ok())
                }
            })
        })
    }
}

fn read_ids(
    directory: &Directory,
    segment: SegmentName,
    block: &SeenBlock,
) -> Result<Option<Box<[u64]>>, StorageError> {
    let reader = open_for_reading(directory, segment, Access::ReadWrite)?;
    let table = table(&reader.begin()?, reader.path(), BLOCKS)?;
    let table = table.map(|table| Arc::new(Owned::new(table)));
    let sections = Sections::new(table, reader.path().to_owned(), block.number);
    let Ok(opened) = BlockReader::open(Arc::clone(&block.header), sections) else {
        return Ok(None);
    };
    let Ok(ids) = opened.trace_ids() else {
        return Ok(None);
    };
    let mut hashes: Box<[u64]> = ids.iter().map(|id| xxh3_64(id)).collect();
    hashes.sort_unstable();
    Ok(Some(hashes))
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
                self.blocks.extend(entry.ok().map(|entry| SeenBlock {
                    number,
                    header: entry.header,
                    ids: OnceCell::new(),
                }));
            },
        )?;
        self.next_block = next;
        Ok(())
    }
}
