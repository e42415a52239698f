use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use redb::{ReadTransaction, WriteTransaction};
use spanlite_model::TraceId;

use super::{DELETED, VERSION};
use crate::clock;
use crate::codec::{self, Place};
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

/// The traces that were deleted.
pub(crate) fn deleted_traces(
    txn: &ReadTransaction,
    path: &Path,
) -> Result<BTreeSet<TraceId>, StorageError> {
    let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
    let mut found = BTreeSet::new();
    if let Some(deleted) = table(txn, path, DELETED)? {
        for row in deleted.range::<&[u8]>(..).map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            let id = key.value().first_chunk();
            found.extend(id.map(|id| TraceId::from_bytes(*id)));
        }
    }
    Ok(found)
}

/// The traces of a store that were deleted.
pub(crate) fn read_deleted(directory: &Directory) -> Result<BTreeSet<TraceId>, StorageError> {
    let path = directory.state();
    match SegmentReader::open(&path, Access::ReadWrite) {
        Ok(reader) => protected(&path, || deleted_traces(&reader.begin()?, &path)),
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(BTreeSet::new())
        }
        Err(error) => Err(error),
    }
}
