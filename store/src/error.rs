use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::BlockError;
use crate::codec::ValueError;
use crate::limit;
use crate::segment::ChangedUnderneath;

/// Why the files of a store cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system does not let this user do it.
    #[error("no permission to {action} `{}`", path.display())]
    NoPermission {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No space is left on the device, or the user's quota is used up.
    #[error("no space is left for `{}`", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged beyond what its own repair can mend.
    #[error("`{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file was damaged and somebody put it aside; what it held is missing.
    #[error("`{}` is damaged and was put aside; `spanlite recover` may read some of it", path.display())]
    PutAside {
        /// Where it is.
        path: PathBuf,
    },
    /// One value in a file is damaged.
    #[error("a value in table `{table}` of `{}` is damaged", path.display())]
    DamagedValue {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// What is wrong with the value.
        #[source]
        source: ValueError,
    },
    /// A program built with another lock protocol of redb has the file open.
    #[error("`{}` is in use by a program with another lock protocol", path.display())]
    LockProtocolMismatch {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the file so long that waiting was given up.
    #[error("`{}` is locked by another program", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The last writer was killed, and this process may not repair the file.
    #[error("`{}` was left unclean by a writer that was killed", path.display())]
    NeedsRepair {
        /// The file.
        path: PathBuf,
    },
    /// The file was unclean, was read as it would be after a repair, and then a writer opened it.
    /// Nothing is wrong: another snapshot reads it.
    #[error("`{}` was opened by a writer while it was read; read it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Traces cannot be made into a block; they stay as they are.
    #[error("traces cannot be made into a block")]
    Encode {
        /// Why.
        #[source]
        source: BlockError,
    },
    /// The file has to be longer than the process may make one.
    #[error(
        "`{}` cannot grow: this process may write files of {limit_bytes} bytes at most (`ulimit -f`)",
        path.display()
    )]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The process may not write files of the length that a store needs.
    #[error(
        "`{}` cannot be written to: this process may write files of {limit_bytes} bytes at most, and a \
         store needs {needed_bytes}; raise the limit (`ulimit -f`)",
        path.display()
    )]
    FileLimit {
        /// The store.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
        /// The least that a store works with.
        needed_bytes: u64,
    },
    /// Anything else the operating system said.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Anything else redb said.
    #[error("cannot {action} `{}`", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StorageError {
    /// Sorts an error of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NoPermission {
                    action,
                    path,
                    source,
                }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::FileTooLarge => Self::FileTooLong {
                path,
                limit_bytes: limit::file_bytes().unwrap_or(u64::MAX),
            },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Sorts an error of redb.
    pub(crate) fn redb(action: &'static str, path: &Path, source: impl Into<redb::Error>) -> Self {
        let owned = path.to_owned();
        match source.into() {
            redb::Error::Io(source)
                if matches!(
                    source.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Damaged {
                    path: owned,
                    source: source.into(),
                }
            }
            redb::Error::Io(source) if matches!(source.get_ref(), Some(inner) if inner.is::<ChangedUnderneath>()) => {
                Self::Changed { path: owned }
            }
            // A lock that a stopped process holds.
            redb::Error::Io(source) if source.kind() == io::ErrorKind::TimedOut => {
                Self::Busy { path: owned }
            }
            redb::Error::Io(source) => Self::io(action, path, source),
            redb::Error::LockProtocolMismatch => Self::LockProtocolMismatch { path: owned },
            redb::Error::DatabaseAlreadyOpen => Self::Busy { path: owned },
            redb::Error::RepairAborted => Self::NeedsRepair { path: owned },
            source @ redb::Error::Corrupted(_) => Self::Damaged {
                path: owned,
                source: source.into(),
            },
            source => Self::Database {
                action,
                path: owned,
                source: source.into(),
            },
        }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is nothing at the path, and creating was not asked for.
    #[error("there is no store at `{}`", path.display())]
    NoStore {
        /// The path.
        path: PathBuf,
    },
    /// Something else is at the path.
    #[error("`{}` is not a Spanlite store", path.display())]
    NotAStore {
        /// The path.
        path: PathBuf,
    },
    /// The path is a bundle, which can only be read; its traces can be imported into a store.
    #[error("`{}` is a bundle, which can only be read", path.display())]
    Bundle {
        /// The path.
        path: PathBuf,
    },
    /// A later version of Spanlite made the store.
    #[error(
        "the store `{}` has format {found}, this program reads up to {supported}", path.display()
    )]
    NewerFormat {
        /// The path.
        path: PathBuf,
        /// The format of the store.
        found: u32,
        /// The newest format that is read.
        supported: u32,
    },
    /// The directory is on a file system whose locks do not hold between machines.
    #[error("`{}` is on {kind}, where a store cannot be kept safe; use a local disk", path.display())]
    NetworkFileSystem {
        /// The path.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot open the store")]
    Storage(#[from] StorageError),
    /// The part that writes cannot be started.
    #[error("cannot open the store for writing")]
    Writer(#[source] Arc<StorageError>),
}

/// Why what was appended is not on disk.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The commit failed. The records stay in memory and the next commit tries again.
    #[error("{records} records are not on disk yet")]
    Failed {
        /// How many records wait.
        records: u64,
        /// What stopped the commit.
        #[source]
        source: Arc<StorageError>,
    },
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The thread that writes panicked, and this process writes nothing more through this store.
    /// What was appended and is in the journal is stored by whoever opens the store next.
    #[error("the thread that writes to the store has panicked")]
    Panicked,
}

/// Why traces or changes were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The thread that writes panicked, as [`FlushError::Panicked`] says.
    #[error("the thread that writes to the store has panicked")]
    Panicked,
    /// The store could not be read to see what is there already.
    #[error("cannot see what is stored already")]
    Read(#[from] ReadError),
    /// A commit failed. Of a call that takes several, as [`Store::write`] may, those before it stay.
    ///
    /// [`Store::write`]: crate::Store::write
    #[error("the commit failed")]
    Storage(#[source] Arc<StorageError>),
}

impl From<StorageError> for WriteError {
    fn from(source: StorageError) -> Self {
        Self::Storage(Arc::new(source))
    }
}

impl From<FlushError> for WriteError {
    fn from(error: FlushError) -> Self {
        match error {
            FlushError::ReadOnly => Self::ReadOnly,
            FlushError::Closed => Self::Closed,
            FlushError::Panicked => Self::Panicked,
            FlushError::Failed { source, .. } => Self::Storage(source),
        }
    }
}

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read the store")]
    Storage(#[from] StorageError),
    /// The prefix of an id holds something else than hex digits, or too many of them.
    #[error("`{prefix}` is not the beginning of a trace id")]
    Prefix {
        /// The prefix, cut to 80 characters.
        prefix: String,
    },
}

/// Why a store did not close well. What could be stored is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The last commit failed; what it held is lost unless a journal keeps it.
    #[error("the last commit failed")]
    Flush(#[from] FlushError),
}
