use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::time::Duration;

use spanlite_model::TraceId;

use super::fold::{Kept, fold_due};
use crate::directory::Directory;
use crate::error::{StorageError, WriteError};
use crate::files;
use crate::journal;
use crate::limit;
use crate::options::Access;
use crate::segment::{
    Counts, Folding, SegmentDraft, SegmentName, SegmentReader, counts, disk_bytes, hot, is_sealed,
    open_for_reading, positions, protected, put_positions, replaces, sealed,
};
use crate::state::read_deleted;
use crate::store::Store;

/// A draft that was not changed for so long has nobody who makes it.
const DRAFT_AGE: Duration = Duration::from_secs(3600);
/// A segment below this part of a full one is small.
const SMALL_PART: u64 = 4;

impl Store {
    /// Merges small segments that nobody writes to any more into one. Returns how many files that
    /// saved; 0 also where another process is merging.
    ///
    /// A thousand short programs that could not share a segment leave a thousand files; readers
    /// pay for each. A writer that closes merges tiny ones by itself once there are 32 segments.
    ///
    /// Later changes of traces, which are kept apart, go into the segments that are written, and
    /// into every other one that has enough of them, which is written anew.
    pub fn merge(&self) -> Result<u64, WriteError> {
        self.check_writable()?;
        let segment_bytes = limit::part(self.options().segment_bytes, 4);
        let directory = self.directory();
        let remove = |folded| self.remove_folded(folded);
        Ok(protected(directory.path(), || {
            let Some(_lock) = lock_merging(directory)? else {
                return Ok(0);
            };
            let small_bytes = segment_bytes / SMALL_PART;
            let saved = merge_together(directory, small_bytes, segment_bytes, remove)?;
            fold_due(directory, remove)?;
            Ok(saved)
        })?)
    }
}

/// Merges segments of at most `small_bytes` each and `together_bytes` together. `remove` removes
/// the changes kept apart that are in the merged one.
pub(crate) fn merge_small(
    directory: &Directory,
    small_bytes: u64,
    together_bytes: u64,
    remove: impl FnOnce(Vec<Vec<u8>>) -> Result<(), StorageError>,
) -> Result<u64, StorageError> {
    let Some(_lock) = lock_merging(directory)? else {
        return Ok(0);
    };
    merge_together(directory, small_bytes, together_bytes, remove)
}

/// The same for whoever has the lock.
fn merge_together(
    directory: &Directory,
    small_bytes: u64,
    together_bytes: u64,
    remove: impl FnOnce(Vec<Vec<u8>>) -> Result<(), StorageError>,
) -> Result<u64, StorageError> {
    remove_replaced(directory)?;
    let sources = small_segments(directory, small_bytes, together_bytes)?;
    if sources.len() < 2 {
        return Ok(0);
    }
    let saved = sources.len() as u64 - 1;
    let kept = Kept::read(directory)?;
    let names: Vec<SegmentName> = sources.iter().map(|(name, _)| *name).collect();
    let mut folding = kept
        .as_ref()
        .map_or_else(Folding::default, |kept| kept.of_segments(directory, &names));
    rewrite(directory, sources, &read_deleted(directory)?, &mut folding)?;
    remove(folding.into_folded())?;
    Ok(saved)
}

/// The lock of whoever writes segments anew or removes them; nothing if another process has it.
/// Drafts that a killed one left behind are removed first.
pub(super) fn lock_merging(directory: &Directory) -> Result<Option<File>, StorageError> {
    let path = directory.merge_lock();
    let failed = |error| StorageError::io("lock", &path, error);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    remove_drafts(directory)?;
    Ok(Some(lock))
}

/// Removes what a merge left behind that was killed: else the next merge, which replaces the
/// merged segment, would bring it back.
pub(super) fn remove_replaced(directory: &Directory) -> Result<(), StorageError> {
    let mut replaced = Vec::new();
    for name in directory.segments()? {
        let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite) else {
            continue;
        };
        let names = replaces(&reader.begin()?, reader.path())?;
        // Only names of segments: a damaged list must not remove anything else.
        replaced.extend(names.iter().filter_map(|name| SegmentName::parse(name)));
    }
    remove_segments(directory, &replaced)
}

/// Removes the files of segments, if they are there, and makes that durable.
pub(super) fn remove_segments(
    directory: &Directory,
    names: &[SegmentName],
) -> Result<(), StorageError> {
    let mut any = false;
    for name in names {
        let path = directory.segment(name);
        if path.try_exists().unwrap_or(true) {
            files::remove(&path)?;
            any = true;
        }
    }
    if any {
        files::sync_folder(directory.path())?;
    }
    Ok(())
}

/// Removes drafts that killed processes left behind. One that is being made changes all the time.
fn remove_drafts(directory: &Directory) -> Result<(), StorageError> {
    let failed = |error| StorageError::io("list", directory.path(), error);
    for entry in fs::read_dir(directory.path()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_draft = (name.starts_with("seg-") && name.ends_with(".redb.new"))
            || name.starts_with("state.redb.")
            || name.starts_with("STORE.");
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old =
            changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|since| since > DRAFT_AGE));
        if is_draft && is_old {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Sealed segments that together do not fill one, but for the newest segment.
fn small_segments(
    directory: &Directory,
    small_bytes: u64,
    together_bytes: u64,
) -> Result<Vec<(SegmentName, SegmentReader)>, StorageError> {
    let mut names = directory.segments()?;
    names.pop();
    let mut found = Vec::new();
    let mut together = 0;
    for name in names {
        let metadata = fs::metadata(directory.segment(&name));
        let bytes = metadata.map_or(u64::MAX, |metadata| disk_bytes(&metadata));
        if bytes > small_bytes || together + bytes > together_bytes {
            continue;
        }
        // A segment that cannot be read is left for recovery.
        if let Ok(reader) = open_for_reading(directory, name, Access::ReadWrite)
            && let Ok(txn) = reader.begin()
            && is_sealed(&txn, reader.path())?
        {
            together += bytes;
            found.push((name, reader));
        }
    }
    Ok(found)
}

/// Writes sealed segments anew as one, without the traces that were deleted and with changes that
/// were kept apart. Returns how much of the disk it takes.
pub(super) fn rewrite(
    directory: &Directory,
    sources: Vec<(SegmentName, SegmentReader)>,
    deleted: &BTreeSet<TraceId>,
    folding: &mut Folding<'_>,
) -> Result<u64, StorageError> {
    let start = sources.iter().map(|(name, _)| name.start_millis()).min();
    let draft = SegmentDraft::create(directory, start.unwrap_or(0))?;
    let txn = draft.begin()?;
    let mut merged = Counts::default();
    for (_, reader) in &sources {
        let from = reader.begin()?;
        merged.block_spans += counts(&from, reader.path())?.block_spans;
        hot::copy(
            &from,
            reader.path(),
            &txn,
            draft.path(),
            deleted,
            &mut merged,
        )?;
        sealed::copy(reader, &txn, draft.path(), deleted, folding, &mut merged)?;
        for (id, stored) in positions(&reader.begin()?, reader.path())? {
            // A journal that is gone is stored, and will never be replayed.
            if journal::has_file(&directory.journals(), id) {
                put_positions(&txn, draft.path(), id, &stored)?;
            }
        }
        reader.check()?;
    }
    let replaced: Vec<String> = sources.iter().map(|(name, _)| name.file_name()).collect();
    draft.seal_as_merged(&txn, &merged, &replaced)?;
    txn.commit()
        .map_err(|error| StorageError::redb("write to", draft.path(), error))?;
    // From here on readers leave the sources out, whether they are removed or not.
    let merged = draft.publish(directory)?;
    let names: Vec<SegmentName> = sources.iter().map(|(name, _)| *name).collect();
    drop(sources);
    remove_segments(directory, &names)?;
    Ok(merged.disk_bytes())
}
