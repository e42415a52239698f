use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use spanlite_model::TraceId;
use uuid::Uuid;

use super::fold::fold_due;
use super::merge::{lock_merging, remove_segments};
use crate::clock;
use crate::directory::Directory;
use crate::error::{ReadError, StorageError, WriteError};
use crate::files;
use crate::journal::{self, Positions};
use crate::segment::{SegmentName, disk_bytes, protected, seal_file};
use crate::snapshot::{Holding, Snapshot};
use crate::store::Store;

/// How much of a store is kept. What is not given does not limit anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Segments in which no span began since so long ago go.
    pub max_age: Option<Duration>,
    /// The oldest segments go until the files take no more of the disk than this.
    pub max_bytes: Option<u64>,
    /// The oldest segments go until no more traces than this are left.
    pub max_traces: Option<u64>,
}

/// What [`Store::gc`] did, or would do.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GcReport {
    /// Segments that went.
    pub removed: Vec<GcSegment>,
    /// Segments that should go and may not.
    pub held: Vec<(GcSegment, Held)>,
    /// Pinned traces of removed segments, which were moved into the active one.
    pub moved_traces: u64,
    /// Later changes of traces that are gone.
    pub removed_notes: u64,
}

/// A segment that [`Store::gc`] looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcSegment {
    /// The file.
    pub path: PathBuf,
    /// How much of the disk it takes.
    pub bytes: u64,
    /// Traces of which it holds something.
    pub traces: u64,
    /// When the last of their spans began, in Unix nanoseconds; no later than the file was written.
    pub last_start_unix_nano: u64,
}

/// Why a segment has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// The caller does not let some of its traces go.
    Traces {
        /// How many.
        count: u64,
    },
    /// The journal of a writer is not stored as far anywhere else.
    Journal {
        /// The journal.
        id: Uuid,
    },
    /// Something in it is damaged, so that nobody knows what would go with it.
    Damaged,
    /// It is the newest, which goes by its age alone: all that is new would go with it. Nothing is
    /// added to it any more, so that it can go once something newer is stored.
    Newest,
}

/// A segment with what it holds.
pub(super) struct Candidate {
    pub(super) name: SegmentName,
    pub(super) segment: GcSegment,
    pub(super) holding: Holding,
}

impl Retention {
    /// Whether a segment alone is more than may be kept.
    fn is_exceeded_by(&self, segment: &GcSegment) -> bool {
        self.max_bytes.is_some_and(|max| segment.bytes > max)
            || self.max_traces.is_some_and(|max| segment.traces > max)
    }
}

impl Store {
    /// Removes the oldest traces as far as `retention` says: whole segments, so that it takes
    /// little time, however much they hold, and the space is free at once. With `dry_run` nothing
    /// changes.
    ///
    /// Pinned traces are moved into the active segment first. A segment stays while it holds one
    /// of the traces to `keep`, for example because an export has not sent it yet. A trace that
    /// goes on in a later segment loses the spans that are removed, and keeps what was said of it.
    /// The newest segment goes by age alone; where it is too much by itself, writers begin another,
    /// and a later call removes it.
    ///
    /// Later changes of traces, which are kept apart, go into the segments that stay where they
    /// have enough of them, as [`Store::merge`] does it too.
    ///
    /// [`StorageError::Busy`]: another process removes or merges segments.
    pub fn gc(
        &self,
        retention: &Retention,
        dry_run: bool,
        keep: &BTreeSet<TraceId>,
    ) -> Result<GcReport, WriteError> {
        self.check_writable()?;
        if dry_run {
            return self.remove_due(&self.snapshot()?, retention, keep, true);
        }
        // A merge that has read a segment would bring back what is removed of it.
        let _lock = lock_merging(self.directory())?.ok_or_else(|| StorageError::Busy {
            path: self.directory().merge_lock(),
        })?;
        let mut snapshot = self.snapshot()?;
        // A merged segment that goes would bring back those it stands for.
        remove_segments(self.directory(), snapshot.replaced())?;
        if seal_due(self.directory(), &snapshot, retention)? {
            drop(snapshot);
            snapshot = self.snapshot()?;
        }
        let report = self.remove_due(&snapshot, retention, keep, false)?;
        drop(snapshot);
        // The space is free when nobody has the files open.
        self.close_gone()?;
        protected(self.directory().path(), || {
            fold_due(self.directory(), |folded| self.remove_folded(folded))
        })?;
        Ok(report)
    }

    fn remove_due(
        &self,
        snapshot: &Snapshot,
        retention: &Retention,
        keep: &BTreeSet<TraceId>,
        dry_run: bool,
    ) -> Result<GcReport, WriteError> {
        let all = candidates(snapshot)?;
        let mut report = GcReport::default();
        let mut staying = vec![true; all.len()];
        let mut loose = BTreeSet::new();
        let mut moved = BTreeSet::new();
        for place in due(&all, retention) {
            let candidate = &all[place];
            let path = &candidate.segment.path;
            if !dry_run && !candidate.holding.is_sealed && !snapshot.is_damaged(path) {
                continue; // it became due just now, and somebody may be writing to it
            }
            let pinned = snapshot.pinned_in(&candidate.holding)?;
            let kept = snapshot.among(&candidate.holding, keep)?;
            let count = kept.difference(&pinned).count() as u64;
            let held = if snapshot.is_damaged(path) {
                Some(Held::Damaged)
            } else if count > 0 {
                Some(Held::Traces { count })
            } else {
                let others = (0..all.len()).filter(|other| *other != place && staying[*other]);
                let others: Vec<&Candidate> = others.map(|other| &all[other]).collect();
                held_by_journal(self.directory(), candidate, &others)
            };
            if let Some(held) = held {
                report.held.push((candidate.segment.clone(), held));
                continue;
            }
            if !dry_run {
                self.store_again(snapshot, pinned.iter().copied())?;
                moved.extend(&pinned);
            }
            report.moved_traces += pinned.len() as u64;
            report.removed.push(candidate.segment.clone());
            staying[place] = false;
            loose.extend(&candidate.holding.loose);
        }
        if let Some((newest, true)) = all.last().zip(staying.last().copied())
            && retention.is_exceeded_by(&newest.segment)
            && !report.held.iter().any(|(one, _)| *one == newest.segment)
        {
            report.held.push((newest.segment.clone(), Held::Newest));
        }
        if !dry_run && !report.removed.is_empty() {
            let others = (0..all.len()).filter(|place| staying[*place]);
            let mut go_on: BTreeSet<TraceId> = others
                .flat_map(|place| &all[place].holding.loose)
                .copied()
                .collect();
            go_on.extend(snapshot.traces_in_journals());
            let rest = loose.difference(&moved).copied();
            let rest: Vec<TraceId> = rest.filter(|id| go_on.contains(id)).collect();
            self.keep_changes(snapshot, &rest, &report.removed)?;
            for segment in &report.removed {
                files::remove(&segment.path)?;
            }
            files::sync_folder(self.directory().path())?;
            report.removed_notes = self.remove_notes_of_gone(snapshot, &loose)?;
        }
        Ok(report)
    }

    /// Stores once more what segments that go say of the whole of traces that go on elsewhere.
    fn keep_changes(
        &self,
        snapshot: &Snapshot,
        traces: &[TraceId],
        gone: &[GcSegment],
    ) -> Result<(), WriteError> {
        for trace_id in traces {
            let is_gone = |path: &Path| gone.iter().any(|segment| segment.path == path);
            let changes = snapshot.changes_in(*trace_id, is_gone)?;
            if !changes.is_empty() {
                self.store_trace(&[], &changes)?;
            }
        }
        Ok(())
    }

    /// Removes the changes of traces of which removed segments held the last part.
    fn remove_notes_of_gone(
        &self,
        before: &Snapshot,
        gone: &BTreeSet<TraceId>,
    ) -> Result<u64, WriteError> {
        let mut noted = before.noted()?;
        noted.retain(|trace_id| gone.contains(trace_id));
        if noted.is_empty() {
            return Ok(0);
        }
        let after = self.snapshot()?;
        let mut orphans = Vec::new();
        for trace_id in noted {
            if !after.is_loose(trace_id)? {
                orphans.push(trace_id);
            }
        }
        drop(after);
        if orphans.is_empty() {
            return Ok(0);
        }
        let removed = self.on_commit_thread(move |state| state.remove_notes(&orphans));
        Ok(removed.map_err(WriteError::from)??)
    }
}

/// Seals the segments that are to go: whoever writes to one finds out in the next transaction and
/// begins another, so that nothing comes that was not looked at. Returns whether there were any.
///
/// The newest is sealed too where it is too much alone, for a later call to remove.
fn seal_due(
    directory: &Directory,
    snapshot: &Snapshot,
    retention: &Retention,
) -> Result<bool, WriteError> {
    let all = candidates(snapshot)?;
    let mut any = false;
    let newest = all.len().checked_sub(1);
    let newest = newest.filter(|newest| retention.is_exceeded_by(&all[*newest].segment));
    let due: BTreeSet<usize> = due(&all, retention).into_iter().chain(newest).collect();
    for place in due {
        let candidate = &all[place];
        if !candidate.holding.is_sealed && !snapshot.is_damaged(&candidate.segment.path) {
            seal_file(directory, candidate.name)?;
            any = true;
        }
    }
    Ok(any)
}

/// A journal that still has a file, and that none of the segments that stay has stored as far.
pub(super) fn held_by_journal(
    directory: &Directory,
    candidate: &Candidate,
    staying: &[&Candidate],
) -> Option<Held> {
    let journals = directory.journals();
    for (id, positions) in &candidate.holding.positions {
        let mut elsewhere = Positions::default();
        for stored in staying
            .iter()
            .filter_map(|other| other.holding.positions.get(id))
        {
            elsewhere.merge(stored);
        }
        let mut both = elsewhere.clone();
        both.merge(positions);
        if both != elsewhere && journal::has_file(&journals, *id) {
            return Some(Held::Journal { id: *id });
        }
    }
    None
}

/// The segments, oldest first.
pub(super) fn candidates(snapshot: &Snapshot) -> Result<Vec<Candidate>, ReadError> {
    let mut found = Vec::new();
    for holding in snapshot.holdings()? {
        let name = holding.path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(SegmentName::parse) else {
            continue;
        };
        let metadata = fs::metadata(&holding.path);
        let bytes = metadata.as_ref().map_or(0, disk_bytes);
        // A wrong clock, or a foreign file, must not keep a segment for ever.
        let written = metadata.and_then(|metadata| metadata.modified()).ok();
        let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written = written.and_then(|since| u64::try_from(since.as_nanos()).ok());
        let last_start = holding.last_start_unix_nano;
        found.push(Candidate {
            name,
            segment: GcSegment {
                path: holding.path.clone(),
                bytes,
                traces: holding.n_traces,
                last_start_unix_nano: last_start.min(written.unwrap_or(u64::MAX)),
            },
            holding,
        });
    }
    Ok(found)
}

/// The segments that `retention` does not want, oldest first.
fn due(all: &[Candidate], retention: &Retention) -> Vec<usize> {
    let now = clock::unix_millis().saturating_mul(1_000_000);
    let cutoff = retention.max_age.map(|age| {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        now.saturating_sub(age)
    });
    let mut bytes: u64 = all.iter().map(|one| one.segment.bytes).sum();
    let mut traces: u64 = all.iter().map(|one| one.segment.traces).sum();
    let mut found = Vec::new();
    // A merged segment has the name of its oldest part, so names do not tell what is oldest.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|place| all[*place].segment.last_start_unix_nano);
    for place in order {
        let segment = &all[place].segment;
        // The newest segment is where everything is written; only its age can make it go.
        let is_newest = place + 1 == all.len();
        if segment.traces == 0 {
            // What a killed writer, or a deletion, left of it.
            if !is_newest {
                found.push(place);
            }
            continue;
        }
        let too_old = cutoff.is_some_and(|cutoff| segment.last_start_unix_nano < cutoff);
        let too_much = retention.max_bytes.is_some_and(|max| bytes > max)
            || retention.max_traces.is_some_and(|max| traces > max);
        if too_old || (too_much && !is_newest) {
            bytes = bytes.saturating_sub(segment.bytes);
            traces = traces.saturating_sub(segment.traces);
            found.push(place);
        }
    }
    found
}
