use std::path::Path;

use redb::{ReadTransaction, ReadableTableMetadata as _, WriteTransaction};
use spanlite_model::{TraceId, TraceUpdate};
use xxhash_rust::xxh3::xxh3_64;

use super::{MISSING_ROWS, NOTES, VERSION};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::record::{Origin, Record, decode_record, encode_record};
use crate::segment::table;

const TRACE_ID_BYTES: usize = 16;

/// A change with the key it has in the table.
pub(crate) type KeyedNote = (Vec<u8>, TraceUpdate);

/// Stores changes. One that is there already is stored once.
pub(super) fn put(
    txn: &WriteTransaction,
    path: &Path,
    updates: &[TraceUpdate],
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut notes = txn
        .open_table(NOTES)
        .map_err(|error| failed(error.into()))?;
    for update in updates {
        let mut body = Vec::new();
        encode_record(
            &Record::Update(update.clone()),
            &Origin::default(),
            &mut body,
        );
        let key = key(update, &body);
        let value = codec::seal(VERSION, &body, Place::new("notes", &key));
        notes
            .insert(key.as_slice(), value.as_slice())
            .map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// Removes all changes of some traces.
pub(super) fn remove(
    txn: &WriteTransaction,
    path: &Path,
    traces: &[TraceId],
) -> Result<u64, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut notes = txn
        .open_table(NOTES)
        .map_err(|error| failed(error.into()))?;
    let mut removed = 0;
    for trace_id in traces {
        let first = trace_id.as_bytes().as_slice();
        // No key is longer than id, time and checksum.
        let last = [first, &[0xff; 16]].concat();
        notes
            .retain_in::<&[u8], _>(first..=last.as_slice(), |_, _| {
                removed += 1;
                false
            })
            .map_err(|error| failed(error.into()))?;
    }
    Ok(removed)
}

/// Removes changes by their keys. Those that are gone already do not count.
pub(super) fn remove_keys(
    txn: &WriteTransaction,
    path: &Path,
    keys: &[Vec<u8>],
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut notes = txn
        .open_table(NOTES)
        .map_err(|error| failed(error.into()))?;
    for key in keys {
        notes
            .remove(key.as_slice())
            .map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

fn key(update: &TraceUpdate, body: &[u8]) -> Vec<u8> {
    let mut key = update.trace_id.to_bytes().to_vec();
    key.extend_from_slice(&update.time_unix_nano.to_be_bytes());
    key.extend_from_slice(&xxh3_64(body).to_be_bytes());
    key
}

/// The changes of one trace, oldest first. Damaged ones go to `damaged`.
pub(crate) fn notes_of(
    txn: &ReadTransaction,
    path: &Path,
    trace_id: TraceId,
    mut damaged: impl FnMut(ValueError),
) -> Result<Vec<TraceUpdate>, StorageError> {
    let mut updates = Vec::new();
    each_of(txn, path, trace_id, |_, update| match update {
        Ok(update) => updates.extend(update),
        Err(error) => damaged(error),
    })?;
    Ok(updates)
}

/// The changes of one trace with their keys, oldest first; nothing if one of them cannot be read,
/// or is of a later version.
pub(crate) fn keyed_notes_of(
    txn: &ReadTransaction,
    path: &Path,
    trace_id: TraceId,
) -> Result<Option<Vec<KeyedNote>>, StorageError> {
    let mut found = Some(Vec::new());
    each_of(txn, path, trace_id, |key, update| match update {
        Ok(Some(update)) => found
            .iter_mut()
            .for_each(|all| all.push((key.to_vec(), update.clone()))),
        _ => found = None,
    })?;
    Ok(found)
}

/// The keys of all changes of one trace.
pub(crate) fn note_keys_of(
    txn: &ReadTransaction,
    path: &Path,
    trace_id: TraceId,
) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut keys = Vec::new();
    each_of(txn, path, trace_id, |key, _| keys.push(key.to_vec()))?;
    Ok(keys)
}

fn each_of(
    txn: &ReadTransaction,
    path: &Path,
    trace_id: TraceId,
    mut each: impl FnMut(&[u8], Result<Option<TraceUpdate>, ValueError>),
) -> Result<(), StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let Some(notes) = table(txn, path, NOTES)? else {
        return Ok(());
    };
    let first = trace_id.as_bytes().as_slice();
    for row in notes.range::<&[u8]>(first..).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        if key.value().get(..TRACE_ID_BYTES) != Some(first) {
            break;
        }
        each(key.value(), decode(key.value(), value.value()));
    }
    Ok(())
}

/// How many changes of traces there are.
pub(crate) fn count_notes(txn: &ReadTransaction, path: &Path) -> Result<u64, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let notes = table(txn, path, NOTES)?;
    notes.map_or(Ok(0), |notes| notes.len().map_err(failed))
}

/// The traces of which there are later changes, in order. Rows that a damaged page hides are
/// noticed.
pub(crate) fn noted_traces(
    txn: &ReadTransaction,
    path: &Path,
    mut damaged: impl FnMut(ValueError),
) -> Result<Vec<TraceId>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let mut found: Vec<TraceId> = Vec::new();
    let Some(notes) = table(txn, path, NOTES)? else {
        return Ok(found);
    };
    let mut n_rows = 0;
    for row in notes.range::<&[u8]>(..).map_err(failed)? {
        let (key, _) = row.map_err(failed)?;
        n_rows += 1;
        if let Some(id) = key.value().first_chunk::<TRACE_ID_BYTES>()
            && found.last().map(|last| last.to_bytes()) != Some(*id)
        {
            found.push(TraceId::from_bytes(*id));
        }
    }
    if n_rows != notes.len().map_err(failed)? {
        damaged(MISSING_ROWS);
    }
    Ok(found)
}

fn decode(key: &[u8], value: &[u8]) -> Result<Option<TraceUpdate>, ValueError> {
    let body = codec::unseal(value, Place::new("notes", key), VERSION)?;
    match decode_record(&body, &Origin::default()) {
        Ok(Some(Record::Update(update))) => Ok(Some(update)),
        Ok(_) => Ok(None),
        Err(_) => Err(ValueError::Body {
            reason: "a change of a trace does not decode",
        }),
    }
}
