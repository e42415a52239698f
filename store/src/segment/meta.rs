//! What a segment says of itself, and how far it has journals.

use std::collections::HashMap;
use std::path::Path;

use bincode::{Decode, Encode};
use redb::{ReadTransaction, ReadableTable as _, WriteTransaction};
use uuid::Uuid;

use super::{COUNTS, Counts, JOURNALS, META, META_VERSION, REPLACES, SEALED, table};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::journal::Positions;

/// The frame's place of a value in `meta`.
fn meta_place(key: &str) -> Place {
    Place::new("meta", key.as_bytes())
}

/// Reads the framed form of a value in `meta`.
pub(super) fn unseal_meta<T: Decode<()>>(key: &str, value: &[u8]) -> Result<T, ValueError> {
    codec::from_bincode(&codec::unseal(value, meta_place(key), META_VERSION)?)
}

/// A value in `meta`.
pub(super) fn meta<T: Decode<()>>(
    txn: &WriteTransaction,
    path: &Path,
    key: &'static str,
) -> Result<Option<T>, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("read", path, error);
    let table = txn.open_table(META).map_err(|error| failed(error.into()))?;
    let value = table.get(key).map_err(|error| failed(error.into()))?;
    value
        .map(|value| unseal_meta(key, value.value()))
        .transpose()
        .map_err(|source| StorageError::DamagedValue {
            path: path.to_owned(),
            table: "meta",
            source,
        })
}

/// Sets a value in `meta`.
pub(super) fn put_meta(
    txn: &WriteTransaction,
    path: &Path,
    key: &'static str,
    body: &impl Encode,
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let value = codec::seal(META_VERSION, &codec::to_bincode(body), meta_place(key));
    let mut table = txn.open_table(META).map_err(|error| failed(error.into()))?;
    table
        .insert(key, value.as_slice())
        .map_err(|error| failed(error.into()))?;
    Ok(())
}

/// How far each journal is stored in a segment. A damaged row counts as nothing stored: replaying
/// twice merges to the same traces, and not replaying loses them.
pub(crate) fn positions(
    txn: &ReadTransaction,
    path: &Path,
) -> Result<HashMap<Uuid, Positions>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let Some(table) = table(txn, path, JOURNALS)? else {
        return Ok(HashMap::new());
    };
    let mut stored = HashMap::new();
    for row in table.iter().map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        let place = Place::new("journals", key.value());
        if let Ok(journal) = Uuid::from_slice(key.value())
            && let Ok(body) = codec::unseal(value.value(), place, META_VERSION)
            && let Ok(positions) = codec::from_bincode(&body)
        {
            stored.insert(journal, positions);
        }
    }
    Ok(stored)
}

/// What a segment holds.
pub(crate) fn counts(txn: &ReadTransaction, path: &Path) -> Result<Counts, StorageError> {
    read_meta(txn, path, COUNTS)?.ok_or_else(|| StorageError::DamagedValue {
        path: path.to_owned(),
        table: "meta",
        source: ValueError::MissingPiece { piece: 0 },
    })
}

/// A value in `meta` of a segment that is read.
pub(crate) fn read_meta<T: Decode<()>>(
    txn: &ReadTransaction,
    path: &Path,
    key: &'static str,
) -> Result<Option<T>, StorageError> {
    let Some(table) = table(txn, path, META)? else {
        return Ok(None);
    };
    let value = table
        .get(key)
        .map_err(|error| StorageError::redb("read", path, error))?;
    value
        .map(|value| unseal_meta(key, value.value()))
        .transpose()
        .map_err(|source| StorageError::DamagedValue {
            path: path.to_owned(),
            table: "meta",
            source,
        })
}

/// Whether nobody writes to a segment any more.
pub(crate) fn is_sealed(txn: &ReadTransaction, path: &Path) -> Result<bool, StorageError> {
    Ok(read_meta::<u64>(txn, path, SEALED)?.is_some())
}

/// The names of the files that a merged segment stands for.
pub(crate) fn replaces(txn: &ReadTransaction, path: &Path) -> Result<Vec<String>, StorageError> {
    Ok(read_meta(txn, path, REPLACES)?.unwrap_or_default())
}

/// Stores how far a journal is stored, unless it is stored further already.
pub(crate) fn put_positions(
    txn: &WriteTransaction,
    path: &Path,
    journal: Uuid,
    positions: &Positions,
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let key = journal.as_bytes().as_slice();
    let place = Place::new("journals", key);
    let mut table = txn
        .open_table(JOURNALS)
        .map_err(|error| failed(error.into()))?;
    let mut all = positions.clone();
    if let Some(old) = table.get(key).map_err(|error| failed(error.into()))?
        && let Ok(old) = codec::unseal(old.value(), place, META_VERSION)
        && let Ok(old) = codec::from_bincode(&old)
    {
        all.merge(&old);
    }
    let value = codec::seal(META_VERSION, &codec::to_bincode(&all), place);
    table
        .insert(key, value.as_slice())
        .map_err(|error| failed(error.into()))?;
    Ok(())
}
