//! How redb files are opened: by any number of processes at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, StorageBackend,
    StorageError,
};

use super::backend::Backend;
use super::checked::Checked;
use super::overlay::Overlay;
use super::pages::Pages;
use super::{READ_CACHE_BYTES, WRITE_CACHE_BYTES};
use crate::directory::STATE_FILE;

/// The page cache of a handle on `state.redb`, whose values are small and read once in a while. A
/// job of many traces would fill a larger one.
const STATE_CACHE_BYTES: usize = 2 << 20;

fn builder(path: &Path, of_segment: usize) -> Builder {
    let is_state = path.file_name().is_some_and(|name| name == STATE_FILE);
    let mut builder = Builder::new();
    builder
        .set_cache_size(if is_state {
            STATE_CACHE_BYTES
        } else {
            of_segment
        })
        .set_concurrency_mode(ConcurrencyMode::MultiWriter);
    builder
}

/// Opens a file for writing, or makes one. The name of a new one is not durable yet.
pub(crate) fn create(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StorageError::from)?;
    builder(path, WRITE_CACHE_BYTES).create_with_backend(Checked::strict(backend(path, file)?))
}

/// Opens a file for writing, which also repairs it after a kill.
pub(crate) fn open(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(StorageError::from)?;
    if file.metadata().map_err(StorageError::from)?.len() == 0 {
        // Else redb would make a database of it.
        return Err(StorageError::from(io::Error::from(io::ErrorKind::InvalidData)).into());
    }
    builder(path, WRITE_CACHE_BYTES).create_with_backend(Checked::strict(backend(path, file)?))
}

/// Opens a file for reading, beside writers. What is damaged is read as it is, and `pages` knows.
pub(super) fn open_read_only(
    path: &Path,
    pages: &Arc<Pages>,
) -> Result<ReadOnlyDatabase, DatabaseError> {
    let file = File::open(path).map_err(StorageError::from)?;
    builder(path, READ_CACHE_BYTES)
        .open_read_only_with_backend(Checked::lenient(Backend::new(file)?, pages))
}

/// Reads a file as it would be after a repair that may not be written to it.
pub(super) fn open_overlay(path: &Path, pages: &Arc<Pages>) -> Result<Database, DatabaseError> {
    let file = File::open(path).map_err(StorageError::from)?;
    let overlay = Overlay::new(file).map_err(StorageError::from)?;
    Builder::new()
        .set_cache_size(READ_CACHE_BYTES)
        .create_with_backend(Checked::lenient(overlay, pages))
}

#[cfg(not(test))]
fn backend(_path: &Path, file: File) -> Result<impl StorageBackend, DatabaseError> {
    Backend::new(file)
}

#[cfg(test)]
fn backend(path: &Path, file: File) -> Result<impl StorageBackend, DatabaseError> {
    Ok(crate::power::record(path, Backend::new(file)?))
}
