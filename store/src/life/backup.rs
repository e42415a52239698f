use std::fs;
use std::io;
use std::path::Path;

use super::copy::Copy;
use crate::error::{StorageError, WriteError};
use crate::files;
use crate::segment::{BLOCKS, FACTS, HEADERS, HOT, META};
use crate::state::{NOTES, VALUES};
use crate::store::Store;

/// What [`Store::backup`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// What other processes have appended and not committed is not in it. A backup has the id of
    /// its store.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, WriteError> {
        let to = to.as_ref();
        if self.check_writable().is_ok() {
            self.flush()?;
        }
        begin_folder(to)?;
        let snapshot = self.snapshot()?;
        let mut report = BackupReport::default();
        for (path, txn) in snapshot.segment_transactions() {
            let target = to.join(path.file_name().unwrap_or_default());
            let copy = Copy::begin(path, &target)?;
            copy.table(txn, META)?;
            copy.table(txn, HOT)?;
            copy.table(txn, HEADERS)?;
            copy.table(txn, FACTS)?;
            copy.table(txn, BLOCKS)?;
            report.bytes += copy.finish()?;
            report.segments += 1;
        }
        if let Some((path, txn)) = snapshot.state_transaction() {
            let target = to.join(path.file_name().unwrap_or_default());
            let copy = Copy::begin(path, &target)?;
            copy.table(txn, NOTES)?;
            copy.table(txn, VALUES)?;
            report.bytes += copy.finish()?;
        }
        // Last, when all other names are durable: a folder without it is no store, so a backup
        // that was interrupted is none.
        files::sync_folder(to)?;
        self.directory().copy_store_file(to)?;
        files::sync_folder(to)?;
        Ok(report)
    }
}

/// Makes a folder, or takes an empty one.
pub(super) fn begin_folder(path: &Path) -> Result<(), StorageError> {
    check_free(path)?;
    files::create_folder(path)
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
