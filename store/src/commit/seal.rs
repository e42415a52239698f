//! Making blocks of hot batches.
//!
//! What is to go into blocks is read and encoded under a read transaction, while others write. A
//! short write transaction then looks whether the batches are still there, and swaps them: blocks
//! in, batches out, and what stays hot in again as new batches. Blocks of which enough has changed
//! since are read, made anew and swapped with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use redb::WriteTransaction;
use spanlite_model::TraceId;

use super::draft::{BlocksDraft, Piece, Readiness, begin_read};
use super::earlier::Earlier;
use super::fold::{self, Anew, Effort, KnownNotes, Notes, OldTrace};
use super::gathered::Gathered;
use super::source::{Carried, Source};
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal;
use crate::segment::hot::{self, EncodedBatch, HotDirectory};
use crate::segment::sealed::{self, NewBlock, store_blocks};
use crate::segment::{Counts, OpenSegment, SegmentName};
use crate::state::readable_deleted;

/// A writer that closes makes blocks of this part of what it waits for otherwise.
pub(super) const PART_AT_CLOSE: u64 = 5;
/// Bytes of hot batches that are worth a block, however few spans they are.
const BYTES: u64 = 8 << 20;
/// Bytes of new records that are worth a block.
const BYTES_AT_ONCE: u64 = 3 << 20;
/// Returns whether a segment has enough in hot batches.
pub(super) fn is_worthwhile(counts: &Counts, seal_spans: u64) -> bool {
    counts.hot_spans >= seal_spans || counts.hot_bytes >= BYTES
}

/// Returns whether records are enough for blocks of their own.
pub(super) fn is_enough(records: &[u8], seal_spans: u64) -> bool {
    records.len() as u64 >= BYTES_AT_ONCE || {
        let wanted = usize::try_from(seal_spans).unwrap_or(usize::MAX);
        hot::split(records).take(wanted).count() >= wanted
    }
}

/// What takes the place of hot batches.
pub(super) struct Swap {
    batches: Vec<(u64, HotDirectory)>,
    blocks: Vec<NewBlock>,
    carried: Vec<EncodedBatch>,
    /// The blocks that go, with how many spans each has.
    old_blocks: BTreeMap<u32, u64>,
    /// The keys of the changes kept apart that are in the blocks.
    pub(super) folded: Vec<Vec<u8>>,
    /// Records that are left out, because they do not decode.
    pub(super) refused: u64,
    /// A deleted trace is left out.
    any_gone: bool,
    /// Records of spans and bytes of the batches that go.
    spans: u64,
    bytes: u64,
    /// The first block of the segment that was not looked at.
    next_block: u32,
}

/// Reads the hot batches of a segment, and the blocks of whose traces enough came later, and makes
/// what takes their place. Nothing if nothing would change but numbers.
pub(super) fn prepare(
    segment: &OpenSegment,
    directory: &Directory,
    earlier: &mut Earlier,
    known_notes: &mut KnownNotes,
    effort: Effort,
) -> Result<Option<Swap>, StorageError> {
    let path = &segment.path;
    let txn = begin_read(segment)?;
    let source = Source::read(&txn, path)?;
    earlier.refresh(&txn, segment, directory)?;
    let deleted = readable_deleted(directory)?;
    let notes = Notes::open(directory, known_notes);
    let notes = notes.as_ref();
    let mut elsewhere: HashMap<TraceId, Vec<(SegmentName, u32)>> = HashMap::new();
    for trace_id in &source.order {
        let places = earlier.find(*trace_id, directory);
        if !places.is_empty() {
            elsewhere.insert(*trace_id, places);
        }
    }
    let mut late: HashMap<TraceId, Vec<u32>> = HashMap::new();
    for (trace_id, places) in &elsewhere {
        let here: Vec<u32> = blocks_in(segment.name, places).collect();
        if !here.is_empty() && !deleted.contains(trace_id) && source.may_go(*trace_id) {
            late.insert(*trace_id, here);
        }
    }
    let blocks = fold::Blocks {
        txn: &txn,
        segment,
        directory,
        earlier,
    };
    let limit = effort.limit(source.spans());
    let mut anew = Anew::read(&blocks, late, limit, notes)?;
    let mut making = Making::new(segment.name, &anew, notes, directory);
    let mut done = HashSet::new();
    let mut any_folded = false;
    for old in std::mem::take(&mut anew.traces) {
        let trace_id = old.trace_id;
        let places = earlier.find(trace_id, directory);
        done.insert(trace_id);
        // What was deleted stays until it is reclaimed, by whoever looks for it in blocks.
        let is_deleted = deleted.contains(&trace_id);
        let may_grow = !is_deleted && !source.goes_on.contains(&trace_id);
        any_folded |= old.parts > 1;
        any_folded |= making.old(old, &source, &places, may_grow)?;
    }
    if !any_folded && !anew.blocks.is_empty() {
        // The traces that made the blocks worthwhile have to wait.
        making.forget_anew();
        done.clear();
        anew.blocks.clear();
    }
    let mut any_gone = false;
    for trace_id in &source.order {
        if deleted.contains(trace_id) {
            any_gone = true;
        } else if !done.contains(trace_id) {
            let places = elsewhere.get(trace_id).map_or(&[][..], Vec::as_slice);
            making.hot(*trace_id, &source, places)?;
        }
    }
    let (carried, folded, refused) = (making.carried, making.folded, making.refused);
    let (blocks, refused_late) = making.draft.finish()?;
    anew.remember(known_notes, notes, folded.len());
    if blocks.is_empty() && !any_gone {
        return Ok(None);
    }
    Ok(Some(Swap {
        spans: source.spans(),
        bytes: source.bytes(),
        batches: source.into_directories(),
        old_blocks: anew.blocks,
        blocks,
        carried: carried.encode(),
        folded,
        refused: refused + refused_late,
        any_gone,
        next_block: earlier.next_block(segment.name),
    }))
}

fn blocks_in(name: SegmentName, places: &[(SegmentName, u32)]) -> impl Iterator<Item = u32> {
    let here = places.iter().filter(move |(one, _)| *one == name);
    here.map(|(_, block)| *block)
}

/// Blocks and batches in the making.
struct Making<'n, 's> {
    segment: SegmentName,
    /// The blocks of the segment that are made anew.
    anew: HashSet<u32>,
    notes: Option<&'n Notes>,
    journals: PathBuf,
    draft: BlocksDraft<'s>,
    carried: Carried,
    /// The keys of the changes kept apart that went into blocks.
    folded: Vec<Vec<u8>>,
    /// Records that do not decode.
    refused: u64,
}

impl<'n, 's> Making<'n, 's> {
    fn new(
        segment: SegmentName,
        anew: &Anew,
        notes: Option<&'n Notes>,
        directory: &Directory,
    ) -> Self {
        Self {
            segment,
            anew: anew.blocks.keys().copied().collect(),
            notes,
            journals: directory.journals(),
            draft: BlocksDraft::default(),
            carried: Carried::default(),
            folded: Vec::new(),
            refused: 0,
        }
    }

    /// Adds a trace that is hot.
    fn hot(
        &mut self,
        trace_id: TraceId,
        source: &'s Source,
        places: &[(SegmentName, u32)],
    ) -> Result<(), StorageError> {
        if source.goes_on.contains(&trace_id) {
            source.carry(trace_id, &mut self.carried);
            return Ok(());
        }
        let (mut gathered, refused) = source.gather(trace_id);
        let interrupted = match self.readiness(&gathered) {
            Readiness::Ready { interrupted } => interrupted,
            Readiness::Waiting => {
                source.carry(trace_id, &mut self.carried);
                return Ok(());
            }
        };
        self.refused += refused;
        let is_elsewhere = !places.is_empty();
        if !is_elsewhere {
            self.fold_notes(trace_id, &mut gathered);
        }
        self.draft.push(Piece {
            gathered,
            interrupted,
            bytes: source.record_bytes(trace_id),
            is_elsewhere,
            came: None,
        })
    }

    /// Adds a trace of blocks that are made anew. Returns whether anything came to it.
    fn old(
        &mut self,
        old: OldTrace,
        source: &'s Source,
        places: &[(SegmentName, u32)],
        may_grow: bool,
    ) -> Result<bool, StorageError> {
        let trace_id = old.trace_id;
        let mut bytes = old.assembly.weight();
        let (mut gathered, mut came) = (Gathered::from(old.assembly), Some(old.came));
        let mut interrupted = gathered.open_writers().next().is_some();
        let mut is_whole = may_grow;
        if source.has(trace_id) {
            let mut grown = gathered.clone();
            let refused = source.add_to(&mut grown);
            match self.readiness(&grown) {
                Readiness::Ready { interrupted: open } if may_grow => {
                    (gathered, came, interrupted) = (grown, None, open);
                    bytes += source.record_bytes(trace_id);
                    self.refused += refused;
                }
                _ => {
                    source.carry(trace_id, &mut self.carried);
                    is_whole = false;
                }
            }
        }
        let stays = |(name, block): &(SegmentName, u32)| {
            *name != self.segment || !self.anew.contains(block)
        };
        let is_elsewhere = places.iter().any(stays);
        let n_folded = self.folded.len();
        if is_whole && !is_elsewhere {
            self.fold_notes(trace_id, &mut gathered);
        }
        let any = came.is_none() || self.folded.len() > n_folded;
        self.draft.push(Piece {
            gathered,
            interrupted,
            bytes,
            is_elsewhere,
            came,
        })?;
        Ok(any)
    }

    fn readiness(&self, gathered: &Gathered<'_>) -> Readiness {
        Readiness::of(gathered, |writer| journal::is_alive(&self.journals, writer))
    }

    /// Adds the changes of a trace that are kept apart.
    fn fold_notes(&mut self, trace_id: TraceId, gathered: &mut Gathered<'_>) {
        for (key, update) in self.notes.iter().flat_map(|notes| notes.of(trace_id)) {
            gathered.add_update(update);
            self.folded.push(key);
        }
    }

    /// Leaves the blocks that were to be made anew as they are.
    fn forget_anew(&mut self) {
        self.anew.clear();
        self.draft = BlocksDraft::default();
        self.refused = 0;
        self.carried = Carried::default();
    }
}

impl Swap {
    /// Whether blocks are made anew.
    pub(super) fn is_anew(&self) -> bool {
        !self.old_blocks.is_empty()
    }

    /// Carries the swap out. Returns what the segment holds then; nothing if somebody else was
    /// faster, and nothing changes.
    pub(super) fn store(
        mut self,
        txn: &WriteTransaction,
        segment: &OpenSegment,
    ) -> Result<Option<Counts>, StorageError> {
        let path = &segment.path;
        for (number, directory) in &self.batches {
            if !hot::is_unchanged(txn, path, *number, directory)? {
                return Ok(None);
            }
        }
        for number in self.old_blocks.keys() {
            if !sealed::is_there(txn, path, *number)? {
                return Ok(None);
            }
        }
        let mut counts = segment.counts(txn)?;
        // A part in one of the blocks of others, which is later, would stand before an earlier one.
        if !self.old_blocks.is_empty() && counts.next_block > self.next_block {
            return Ok(None);
        }
        for (number, n_spans) in &self.old_blocks {
            sealed::remove(txn, path, *number, *n_spans, &mut counts)?;
        }
        for (number, _) in &self.batches {
            hot::remove(txn, path, *number)?;
        }
        counts.hot_batches = counts.hot_batches.saturating_sub(self.batches.len() as u64);
        counts.hot_spans = counts.hot_spans.saturating_sub(self.spans);
        counts.hot_bytes = counts.hot_bytes.saturating_sub(self.bytes);
        store_blocks(&mut self.blocks, txn, path, self.next_block, &mut counts)?;
        for batch in &self.carried {
            batch.store(txn, path, counts.next_batch)?;
            counts.add_batch(batch.n_spans(), batch.bytes());
        }
        segment.put_counts(txn, &counts)?;
        if self.any_gone {
            segment.put_left_out(txn)?;
        }
        segment.drop_lease(txn)?;
        Ok(Some(counts))
    }
}
