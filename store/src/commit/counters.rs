use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use spanlite_model::with_causes;

use crate::clock;
use crate::limit;

const FIRST_LINE: &str = "spanlite failure";
/// More of a message is not kept.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// The same failure is written down again after so long: a full disk fails every commit.
const REPEAT_MILLIS: u64 = 10_000;

/// Something that went wrong in the background, where nobody waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackgroundFailure {
    /// When, in Unix milliseconds.
    pub time_unix_millis: u64,
    /// The process it went wrong in.
    pub process: u32,
    /// What was tried, such as `commit`.
    pub action: String,
    /// Why it failed, with all causes.
    pub message: String,
}

/// What the commit thread counts, and what went wrong last.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Commits that succeeded.
    pub(crate) commits: AtomicU64,
    /// Commits that failed; what they held was tried again.
    pub(crate) failed_commits: AtomicU64,
    /// Attempts to make blocks that failed; the traces stayed in hot batches.
    pub(crate) failed_seals: AtomicU64,
    /// Appended records that could not be read as records, and were left out.
    pub(crate) refused: AtomicU64,
    last_failure: Mutex<Option<BackgroundFailure>>,
    /// Where the last failure is written down, for other processes and later ones.
    file: PathBuf,
}

impl Counters {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            commits: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            failed_seals: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_failure: Mutex::default(),
            file,
        }
    }

    /// Counts a failed commit.
    pub(crate) fn commit_failed(&self, action: &str, error: &dyn Error) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.keep(action, error);
    }

    /// Counts a failure after which traces stay where they are.
    pub(crate) fn seal_failed(&self, action: &str, error: &dyn Error) {
        self.failed_seals.fetch_add(1, Ordering::Relaxed);
        self.keep(action, error);
    }

    /// Keeps what went wrong. Writing it down may fail too, as on a full disk.
    pub(crate) fn keep(&self, action: &str, error: &dyn Error) {
        let failure = BackgroundFailure {
            time_unix_millis: clock::unix_millis(),
            process: std::process::id(),
            action: action.to_owned(),
            message: message_of(error),
        };
        let mut last = self.lock();
        let is_repeated = last.as_ref().is_some_and(|last| {
            let since = failure.time_unix_millis.abs_diff(last.time_unix_millis);
            last.message == failure.message && since < REPEAT_MILLIS
        });
        if !is_repeated {
            *last = Some(failure.clone());
            // The program's threads may ask for it.
            drop(last);
            drop(failure.write(&self.file));
        }
    }

    /// What went wrong last in this process.
    pub(crate) fn last_failure(&self) -> Option<BackgroundFailure> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BackgroundFailure>> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes, on one line.
fn message_of(error: &dyn Error) -> String {
    let message = with_causes(error);
    let shown = message.chars().take(MAX_MESSAGE_CHARS);
    let on_a_line = |c: char| if c.is_control() { ' ' } else { c };
    shown.map(on_a_line).collect()
}

impl BackgroundFailure {
    /// The failure that was written down last; nothing if there is none that can be read.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let bytes = fs::read(file).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut failure = Self {
            time_unix_millis: 0,
            process: 0,
            action: String::new(),
            message: String::new(),
        };
        for line in lines {
            match line.split_once(' ') {
                Some(("time", time)) => failure.time_unix_millis = time.parse().ok()?,
                Some(("process", process)) => failure.process = process.parse().ok()?,
                Some(("action", action)) => action.clone_into(&mut failure.action),
                Some(("message", message)) => message.clone_into(&mut failure.message),
                _ => {}
            }
        }
        (failure.time_unix_millis > 0).then_some(failure)
    }

    /// Not synced: it is for whoever looks, and nothing depends on it.
    fn write(&self, file: &Path) -> std::io::Result<()> {
        let Self {
            time_unix_millis,
            process,
            action,
            message,
        } = self;
        let text = format!(
            "{FIRST_LINE}\ntime {time_unix_millis}\nprocess {process}\naction {action}\nmessage {message}\n"
        );
        let draft = file.with_extension(process.to_string());
        let written = limit::check(text.len() as u64)
            .and_then(|()| fs::write(&draft, text))
            .and_then(|()| fs::rename(&draft, file));
        // A full disk takes the name and not the text.
        written.inspect_err(|_| drop(fs::remove_file(&draft)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StorageError;

    #[test]
    fn the_last_failure_is_kept_with_its_causes_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("failure");
        let counters = Counters::new(file.clone());
        assert_eq!(BackgroundFailure::read(&file), None);
        let cause = std::io::Error::other("a\nfault");
        let error = StorageError::io("sync", Path::new("x"), cause);
        counters.commit_failed("commit", &error);
        let kept = counters.last_failure().unwrap();
        assert_eq!(kept.message, "cannot sync `x`: a fault");
        assert_eq!(BackgroundFailure::read(&file), Some(kept.clone()));
        counters.seal_failed("make blocks", &error);
        assert_eq!(counters.last_failure(), Some(kept), "the same again");
        fs::write(&file, "spanlite failure\ntime x\n").unwrap();
        assert_eq!(BackgroundFailure::read(&file), None);
    }
}
