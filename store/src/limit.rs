//! How long the files may get that this process writes.
//!
//! Who writes beyond `RLIMIT_FSIZE` (`ulimit -f`) is sent SIGXFSZ, which ends a process that has no
//! handler for it. A library must not change what a signal does in its host, so nothing is written
//! there: every write and every growth of a file of the store asks first, and fails as it would
//! with the signal ignored.

use std::io;
use std::path::Path;

use crate::error::StorageError;

/// No file of a store is useful where it cannot get this long: a journal takes three, a segment
/// needs room for one commit beside what it holds.
const LEAST_BYTES: u64 = 8 << 20;

/// What no file may get longer than; nothing where the system sets no limit.
pub(crate) fn file_bytes() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Fsize).current
    }
    #[cfg(not(unix))]
    None
}

/// Fails where a file may not be written up to `end`.
pub(crate) fn check(end: u64) -> io::Result<()> {
    match file_bytes() {
        Some(limit) if end > limit => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(()),
    }
}

/// Fails where a store cannot be written to at all.
pub(crate) fn check_store(path: &Path) -> Result<(), StorageError> {
    match file_bytes() {
        Some(limit_bytes) if limit_bytes < LEAST_BYTES => Err(StorageError::FileLimit {
            path: path.to_owned(),
            limit_bytes,
            needed_bytes: LEAST_BYTES,
        }),
        _ => Ok(()),
    }
}

/// As much of a size as one part of a file may take, of so many parts.
pub(crate) fn part(bytes: u64, parts: u64) -> u64 {
    file_bytes().map_or(bytes, |limit| bytes.min(limit / parts))
}
