//! Making blocks anew, so that what came later of their traces is folded in: late spans that are
//! hot or in later blocks, and changes that are kept apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redb::ReadTransaction;
use spanlite_model::TraceId;

use super::draft::BLOCK_SPANS;
use super::earlier::{Earlier, Seen, open};
use crate::block::BlockError;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::options::Access;
use crate::segment::{OpenSegment, SegmentReader, TRACES_A_CHANGED_ONE, protected};
use crate::snapshot::{Assembly, collect_place};
use crate::state::{KeyedNote, count_notes, keyed_notes_of, noted_traces};

/// So many are written anew at once where somebody asked for it.
const SPANS_ASKED: u64 = 50_000;
/// Of so many blocks it is found out at once with which earlier ones they share traces, the newest
/// first: a program that runs shortly has no time for all.
const LOOKED_AT_ONCE: usize = 64;
/// No more traces with changes that are kept apart are looked for at once.
const NOTED_AT_ONCE: usize = 20_000;
/// Blocks of no more bytes together, as they are stored, are made anew at once.
const ANEW_BYTES: u64 = 8 << 20;

/// What is known of the changes that are kept apart, from one time to the next.
#[derive(Debug, Default)]
pub(crate) struct KnownNotes {
    /// How many were left when it was last looked whether there are enough.
    left: Option<u64>,
    /// What was folded could not be removed, and would be folded again and again.
    pub(super) stay: bool,
}

/// How much may be made anew at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Nothing.
    None,
    /// As much as is new, or a full block.
    Small,
    /// More: somebody asked, and waits.
    Asked,
}

impl Effort {
    /// What it comes to beside so many spans that come out of hot batches.
    pub(super) fn limit(self, hot_spans: u64) -> Limit {
        let (spans, looked_at) = match self {
            Self::None => (0, 0),
            Self::Small => (hot_spans.max(BLOCK_SPANS as u64), LOOKED_AT_ONCE),
            Self::Asked => (SPANS_ASKED, usize::MAX),
        };
        Limit { spans, looked_at }
    }
}

/// How much is made anew at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Spans in blocks that are made anew.
    spans: u64,
    /// Blocks of which it is found out with which earlier ones they share traces.
    looked_at: usize,
}

/// The changes that are kept apart, as they are at one moment.
pub(crate) struct Notes {
    reader: SegmentReader,
    txn: ReadTransaction,
    n_notes: u64,
    /// The traces that have some, if there are others than when it was last looked.
    traces: Vec<TraceId>,
}

impl Notes {
    /// Opens them; nothing if there are none, or they cannot be read, which whoever reads the
    /// traces reports.
    pub(crate) fn open(directory: &Directory, known: &KnownNotes) -> Option<Self> {
        if known.stay || !directory.has_state() {
            return None;
        }
        let path = directory.state();
        let open = || {
            let reader = SegmentReader::open(&path, Access::ReadWrite)?;
            let txn = reader.begin()?;
            let n_notes = count_notes(&txn, &path)?;
            let traces = if known.left == Some(n_notes) {
                Vec::new()
            } else {
                noted_traces(&txn, &path, |_| {})?
            };
            Ok(Self {
                reader,
                txn,
                n_notes,
                traces,
            })
        };
        let notes = protected(&path, open).ok()?;
        (notes.n_notes > 0).then_some(notes)
    }

    /// The traces that have some, in order; none where there are no others than when it was last
    /// looked.
    pub(crate) fn traces(&self) -> &[TraceId] {
        &self.traces
    }

    /// The changes of a trace with their keys, if all of them can be folded.
    pub(crate) fn of(&self, trace_id: TraceId) -> Vec<KeyedNote> {
        let path = self.reader.path();
        let read = protected(path, || keyed_notes_of(&self.txn, path, trace_id));
        read.ok().flatten().unwrap_or_default()
    }
}

/// Where blocks are read.
pub(super) struct Blocks<'a> {
    pub(super) txn: &'a ReadTransaction,
    pub(super) segment: &'a OpenSegment,
    pub(super) directory: &'a Directory,
    /// Read as far as the transaction sees.
    pub(super) earlier: &'a Earlier,
}

/// A trace of blocks that are made anew.
pub(super) struct OldTrace {
    pub(super) trace_id: TraceId,
    pub(super) assembly: Assembly,
    /// The block in which the newest of it came.
    pub(super) came: u32,
    /// It was in one block, so that nothing is gained if nothing comes to it.
    pub(super) parts: usize,
}

/// The blocks that are made anew.
#[derive(Default)]
pub(super) struct Anew {
    /// Their numbers, with how many spans each has.
    pub(super) blocks: BTreeMap<u32, u64>,
    /// Their traces, in order.
    pub(super) traces: Vec<OldTrace>,
    /// Others have to wait for another time.
    is_cut: bool,
}

/// Where the traces of a segment are of which something came later.
struct Later<'s> {
    seen: &'s Seen,
    /// By trace, the blocks of the segment that hold something of it, in order.
    holders: HashMap<TraceId, Vec<u32>>,
    /// Of the blocks from this number on it is known with which earlier ones they share traces.
    first: u32,
}

impl Later<'_> {
    fn add(&mut self, trace_id: TraceId, blocks: impl IntoIterator<Item = u32>) {
        let known = self.holders.entry(trace_id).or_default();
        known.extend(blocks);
        known.sort_unstable();
        known.dedup();
    }

    /// The blocks that are worth it, as many as may be written anew, with their spans. A block that
    /// holds a part of a trace that is in an earlier one too goes with that, because later parts
    /// count before earlier ones. Also returns whether some have to wait.
    fn choose(&self, limit_spans: u64) -> (BTreeMap<u32, u64>, bool) {
        let mut by_block: BTreeMap<u32, Vec<TraceId>> = BTreeMap::new();
        for (trace_id, blocks) in &self.holders {
            for block in blocks {
                by_block.entry(*block).or_default().push(*trace_id);
            }
        }
        let known = |number: u32| {
            let blocks = self.seen.blocks();
            let place = blocks.binary_search_by_key(&number, |block| block.entry.number);
            blocks
                .get(place.ok()?)
                .filter(|block| !block.is_damaged.get())
        };
        let mut chosen = BTreeMap::new();
        let (mut spans, mut bytes, mut is_cut) = (0, 0, false);
        for (number, changed) in by_block.range(self.first..) {
            let is_worthwhile = known(*number).is_some_and(|block| {
                let n_traces = block.entry.header.summary().n_traces as usize;
                changed.len() * TRACES_A_CHANGED_ONE >= n_traces
            });
            if chosen.contains_key(number) || !is_worthwhile {
                continue;
            }
            let mut together = BTreeSet::from([*number]);
            let mut rest = vec![*number];
            while let Some(one) = rest.pop() {
                let changed = by_block.get(&one).into_iter().flatten();
                let others = changed.filter_map(|trace_id| self.holders.get(trace_id));
                for other in others.flatten().filter(|other| **other > one) {
                    if together.insert(*other) {
                        rest.push(*other);
                    }
                }
            }
            together.retain(|number| !chosen.contains_key(number));
            let blocks: Option<Vec<_>> = together.iter().map(|number| known(*number)).collect();
            let Some(blocks) = blocks else {
                continue; // one of them is damaged, and stays
            };
            let sizes = blocks.iter().map(|block| {
                let header = &block.entry.header;
                let bytes = header
                    .sections()
                    .iter()
                    .map(|section| u64::from(section.length));
                (u64::from(header.summary().n_spans), bytes.sum::<u64>())
            });
            let sizes: Vec<(u64, u64)> = sizes.collect();
            let more_spans: u64 = sizes.iter().map(|(spans, _)| spans).sum();
            let more_bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
            if spans + more_spans > limit_spans || bytes + more_bytes > ANEW_BYTES {
                is_cut |= more_spans <= limit_spans && more_bytes <= ANEW_BYTES;
                continue;
            }
            (spans, bytes) = (spans + more_spans, bytes + more_bytes);
            let numbers = together.into_iter();
            chosen.extend(numbers.zip(sizes.into_iter().map(|(spans, _)| spans)));
        }
        (chosen, is_cut)
    }
}

impl Anew {
    fn nothing_now() -> Self {
        Self {
            is_cut: true,
            ..Self::default()
        }
    }

    /// Chooses and reads the blocks of a segment that are to be made anew. `late` are the traces
    /// that are hot, with the blocks of the segment that hold parts of them.
    pub(super) fn read(
        source: &Blocks<'_>,
        late: HashMap<TraceId, Vec<u32>>,
        limit: Limit,
        notes: Option<&Notes>,
    ) -> Result<Self, StorageError> {
        let Blocks {
            txn,
            segment,
            directory,
            earlier,
        } = *source;
        let seen = earlier.segment(segment.name);
        let Some(seen) = seen.filter(|_| limit.spans > 0) else {
            return Ok(Self::nothing_now());
        };
        let mut later = Later {
            seen,
            holders: late,
            first: 0,
        };
        let mut looked_at = 0;
        for block in seen.blocks().iter().rev() {
            looked_at += usize::from(!block.is_looked_at());
            if looked_at > limit.looked_at {
                later.first = block.entry.number + 1;
                break;
            }
            for (trace_id, blocks) in seen.shared(block, txn, segment, directory)? {
                let here = block.entry.number;
                later.add(*trace_id, blocks.iter().copied().chain([here]));
            }
        }
        let noted = notes.iter().flat_map(|notes| &notes.traces);
        for trace_id in noted.take(NOTED_AT_ONCE) {
            let mut here = seen.holders(*trace_id, segment.name, directory);
            if here.next().is_none() {
                continue;
            }
            let places = earlier.find(*trace_id, directory);
            // Where another segment holds a part, a change belongs to both.
            if places.iter().all(|(name, _)| *name == segment.name) {
                later.add(*trace_id, places.into_iter().map(|(_, block)| block));
            }
        }
        let (blocks, is_cut) = later.choose(limit.spans);
        let mut traces = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        let chosen = seen.blocks().iter();
        for block in chosen.filter(|block| blocks.contains_key(&block.entry.number)) {
            // What goes wrong below, be it a panic on a damaged page, is not tried again.
            block.is_damaged.set(true);
            let Ok(facts) = block.entry.facts(txn, &segment.path)? else {
                return Ok(Self::nothing_now());
            };
            let read = open(txn, &segment.path, &block.entry)?.and_then(|reader| {
                let decoder = reader.decoder()?;
                for (place, id) in reader.trace_ids()?.iter().enumerate() {
                    let trace_id = TraceId::from_bytes(*id);
                    let at = *places.entry(trace_id).or_insert_with(|| {
                        traces.push(OldTrace {
                            trace_id,
                            assembly: Assembly::new(trace_id),
                            came: 0,
                            parts: 0,
                        });
                        traces.len() - 1
                    });
                    let old: &mut OldTrace = &mut traces[at];
                    collect_place(&decoder, facts, place, &mut old.assembly)?;
                    old.came = old.came.max(facts.came_in(block.entry.number, place));
                    old.parts += 1;
                }
                Ok::<_, BlockError>(())
            });
            if read.is_err() {
                return Ok(Self::nothing_now());
            }
            block.is_damaged.set(false);
        }
        Ok(Self {
            blocks,
            traces,
            is_cut: is_cut || later.first > 0,
        })
    }

    /// Notes whether all changes that are kept apart were looked at, but for those that are folded.
    pub(super) fn remember(&self, known: &mut KnownNotes, notes: Option<&Notes>, n_folded: usize) {
        let left = notes
            .map_or(0, |notes| notes.n_notes)
            .checked_sub(n_folded as u64);
        known.left = left.filter(|_| !self.is_cut);
    }
}
