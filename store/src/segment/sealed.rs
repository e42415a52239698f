//! Blocks in a segment: the rows they are cut into, and what is kept beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, WriteTransaction};
use spanlite_model::{Trace, TraceId};

use super::facts::BlockFacts;
use super::without::{Folding, Left};
use super::{BLOCKS, Counts, FACTS, HEADERS, SegmentReader};
use super::{blob, table, without};
use crate::block::{
    BlockError, BlockHeader, BlockInput, EncodedBlock, LoadSection, Section, encode_input,
};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::fork::Owned;

/// The version of headers' frames.
const VERSION: u8 = 1;
/// Flag before a header: something of a trace may be stored elsewhere.
const FLAG_PARTS: u8 = 1;
/// Flag before a header: no trace is pinned, as far as the block knows.
const FLAG_NO_PINS: u8 = 2;

/// A block whose header was read. It never changes, so that later snapshots use it again.
#[derive(Debug)]
pub(crate) struct BlockEntry {
    pub(crate) number: u32,
    pub(crate) header: Arc<BlockHeader>,
    /// Whether something of one of its traces may be stored elsewhere.
    pub(crate) has_parts: bool,
    /// Whether one of its traces may be pinned.
    pub(crate) may_have_pins: bool,
    facts: OnceLock<Result<BlockFacts, ValueError>>,
}

/// The blocks of a file whose headers were read, by number.
pub(crate) type KnownBlocks = Mutex<BTreeMap<u32, Arc<BlockEntry>>>;

impl BlockEntry {
    /// What is known of the traces of the block.
    pub(crate) fn facts(
        &self,
        txn: &ReadTransaction,
        path: &Path,
    ) -> Result<&Result<BlockFacts, ValueError>, StorageError> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = BlockFacts::read(txn, path, self.number)?;
        let n_traces = self.header.summary().n_traces as usize;
        let checked = facts.and_then(|facts| {
            if facts.starts.len() == n_traces {
                Ok(facts)
            } else {
                let reason = "the facts are about another number of traces";
                Err(ValueError::Body { reason })
            }
        });
        Ok(self.facts.get_or_init(|| checked))
    }
}

/// A block that is ready to be stored.
#[derive(Debug)]
pub(crate) struct NewBlock {
    encoded: EncodedBlock,
    facts: BlockFacts,
    trace_ids: Vec<TraceId>,
    n_spans: u64,
    has_pins: bool,
}

fn header_place(block: u32) -> Place {
    Place::new("headers", &block.to_le_bytes())
}

/// The key of a piece of a block.
fn piece_key(block: u32, piece: u32) -> u64 {
    u64::from(block) << 32 | u64::from(piece)
}

/// The keys of all pieces of a block.
fn piece_keys(block: u32) -> RangeInclusive<u64> {
    piece_key(block, 0)..=piece_key(block, u32::MAX)
}

/// Stores blocks under numbers that were not used before, and counts them. Whoever made them has
/// looked at the blocks before `next_block`; of those that others have added since, this finds out
/// which traces have parts there.
pub(crate) fn store_blocks(
    blocks: &mut [NewBlock],
    txn: &WriteTransaction,
    path: &Path,
    next_block: u32,
    counts: &mut Counts,
) -> Result<(), StorageError> {
    if counts.next_block > next_block && !blocks.is_empty() {
        for header in headers_from(txn, path, next_block)? {
            for block in &mut *blocks {
                block.note_parts(&header);
            }
        }
    }
    for block in blocks {
        block.store(txn, path, counts.next_block)?;
        counts.next_block += 1;
        counts.blocks += 1;
        counts.block_spans += block.n_spans;
    }
    Ok(())
}

/// Whether a block is still there. Numbers are never used twice and blocks never change, so that
/// it is the same one then.
pub(crate) fn is_there(
    txn: &WriteTransaction,
    path: &Path,
    block: u32,
) -> Result<bool, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("read", path, error);
    let headers = txn
        .open_table(HEADERS)
        .map_err(|error| failed(error.into()))?;
    let found = headers.get(block).map_err(|error| failed(error.into()))?;
    Ok(found.is_some())
}

/// Removes a block of so many spans. Snapshots that were taken before go on reading it.
pub(crate) fn remove(
    txn: &WriteTransaction,
    path: &Path,
    block: u32,
    n_spans: u64,
    counts: &mut Counts,
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    for table in [HEADERS, FACTS] {
        txn.open_table(table)
            .map_err(|error| failed(error.into()))?
            .remove(block)
            .map_err(|error| failed(error.into()))?;
    }
    txn.open_table(BLOCKS)
        .map_err(|error| failed(error.into()))?
        .retain_in(piece_keys(block), |_, _| false)
        .map_err(|error| failed(error.into()))?;
    counts.blocks = counts.blocks.saturating_sub(1);
    counts.block_spans = counts.block_spans.saturating_sub(n_spans);
    Ok(())
}

fn headers_from(
    txn: &WriteTransaction,
    path: &Path,
    first: u32,
) -> Result<Vec<BlockEntry>, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("read", path, error);
    let table = txn
        .open_table(HEADERS)
        .map_err(|error| failed(error.into()))?;
    let mut found = Vec::new();
    for row in table.range(first..).map_err(|error| failed(error.into()))? {
        let (key, value) = row.map_err(|error| failed(error.into()))?;
        found.extend(decode_header(key.value(), value.value()).ok());
    }
    Ok(found)
}

impl NewBlock {
    /// A block of traces of which everything is there and nothing was changed later.
    pub(crate) fn of_whole(traces: &[Trace]) -> Result<Self, StorageError> {
        let mut facts = BlockFacts::default();
        for (place, trace) in (0..).zip(traces) {
            facts.starts.push(trace.start_time_unix_nano().unwrap_or(0));
            // Traces without spans are looked for by their facts, not by the header.
            if trace.spans.is_empty() {
                facts.parts.push(place);
            }
        }
        Self::new(&BlockInput::of(traces), facts)
    }

    /// A block of traces of which `facts` are known.
    pub(crate) fn new(input: &BlockInput<'_>, facts: BlockFacts) -> Result<Self, StorageError> {
        let encoded = encode_input(input).map_err(|source| StorageError::Encode { source })?;
        Ok(Self {
            encoded,
            facts,
            trace_ids: input.trace_ids().collect(),
            n_spans: input.n_spans() as u64,
            has_pins: input.has_pins(),
        })
    }

    /// Notes which traces another block may have parts of.
    fn note_parts(&mut self, other: &BlockEntry) {
        for (place, trace_id) in (0..).zip(&self.trace_ids) {
            if other.header.may_have_trace(*trace_id)
                && let Err(at) = self.facts.parts.binary_search(&place)
            {
                self.facts.parts.insert(at, place);
            }
        }
    }

    /// Stores the block under a number that was not used before.
    fn store(&self, txn: &WriteTransaction, path: &Path, block: u32) -> Result<(), StorageError> {
        let failed = |error: redb::Error| StorageError::redb("write to", path, error);
        let flags = u8::from(!self.facts.parts.is_empty()) * FLAG_PARTS
            + u8::from(!self.has_pins) * FLAG_NO_PINS;
        let body = [&[flags], self.encoded.header.as_slice()].concat();
        let header = codec::seal(VERSION, &body, header_place(block));
        txn.open_table(HEADERS)
            .map_err(|error| failed(error.into()))?
            .insert(block, header.as_slice())
            .map_err(|error| failed(error.into()))?;
        self.facts.store(txn, path, block)?;
        let mut blocks = txn
            .open_table(BLOCKS)
            .map_err(|error| failed(error.into()))?;
        let run = self.encoded.sections.concat();
        for (piece, bytes) in (0..).zip(blob::pieces_of_run(&run)) {
            blocks
                .insert(piece_key(block, piece), bytes)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }
}

/// The headers of the blocks of a segment from a number on, but for those that are known.
pub(crate) fn headers(
    txn: &ReadTransaction,
    path: &Path,
    first: u32,
    mut is_known: impl FnMut(u32) -> bool,
    mut each: impl FnMut(u32, Result<BlockEntry, ValueError>),
) -> Result<(), StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let Some(headers) = table(txn, path, HEADERS)? else {
        return Ok(());
    };
    for row in headers.range(first..).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let block = key.value();
        if !is_known(block) {
            each(block, decode_header(block, value.value()));
        }
    }
    Ok(())
}

fn decode_header(number: u32, value: &[u8]) -> Result<BlockEntry, ValueError> {
    let body = codec::unseal(value, header_place(number), VERSION)?;
    let (flags, header) = body
        .split_first()
        .ok_or(ValueError::TooShort { bytes: 0 })?;
    let header = BlockHeader::read(header).map_err(|error| to_value_error(&error))?;
    Ok(BlockEntry {
        number,
        header: Arc::new(header),
        has_parts: flags & FLAG_PARTS != 0,
        may_have_pins: flags & FLAG_NO_PINS == 0,
        facts: OnceLock::new(),
    })
}

/// What a damaged block is reported as.
pub(crate) fn to_value_error(error: &BlockError) -> ValueError {
    match error {
        BlockError::NewerVersion { found, supported } => ValueError::NewerVersion {
            found: *found,
            supported: *supported,
        },
        BlockError::HeaderChecksum | BlockError::SectionChecksum { .. } => ValueError::Checksum,
        BlockError::Malformed { what } => ValueError::Body { reason: what },
        _ => ValueError::Body {
            reason: "a section of the block cannot be read",
        },
    }
}

/// Copies all blocks into another segment, without what was deleted and with the changes that go
/// in, under the numbers that come next there. `counts` tells of their spans already.
pub(crate) fn copy(
    reader: &SegmentReader,
    to: &WriteTransaction,
    to_path: &Path,
    deleted: &BTreeSet<TraceId>,
    folding: &mut Folding<'_>,
    counts: &mut Counts,
) -> Result<(), StorageError> {
    let from = &reader.begin()?;
    let from_path = reader.path();
    let read = |error| StorageError::redb("read", from_path, redb::Error::from(error));
    let write = |error: redb::Error| StorageError::redb("write to", to_path, error);
    let damaged = |table, source| StorageError::DamagedValue {
        path: from_path.to_owned(),
        table,
        source,
    };
    let (Some(headers), Some(blocks)) = (
        table(from, from_path, HEADERS)?,
        table(from, from_path, BLOCKS)?,
    ) else {
        return Ok(());
    };
    for row in headers.range::<u32>(..).map_err(read)? {
        let (key, value) = row.map_err(read)?;
        let block = key.value();
        let entry =
            decode_header(block, value.value()).map_err(|source| damaged("headers", source))?;
        if without::may_hold_any(&entry, deleted) || folding.may_go_into(&entry) {
            let mut left = match without::block_anew(from, reader, &entry, deleted, folding)? {
                Left::All => None,
                Left::Nothing => Some(Vec::new()),
                Left::Some(block) => Some(vec![*block]),
            };
            if let Some(left) = &mut left {
                let before = u64::from(entry.header.summary().n_spans);
                counts.block_spans = counts.block_spans.saturating_sub(before);
                store_blocks(left, to, to_path, counts.next_block, counts)?;
                continue;
            }
        }
        let next = counts.next_block;
        let header = codec::unseal(value.value(), header_place(block), VERSION)
            .map_err(|source| damaged("headers", source))?;
        let known = BlockFacts::read(from, from_path, block)?;
        let mut known = known.map_err(|source| damaged("facts", source))?;
        // Blocks of the other segment mean nothing here.
        known.came.clear();
        let header = codec::seal(VERSION, &header, header_place(next));
        to.open_table(HEADERS)
            .map_err(|error| write(error.into()))?
            .insert(next, header.as_slice())
            .map_err(|error| write(error.into()))?;
        known.store(to, to_path, next)?;
        let mut target = to.open_table(BLOCKS).map_err(|error| write(error.into()))?;
        for row in blocks.range(piece_keys(block)).map_err(read)? {
            let (key, value) = row.map_err(read)?;
            target
                .insert(piece_key(next, key.value() as u32), value.value())
                .map_err(|error| write(error.into()))?;
        }
        counts.next_block += 1;
        counts.blocks += 1;
    }
    Ok(())
}

/// A table that is not dropped in a forked child.
pub(crate) type SharedTable = Arc<Owned<ReadOnlyTable<u64, &'static [u8]>>>;

/// Reads the sections of one block.
pub struct Sections {
    table: Option<SharedTable>,
    path: PathBuf,
    block: u32,
    /// The bytes of all sections, if they are one run.
    run_bytes: Option<u64>,
}

impl std::fmt::Debug for Sections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sections")
            .field("path", &self.path)
            .field("block", &self.block)
            .finish_non_exhaustive()
    }
}

impl Sections {
    pub(crate) fn new(table: Option<SharedTable>, path: PathBuf, entry: &BlockEntry) -> Self {
        Self {
            table,
            path,
            block: entry.number,
            run_bytes: entry.header.run_bytes(),
        }
    }

    /// The keys of the pieces from the first that has bytes of a section on, and how many bytes
    /// stand before them there.
    fn pieces(&self, number: u32, section: Section) -> (RangeInclusive<u64>, usize) {
        if let Some(run_bytes) = self.run_bytes {
            let (piece, skipped) = blob::piece_at(section.start, run_bytes);
            let last = *piece_keys(self.block).end();
            (piece_key(self.block, piece)..=last, skipped)
        } else {
            let first = piece_key(self.block, number << 16);
            (first..=first | 0xffff, 0)
        }
    }

    fn read(&self, number: u32, section: Section) -> Result<Vec<u8>, StorageError> {
        let failed = |error| StorageError::redb("read", &self.path, redb::Error::from(error));
        let length = section.length as usize;
        // A damaged length does not reserve more than sections have.
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        let Some(table) = &self.table else {
            return Ok(bytes);
        };
        let (pieces, mut before) = self.pieces(number, section);
        for row in table.range(pieces).map_err(failed)? {
            let (_, value) = row.map_err(failed)?;
            let piece = value.value();
            let rest = piece.get(before..).unwrap_or_default();
            before = before.saturating_sub(piece.len());
            let wanted = rest.len().min(length - bytes.len());
            bytes.extend_from_slice(&rest[..wanted]);
            if bytes.len() == length {
                break;
            }
        }
        Ok(bytes)
    }
}

impl LoadSection for Sections {
    fn load(
        &self,
        number: u32,
        section: Section,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        super::protected(&self.path, || self.read(number, section)).map_err(Into::into)
    }
}
