use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::ReadTransaction;
use spanlite_model::{SpanId, Trace, TraceId};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::assembly::Assembly;
use super::damage::Damage;
use crate::block::{BlockError, BlockReader, LoadSection as _, TraceDecoder};
use crate::codec::ValueError;
use crate::error::StorageError;
use crate::fork::Owned;
use crate::record::Record;
use crate::segment::facts::BlockFacts;
use crate::segment::sealed::{self, BlockEntry, KnownBlocks, Sections, SharedTable};
use crate::segment::{BLOCKS, table};

/// How many bytes the open blocks of a snapshot keep in memory unless another number is set,
/// roughly.
const OPEN_BYTES: u64 = 64 << 20;

/// The blocks of one segment.
pub(super) struct Blocks {
    table: Option<SharedTable>,
    entries: Vec<Arc<BlockEntry>>,
    open: Arc<OpenBlocks>,
}

/// Blocks of a snapshot that stay open, so that what was read and decompressed of them is there
/// when it is asked for again.
pub(super) struct OpenBlocks {
    open: Mutex<Open>,
    kept_bytes: Arc<AtomicU64>,
    most_bytes: AtomicU64,
}

impl std::fmt::Debug for OpenBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBlocks")
            .field("kept_bytes", &self.kept_bytes)
            .field("most_bytes", &self.most_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for OpenBlocks {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            kept_bytes: Arc::default(),
            most_bytes: AtomicU64::new(OPEN_BYTES),
        }
    }
}

#[derive(Default)]
struct Open {
    /// By the address of its entry, which lives as long as the snapshot.
    places: HashMap<usize, usize>,
    readers: Vec<(usize, Arc<BlockReader<Sections>>)>,
    n_closed: usize,
}

impl Open {
    fn find(&self, key: usize) -> Option<&Arc<BlockReader<Sections>>> {
        let place = self.places.get(&key)?;
        self.readers.get(*place).map(|(_, reader)| reader)
    }

    fn insert(&mut self, key: usize, reader: &Arc<BlockReader<Sections>>) {
        self.places.insert(key, self.readers.len());
        self.readers.push((key, Arc::clone(reader)));
    }

    /// Closes a block, any but one: of blocks that are read one after the other, again and again,
    /// an order would close each just before it is asked for. Returns whether there was another.
    fn close_one_but(&mut self, wanted: usize) -> bool {
        const STRIDE: usize = 0x9e37_79b9;
        let n_others = self.readers.len() - usize::from(self.places.contains_key(&wanted));
        if n_others == 0 {
            return false;
        }
        self.n_closed = self.n_closed.wrapping_add(STRIDE);
        let mut place = self.n_closed % self.readers.len();
        if self.places.get(&wanted) == Some(&place) {
            place = (place + 1) % self.readers.len();
        }
        let (key, _) = self.readers.swap_remove(place);
        self.places.remove(&key);
        if let Some((moved, _)) = self.readers.get(place) {
            self.places.insert(*moved, place);
        }
        true
    }
}

impl OpenBlocks {
    /// Sets how many bytes they keep, roughly; the block that is read last stays.
    pub(super) fn keep_at_most(&self, n_bytes: u64) {
        self.most_bytes.store(n_bytes, Ordering::Relaxed);
    }

    /// The open block of an entry; opened now if it is not.
    fn get(
        &self,
        entry: &BlockEntry,
        open: impl FnOnce(&Arc<AtomicU64>) -> Result<BlockReader<Sections>, BlockError>,
    ) -> Result<Arc<BlockReader<Sections>>, BlockError> {
        let key = std::ptr::from_ref(entry).addr();
        let locked = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = locked();
        // What blocks keep grows while they are read.
        let most_bytes = self.most_bytes.load(Ordering::Relaxed);
        while self.kept_bytes.load(Ordering::Relaxed) > most_bytes && known.close_one_but(key) {}
        if let Some(reader) = known.find(key) {
            return Ok(Arc::clone(reader));
        }
        drop(known);
        // Read without the lock: other threads open other blocks meanwhile.
        let reader = Arc::new(open(&self.kept_bytes)?);
        let mut known = locked();
        if let Some(reader) = known.find(key) {
            return Ok(Arc::clone(reader));
        }
        known.insert(key, &reader);
        Ok(reader)
    }
}

impl Blocks {
    /// Reads the headers of the blocks, but for those that an earlier snapshot has read.
    pub(super) fn read(
        txn: &ReadTransaction,
        path: &Path,
        known: &KnownBlocks,
        expected: u32,
        open: &Arc<OpenBlocks>,
        report: &dyn Fn(Damage),
    ) -> Result<Self, StorageError> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = Vec::new();
        let mut new = Vec::new();
        sealed::headers(
            txn,
            path,
            0,
            |number| {
                numbers.push(number);
                known.contains_key(&number)
            },
            |number, entry| match entry {
                Ok(entry) => new.push(Arc::new(entry)),
                Err(source) => {
                    report(Damage::value(
                        path,
                        "headers",
                        &number.to_le_bytes(),
                        source,
                    ));
                }
            },
        )?;
        for entry in new {
            known.insert(entry.number, entry);
        }
        if numbers.len() != expected as usize {
            let reason = "the segment names another number of blocks";
            report(Damage::value(
                path,
                "headers",
                &[],
                ValueError::Body { reason },
            ));
        }
        // Blocks that were made anew are not asked for again, but by snapshots that have them.
        let last = numbers.last().copied().unwrap_or(0);
        known.retain(|number, _| *number > last || numbers.binary_search(number).is_ok());
        let entries = numbers.iter().filter_map(|number| known.get(number));
        Ok(Self {
            entries: entries.cloned().collect(),
            table: table(txn, path, BLOCKS)?.map(|table| Arc::new(Owned::new(table))),
            open: Arc::clone(open),
        })
    }

    pub(super) fn entries(&self) -> &[Arc<BlockEntry>] {
        &self.entries
    }

    /// Opens a block.
    pub(super) fn open(
        &self,
        entry: &BlockEntry,
        path: &Path,
    ) -> Result<Arc<BlockReader<Sections>>, BlockError> {
        self.open.get(entry, |kept_bytes| {
            let sections = Sections::new(self.table.clone(), path.to_owned(), entry);
            BlockReader::open_among(Arc::clone(&entry.header), sections, kept_bytes)
        })
    }

    /// Reads every section, and decodes every trace.
    pub(super) fn check(
        &self,
        txn: &ReadTransaction,
        path: &Path,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        for entry in &self.entries {
            let Some(facts) = facts_of(entry, txn, path, report)? else {
                continue;
            };
            if let Err(error) = self.check_block(entry, facts, path) {
                report(damaged(entry, path, &error));
            }
        }
        Ok(())
    }

    fn check_block(
        &self,
        entry: &BlockEntry,
        facts: &BlockFacts,
        path: &Path,
    ) -> Result<(), BlockError> {
        let sections = Sections::new(self.table.clone(), path.to_owned(), entry);
        for (number, section) in (0..).zip(entry.header.sections()) {
            let bytes = sections
                .load(number, *section)
                .map_err(|source| BlockError::Load {
                    section: number,
                    source,
                })?;
            if bytes.len() != section.length as usize || xxh3_64(&bytes) != section.checksum {
                return Err(BlockError::SectionChecksum { section: number });
            }
        }
        let reader = self.open(entry, path)?;
        let decoder = reader.decoder()?;
        for place in 0..reader.n_traces() {
            let trace = decoder.trace(place)?;
            let start = trace.start_time_unix_nano();
            if !trace.spans.is_empty() && start != facts.starts.get(place).copied() {
                return Err(BlockError::Malformed {
                    what: "a trace begins at another time than the facts say",
                });
            }
            if !entry.header.may_have_trace(trace.trace_id) {
                return Err(BlockError::Malformed {
                    what: "a trace is missing in the header's filter",
                });
            }
        }
        Ok(())
    }

    /// The places of some traces in a block: the trace, when it began there, and whether it has
    /// spans there.
    pub(super) fn places(
        &self,
        entry: &BlockEntry,
        facts: &BlockFacts,
        path: &Path,
        is_wanted: impl Fn(TraceId) -> bool,
    ) -> Result<Vec<(TraceId, u64, bool)>, BlockError> {
        let reader = self.open(entry, path)?;
        let ids = reader
            .trace_ids()?
            .iter()
            .map(|id| TraceId::from_bytes(*id));
        let wanted = ids.enumerate().filter(|(_, id)| is_wanted(*id));
        wanted
            .map(|(place, trace_id)| {
                let (start, has_spans) = begin(&reader, facts, place)?;
                Ok((trace_id, start, has_spans))
            })
            .collect()
    }

    /// Adds what the blocks hold of a trace.
    pub(super) fn collect(
        &self,
        txn: &ReadTransaction,
        path: &Path,
        trace_id: TraceId,
        assembly: &mut Assembly,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        for entry in &self.entries {
            if !entry.header.may_have_trace(trace_id) {
                continue;
            }
            let Some(facts) = facts_of(entry, txn, path, report)? else {
                continue;
            };
            if let Err(error) = self.collect_block(entry, facts, path, trace_id, assembly) {
                report(damaged(entry, path, &error));
            }
        }
        Ok(())
    }

    fn collect_block(
        &self,
        entry: &BlockEntry,
        facts: &BlockFacts,
        path: &Path,
        trace_id: TraceId,
        assembly: &mut Assembly,
    ) -> Result<(), BlockError> {
        let reader = self.open(entry, path)?;
        let places = reader.find(trace_id)?;
        if places.is_empty() {
            return Ok(());
        }
        if assembly.is_partial() {
            let (ids, starts) = (reader.span_ids()?, reader.span_starts()?);
            let ids_at = |place: usize| {
                let bounds = starts.get(place).zip(starts.get(place + 1));
                bounds.and_then(|(first, end)| ids.get(*first as usize..*end as usize))
            };
            let mut all = places.iter().filter_map(|place| ids_at(*place)).flatten();
            if !all.any(|id| assembly.wants(SpanId::from_bytes(*id))) {
                for place in places {
                    let info = reader.info(place)?;
                    let trace = Trace {
                        info,
                        ..Trace::new(trace_id, Vec::new())
                    };
                    collect_trace(trace, facts, place, assembly)?;
                }
                return Ok(());
            }
        }
        let decoder = reader.decoder()?;
        for place in places {
            collect_place(&decoder, facts, place, assembly)?;
        }
        Ok(())
    }
}

/// When the trace at a place of a block began there, and whether it has spans there.
pub(super) fn begin(
    reader: &BlockReader<Sections>,
    facts: &BlockFacts,
    place: usize,
) -> Result<(u64, bool), BlockError> {
    let spans = reader.span_starts()?;
    let has_spans = spans.get(place) != spans.get(place + 1);
    Ok((facts.starts.get(place).copied().unwrap_or(0), has_spans))
}

/// Adds the trace at a place of a block.
pub(crate) fn collect_place(
    decoder: &TraceDecoder<'_, Sections>,
    facts: &BlockFacts,
    place: usize,
    assembly: &mut Assembly,
) -> Result<(), BlockError> {
    let trace = decoder.trace_with(place, |span_id| assembly.wants(span_id))?;
    collect_trace(trace, facts, place, assembly)
}

fn collect_trace(
    mut trace: Trace,
    facts: &BlockFacts,
    place: usize,
    assembly: &mut Assembly,
) -> Result<(), BlockError> {
    let updates = facts.updates(place, &trace);
    let updates = updates.map_err(|_| BlockError::Malformed {
        what: "a change of a trace does not decode",
    })?;
    assembly.found();
    // The writer of an open span is gone, which the nil id stands for: nobody has it.
    let writer = facts.is_interrupted(place).then(Uuid::nil);
    for span in trace.spans.drain(..) {
        assembly.add(Record::Span(Box::new(span)), writer);
    }
    assembly.add_updates(updates);
    Ok(())
}

/// What is known of the traces of a block; nothing if that is damaged.
pub(super) fn facts_of<'e>(
    entry: &'e BlockEntry,
    txn: &ReadTransaction,
    path: &Path,
    report: &dyn Fn(Damage),
) -> Result<Option<&'e BlockFacts>, StorageError> {
    match entry.facts(txn, path)? {
        Ok(facts) => Ok(Some(facts)),
        Err(source) => {
            let key = entry.number.to_le_bytes();
            report(Damage::value(path, "facts", &key, source.clone()));
            Ok(None)
        }
    }
}

pub(super) fn damaged(entry: &BlockEntry, path: &Path, error: &BlockError) -> Damage {
    let source = sealed::to_value_error(error);
    Damage::value(path, "blocks", &entry.number.to_le_bytes(), source)
}
