//! What the blocks of a store may hold, so that a new block says which of its traces have parts
//! elsewhere.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;
use spanlite_model::TraceId;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{BlockError, BlockReader};
use crate::directory::Directory;
use crate::error::StorageError;
use crate::fork::Owned;
use crate::options::Access;
use crate::segment::sealed::{self, BlockEntry, Sections};
use crate::segment::{
    BLOCKS, OpenSegment, SegmentName, counts, is_sealed, open_for_reading, table,
};

/// The headers of the blocks of a store, each read once.
#[derive(Default)]
pub(crate) struct Earlier {
    segments: HashMap<SegmentName, Seen>,
}

/// The blocks of one segment.
#[derive(Default)]
pub(super) struct Seen {
    /// One more than the largest number of a block that was read.
    next_block: u32,
    /// How many headers there are, damaged ones among them.
    n_headers: u32,
    blocks: Vec<SeenBlock>,
    /// Nothing is added to a sealed segment.
    is_sealed: bool,
}

pub(super) struct SeenBlock {
    pub(super) entry: BlockEntry,
    /// It could not be read, so that it stays as it is.
    pub(super) is_damaged: Cell<bool>,
    /// The traces of which earlier blocks of the segment hold parts, with the numbers of those.
    /// Such a block is never made anew without this one.
    shared: OnceCell<Vec<(TraceId, Vec<u32>)>>,
    /// The hashes of its trace ids in order, read when the header's filter first says yes: where
    /// ids are random every header is asked for every trace, and some say yes by mistake. Nothing
    /// if they cannot be read.
    ids: OnceCell<Option<Box<[u64]>>>,
}

impl Earlier {
    /// Reads the headers of all segments that can be read, as they are.
    pub(crate) fn read_all(directory: &Directory) -> Result<Self, StorageError> {
        let mut all = Self::default();
        for name in directory.segments()? {
            if let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite)
                && let Ok(txn) = reader.begin()
            {
                let seen = all.segments.entry(name).or_default();
                seen.read(&txn, reader.path())?;
            }
        }
        Ok(all)
    }

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

    /// The blocks that hold something of a trace, in the order of a segment. A block that cannot
    /// be read may.
    pub(crate) fn find(&self, trace_id: TraceId, directory: &Directory) -> Vec<(SegmentName, u32)> {
        let mut found = Vec::new();
        for (name, seen) in &self.segments {
            let holders = seen.holders(trace_id, *name, directory);
            found.extend(holders.map(|block| (*name, block)));
        }
        found
    }

    /// How many traces and parts of traces the blocks of a segment hold.
    pub(crate) fn n_traces(&self, segment: SegmentName) -> u64 {
        let blocks = self.segments.get(&segment).map_or(&[][..], Seen::blocks);
        let traces = blocks
            .iter()
            .map(|block| block.entry.header.summary().n_traces);
        traces.map(u64::from).sum()
    }

    /// The blocks of a segment.
    pub(super) fn segment(&self, name: SegmentName) -> Option<&Seen> {
        self.segments.get(&name)
    }
}

fn read_ids(
    directory: &Directory,
    segment: SegmentName,
    block: &SeenBlock,
) -> Result<Option<Box<[u64]>>, StorageError> {
    let reader = open_for_reading(directory, segment, Access::ReadWrite)?;
    let Ok(opened) = open(&reader.begin()?, reader.path(), &block.entry)? else {
        return Ok(None);
    };
    let Ok(ids) = opened.trace_ids() else {
        return Ok(None);
    };
    let mut hashes: Box<[u64]> = ids.iter().map(|id| xxh3_64(id)).collect();
    hashes.sort_unstable();
    Ok(Some(hashes))
}

impl SeenBlock {
    /// Whether it is known with which earlier blocks it shares traces.
    pub(super) fn is_looked_at(&self) -> bool {
        !self.entry.has_parts || self.shared.get().is_some()
    }
}

impl Seen {
    /// The blocks, by number.
    pub(super) fn blocks(&self) -> &[SeenBlock] {
        &self.blocks
    }

    /// The numbers of the blocks that hold something of a trace, in order.
    pub(super) fn holders(
        &self,
        trace_id: TraceId,
        name: SegmentName,
        directory: &Directory,
    ) -> impl Iterator<Item = u32> {
        let hash = xxh3_64(trace_id.as_bytes());
        let holders = self.blocks.iter().filter(move |block| {
            block.entry.header.may_have_trace(trace_id) && {
                let read = || read_ids(directory, name, block);
                let ids = block.ids.get_or_init(|| read().ok().flatten());
                ids.as_ref()
                    .is_none_or(|ids| ids.binary_search(&hash).is_ok())
            }
        });
        holders.map(|block| block.entry.number)
    }

    /// The traces of a block of which earlier blocks of the segment hold parts, with the numbers
    /// of those.
    pub(super) fn shared<'b>(
        &self,
        block: &'b SeenBlock,
        txn: &ReadTransaction,
        segment: &OpenSegment,
        directory: &Directory,
    ) -> Result<&'b [(TraceId, Vec<u32>)], StorageError> {
        if let Some(shared) = block.shared.get() {
            return Ok(shared);
        }
        let mut shared = Vec::new();
        if block.entry.has_parts
            && let Ok(facts) = block.entry.facts(txn, &segment.path)?
            && let Ok(ids) = open(txn, &segment.path, &block.entry)?
                .and_then(|opened| opened.trace_ids().map(<[_]>::to_vec))
        {
            for place in &facts.parts {
                let Some(id) = ids.get(*place as usize) else {
                    continue;
                };
                let trace_id = TraceId::from_bytes(*id);
                let holders = self.holders(trace_id, segment.name, directory);
                let earlier: Vec<u32> = holders
                    .filter(|number| *number < block.entry.number)
                    .collect();
                if !earlier.is_empty() {
                    shared.push((trace_id, earlier));
                }
            }
        }
        Ok(block.shared.get_or_init(|| shared))
    }

    fn read(&mut self, txn: &ReadTransaction, path: &Path) -> Result<(), StorageError> {
        let (from, mut next) = (self.next_block, self.next_block);
        sealed::headers(
            txn,
            path,
            from,
            |_| false,
            |number, entry: Result<BlockEntry, _>| {
                next = next.max(number + 1);
                self.n_headers += 1;
                self.blocks.extend(entry.ok().map(|entry| SeenBlock {
                    entry,
                    is_damaged: Cell::new(false),
                    shared: OnceCell::new(),
                    ids: OnceCell::new(),
                }));
            },
        )?;
        self.next_block = next;
        if self.n_headers != counts(txn, path)?.blocks {
            self.forget_removed(txn, path)?;
        }
        Ok(())
    }

    /// Forgets the blocks that were made anew.
    fn forget_removed(&mut self, txn: &ReadTransaction, path: &Path) -> Result<(), StorageError> {
        let mut numbers = HashSet::new();
        let mut there = |number| {
            numbers.insert(number);
            true
        };
        sealed::headers(txn, path, 0, &mut there, |_, _| {})?;
        self.blocks
            .retain(|block| numbers.contains(&block.entry.number));
        self.n_headers = numbers.len() as u32;
        Ok(())
    }
}

/// Opens a block of a segment.
pub(super) fn open(
    txn: &ReadTransaction,
    path: &Path,
    entry: &BlockEntry,
) -> Result<Result<BlockReader<Sections>, BlockError>, StorageError> {
    let table = table(txn, path, BLOCKS)?.map(|table| Arc::new(Owned::new(table)));
    let sections = Sections::new(table, path.to_owned(), entry);
    Ok(BlockReader::open(Arc::clone(&entry.header), sections))
}
