use std::collections::BTreeSet;
use std::fs;

use spanlite_model::TraceId;

use super::merge::{lock_merging, remove_replaced, rewrite};
use crate::directory::Directory;
use crate::error::{StorageError, WriteError};
use crate::options::Access;
use crate::segment::{Folding, disk_bytes, holds_any, open_for_reading, protected, seal_file};
use crate::state::{StateWriter, read_deleted};
use crate::store::Store;

/// What [`Store::reclaim`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReclaimReport {
    /// Segments that were written anew without what was deleted.
    pub segments: u64,
    /// By how much less of the disk they take.
    pub bytes: u64,
    /// Segments that may hold something of deleted traces and cannot be read.
    pub damaged: u64,
}

impl Store {
    /// Deletes traces: when it returns, no snapshot taken from then on, in any process, shows
    /// them, and that survives a power cut. Returns how many of them there were.
    ///
    /// It is for good. Spans and changes of these traces that come later, from programs that still
    /// run, out of journals or by an import, do not show either.
    ///
    /// Their bytes leave the disk by [`Store::reclaim`], or little by little when blocks are made
    /// and segments merged. Backups and what was exported keep them.
    pub fn delete(&self, traces: &[TraceId]) -> Result<u64, WriteError> {
        self.check_writable()?;
        // What this process has appended is stored, so that it can be reclaimed.
        self.commit()?;
        let snapshot = self.snapshot()?;
        let distinct: BTreeSet<TraceId> = traces.iter().copied().collect();
        let mut there = 0;
        for trace_id in &distinct {
            there += u64::from(snapshot.holds(*trace_id)?);
        }
        drop(snapshot);
        let traces: Vec<TraceId> = distinct.into_iter().collect();
        let deleted = self.on_commit_thread(move |state| state.delete_traces(&traces));
        deleted.map_err(WriteError::from)??;
        Ok(there)
    }

    /// Takes what was deleted off the disk: writes the segments that hold something of it anew.
    /// Needs as much space as the largest of them meanwhile.
    ///
    /// What writers hold in their journals goes when it is made into blocks. [`StorageError::Busy`]:
    /// another process is merging segments.
    pub fn reclaim(&self) -> Result<ReclaimReport, WriteError> {
        self.commit()?;
        let directory = self.directory();
        let report = protected(directory.path(), || reclaim(directory))?;
        if report.segments > 0 {
            // What was said of deleted traces later was removed there, or moved into segments.
            let done = self.on_commit_thread(StateWriter::overwrite_free_pages);
            done.map_err(WriteError::from)??;
        }
        Ok(report)
    }
}

fn reclaim(directory: &Directory) -> Result<ReclaimReport, StorageError> {
    let mut report = ReclaimReport::default();
    let deleted = read_deleted(directory)?;
    if deleted.is_empty() {
        return Ok(report);
    }
    let _lock = lock_merging(directory)?.ok_or_else(|| StorageError::Busy {
        path: directory.merge_lock(),
    })?;
    remove_replaced(directory)?;
    for name in directory.segments()? {
        let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite) else {
            report.damaged += 1;
            continue;
        };
        if !holds_any(&reader, &deleted)? {
            continue;
        }
        // Whoever writes to it finds out in the next transaction, and begins another one.
        seal_file(directory, name)?;
        let path = directory.segment(&name);
        let before = fs::metadata(&path).map_or(0, |metadata| disk_bytes(&metadata));
        let after = rewrite(
            directory,
            vec![(name, reader)],
            &deleted,
            &mut Folding::default(),
        )?;
        report.segments += 1;
        report.bytes += before.saturating_sub(after);
    }
    Ok(report)
}
