use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableTable as _, WriteTransaction};
use spanlite_model::{TraceId, TraceUpdate};
use uuid::Uuid;

use super::change::{Operation, StateError, decode_value, encode_value, value_key};
use super::{VALUES, deleted, notes};
use crate::error::StorageError;
use crate::files;
use crate::segment::{database, guard, protected};

/// The version counter, under a key that no space can have: spaces are not empty.
const COUNTER: &[u8] = b"\0version";

/// The commit thread's handle on `state.redb`, opened when it is first needed.
pub(crate) struct StateWriter {
    path: PathBuf,
    database: Option<Database>,
}

impl StateWriter {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            database: None,
        }
    }

    /// Drops the handle.
    pub(crate) fn reset(&mut self) {
        self.database = None;
    }

    /// Stores changes of traces; durable on return.
    pub(crate) fn put_notes(&mut self, updates: &[TraceUpdate]) -> Result<(), StorageError> {
        self.transaction(|txn, path| notes::put(txn, path, updates))
    }

    /// Removes all changes of some traces; durable on return. Returns how many there were.
    pub(crate) fn remove_notes(&mut self, traces: &[TraceId]) -> Result<u64, StorageError> {
        self.transaction(|txn, path| notes::remove(txn, path, traces))
    }

    /// Removes changes by their keys; durable on return.
    pub(crate) fn remove_note_keys(&mut self, keys: &[Vec<u8>]) -> Result<(), StorageError> {
        self.transaction(|txn, path| notes::remove_keys(txn, path, keys))
    }

    /// Writes over what removed values left in the file: pages that nothing uses keep their bytes
    /// until they are used again, so all of them are used once and given back.
    pub(crate) fn overwrite_free_pages(&mut self) -> Result<(), StorageError> {
        /// No page holds two of these.
        const FILLER_BYTES: usize = 3_000;
        const PAGE_BYTES: u64 = 4_096;
        // What a transaction frees may be used by the second one after it.
        for _ in 0..2 {
            self.transaction::<_, StorageError>(|_, _| Ok(()))?;
        }
        let bytes = std::fs::metadata(&self.path)
            .map_err(|error| StorageError::io("look at", &self.path, error))?
            .len();
        let n_fillers = bytes / PAGE_BYTES + 1;
        let filler = [0; FILLER_BYTES];
        let key = |number: u64| [COUNTER, b"filler", &number.to_be_bytes()].concat();
        self.transaction::<_, StorageError>(|txn, path| {
            let failed = |error: redb::Error| StorageError::redb("write to", path, error);
            let mut values = txn
                .open_table(VALUES)
                .map_err(|error| failed(error.into()))?;
            for number in 0..n_fillers {
                values
                    .insert(key(number).as_slice(), filler.as_slice())
                    .map_err(|error| failed(error.into()))?;
            }
            Ok(())
        })?;
        self.transaction(|txn, path| {
            let failed = |error: redb::Error| StorageError::redb("write to", path, error);
            let mut values = txn
                .open_table(VALUES)
                .map_err(|error| failed(error.into()))?;
            for number in 0..n_fillers {
                values
                    .remove(key(number).as_slice())
                    .map_err(|error| failed(error.into()))?;
            }
            Ok(())
        })
    }

    /// Says that traces are deleted, and removes their changes; durable on return.
    pub(crate) fn delete_traces(&mut self, traces: &[TraceId]) -> Result<(), StorageError> {
        self.transaction(|txn, path| {
            deleted::put(txn, path, traces)?;
            notes::remove(txn, path, traces)?;
            Ok(())
        })
    }

    /// Carries out operations on values, all or none; durable on return.
    pub(crate) fn change_values(&mut self, operations: &[Operation]) -> Result<(), StateError> {
        self.transaction(|txn, path| change_values(txn, path, operations))
    }

    fn open(&self) -> Result<Database, StorageError> {
        match guard("open", &self.path, || database::open(&self.path)) {
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.make()?;
                guard("open", &self.path, || database::open(&self.path))
            }
            opened => opened,
        }
    }

    /// Makes the file: whole before it has its name, so that a kill or a power cut never leaves
    /// half of one. Of several processes that try at once the first wins.
    fn make(&self) -> Result<(), StorageError> {
        let draft = self
            .path
            .with_extension(format!("redb.{}", Uuid::new_v4().simple()));
        let made = guard("create", &draft, || database::create(&draft))
            .and_then(|database| {
                let closed = database.close();
                closed.map_err(|error| StorageError::redb("create", &draft, error))
            })
            .and_then(|()| match files::link(&draft, &self.path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(StorageError::io("create", &self.path, error))
                }
                _ => files::sync_name(&self.path),
            });
        drop(files::remove(&draft));
        made
    }

    /// Does work in a transaction. On a damaged file redb can panic, which must not end the thread.
    fn transaction<T, E: From<StorageError>>(
        &mut self,
        work: impl FnOnce(&WriteTransaction, &Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.path.clone();
        // What goes wrong inside of it comes out as it is.
        protected(&path, || Ok(self.try_transaction(work)))?
    }

    fn try_transaction<T, E: From<StorageError>>(
        &mut self,
        work: impl FnOnce(&WriteTransaction, &Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open()?,
        };
        let path = &self.path;
        let failed = |error: redb::Error| StorageError::redb("write to", path, error);
        let txn = database
            .begin_write()
            .map_err(|error| failed(error.into()))?;
        let done = match work(&txn, path) {
            Ok(done) => done,
            Err(error) => {
                // Dropping the transaction rolls it back; the handle goes too, as it may be the
                // reason, and is opened again next time.
                drop(txn);
                return Err(error);
            }
        };
        txn.commit().map_err(|error| failed(error.into()))?;
        self.database = Some(database);
        Ok(done)
    }
}

fn change_values(
    txn: &WriteTransaction,
    path: &Path,
    operations: &[Operation],
) -> Result<(), StateError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let damaged = |source| StorageError::DamagedValue {
        path: path.to_owned(),
        table: "values",
        source,
    };
    let mut table = txn
        .open_table(VALUES)
        .map_err(|error| failed(error.into()))?;
    let counter = table
        .get(COUNTER)
        .map_err(|error| failed(error.into()))?
        .map(|value| decode_value(COUNTER, value.value()))
        .transpose()
        .map_err(damaged)?;
    let version = counter.map_or(0, |counter| counter.version) + 1;
    for operation in operations {
        let key = value_key(&operation.space, &operation.key);
        let present = table
            .get(key.as_slice())
            .map_err(|error| failed(error.into()))?
            .map(|value| decode_value(&key, value.value()))
            .transpose()
            .map_err(damaged)?;
        let found = present.map(|present| present.version);
        if !operation.expected.is_met(found) {
            return Err(StateError::Conflict {
                space: operation.space.clone(),
                key: operation.key.clone(),
                found,
            });
        }
        match &operation.bytes {
            Some(bytes) => {
                let value = encode_value(&key, version, bytes);
                table
                    .insert(key.as_slice(), value.as_slice())
                    .map_err(|error| failed(error.into()))?;
            }
            None => {
                table
                    .remove(key.as_slice())
                    .map_err(|error| failed(error.into()))?;
            }
        }
    }
    let value = encode_value(COUNTER, version, &[]);
    table
        .insert(COUNTER, value.as_slice())
        .map_err(|error| failed(error.into()))?;
    Ok(())
}
