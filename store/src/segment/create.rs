use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, WriteTransaction};
use uuid::Uuid;

use super::{
    COUNTS, Counts, LEASE, LEFT_OUT, Lease, SEALED, SegmentDraft, SegmentName, database, meta,
    put_meta,
};
use crate::clock;
use crate::codec::ValueError;
use crate::directory::Directory;
use crate::error::StorageError;

/// How long a writer may take to make blocks before another one tries.
const LEASE_MILLIS: u64 = 60_000;

/// A segment that this process writes to.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    pub(crate) database: Database,
}

/// Opens a redb file that may be damaged.
pub(crate) fn guard<T>(
    action: &'static str,
    path: &Path,
    open: impl FnOnce() -> Result<T, redb::DatabaseError>,
) -> Result<T, StorageError> {
    protected(path, || {
        open().map_err(|error| StorageError::redb(action, path, error))
    })
}

/// Calls redb on a file that may be damaged, where it can panic.
pub(crate) fn protected<T>(
    path: &Path,
    call: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    // Nothing that a panic may have left half done is used again: the caller gives the file up.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_panic| {
        Err(StorageError::Damaged {
            path: path.to_owned(),
            source: Box::new(ValueError::Body {
                reason: "redb gave up on it",
            }),
        })
    })
}

/// Makes a new segment. It gets its name when it is whole, so that nobody sees half of one.
///
/// Its name comes after all others, also where the clock was set back: writers look for the
/// newest one.
pub(crate) fn create(directory: &Directory) -> Result<OpenSegment, StorageError> {
    let newest = directory.segments()?.pop();
    let after = newest.map_or(0, |name| name.start_millis().saturating_add(1));
    let draft = SegmentDraft::create(directory, clock::unix_millis().max(after))?;
    let txn = draft.begin()?;
    txn.commit()
        .map_err(|error| StorageError::redb("write to", draft.path(), error))?;
    draft.publish(directory)
}

/// Opens a segment for writing, which also repairs it after a kill.
pub(crate) fn open_for_writing(
    directory: &Directory,
    name: SegmentName,
) -> Result<OpenSegment, StorageError> {
    let path = directory.segment(&name);
    let database = guard("open", &path, || database::open(&path))?;
    Ok(OpenSegment {
        name,
        path,
        database,
    })
}

/// Seals a segment that may be open elsewhere: whoever writes to it finds out in the next
/// transaction and moves on. Nothing if it is gone.
pub(crate) fn seal_file(directory: &Directory, name: SegmentName) -> Result<(), StorageError> {
    protected(&directory.segment(&name), || try_seal_file(directory, name))
}

fn try_seal_file(directory: &Directory, name: SegmentName) -> Result<(), StorageError> {
    let segment = match open_for_writing(directory, name) {
        Ok(segment) => segment,
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let failed = |error: redb::Error| StorageError::redb("write to", &segment.path, error);
    let txn = segment
        .database
        .begin_write()
        .map_err(|error| failed(error.into()))?;
    if segment.is_sealed(&txn)? {
        return Ok(());
    }
    segment.seal(&txn)?;
    txn.commit().map_err(|error| failed(error.into()))
}

impl OpenSegment {
    /// Returns whether somebody sealed the segment.
    pub(crate) fn is_sealed(&self, txn: &WriteTransaction) -> Result<bool, StorageError> {
        Ok(meta::<u64>(txn, &self.path, SEALED)?.is_some())
    }

    /// Marks the segment as one that nobody writes to any more.
    pub(crate) fn seal(&self, txn: &WriteTransaction) -> Result<(), StorageError> {
        put_meta(txn, &self.path, SEALED, &clock::unix_millis())
    }

    /// What the segment holds.
    pub(crate) fn counts(&self, txn: &WriteTransaction) -> Result<Counts, StorageError> {
        Ok(meta(txn, &self.path, COUNTS)?.unwrap_or_default())
    }

    /// Says what the segment holds after this transaction.
    pub(crate) fn put_counts(
        &self,
        txn: &WriteTransaction,
        counts: &Counts,
    ) -> Result<(), StorageError> {
        put_meta(txn, &self.path, COUNTS, counts)
    }

    /// Takes the lease for a writer, unless another writer has it.
    pub(crate) fn take_lease(
        &self,
        txn: &WriteTransaction,
        writer: Uuid,
    ) -> Result<bool, StorageError> {
        let now = clock::unix_millis();
        let writer = writer.into_bytes();
        if let Some(lease) = meta::<Lease>(txn, &self.path, LEASE)?
            && lease.writer != writer
            // A lease from a future that a clock step made is none.
            && (now..=now + LEASE_MILLIS).contains(&lease.until_millis)
        {
            return Ok(false);
        }
        let until_millis = now + LEASE_MILLIS;
        put_meta(
            txn,
            &self.path,
            LEASE,
            &Lease {
                writer,
                until_millis,
            },
        )?;
        Ok(true)
    }

    /// Says that a deleted trace was left out.
    pub(crate) fn put_left_out(&self, txn: &WriteTransaction) -> Result<(), StorageError> {
        put_meta(txn, &self.path, LEFT_OUT, &clock::unix_millis())
    }

    /// Gives the lease up.
    pub(crate) fn drop_lease(&self, txn: &WriteTransaction) -> Result<(), StorageError> {
        let nobody = Lease {
            writer: [0; 16],
            until_millis: 0,
        };
        put_meta(txn, &self.path, LEASE, &nobody)
    }

    /// How much of the disk the file takes. Its length says more, because redb grows it ahead.
    pub(crate) fn disk_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| disk_bytes(&metadata))
    }
}

/// How much of the disk a file takes.
pub(crate) fn disk_bytes(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.blocks() * 512
    }
    #[cfg(not(unix))]
    {
        metadata.len()
    }
}
