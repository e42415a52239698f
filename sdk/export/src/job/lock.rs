use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

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

/// How often it is tried to lock a job that nobody runs, while others ask whether it runs.
const TRIES: u32 = 1_000;
/// Whoever asks holds the lock for a few microseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

impl JobLock {
    /// Locks a job, or says that it is running.
    pub(crate) fn take(store: &Store, job: &ExportJob) -> Result<Self, LockError> {
        let path = path_of(store, job);
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
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // A run keeps others out; who asks does not.
            match file.try_lock_shared() {
                Ok(()) => file.unlock().map_err(failed)?,
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        Err(LockError::Running {
            name: job.name.clone(),
        })
    }

    /// Returns whether a run holds the lock. Keeps no run from beginning, and makes no file. A
    /// store that cannot be read this way is not being sent from here.
    pub(crate) fn is_taken(store: &Store, job: &ExportJob) -> bool {
        let Ok(file) = File::open(path_of(store, job)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

fn path_of(store: &Store, job: &ExportJob) -> PathBuf {
    store.path().join(format!("job-{}.lock", job.id.simple()))
}
