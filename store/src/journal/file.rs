//! The file of a journal: made and locked by its writer, looked at by everybody else.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::StorageError;
use crate::files;
use crate::fork::ClosedInChild;
use crate::limit;

/// How records get from a lane into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalForm {
    /// Lanes fill mapped memory of the file: a record is safe from a kill when its append returns.
    Mapped = 0,
    /// Lanes fill plain memory and write it at most every 16 records: a kill loses at most the 16
    /// last records of each thread.
    Written = 1,
    /// Lanes fill plain memory that is written nowhere: a kill loses what is not committed. The
    /// file only tells that the writer lives, and which spans are open.
    Memory = 2,
}

/// A file that exists and is locked: its writer lives as long as the lock is held.
#[derive(Debug)]
pub(super) struct JournalFile {
    /// Dropped before `lock`, so that a child never closes a number that is another file's.
    _closed_in_child: ClosedInChild,
    lock: File,
    /// Opened apart from `lock`: a forked child inherits the mappings, and what is mapped stays
    /// open, and locked, until the child ends.
    file: File,
    path: PathBuf,
}

impl JournalFile {
    /// Makes the file of a new journal and locks it.
    pub(super) fn create(directory: &Path, id: Uuid) -> Result<Self, StorageError> {
        files::create_folder(directory)?;
        let path = directory.join(id.to_string());
        loop {
            let failed = |error| StorageError::io("create", &path, error);
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .map_err(failed)?;
            #[cfg(test)]
            crate::power::named(&path);
            file.lock().map_err(failed)?;
            // Between creation and lock, a recovery may have taken it for a dead one.
            match Self::new(file, &path) {
                Ok(created) if !created.is_unlinked() => return Ok(created),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
    }

    /// Opens the file of a writer that is gone, and locks it. `None` if the writer lives, somebody
    /// else recovers it, or it is gone.
    pub(super) fn take_over(path: &Path) -> Result<Option<Self>, StorageError> {
        let failed = |error| StorageError::io("open", path, error);
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let taken = match Self::new(file, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            taken => taken.map_err(failed)?,
        };
        Ok((!taken.is_unlinked()).then_some(taken))
    }

    fn new(lock: File, path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // Elsewhere there is no fork, and a lock keeps other handles from the file.
        #[cfg(not(unix))]
        let file = lock.try_clone()?;
        Ok(Self {
            _closed_in_child: ClosedInChild::new(&lock),
            lock,
            file,
            path: path.to_owned(),
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file and its name durable; the folder has its own.
    pub(super) fn sync_with_name(&self, directory: &Path) -> Result<(), StorageError> {
        self.file
            .sync_all()
            .map_err(|error| StorageError::io("sync", &self.path, error))?;
        files::sync_folder(directory)
    }

    /// Removes the file. The lock is held until then, so that nobody recovers it meanwhile.
    pub(super) fn remove(&self) -> Result<(), StorageError> {
        files::remove(&self.path)
    }

    /// Allocates the blocks of a part of the file, so that a write into the map cannot fail for
    /// want of space.
    #[cfg(target_os = "linux")]
    pub(super) fn allocate(&self, offset: u64, bytes: u64) -> io::Result<()> {
        limit::check(offset.saturating_add(bytes))?;
        let flags = rustix::fs::FallocateFlags::empty();
        Ok(rustix::fs::fallocate(&self.file, flags, offset, bytes)?)
    }

    /// Elsewhere files are not mapped, so nothing needs to be there beforehand.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn allocate(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether mapped memory of this file is as safe as written one.
    ///
    /// True on ext4, xfs and tmpfs, where allocated blocks stay and a mapped page is the one that
    /// other processes read. Not on btrfs: it copies blocks on write, so that a full disk can fail
    /// a write into allocated space; nor on overlays, whose lower layer is unknown.
    #[cfg(target_os = "linux")]
    pub(super) fn can_be_mapped(&self) -> bool {
        const SAFE: [i64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];
        rustix::fs::fstatfs(&self.file)
            .is_ok_and(|status| SAFE.contains(&(status.f_type & 0xffff_ffff)))
    }

    /// Elsewhere files are not mapped.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn can_be_mapped(&self) -> bool {
        false
    }

    #[cfg(unix)]
    fn is_unlinked(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        self.lock.metadata().is_ok_and(|file| file.nlink() == 0)
    }

    /// Elsewhere an open file cannot be removed.
    #[cfg(not(unix))]
    fn is_unlinked(&self) -> bool {
        false
    }
}

/// Whether somebody holds the lock of a journal: its writer, or a recovery.
pub(super) fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Writes all bytes at an offset, without moving the file's own position.
#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    limit::check(offset.saturating_add(bytes.len() as u64))?;
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Reads as many bytes at an offset as there are.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;
    fill(bytes, |rest, done| file.read_at(rest, offset + done))
}

/// Writes all bytes at an offset.
#[cfg(windows)]
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !bytes.is_empty() {
        let written = file.seek_write(bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

/// Reads as many bytes at an offset as there are.
#[cfg(windows)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::windows::fs::FileExt as _;
    fill(bytes, |rest, done| file.seek_read(rest, offset + done))
}

fn fill(
    bytes: &mut [u8],
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match read(&mut bytes[done..], done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
