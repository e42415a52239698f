use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

use spanlite_store::Store;

use super::ExportJob;

/// Held while a job runs, in whichever process. The system lets go of it when that process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct JobLock {
    _file: File,
}

/// A job cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run of it goes on.
    #[error("the job `{name}` is running already")]
    Running {
        /// The job.
        name: String,
    },
    /// The lock file cannot be made.
    #[error("cannot lock the job with `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl JobLock {
    /// Locks a job, or says that it is running.
    pub(crate) fn take(store: &Store, job: &ExportJob) -> Result<Self, LockError> {
        let path = store.path().join(format!("job-{}.lock", job.id.simple()));
        let failed = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        // The file stays: to remove it would let two runs lock two files of one name.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Running {
                name: job.name.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
