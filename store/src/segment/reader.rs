use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase as _, TableDefinition};

use super::SegmentName;
use super::create::guard;
use super::database;
use super::pages::Pages;
use super::sealed::KnownBlocks;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::options::Access;

/// A redb file that this process reads.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    path: PathBuf,
    database: ReadDatabase,
    pages: Arc<Pages>,
    known_blocks: KnownBlocks,
}

enum ReadDatabase {
    /// The file itself; it follows the commits of writers.
    File(ReadOnlyDatabase),
    /// The file as it would be after a repair that may not be written to it.
    Overlay(Unfinished),
}

/// A database whose end is of no interest: as it is closed redb goes over what it knows of free
/// pages, and panics where that is damaged.
struct Unfinished(Option<Database>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let database = self.0.take();
        drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
    }
}

impl std::fmt::Debug for ReadDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Overlay(_) => "Overlay",
        })
    }
}

/// Opens a segment for reading.
pub(crate) fn open_for_reading(
    directory: &Directory,
    name: SegmentName,
    access: Access,
) -> Result<SegmentReader, StorageError> {
    SegmentReader::open(&directory.segment(&name), access)
}

impl SegmentReader {
    /// Opens a redb file for reading.
    ///
    /// A file whose last writer was killed is repaired by opening it for writing once. Where that
    /// is not allowed, it is read through an overlay.
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, StorageError> {
        let pages = Arc::default();
        let opened = match open_read_only(path, &pages) {
            Err(StorageError::NeedsRepair { .. }) => repair(path, access, &pages),
            other => other.map(ReadDatabase::File),
        };
        Ok(Self {
            path: path.to_owned(),
            database: opened?,
            pages,
            known_blocks: KnownBlocks::default(),
        })
    }

    /// Whether a file has to be repaired before it can be read as it is.
    pub(crate) fn needs_repair(path: &Path) -> bool {
        let opened = open_read_only(path, &Arc::default());
        matches!(opened, Err(StorageError::NeedsRepair { .. }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The blocks that earlier snapshots have read the headers of.
    pub(crate) fn known_blocks(&self) -> &KnownBlocks {
        &self.known_blocks
    }

    /// Whether the reader sees the file through an overlay, and so does not follow later commits.
    pub(crate) fn is_overlay(&self) -> bool {
        matches!(self.database, ReadDatabase::Overlay(_))
    }

    /// What was found to be damaged of what was read so far.
    pub(crate) fn damage(&self) -> Option<StorageError> {
        let source = Box::new(self.pages.damage()?);
        Some(StorageError::Damaged {
            path: self.path.clone(),
            source,
        })
    }

    /// Fails if something that was read so far is damaged: it may have been less than is there.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        self.damage().map_or(Ok(()), Err)
    }

    /// Begins a transaction that sees everything that is committed at the call, in any process.
    pub(crate) fn begin(&self) -> Result<ReadTransaction, StorageError> {
        let begun = match &self.database {
            ReadDatabase::File(database) => Some(database.begin_read()),
            ReadDatabase::Overlay(Unfinished(database)) => {
                database.as_ref().map(Database::begin_read)
            }
        };
        // It is there until the reader is dropped.
        let begun = begun.ok_or_else(|| StorageError::Busy {
            path: self.path.clone(),
        })?;
        begun.map_err(|error| StorageError::redb("read", &self.path, error))
    }
}

fn open_read_only(path: &Path, pages: &Arc<Pages>) -> Result<ReadOnlyDatabase, StorageError> {
    guard("open", path, || database::open_read_only(path, pages))
}

fn repair(path: &Path, access: Access, pages: &Arc<Pages>) -> Result<ReadDatabase, StorageError> {
    if access == Access::ReadWrite {
        match guard("repair", path, || database::open(path)) {
            Ok(repaired) => {
                drop(repaired);
                match open_read_only(path, pages) {
                    // Another writer was killed in between.
                    Err(StorageError::NeedsRepair { .. }) => {}
                    other => return other.map(ReadDatabase::File),
                }
            }
            // What is damaged is not written to; some of it may be read all the same.
            Err(
                StorageError::NoPermission { .. }
                | StorageError::DiskFull { .. }
                | StorageError::Damaged { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let overlay = guard("read", path, || database::open_overlay(path, pages));
    overlay.map(|database| ReadDatabase::Overlay(Unfinished(Some(database))))
}

/// Opens a table of a read transaction; nothing if the file has none of that name.
pub(crate) fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
    txn: &ReadTransaction,
    path: &Path,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<redb::ReadOnlyTable<K, V>>, StorageError> {
    match txn.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(StorageError::redb("read", path, error)),
    }
}
