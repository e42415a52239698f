use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use spanlite_model::TraceId;
use uuid::Uuid;

use super::merge::lock_merging;
use crate::clock;
use crate::directory::Directory;
use crate::error::{ReadError, StorageError, WriteError};
use crate::files;
use crate::journal::Positions;
use crate::segment::{SegmentName, disk_bytes, seal_file};
use crate::snapshot::{Member, Snapshot};
use crate::store::Store;

/// How much of a store is kept. What is not given does not limit anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Segments whose last trace began longer ago than this go.
    pub max_age: Option<Duration>,
    /// The oldest segments go until the files take no more of the disk than this.
    pub max_bytes: Option<u64>,
    /// The oldest segments go until no more traces than this are left.
    pub max_traces: Option<u64>,
}

/// What [`Store::gc`] did, or would do.
#[derive(Debug, Clone, Default)]
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
pub struct GcSegment {
    /// The file.
    pub path: PathBuf,
    /// How much of the disk it takes.
    pub bytes: u64,
    /// Traces of which it holds something.
    pub traces: u64,
    /// When the last of them began, in Unix nanoseconds.
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
}

/// A segment with what it holds.
pub(super) struct Candidate {
    pub(super) name: SegmentName,
    pub(super) segment: GcSegment,
    pub(super) members: Vec<Member>,
    positions: HashMap<Uuid, Positions>,
    pub(super) is_damaged: bool,
}

impl Store {
    /// Removes the oldest traces as far as `retention` says: whole segments, so that it takes no
    /// time and the space is free at once. With `dry_run` nothing changes.
    ///
    /// Pinned traces are moved into the active segment first. A segment stays while `may_remove`
    /// returns false for one of its traces, for example because an export has not sent it yet. A
    /// trace that goes on in a later segment loses the part that is removed.
    ///
    /// [`StorageError::Busy`]: another process removes or merges segments.
    pub fn gc(
        &self,
        retention: &Retention,
        dry_run: bool,
        mut may_remove: impl FnMut(TraceId) -> bool,
    ) -> Result<GcReport, WriteError> {
        self.check_writable()?;
        // A merge that has read a segment would bring back what is removed of it.
        let lock = (!dry_run)
            .then(|| lock_merging(self.directory()))
            .transpose()?;
        if matches!(lock, Some(None)) {
            let path = self.directory().merge_lock();
            return Err(StorageError::Busy { path }.into());
        }
        let snapshot = self.snapshot()?;
        let all = candidates(&snapshot)?;
        let mut report = GcReport::default();
        let mut gone = HashSet::new();
        for place in due(&all, retention) {
            let candidate = &all[place];
            let held = if candidate.is_damaged {
                Some(Held::Damaged)
            } else {
                held_by_traces(candidate, &mut may_remove)
                    .or_else(|| held_by_journal(self.directory(), candidate, &all))
            };
            if let Some(held) = held {
                report.held.push((candidate.segment.clone(), held));
                continue;
            }
            let pinned = candidate.members.iter().filter(|member| member.pinned);
            report.moved_traces += pinned.clone().count() as u64;
            if !dry_run {
                // Sealed first: what is written from here on goes into another segment.
                seal_file(self.directory(), candidate.name)?;
                for member in pinned {
                    self.store_again(&snapshot, member.trace_id)?;
                }
                files::remove(&candidate.segment.path)?;
                files::sync_folder(self.directory().path())?;
            }
            gone.extend(candidate.members.iter().map(|member| member.trace_id));
            report.removed.push(candidate.segment.clone());
        }
        drop(snapshot);
        if !dry_run && !gone.is_empty() {
            report.removed_notes = self.remove_notes(&gone)?;
        }
        Ok(report)
    }

    fn remove_notes(&self, gone: &HashSet<TraceId>) -> Result<u64, WriteError> {
        let snapshot = self.snapshot()?;
        let mut orphans = Vec::new();
        for trace_id in snapshot.noted()? {
            if gone.contains(&trace_id) && !snapshot.is_loose(trace_id)? {
                orphans.push(trace_id);
            }
        }
        if orphans.is_empty() {
            return Ok(0);
        }
        let removed = self.on_commit_thread(move |state| state.remove_notes(&orphans));
        Ok(removed.map_err(WriteError::from)??)
    }
}

/// A journal that still has a file, and that no other segment has stored as far.
pub(super) fn held_by_journal(
    directory: &Directory,
    candidate: &Candidate,
    all: &[Candidate],
) -> Option<Held> {
    let journals = directory.journals();
    let mut held = None;
    for (id, positions) in &candidate.positions {
        let is_gone = matches!(
            fs::metadata(journals.join(id.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound
        );
        let others = all.iter().filter(|other| other.name != candidate.name);
        let mut elsewhere = Positions::default();
        for stored in others.filter_map(|other| other.positions.get(id)) {
            elsewhere.merge(stored);
        }
        let mut both = elsewhere.clone();
        both.merge(positions);
        if !is_gone && both != elsewhere {
            held = Some(Held::Journal { id: *id });
        }
    }
    held
}

/// The segments, oldest first.
pub(super) fn candidates(snapshot: &Snapshot) -> Result<Vec<Candidate>, ReadError> {
    let mut found = Vec::new();
    for (path, members, positions, is_damaged) in snapshot.segments_with_members()? {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(SegmentName::parse) else {
            continue;
        };
        let bytes = fs::metadata(&path).map_or(0, |metadata| disk_bytes(&metadata));
        let starts = members.iter().map(|member| member.start_unix_nano);
        found.push(Candidate {
            name,
            segment: GcSegment {
                path,
                bytes,
                traces: members.len() as u64,
                last_start_unix_nano: starts.max().unwrap_or(0),
            },
            members,
            positions,
            is_damaged,
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

fn held_by_traces(
    candidate: &Candidate,
    may_remove: &mut impl FnMut(TraceId) -> bool,
) -> Option<Held> {
    let members = candidate.members.iter();
    let kept = members.filter(|member| !member.pinned && !may_remove(member.trace_id));
    let count = kept.count() as u64;
    (count > 0).then_some(Held::Traces { count })
}
