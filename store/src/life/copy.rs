//! Copies of redb files, row by row out of a read transaction: a file that somebody may write to
//! must not be copied byte by byte.

use std::fs;
use std::path::Path;

use redb::{
    Database, Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    Value,
};

use crate::error::StorageError;
use crate::segment::{database, table};

/// A copy that is being made; nobody else has it open.
pub(super) struct Copy<'p> {
    from: &'p Path,
    to: &'p Path,
    database: Database,
}

impl<'p> Copy<'p> {
    /// Begins a copy in a file that is not there yet.
    pub(super) fn begin(from: &'p Path, to: &'p Path) -> Result<Self, StorageError> {
        let database =
            database::create(to).map_err(|error| StorageError::redb("create", to, error))?;
        Ok(Self { from, to, database })
    }

    /// Copies a table, in one transaction.
    pub(super) fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        txn: &ReadTransaction,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), StorageError> {
        let read = |error: redb::Error| StorageError::redb("read", self.from, error);
        let write = |error: redb::Error| StorageError::redb("write to", self.to, error);
        let Some(rows) = table(txn, self.from, definition)? else {
            return Ok(());
        };
        let target = self
            .database
            .begin_write()
            .map_err(|error| write(error.into()))?;
        {
            let mut copies = target
                .open_table(definition)
                .map_err(|error| write(error.into()))?;
            for row in rows.iter().map_err(|error| read(error.into()))? {
                let (key, value) = row.map_err(|error| read(error.into()))?;
                copies
                    .insert(key.value(), value.value())
                    .map_err(|error| write(error.into()))?;
            }
        }
        target.commit().map_err(|error| write(error.into()))
    }

    /// Ends the copy; it is on disk then. Returns its length in bytes.
    pub(super) fn finish(self) -> Result<u64, StorageError> {
        let to = self.to;
        // A last look: what was copied opens.
        self.database
            .begin_read()
            .map_err(|error| StorageError::redb("read", to, error))?;
        self.database
            .close()
            .map_err(|error| StorageError::redb("close", to, error))?;
        let metadata = fs::metadata(to).map_err(|error| StorageError::io("read", to, error))?;
        Ok(metadata.len())
    }
}
