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
    file: File,
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
                Ok(()) => return Ok(Self { file }),
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
        match file.try_lock_shared() {
            Ok(()) => {
                file.unlock().unwrap_or_default();
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        }
    }
}

impl Drop for JobLock {
    /// Closing the file is not enough: a child that the program has just forked has it open, too,
    /// and the lock with it, until it starts its own program.
    fn drop(&mut self) {
        // What cannot be unlocked is closed.
        self.file.unlock().unwrap_or_default();
    }
}

fn path_of(store: &Store, job: &ExportJob) -> PathBuf {
    store.path().join(format!("job-{}.lock", job.id.simple()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use spanlite_store::OpenOptions as StoreOptions;

    use super::*;
    use crate::job::{OtlpEndpoint, Target};

    #[test]
    fn asking_keeps_no_run_from_beginning_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("t.spans"), StoreOptions::default()).unwrap();
        let target = Target::Otlp(OtlpEndpoint {
            url: "http://127.0.0.1:1".to_owned(),
            headers: Vec::new(),
            credentials: crate::http::Credentials::None,
            ca_file: None,
        });
        let job = ExportJob::new("prod", target);
        assert!(!JobLock::is_taken(&store, &job));
        assert!(!path_of(&store, &job).try_exists().unwrap());
        let ended = AtomicBool::new(false);
        let refused = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        JobLock::is_taken(&store, &job);
                    }
                });
            }
            let refused = (0..2_000).find_map(|_| JobLock::take(&store, &job).err());
            ended.store(true, Ordering::Relaxed);
            refused
        });
        assert!(refused.is_none(), "{refused:?}");
        let held = JobLock::take(&store, &job).unwrap();
        assert!(JobLock::is_taken(&store, &job));
        assert!(matches!(
            JobLock::take(&store, &job),
            Err(LockError::Running { .. })
        ));
        drop(held);
        assert!(!JobLock::is_taken(&store, &job));
    }
}
