use std::collections::{BTreeSet, HashSet};

use spanlite_model::{Trace, TraceChange, TraceId, TraceState, TraceUpdate};

use super::gc::{candidates, held_by_journal};
use crate::error::WriteError;
use crate::files;
use crate::segment::seal_file;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::{GcSegment, Held};

/// What [`Store::rewrite`] did.
#[derive(Debug, Clone, Default)]
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
    /// lost, and calling again ends it. A running trace is changed as far as it is committed.
    pub fn rewrite(
        &self,
        trace_ids: &HashSet<TraceId>,
        mut change: impl FnMut(&mut Trace),
    ) -> Result<RewriteReport, WriteError> {
        self.check_writable()?;
        let wanted: BTreeSet<TraceId> = trace_ids.iter().copied().collect();
        // Sealed first: what is committed from here on goes into another segment.
        let snapshot = self.snapshot()?;
        let mut sealed = HashSet::new();
        for candidate in candidates(&snapshot)? {
            if !snapshot.among(&candidate.holding, &wanted)?.is_empty() {
                seal_file(self.directory(), candidate.name)?;
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
            for trace_id in members {
                if !done.insert(trace_id) {
                    continue;
                }
                if wanted.contains(&trace_id) {
                    self.store_changed(&snapshot, trace_id, &mut change)?;
                    report.traces += 1;
                } else {
                    self.store_again(&snapshot, [trace_id])?;
                    self.keep_interrupted(&snapshot, trace_id)?;
                }
            }
            let all = candidates(&self.snapshot()?)?;
            let others = all.iter().filter(|other| other.name != candidate.name);
            let others: Vec<_> = others.collect();
            if let Some(held) = held_by_journal(self.directory(), &candidate, &others) {
                report.held.push((candidate.segment, held));
                continue;
            }
            files::remove(&candidate.segment.path)?;
            files::sync_folder(self.directory().path())?;
            report.removed.push(candidate.segment);
        }
        let noted = snapshot.noted()?.into_iter();
        let noted = noted
            .filter(|trace_id| trace_ids.contains(trace_id))
            .collect();
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

    /// Who wrote an open span is not stored again with it, so that its end is said instead.
    fn keep_interrupted(&self, snapshot: &Snapshot, trace_id: TraceId) -> Result<(), WriteError> {
        let Some(trace) = snapshot.trace(trace_id)? else {
            return Ok(());
        };
        if trace.info.state != Some(TraceState::Interrupted) {
            return Ok(());
        }
        let update = TraceUpdate {
            trace_id,
            time_unix_nano: trace.start_time_unix_nano().unwrap_or(0),
            change: TraceChange::State(TraceState::Interrupted),
        };
        self.store_trace(&[], &[update])
    }

    /// Removes the later changes of traces, which were stored with them, and the bytes that these
    /// and others had, which are in segments since.
    fn forget_notes(&self, noted: Vec<TraceId>) -> Result<(), WriteError> {
        if !self.directory().has_state() {
            return Ok(());
        }
        let removed = self.on_commit_thread(move |state| {
            state.remove_notes(&noted)?;
            state.overwrite_free_pages()
        });
        Ok(removed.map_err(WriteError::from)??)
    }
}
