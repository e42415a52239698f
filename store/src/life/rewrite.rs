use std::collections::{BTreeSet, HashSet};

use spanlite_model::{Trace, TraceChange, TraceId, TraceUpdate};

use super::gc::{candidates, held_by_journal};
use super::merge::{lock_merging, remove_replaced};
use crate::error::{StorageError, WriteError};
use crate::files;
use crate::segment::seal_file;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::{GcSegment, Held};

/// What [`Store::rewrite`] did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RewriteReport {
    /// Traces that were written anew.
    pub traces: u64,
    /// Segments that went, with everything they held.
    pub removed: Vec<GcSegment>,
    /// Segments that still hold what was to go.
    pub held: Vec<(GcSegment, Held)>,
    /// Other writers that run. What the traces had in their journals stays in those files until
    /// they use the place again or end.
    pub live_writers: u64,
}

impl Store {
    /// Changes stored traces for good: `change` gets each of them whole, and what it leaves takes
    /// the place of what was there. The segments that held something of them are written anew and
    /// unlinked, so that no file of the store has the old bytes any more.
    ///
    /// The time this takes is that of copying those segments. When the process is killed on the
    /// way, the old version of a trace may still be there, beside the new one or alone; nothing is
    /// lost, and calling again ends it. A running trace is changed as far as it is committed; what
    /// is said of a trace meanwhile (tags, feedback, pins) stays as it was said.
    ///
    /// [`StorageError::Busy`]: another process removes or merges segments.
    pub fn rewrite(
        &self,
        trace_ids: &HashSet<TraceId>,
        mut change: impl FnMut(&mut Trace),
    ) -> Result<RewriteReport, WriteError> {
        self.check_writable()?;
        let directory = self.directory();
        // A merge that has read a segment would bring back what is changed in it.
        let _lock = lock_merging(directory)?.ok_or_else(|| StorageError::Busy {
            path: directory.merge_lock(),
        })?;
        remove_replaced(directory)?;
        let wanted: BTreeSet<TraceId> = trace_ids.iter().copied().collect();
        // Sealed first: what is committed from here on goes into another segment.
        let snapshot = self.snapshot()?;
        let mut sealed = HashSet::new();
        for candidate in candidates(&snapshot)? {
            if !snapshot.among(&candidate.holding, &wanted)?.is_empty() {
                seal_file(directory, candidate.name)?;
                sealed.insert(candidate.name);
            }
        }
        drop(snapshot);
        let snapshot = self.snapshot()?;
        let mut report = RewriteReport::default();
        let mut done = HashSet::new();
        for candidate in candidates(&snapshot)? {
            if !sealed.contains(&candidate.name) {
                continue;
            }
            let members = snapshot.members(&candidate.holding)?;
            if snapshot.is_damaged(&candidate.segment.path) {
                report.held.push((candidate.segment, Held::Damaged));
                continue;
            }
            let mut others = Vec::new();
            for trace_id in members {
                if !done.insert(trace_id) {
                    continue;
                }
                if wanted.contains(&trace_id) {
                    self.store_changed(&snapshot, trace_id, &mut change)?;
                    report.traces += 1;
                } else {
                    others.push(trace_id);
                }
            }
            self.store_again(&snapshot, others)?;
            let all = candidates(&self.snapshot()?)?;
            let others = all.iter().filter(|other| other.name != candidate.name);
            let others: Vec<_> = others.collect();
            if let Some(held) = held_by_journal(directory, &candidate, &others) {
                report.held.push((candidate.segment, held));
                continue;
            }
            files::remove(&candidate.segment.path)?;
            files::sync_folder(directory.path())?;
            report.removed.push(candidate.segment);
        }
        let noted = snapshot.noted_keys(&wanted)?;
        // What it reads could not be overwritten.
        drop(snapshot);
        self.forget_notes(noted)?;
        let writers = self.snapshot()?;
        // This process's own journal took nothing of what was written here.
        report.live_writers =
            (writers.writers().filter(|alive| *alive).count() as u64).saturating_sub(1);
        Ok(report)
    }

    /// Stores a trace as it is after a change, with what belongs to the whole as it stands.
    fn store_changed(
        &self,
        snapshot: &Snapshot,
        trace_id: TraceId,
        change: &mut impl FnMut(&mut Trace),
    ) -> Result<(), WriteError> {
        let Some(mut trace) = snapshot.trace(trace_id)? else {
            return Ok(());
        };
        let (_, updates) = snapshot.stored(trace_id)?;
        let has_state = updates
            .iter()
            .any(|update| matches!(update.change, TraceChange::State(_)));
        if !has_state {
            // That nobody writes an open span is seen again, and need not be so for ever.
            trace.info.state = None;
        }
        let last = updates.iter().map(|update| update.time_unix_nano).max();
        let time_unix_nano = last.or_else(|| trace.start_time_unix_nano()).unwrap_or(0);
        change(&mut trace);
        let changes = trace.info.to_changes().into_iter();
        let updates = changes.map(|change| TraceUpdate {
            trace_id,
            time_unix_nano,
            change,
        });
        self.store_trace(&trace.spans, &updates.collect::<Vec<_>>())
    }

    /// Removes later changes of traces by their keys, which were stored with the traces, and the
    /// bytes that these and others had, which are in segments since.
    fn forget_notes(&self, noted: Vec<Vec<u8>>) -> Result<(), WriteError> {
        if !self.directory().has_state() {
            return Ok(());
        }
        let removed = self.on_commit_thread(move |state| {
            state.remove_note_keys(&noted)?;
            state.overwrite_free_pages()
        });
        Ok(removed.map_err(WriteError::from)??)
    }
}
