use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTableMetadata as _};

use super::{MISSING_ROWS, VALUES, VERSION};
use crate::codec::{self, Place, ValueError};
use crate::error::{FlushError, ReadError, StorageError};
use crate::segment::table;
use crate::store::Store;

/// Keyed, versioned values that others keep in the store: exporter jobs and what they have sent,
/// saved queries, prices. Bytes in, bytes out; a space is a name such as `jobs`.
///
/// All processes on the store share them. They are not part of a [`Snapshot`](crate::Snapshot).
#[derive(Debug, Clone)]
pub struct State {
    store: Store,
}

/// A value with the version it has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Versioned {
    /// Grows with every change of the state file, and is never used twice.
    pub version: u64,
    /// What was put.
    pub bytes: Vec<u8>,
}

/// Changes of values that are made together or not at all.
#[derive(Debug)]
#[must_use]
pub struct StateChange {
    store: Store,
    operations: Vec<Operation>,
}

/// One change of a value.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(super) space: String,
    pub(super) key: Vec<u8>,
    pub(super) expected: Expected,
    /// The new value; nothing removes it.
    pub(super) bytes: Option<Vec<u8>>,
}

/// What must be there for an operation to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Nothing,
    Version(u64),
}

impl Expected {
    pub(super) fn is_met(self, found: Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => found.is_none(),
            Self::Version(version) => found == Some(version),
        }
    }
}

/// Why values were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A value has another version than was expected. Nothing was changed.
    #[error("a value in `{space}` was changed by somebody else")]
    Conflict {
        /// The space.
        space: String,
        /// The key.
        key: Vec<u8>,
        /// The version that is there.
        found: Option<u64>,
    },
    /// A space must have a name, and none with a zero byte. Nothing was changed.
    #[error("`{}` is no name of a space", space.escape_debug())]
    Space {
        /// The space.
        space: String,
    },
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The thread that writes panicked, as [`FlushError::Panicked`] says.
    #[error("the thread that writes to the store has panicked")]
    Panicked,
    /// The part that writes cannot be started.
    #[error("cannot open the store for writing")]
    Writer(#[source] Arc<StorageError>),
    /// The state file cannot be written.
    #[error("cannot change the state of the store")]
    Storage(#[from] StorageError),
}

impl From<FlushError> for StateError {
    fn from(error: FlushError) -> Self {
        match error {
            FlushError::ReadOnly => Self::ReadOnly,
            FlushError::Closed => Self::Closed,
            FlushError::Panicked => Self::Panicked,
            FlushError::Failed { source, .. } => Self::Writer(source),
        }
    }
}

impl State {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The value of a key.
    pub fn get(&self, space: &str, key: &[u8]) -> Result<Option<Versioned>, ReadError> {
        let key = value_key(space, key);
        self.store.read_state(|txn, path| {
            let Some(values) = table(txn, path, VALUES)? else {
                return Ok(None);
            };
            let value = values
                .get(key.as_slice())
                .map_err(|error| StorageError::redb("read", path, error))?;
            value
                .map(|value| decode_value(&key, value.value()))
                .transpose()
                .map_err(|source| StorageError::DamagedValue {
                    path: path.to_owned(),
                    table: "values",
                    source,
                })
        })
    }

    /// The keys that begin with `prefix`, in order, with their values.
    pub fn list(&self, space: &str, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Versioned)>, ReadError> {
        let first = value_key(space, prefix);
        self.store.read_state(|txn, path| {
            let Some(values) = table(txn, path, VALUES)? else {
                return Ok(Vec::new());
            };
            let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
            let mut found = Vec::new();
            for row in values.range::<&[u8]>(first.as_slice()..).map_err(failed)? {
                let (key, value) = row.map_err(failed)?;
                if !key.value().starts_with(&first) {
                    break;
                }
                let versioned = decode_value(key.value(), value.value()).map_err(|source| {
                    StorageError::DamagedValue {
                        path: path.to_owned(),
                        table: "values",
                        source,
                    }
                })?;
                let name = key.value().get(space.len() + 1..).unwrap_or_default();
                found.push((name.to_vec(), versioned));
            }
            Ok(found)
        })
    }

    /// The keys that begin with `prefix`, in order. Their values are not read.
    pub fn keys(&self, space: &str, prefix: &[u8]) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut keys = Vec::new();
        self.each_key(space, prefix, |key| keys.push(key.to_vec()))?;
        Ok(keys)
    }

    /// How many keys begin with `prefix`. Their values are not read.
    pub fn count(&self, space: &str, prefix: &[u8]) -> Result<u64, ReadError> {
        let mut n_found = 0;
        self.each_key(space, prefix, |_| n_found += 1)?;
        Ok(n_found)
    }

    fn each_key(
        &self,
        space: &str,
        prefix: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        let first = value_key(space, prefix);
        self.store.read_state(|txn, path| {
            let Some(values) = table(txn, path, VALUES)? else {
                return Ok(());
            };
            let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
            for row in values.range::<&[u8]>(first.as_slice()..).map_err(failed)? {
                let (key, _) = row.map_err(failed)?;
                if !key.value().starts_with(&first) {
                    break;
                }
                each(key.value().get(space.len() + 1..).unwrap_or_default());
            }
            Ok(())
        })
    }

    /// Begins a set of changes.
    pub fn change(&self) -> StateChange {
        StateChange {
            store: self.store.clone(),
            operations: Vec::new(),
        }
    }
}

impl StateChange {
    /// Puts a value, whatever is there.
    pub fn put(&mut self, space: &str, key: &[u8], bytes: &[u8]) {
        self.push(space, key, Expected::Anything, Some(bytes.to_vec()));
    }

    /// Puts a value if the present one has this version; `None`: if there is none.
    pub fn put_if(&mut self, space: &str, key: &[u8], version: Option<u64>, bytes: &[u8]) {
        let expected = version.map_or(Expected::Nothing, Expected::Version);
        self.push(space, key, expected, Some(bytes.to_vec()));
    }

    /// Removes a value, if it is there.
    pub fn remove(&mut self, space: &str, key: &[u8]) {
        self.push(space, key, Expected::Anything, None);
    }

    /// Removes a value if it has this version.
    pub fn remove_if(&mut self, space: &str, key: &[u8], version: u64) {
        self.push(space, key, Expected::Version(version), None);
    }

    /// Puts a value under a key as the table has it.
    pub(crate) fn put_key(&mut self, key: &[u8], bytes: &[u8]) {
        let mut parts = key.splitn(2, |byte| *byte == 0);
        let space = String::from_utf8_lossy(parts.next().unwrap_or_default());
        self.put(&space, parts.next().unwrap_or_default(), bytes);
    }

    fn push(&mut self, space: &str, key: &[u8], expected: Expected, bytes: Option<Vec<u8>>) {
        self.operations.push(Operation {
            space: space.to_owned(),
            key: key.to_vec(),
            expected,
            bytes,
        });
    }

    /// Makes the changes, in order, all or none; durable on return.
    pub fn commit(self) -> Result<(), StateError> {
        let Self { store, operations } = self;
        let is_name = |space: &str| !space.is_empty() && !space.contains('\0');
        if let Some(wrong) = operations.iter().find(|one| !is_name(&one.space)) {
            return Err(StateError::Space {
                space: wrong.space.clone(),
            });
        }
        store.on_commit_thread(move |state| state.change_values(&operations))?
    }
}

/// A key as the table has it, and the bytes of its value.
pub(crate) type KeyAndBytes = (Vec<u8>, Vec<u8>);

/// The values that can be read, with their keys as the table has them.
pub(crate) fn readable_values(
    txn: &ReadTransaction,
    path: &Path,
    mut damaged: impl FnMut(&[u8], ValueError),
) -> Result<Vec<KeyAndBytes>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let Some(values) = table(txn, path, VALUES)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut n_rows = 0;
    for row in values.range::<&[u8]>(..).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        n_rows += 1;
        match decode_value(key.value(), value.value()) {
            // What begins with a zero belongs to no space.
            Ok(_) if key.value().first() == Some(&0) => {}
            Ok(versioned) => found.push((key.value().to_vec(), versioned.bytes)),
            Err(error) => damaged(key.value(), error),
        }
    }
    if n_rows != values.len().map_err(failed)? {
        damaged(&[], MISSING_ROWS);
    }
    Ok(found)
}

pub(crate) fn value_key(space: &str, key: &[u8]) -> Vec<u8> {
    [space.as_bytes(), &[0], key].concat()
}

pub(crate) fn encode_value(key: &[u8], version: u64, bytes: &[u8]) -> Vec<u8> {
    let body = [&version.to_le_bytes(), bytes].concat();
    codec::seal_compressed(VERSION, &body, Place::new("values", key))
}

pub(super) fn decode_value(key: &[u8], value: &[u8]) -> Result<Versioned, ValueError> {
    let body = codec::unseal(value, Place::new("values", key), VERSION)?;
    let (version, bytes) = body.split_first_chunk::<8>().ok_or(ValueError::Body {
        reason: "a value has a version",
    })?;
    Ok(Versioned {
        version: u64::from_le_bytes(*version),
        bytes: bytes.to_vec(),
    })
}
