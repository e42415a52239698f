use std::fs;
use std::io;
use std::path::Path;

use super::copy::Copy;
use crate::clock;
use crate::error::{StorageError, WriteError};
use crate::files;
use crate::segment::hot::EncodedBatch;
use crate::segment::{
    BLOCKS, Counts, FACTS, HEADERS, HOT, META, SegmentDraft, SegmentName, protected,
};
use crate::state::{DELETED, NOTES, VALUES};
use crate::store::Store;

/// What [`Store::backup`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupReport {
    /// Segments that were copied.
    pub segments: u64,
    /// Length of all files together.
    pub bytes: u64,
}

impl Store {
    /// Makes a copy of the store in a folder that is not there yet, or is empty, as the store is at
    /// this moment, while any process goes on writing.
    ///
    /// What any process has appended is in it, committed or not, as far as the journals are on disk.
    /// A backup has the id of its store. After an error the folder is empty, as far as that can be.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, WriteError> {
        let to = to.as_ref();
        if self.check_writable().is_ok() {
            self.flush()?;
        }
        begin_folder(to)?;
        self.copy_into(to).inspect_err(|_| empty_folder(to))
    }

    fn copy_into(&self, to: &Path) -> Result<BackupReport, WriteError> {
        let snapshot = self.snapshot()?;
        let mut report = BackupReport::default();
        for (reader, txn) in snapshot.segment_transactions() {
            let path = reader.path();
            let target = to.join(path.file_name().unwrap_or_default());
            report.bytes += protected(path, || {
                let copy = Copy::begin(path, &target)?;
                copy.table(txn, META)?;
                copy.table(txn, HOT)?;
                copy.table(txn, HEADERS)?;
                copy.table(txn, FACTS)?;
                copy.table(txn, BLOCKS)?;
                reader.check()?;
                copy.finish()
            })?;
            report.segments += 1;
        }
        let waiting = snapshot.waiting_batches();
        if !waiting.is_empty() {
            report.bytes += store_waiting(&waiting, to)?;
            report.segments += 1;
        }
        if let Some((reader, txn)) = snapshot.state_transaction() {
            let path = reader.path();
            let target = to.join(path.file_name().unwrap_or_default());
            report.bytes += protected(path, || {
                let copy = Copy::begin(path, &target)?;
                copy.table(txn, NOTES)?;
                copy.table(txn, DELETED)?;
                copy.table(txn, VALUES)?;
                reader.check()?;
                copy.finish()
            })?;
        }
        // Last, when all other names are durable: a folder without it is no store, so a backup
        // that was interrupted is none.
        files::sync_folder(to)?;
        self.directory().copy_store_file(to)?;
        files::sync_folder(to)?;
        Ok(report)
    }
}

/// Makes a segment of what stands in journals. Returns its length in bytes.
fn store_waiting(batches: &[EncodedBatch], to: &Path) -> Result<u64, StorageError> {
    let name = SegmentName::new(clock::unix_millis());
    let draft = SegmentDraft::create_at(&to.join(name.file_name()))?;
    let txn = draft.begin()?;
    let mut counts = Counts::default();
    for batch in batches {
        batch.store(&txn, draft.path(), counts.next_batch)?;
        counts.add_batch(batch.n_spans(), batch.bytes());
    }
    draft.put_counts(&txn, &counts)?;
    txn.commit()
        .map_err(|error| StorageError::redb("write to", draft.path(), error))?;
    let path = draft.close()?;
    let metadata = fs::metadata(&path).map_err(|error| StorageError::io("read", &path, error))?;
    Ok(metadata.len())
}

/// Makes a folder, or takes an empty one.
pub(super) fn begin_folder(path: &Path) -> Result<(), StorageError> {
    check_free(path)?;
    files::create_folder(path)
}

/// Removes what was made in a folder that was empty, as far as that is possible: it takes room on a
/// disk that may be full, and stands in the way of the next try.
pub(super) fn empty_folder(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        drop(match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        });
    }
}

/// Fails where a folder is that holds something, or a file.
pub(super) fn check_free(path: &Path) -> Result<(), StorageError> {
    let failed = |error| StorageError::io("create", path, error);
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(failed(io::ErrorKind::DirectoryNotEmpty.into())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
