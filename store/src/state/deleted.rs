use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use redb::{ReadTransaction, ReadableTableMetadata as _, WriteTransaction};
use spanlite_model::TraceId;

use super::{DELETED, MISSING_ROWS, VERSION};
use crate::clock;
use crate::codec::{self, Place, ValueError};
use crate::directory::Directory;
use crate::error::StorageError;
use crate::options::Access;
use crate::segment::{SegmentReader, protected, table};

/// Says that traces are deleted.
pub(super) fn put(
    txn: &WriteTransaction,
    path: &Path,
    traces: &[TraceId],
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut deleted = txn
        .open_table(DELETED)
        .map_err(|error| failed(error.into()))?;
    let now = codec::to_bincode(&clock::unix_millis());
    for trace_id in traces {
        let key = trace_id.as_bytes().as_slice();
        let value = codec::seal(VERSION, &now, Place::new("deleted", key));
        deleted
            .insert(key, value.as_slice())
            .map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// Whether a trace was deleted. A damaged value says so too: it is not read to know.
pub(crate) fn is_deleted(
    txn: &ReadTransaction,
    path: &Path,
    trace_id: TraceId,
) -> Result<bool, StorageError> {
    let Some(deleted) = table(txn, path, DELETED)? else {
        return Ok(false);
    };
    let found = deleted.get(trace_id.as_bytes().as_slice());
    Ok(found
        .map_err(|error| StorageError::redb("read", path, error))?
        .is_some())
}

/// The traces that were deleted. A row counts also where its value is damaged.
pub(crate) fn deleted_traces(
    txn: &ReadTransaction,
    path: &Path,
    mut damaged: impl FnMut(&[u8], ValueError),
) -> Result<BTreeSet<TraceId>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let mut found = BTreeSet::new();
    let Some(deleted) = table(txn, path, DELETED)? else {
        return Ok(found);
    };
    let mut n_rows = 0;
    for row in deleted.range::<&[u8]>(..).map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        n_rows += 1;
        let place = Place::new("deleted", key.value());
        if let Err(source) = codec::unseal(value.value(), place, VERSION) {
            damaged(key.value(), source);
        }
        let id = key.value().first_chunk();
        found.extend(id.map(|id| TraceId::from_bytes(*id)));
    }
    if n_rows != deleted.len().map_err(failed)? {
        damaged(&[], MISSING_ROWS);
    }
    Ok(found)
}

/// The traces of a store that were deleted; an error where that is not known for sure.
pub(crate) fn read_deleted(directory: &Directory) -> Result<BTreeSet<TraceId>, StorageError> {
    let path = directory.state();
    match SegmentReader::open(&path, Access::ReadWrite) {
        Ok(reader) => protected(&path, || {
            let deleted = deleted_traces(&reader.begin()?, &path, |_, _| {})?;
            reader.check()?;
            Ok(deleted)
        }),
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(BTreeSet::new())
        }
        Err(error) => Err(error),
    }
}

/// As far as they can be read. Whoever reads traces leaves out what was deleted all the same.
pub(crate) fn readable_deleted(directory: &Directory) -> Result<BTreeSet<TraceId>, StorageError> {
    match read_deleted(directory) {
        Err(StorageError::Damaged { .. }) => Ok(BTreeSet::new()),
        other => other,
    }
}
