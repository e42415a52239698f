//! Later changes of traces, which are kept apart in `state.redb`, go into segments that nobody
//! writes to any more: when these are merged, and where enough has changed, by writing one anew.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use spanlite_model::TraceId;

use super::merge::rewrite;
use crate::commit::{Earlier, KnownNotes, Notes};
use crate::directory::Directory;
use crate::error::StorageError;
use crate::limit;
use crate::options::Access;
use crate::segment::{
    Folding, SegmentName, TRACES_A_CHANGED_ONE, disk_bytes, is_sealed, open_for_reading,
};
use crate::state::read_deleted;
use crate::store::Store;

/// The changes that are kept apart, and where their traces are.
pub(super) struct Kept {
    notes: Notes,
    earlier: Earlier,
}

impl Kept {
    /// Reads them; nothing if there are none, or they cannot be read, which whoever reads the
    /// traces reports.
    pub(super) fn read(directory: &Directory) -> Result<Option<Self>, StorageError> {
        let Some(notes) = Notes::open(directory, &KnownNotes::default()) else {
            return Ok(None);
        };
        let earlier = Earlier::read_all(directory)?;
        Ok(Some(Self { notes, earlier }))
    }

    /// The changes of traces that have no part in blocks of other segments than some.
    pub(super) fn of_segments(&self, directory: &Directory, names: &[SegmentName]) -> Folding<'_> {
        let is_inside = |trace_id: &TraceId| {
            let places = self.earlier.find(*trace_id, directory);
            !places.is_empty() && places.iter().all(|(name, _)| names.contains(name))
        };
        let noted = self.notes.traces().iter().copied();
        self.of_traces(noted.filter(is_inside).collect())
    }

    fn of_traces(&self, traces: BTreeSet<TraceId>) -> Folding<'_> {
        Folding::new(traces, Box::new(|trace_id| self.notes.of(trace_id)))
    }

    /// By segment, the traces with changes that are in blocks of it alone.
    fn by_segment(&self, directory: &Directory) -> HashMap<SegmentName, BTreeSet<TraceId>> {
        let mut found: HashMap<SegmentName, BTreeSet<TraceId>> = HashMap::new();
        for trace_id in self.notes.traces() {
            let places = self.earlier.find(*trace_id, directory);
            if let Some((name, _)) = places.first()
                && places.iter().all(|(other, _)| other == name)
            {
                found.entry(*name).or_default().insert(*trace_id);
            }
        }
        found
    }
}

impl Store {
    /// Removes changes that were kept apart and are in segments. Until they are gone they are seen
    /// twice, as the same.
    pub(super) fn remove_folded(&self, folded: Vec<Vec<u8>>) -> Result<(), StorageError> {
        if folded.is_empty() {
            return Ok(());
        }
        let removed = self.on_commit_thread(move |state| state.remove_note_keys(&folded));
        // A writer that has ended leaves them, for the next one to fold.
        removed.unwrap_or(Ok(()))
    }
}

/// Writes the sealed segments anew of which at least an eighth of the traces have changes that are
/// kept apart, and lets `remove` remove these, segment by segment: so at most eight traces are
/// copied for each that changed. Whoever calls this has the lock of merging.
pub(super) fn fold_due(
    directory: &Directory,
    remove: impl Fn(Vec<Vec<u8>>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let Some(kept) = Kept::read(directory)? else {
        return Ok(());
    };
    let deleted = read_deleted(directory)?;
    let most_bytes = limit::part(u64::MAX, 4);
    for (name, mut traces) in kept.by_segment(directory) {
        let file = fs::metadata(directory.segment(&name));
        if file.is_ok_and(|file| disk_bytes(&file) > most_bytes) {
            continue; // this process might not be able to write it
        }
        let n_traces = kept.earlier.n_traces(name);
        let is_enough = |traces: &BTreeSet<TraceId>| {
            traces.len() as u64 * TRACES_A_CHANGED_ONE as u64 >= n_traces
        };
        if !is_enough(&traces) {
            continue;
        }
        // What cannot be read stays where it is, and is no reason to do this again and again.
        traces.retain(|trace_id| !kept.notes.of(*trace_id).is_empty());
        // A segment that cannot be read is left for recovery.
        let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite) else {
            continue;
        };
        let txn = reader.begin()?;
        if traces.is_empty() || !is_enough(&traces) || !is_sealed(&txn, reader.path())? {
            continue;
        }
        drop(txn);
        let mut folding = kept.of_traces(traces);
        rewrite(directory, vec![(name, reader)], &deleted, &mut folding)?;
        remove(folding.into_folded())?;
    }
    Ok(())
}
