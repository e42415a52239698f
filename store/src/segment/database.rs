//! How redb files are opened: by any number of processes at once.

use std::path::Path;

use redb::{Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase};

use super::CACHE_BYTES;

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_concurrency_mode(ConcurrencyMode::MultiWriter);
    builder
}

/// Opens a file for writing, or makes one. The name of a new one is not durable yet.
pub(crate) fn create(path: &Path) -> Result<Database, DatabaseError> {
    #[cfg(test)]
    if let Some(recorded) = crate::power::record(path, true)? {
        return builder().create_with_backend(recorded);
    }
    builder().create(path)
}

/// Opens a file for writing, which also repairs it after a kill.
pub(crate) fn open(path: &Path) -> Result<Database, DatabaseError> {
    #[cfg(test)]
    if let Some(recorded) = crate::power::record(path, false)? {
        return builder().create_with_backend(recorded);
    }
    builder().open(path)
}

/// Opens a file for reading, beside writers.
pub(crate) fn open_read_only(path: &Path) -> Result<ReadOnlyDatabase, DatabaseError> {
    builder().open_read_only(path)
}
