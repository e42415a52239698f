use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use redb::{ReadTransaction, ReadableDatabase as _};
use spanlite_model::TraceId;
use uuid::Uuid;

use super::earlier::Earlier;
use super::fresh::FreshRecords;
use super::gathered::Gathered;
use crate::block::BlockInput;
use crate::clock;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal;
use crate::segment::facts::BlockFacts;
use crate::segment::hot::{self, EncodedBatch, HotTrace};
use crate::segment::sealed::NewBlock;
use crate::segment::{HOT, OpenSegment, SegmentName, table};

/// A block gets no more traces.
pub(crate) const BLOCK_TRACES: usize = 500;
/// A block gets no more spans, unless one trace has more.
pub(crate) const BLOCK_SPANS: usize = 5_000;
/// A block gets no more bytes of records, unless one trace has more.
pub(crate) const BLOCK_BYTES: usize = 16 << 20;
/// A trace that is not complete after this time is sealed as far as it is there.
const PATIENCE_NANOS: u64 = 600_000_000_000;

/// What a commit stores: traces that are whole as blocks, everything else as hot batches.
#[derive(Default)]
pub(super) struct Portion {
    pub(super) blocks: Vec<NewBlock>,
    pub(super) batches: Vec<EncodedBatch>,
    /// For each segment, the first block that was not looked at when they were made.
    pub(super) looked_at: HashMap<SegmentName, u32>,
    /// Records that could not be read as records.
    pub(super) refused: u64,
}

impl Portion {
    /// Everything as hot batches.
    pub(super) fn hot(records: &[u8], origin: &[u8], journal: Uuid) -> Self {
        let (batches, refused) = hot::encode(records, origin, journal);
        Self {
            batches,
            refused,
            ..Self::default()
        }
    }

    /// Makes blocks of the traces of which everything is among the records. A trace goes on in hot
    /// batches where the segment has some of it there.
    pub(super) fn of(
        records: &[u8],
        origin: &[u8],
        journal: Uuid,
        segment: &OpenSegment,
        directory: &Directory,
        earlier: &mut Earlier,
    ) -> Result<Self, StorageError> {
        let Ok(fresh) = FreshRecords::parse(records, origin) else {
            return Ok(Self::hot(records, origin, journal));
        };
        let txn = begin_read(segment)?;
        let hot_already = hot_traces(&txn, segment)?;
        earlier.refresh(&txn, segment, directory)?;
        let writer = (!journal.is_nil()).then_some(journal);
        let mut draft = BlocksDraft::default();
        let mut rest = Vec::new();
        let mut refused = fresh.refused();
        let journals = directory.journals();
        for trace in fresh.traces() {
            let mut gathered = Gathered::new(trace.trace_id);
            if !hot_already.contains(&trace.trace_id) {
                refused += fresh.add_to(trace, &mut gathered, writer);
            }
            match Readiness::of(&gathered, |writer| journal::is_alive(&journals, writer)) {
                Readiness::Ready { interrupted } if !gathered.is_empty() => {
                    draft.push(Piece {
                        gathered,
                        interrupted,
                        bytes: trace.bytes(),
                        is_elsewhere: !earlier.find(trace.trace_id, directory).is_empty(),
                        came: None,
                    })?;
                }
                _ => trace.copy(&mut rest),
            }
        }
        let (batches, _counted) = hot::encode(&rest, origin, journal);
        let (blocks, refused_late) = draft.finish()?;
        Ok(Self {
            blocks,
            batches,
            looked_at: [(segment.name, earlier.next_block(segment.name))].into(),
            refused: refused + refused_late,
        })
    }
}

/// Begins to read a segment that this process writes to.
pub(super) fn begin_read(segment: &OpenSegment) -> Result<ReadTransaction, StorageError> {
    segment
        .database
        .begin_read()
        .map_err(|error| StorageError::redb("read", &segment.path, error))
}

fn hot_traces(
    txn: &ReadTransaction,
    segment: &OpenSegment,
) -> Result<HashSet<TraceId>, StorageError> {
    let Some(table) = table(txn, &segment.path, HOT)? else {
        return Ok(HashSet::new());
    };
    // What a damaged directory holds is not known to anybody.
    let directories = hot::directories(&table, &segment.path, |_, _| {})?;
    let traces = directories.iter().flat_map(|(_, one)| &one.traces);
    Ok(traces.map(HotTrace::trace_id).collect())
}

/// Whether a trace can go into a block.
pub(super) enum Readiness {
    Ready { interrupted: bool },
    Waiting,
}

impl Readiness {
    pub(super) fn of(gathered: &Gathered<'_>, mut is_alive: impl FnMut(Uuid) -> bool) -> Self {
        let mut open_writers = gathered.open_writers();
        let has_open = open_writers.next().is_some();
        let still_open = has_open && gathered.open_writers().any(&mut is_alive);
        if still_open {
            return Self::Waiting;
        }
        let now = clock::unix_millis().saturating_mul(1_000_000);
        let old = now.abs_diff(gathered.first_time_unix_nano()) > PATIENCE_NANOS;
        if has_open || gathered.has_ended_root() || old || gathered.is_imported() {
            return Self::Ready {
                interrupted: has_open,
            };
        }
        Self::Waiting
    }
}

/// One trace that goes into a block.
pub(super) struct Piece<'a> {
    pub(super) gathered: Gathered<'a>,
    /// The writer of an open span is gone.
    pub(super) interrupted: bool,
    /// About how many bytes it has.
    pub(super) bytes: usize,
    /// Blocks that stay hold something of it.
    pub(super) is_elsewhere: bool,
    /// The block of the segment in which the newest of it came; nothing if it comes now.
    pub(super) came: Option<u32>,
}

/// Blocks in the making.
#[derive(Default)]
pub(super) struct BlocksDraft<'a> {
    blocks: Vec<NewBlock>,
    /// What goes into the next block.
    pieces: Vec<Piece<'a>>,
    spans: usize,
    bytes: usize,
    refused: u64,
}

impl<'a> BlocksDraft<'a> {
    pub(super) fn push(&mut self, piece: Piece<'a>) -> Result<(), StorageError> {
        let n_spans = piece.gathered.n_spans();
        if self.pieces.len() >= BLOCK_TRACES
            || (self.spans + n_spans > BLOCK_SPANS && self.spans > 0)
            || (self.bytes + piece.bytes > BLOCK_BYTES && self.bytes > 0)
        {
            self.close()?;
        }
        self.spans += n_spans;
        self.bytes += piece.bytes;
        self.pieces.push(piece);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StorageError> {
        let pieces = std::mem::take(&mut self.pieces);
        (self.spans, self.bytes) = (0, 0);
        let mut input = BlockInput::default();
        let mut facts = BlockFacts::default();
        for (place, piece) in (0..).zip(&pieces) {
            let (info, changes) = piece.gathered.info();
            input.begin_trace(piece.gathered.trace_id(), Cow::Owned(info));
            self.refused += piece.gathered.put_spans(&mut input);
            let start = input.last_start_unix_nano();
            let start = start.or_else(|| changes.last_unix_nano()).unwrap_or(0);
            facts.starts.push(start);
            facts.add_changes(place, start, changes);
            if !piece.gathered.has_ended_root() || piece.is_elsewhere {
                facts.parts.push(place);
            }
            if piece.interrupted {
                facts.interrupted.push(place);
            }
            facts.came.push(piece.came);
        }
        if facts.came.iter().all(Option::is_none) {
            facts.came.clear();
        }
        self.blocks.push(NewBlock::new(&input, facts)?);
        Ok(())
    }

    /// The blocks, and how many records are none.
    pub(super) fn finish(mut self) -> Result<(Vec<NewBlock>, u64), StorageError> {
        if !self.pieces.is_empty() {
            self.close()?;
        }
        Ok((self.blocks, self.refused))
    }
}
