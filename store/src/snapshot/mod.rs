//! What a store held at one moment.

mod assembly;
mod blocks;
mod damage;
mod follow;
mod index;
mod life;
mod order;
mod sealed;
mod segment;
mod take;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use redb::ReadTransaction;
use spanlite_model::{Span, SpanId, Trace, TraceId, TraceUpdate};

use crate::error::{ReadError, StorageError};
use crate::fork::Owned;
use crate::journal::{JournalForm, JournalView};
use crate::record::{RecordRef, decode_record};
use crate::segment::{SegmentName, SegmentReader, hot, protected};
use crate::state::{deleted_traces, is_deleted, notes_of};
pub(crate) use assembly::{Assembly, span_weight};
use blocks::OpenBlocks;
pub(crate) use blocks::collect_place;
pub use damage::Damage;
pub use follow::Follow;
use index::Index;
pub(crate) use life::Holding;
use order::{NewestFirst, newest_ids};
pub use sealed::SealedBlock;
use segment::SegmentView;

/// A stretch of time, in Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first nanosecond that belongs to it.
    pub start_unix_nano: u64,
    /// The first nanosecond that does not.
    pub end_unix_nano: u64,
}

impl Default for TimeRange {
    /// All time.
    fn default() -> Self {
        Self {
            start_unix_nano: 0,
            end_unix_nano: u64::MAX,
        }
    }
}

impl TimeRange {
    fn begins_before_end(&self, unix_nano: u64) -> bool {
        unix_nano < self.end_unix_nano || self.end_unix_nano == u64::MAX
    }

    /// Returns whether a moment lies in the range. The last nanosecond that can be written belongs
    /// to all time.
    pub fn contains(&self, unix_nano: u64) -> bool {
        self.start_unix_nano <= unix_nano && self.begins_before_end(unix_nano)
    }
}

/// What a store held at one moment, in every process; later commits do not show.
///
/// While a snapshot lives, the pages it may read are kept, so files that are written to grow.
/// Damaged values are skipped and reported by [`Snapshot::damage`].
#[derive(Debug)]
pub struct Snapshot {
    parts: Owned<Parts>,
    damage: Mutex<Vec<Damage>>,
}

#[derive(Debug)]
struct Parts {
    segments: Vec<SegmentView>,
    open_blocks: Arc<OpenBlocks>,
    journals: Vec<JournalView>,
    state: Option<StateView>,
    index: OnceLock<Index>,
    /// The records of journals by their traces: number of the journal, number of the record.
    in_journals: OnceLock<HashMap<TraceId, Vec<(u32, u32)>>>,
    /// Segments that merged ones stand for.
    replaced: Vec<SegmentName>,
}

struct StateView {
    txn: ReadTransaction,
    path: PathBuf,
    reader: Arc<SegmentReader>,
}

impl std::fmt::Debug for StateView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateView").finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Keeps about so many bytes of what is read of blocks decompressed in memory, for what asks for
    /// the same again; 64 MiB unless said. A pass over all traces in the order of time is as fast
    /// with a few.
    #[must_use]
    pub fn keeping_at_most(self, n_bytes: u64) -> Self {
        self.parts.open_blocks.keep_at_most(n_bytes);
        self
    }

    /// What was skipped because it is damaged, as far as the snapshot was read; results are then
    /// incomplete.
    pub fn damage(&self) -> Vec<Damage> {
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = damage.clone();
        drop(damage);
        let segments = self.parts.segments.iter().map(SegmentView::reader);
        let state = self.parts.state.iter().map(|state| &*state.reader);
        for reader in segments.chain(state) {
            let path = reader.path().to_owned();
            all.extend(reader.damage().map(|error| Damage::file(path, error)));
        }
        all
    }

    fn report(&self, damage: Damage) {
        let mut all = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|known| known.is_same(&damage)) {
            all.push(damage);
        }
    }

    /// Reads something of every segment. What is damaged beyond reading is reported and left out.
    fn each_segment(
        &self,
        mut read: impl FnMut(&SegmentView, &dyn Fn(Damage)) -> Result<(), StorageError>,
    ) -> Result<(), ReadError> {
        for segment in &self.parts.segments {
            let report = |damage| self.report(damage);
            let done = protected(segment.path(), || read(segment, &report));
            self.or_damage(segment.path(), done)?;
        }
        Ok(())
    }

    /// The trace with an id: everything that was stored of it, merged.
    ///
    /// Its state is [`Interrupted`](spanlite_model::TraceState::Interrupted) when a span is open
    /// whose writer is gone or that was imported, and no other state was set.
    pub fn trace(&self, trace_id: TraceId) -> Result<Option<Trace>, ReadError> {
        let assembly = self.assemble(Assembly::new(trace_id))?;
        Ok(assembly.map(|assembly| {
            assembly.finish(|writer| {
                let mut journals = self.parts.journals.iter();
                journals.any(|journal| journal.alive && Some(journal.id) == writer)
            })
        }))
    }

    /// The spans and changes of a trace as they were stored.
    pub(crate) fn stored(
        &self,
        trace_id: TraceId,
    ) -> Result<(Vec<Span>, Vec<TraceUpdate>), ReadError> {
        let assembly = self.assemble(Assembly::new(trace_id))?;
        Ok(assembly.map(Assembly::into_stored).unwrap_or_default())
    }

    /// Some spans of a trace and all changes as they were stored, at the cost of these: of other
    /// spans no more is read than their ids.
    pub(crate) fn stored_of(
        &self,
        trace_id: TraceId,
        spans: HashSet<SpanId>,
    ) -> Result<(Vec<Span>, Vec<TraceUpdate>), ReadError> {
        let assembly = self.assemble(Assembly::of_spans(trace_id, spans))?;
        Ok(assembly.map(Assembly::into_stored).unwrap_or_default())
    }

    /// Whether a trace was deleted.
    pub(crate) fn is_deleted(&self, trace_id: TraceId) -> Result<bool, ReadError> {
        let Some(state) = &self.parts.state else {
            return Ok(false);
        };
        let deleted = protected(&state.path, || {
            is_deleted(&state.txn, &state.path, trace_id)
        });
        self.or_damage(&state.path, deleted)
    }

    /// The traces that were deleted.
    pub(crate) fn deleted(&self) -> Result<Vec<TraceId>, ReadError> {
        Ok(self.index()?.deleted().collect())
    }

    /// Whether anything of a trace shows.
    pub(crate) fn holds(&self, trace_id: TraceId) -> Result<bool, ReadError> {
        let nothing = Assembly::of_spans(trace_id, HashSet::new());
        Ok(self.assemble(nothing)?.is_some())
    }

    /// Adds everything that is stored of a trace; nothing comes of one that is not there.
    fn assemble(&self, mut assembly: Assembly) -> Result<Option<Assembly>, ReadError> {
        let trace_id = assembly.trace_id();
        if self.is_deleted(trace_id)? {
            return Ok(None);
        }
        self.each_segment(|segment, report| segment.collect(trace_id, &mut assembly, report))?;
        self.collect_from_journals(trace_id, &mut assembly);
        if assembly.is_empty() {
            return Ok(None);
        }
        assembly.add_updates(self.notes(trace_id)?);
        Ok(Some(assembly))
    }

    /// The later changes of a trace that are kept apart.
    fn notes(&self, trace_id: TraceId) -> Result<Vec<TraceUpdate>, ReadError> {
        let Some(state) = &self.parts.state else {
            return Ok(Vec::new());
        };
        let notes = protected(&state.path, || {
            notes_of(&state.txn, &state.path, trace_id, |source| {
                let key = trace_id.as_bytes();
                self.report(Damage::value(&state.path, "notes", key, source));
            })
        });
        self.or_damage(&state.path, notes)
    }

    fn in_journals(&self) -> &HashMap<TraceId, Vec<(u32, u32)>> {
        self.parts.in_journals.get_or_init(|| {
            let mut found: HashMap<TraceId, Vec<(u32, u32)>> = HashMap::new();
            for (number, journal) in (0..).zip(&self.parts.journals) {
                for (place, bytes) in (0..).zip(journal.all_records()) {
                    if let Ok(record) = RecordRef::parse(bytes) {
                        let places = found.entry(record.trace_id()).or_default();
                        places.push((number, place));
                    }
                }
            }
            found
        })
    }

    fn collect_from_journals(&self, trace_id: TraceId, assembly: &mut Assembly) {
        let journals = &self.parts.journals;
        let known = self.in_journals();
        let places = known.get(&trace_id).map_or(&[][..], Vec::as_slice);
        for of_journal in places.chunk_by(|a, b| a.0 == b.0) {
            let Some(journal) = of_journal
                .first()
                .and_then(|at| journals.get(at.0 as usize))
            else {
                continue;
            };
            let Ok(origin) = hot::origin_from_bytes(&journal.defaults) else {
                continue;
            };
            for (_, place) in of_journal {
                let Some(bytes) = journal.record(*place as usize) else {
                    continue;
                };
                match RecordRef::parse(bytes) {
                    Ok(RecordRef::Span(span)) if !assembly.wants(span.span_id()) => {
                        assembly.found();
                    }
                    _ => {
                        if let Ok(Some(record)) = decode_record(bytes, &origin) {
                            assembly.add(record, Some(journal.id));
                        }
                    }
                }
            }
        }
    }

    /// The traces that begin in a range of time, newest first.
    pub fn traces(&self, range: TimeRange) -> impl Iterator<Item = Result<Trace, ReadError>> + '_ {
        NewestFirst::new(self, range)
    }

    /// The blocks, oldest segment first. What stands in them is most of a store; the rest is
    /// loose.
    pub fn blocks(&self) -> Result<Vec<SealedBlock<'_>>, ReadError> {
        // The index opens the blocks of all segments.
        self.index()?;
        let mut found = Vec::new();
        for segment in &self.parts.segments {
            found.extend(self.blocks_in(segment)?);
        }
        Ok(found)
    }

    fn blocks_in<'s>(
        &'s self,
        segment: &'s SegmentView,
    ) -> Result<Vec<SealedBlock<'s>>, ReadError> {
        let report = |damage| self.report(damage);
        let blocks = protected(segment.path(), || segment.blocks(&report).map(Some));
        let blocks = self.or_damage(segment.path(), blocks)?;
        let entries = blocks.map_or(&[][..], |blocks| blocks.entries()).iter();
        Ok(entries
            .map(|entry| SealedBlock {
                snapshot: self,
                segment,
                entry,
            })
            .collect())
    }

    /// Returns whether a trace has to be put together by [`Snapshot::trace`], or was deleted. One
    /// that is not loose is whole in one block, or is not there.
    pub fn is_loose(&self, trace_id: TraceId) -> Result<bool, ReadError> {
        Ok(self.index()?.contains(trace_id))
    }

    /// The loose traces with when they began in Unix nanoseconds, by id.
    pub fn loose(&self) -> Result<impl Iterator<Item = (TraceId, u64)> + '_, ReadError> {
        Ok(self.index()?.starts())
    }

    /// The ids of the traces that begin in a range of time, newest first.
    pub fn trace_ids(&self, range: TimeRange) -> Result<Vec<TraceId>, ReadError> {
        newest_ids(self, range)
    }

    /// The ids that begin with some hex digits, with or without `tr-`, in order.
    pub fn find_prefix(&self, prefix: &str) -> Result<Vec<TraceId>, ReadError> {
        let digits = prefix.strip_prefix("tr-").unwrap_or(prefix);
        if digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ReadError::Prefix {
                prefix: prefix.chars().take(80).collect(),
            });
        }
        let digits = digits.to_ascii_lowercase();
        let found = self.index()?.with_prefix(&digits);
        self.and_in_blocks(found, |trace_id| trace_id.begins_with(&digits))
    }

    /// All ids, in order. Cheaper than [`Snapshot::trace_ids`], which knows when traces began.
    pub fn ids(&self) -> Result<Vec<TraceId>, ReadError> {
        let found = self.index()?.starts().map(|(trace_id, _)| trace_id);
        self.and_in_blocks(found.collect(), |_| true)
    }

    /// Some ids with those in blocks that are wanted, in order.
    fn and_in_blocks(
        &self,
        mut found: Vec<TraceId>,
        is_wanted: impl Fn(TraceId) -> bool,
    ) -> Result<Vec<TraceId>, ReadError> {
        let mut add = |trace_id| {
            if is_wanted(trace_id) {
                found.push(trace_id);
            }
        };
        self.each_segment(|segment, report| segment.for_each_id(&mut add, report))?;
        let index = self.index()?;
        found.retain(|trace_id| !index.is_deleted(*trace_id));
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// How many traces there are.
    pub fn count_traces(&self) -> Result<usize, ReadError> {
        let index = self.index()?;
        let mut in_blocks = 0;
        self.each_segment(|segment, report| {
            in_blocks += segment.count_in_blocks(report)?;
            Ok(())
        })?;
        Ok(index.len() + in_blocks.saturating_sub(index.in_blocks()) as usize)
    }

    /// How many records of spans there are.
    pub(crate) fn count_spans(&self) -> u64 {
        let mut spans = 0;
        for segment in &self.parts.segments {
            spans += segment.count_spans();
        }
        for journal in &self.parts.journals {
            spans += journal
                .all_records()
                .filter(|bytes| matches!(RecordRef::parse(bytes), Ok(RecordRef::Span(_))))
                .count() as u64;
        }
        spans
    }

    /// How each writer that runs keeps records until they are committed.
    pub(crate) fn live_forms(&self) -> Vec<JournalForm> {
        let journals = self.parts.journals.iter();
        journals
            .filter(|journal| journal.alive)
            .filter_map(|journal| journal.form)
            .collect()
    }

    /// For each journal file whether its writer runs.
    pub(crate) fn writers(&self) -> impl Iterator<Item = bool> + '_ {
        self.parts.journals.iter().map(|journal| journal.alive)
    }

    /// Reads every value, also hot batches whose directory and body do not agree, and changes of
    /// traces that are not there.
    pub(crate) fn check_values(&self) -> Result<(), ReadError> {
        self.readable_values()?;
        for trace_id in self.noted()? {
            self.notes(trace_id)?;
        }
        self.each_segment(SegmentView::check_values)
    }

    fn index(&self) -> Result<&Index, ReadError> {
        if let Some(index) = self.parts.index.get() {
            return Ok(index);
        }
        let deleted = match &self.parts.state {
            Some(state) => {
                let deleted = protected(&state.path, || {
                    deleted_traces(&state.txn, &state.path, |key, source| {
                        self.report(Damage::value(&state.path, "deleted", key, source));
                    })
                });
                self.or_damage(&state.path, deleted)?
            }
            None => BTreeSet::new(),
        };
        let mut index = Index::without(deleted);
        self.each_segment(|segment, report| segment.enumerate_loose(&mut index, report))?;
        for journal in &self.parts.journals {
            for bytes in journal.all_records() {
                index.add_record(bytes);
            }
        }
        for trace_id in self.noted()? {
            index.add_note(trace_id);
        }
        self.each_segment(|segment, report| segment.complete_loose(&mut index, report))?;
        index.drop_notes();
        Ok(self.parts.index.get_or_init(|| index))
    }
}
