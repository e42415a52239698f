use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, ConcurrencyMode, Database, ReadableTable as _, WriteTransaction};

use super::{
    CACHE_BYTES, CREATED, HOT, JOURNALS, META, META_VERSION, NEXT_BATCH, SEALED, SegmentName,
};
use crate::clock;
use crate::codec::{self, Place, ValueError};
use crate::directory::{self, Directory};
use crate::error::StorageError;

/// A segment that this process writes to.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    pub(crate) database: Database,
}

/// How redb files are opened by writers.
pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_concurrency_mode(ConcurrencyMode::MultiWriter);
    builder
}

/// Calls redb on a file that may be damaged, where it can panic.
pub(crate) fn guard<T>(
    action: &'static str,
    path: &Path,
    call: impl FnOnce() -> Result<T, redb::DatabaseError>,
) -> Result<T, StorageError> {
    // The call owns what it breaks: nothing of a handle that panicked while opening is kept.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| StorageError::redb(action, path, error)),
        Err(_panic) => Err(StorageError::Damaged {
            path: path.to_owned(),
            source: Box::new(ValueError::Body {
                reason: "redb gave up on it",
            }),
        }),
    }
}

/// Makes a new segment. It gets its name when it is whole, so that nobody sees half of one.
pub(crate) fn create(directory: &Directory) -> Result<OpenSegment, StorageError> {
    let created = clock::unix_millis();
    let name = SegmentName::new(created);
    let path = directory.segment(&name);
    let draft = path.with_extension("redb.new");
    let database = guard("create", &draft, || builder().create(&draft))?;
    let made = initialise(&database, &draft, created).and_then(|()| {
        fs::rename(&draft, &path).map_err(|error| StorageError::io("rename", &draft, error))?;
        directory::sync_folder(directory.path())
    });
    if let Err(error) = made {
        drop(database);
        drop(fs::remove_file(&draft));
        return Err(error);
    }
    Ok(OpenSegment {
        name,
        path,
        database,
    })
}

fn initialise(database: &Database, path: &Path, created: u64) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let txn = database
        .begin_write()
        .map_err(|error| failed(error.into()))?;
    put_meta_number(&txn, path, CREATED, created)?;
    txn.open_table(JOURNALS)
        .map_err(|error| failed(error.into()))?;
    txn.open_table(HOT).map_err(|error| failed(error.into()))?;
    txn.commit().map_err(|error| failed(error.into()))
}

/// Opens a segment for writing, which also repairs it after a kill.
pub(crate) fn open_for_writing(
    directory: &Directory,
    name: SegmentName,
) -> Result<OpenSegment, StorageError> {
    let path = directory.segment(&name);
    let database = guard("open", &path, || builder().open(&path))?;
    Ok(OpenSegment {
        name,
        path,
        database,
    })
}

/// A number in `meta`.
pub(crate) fn meta_number(
    txn: &WriteTransaction,
    path: &Path,
    key: &'static str,
) -> Result<Option<u64>, StorageError> {
    let failed = |error: redb::Error| StorageError::redb("read", path, error);
    let table = txn.open_table(META).map_err(|error| failed(error.into()))?;
    let value = table.get(key).map_err(|error| failed(error.into()))?;
    value
        .map(|value| unseal_number(key, value.value()))
        .transpose()
        .map_err(|source| StorageError::DamagedValue {
            path: path.to_owned(),
            table: "meta",
            source,
        })
}

/// Reads the framed form of a number in `meta`.
fn unseal_number(key: &str, value: &[u8]) -> Result<u64, ValueError> {
    let body = codec::unseal(value, Place::new("meta", key.as_bytes()), META_VERSION)?;
    let bytes = body.try_into().map_err(|_| ValueError::Body {
        reason: "a number has 8 bytes",
    })?;
    Ok(u64::from_le_bytes(bytes))
}

/// Sets a number in `meta`.
pub(crate) fn put_meta_number(
    txn: &WriteTransaction,
    path: &Path,
    key: &'static str,
    number: u64,
) -> Result<(), StorageError> {
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let place = Place::new("meta", key.as_bytes());
    let value = codec::seal(META_VERSION, &number.to_le_bytes(), place);
    let mut table = txn.open_table(META).map_err(|error| failed(error.into()))?;
    table
        .insert(key, value.as_slice())
        .map_err(|error| failed(error.into()))?;
    Ok(())
}

impl OpenSegment {
    /// Returns whether somebody sealed the segment.
    pub(crate) fn is_sealed(&self, txn: &WriteTransaction) -> Result<bool, StorageError> {
        Ok(meta_number(txn, &self.path, SEALED)?.is_some())
    }

    /// Marks the segment as one that nobody writes to any more.
    pub(crate) fn seal(&self, txn: &WriteTransaction) -> Result<(), StorageError> {
        put_meta_number(txn, &self.path, SEALED, clock::unix_millis())
    }

    /// The number of the next hot batch, which is used up by the call. Numbers are never used
    /// twice, so that a batch that was moved into a block is not mistaken for another.
    pub(crate) fn next_batch(&self, txn: &WriteTransaction) -> Result<u64, StorageError> {
        let number = meta_number(txn, &self.path, NEXT_BATCH)?.unwrap_or(0);
        put_meta_number(txn, &self.path, NEXT_BATCH, number + 1)?;
        Ok(number)
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
