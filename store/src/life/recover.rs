use std::fs;
use std::path::Path;

use super::backup::{begin_folder, check_free, empty_folder};
use crate::directory::Directory;
use crate::error::{CloseError, OpenError, ReadError, StorageError, WriteError};
use crate::files;
use crate::options::{Access, OpenOptions};
use crate::readers::Readers;
use crate::snapshot::{Damage, Snapshot, TimeRange};
use crate::store::Store;

/// How many traces are written at once.
const CHUNK_TRACES: usize = 500;

/// What [`recover`] could read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RecoverReport {
    /// Traces that were recovered, whole or in part.
    pub traces: u64,
    /// Spans that were recovered.
    pub spans: u64,
    /// Records of spans that the damaged store says it has, as far as that can be read. A span that
    /// was stored open and then ended counts twice.
    pub spans_expected: u64,
    /// Values of others, such as saved queries, that were recovered.
    pub values: u64,
    /// What could not be read.
    pub damage: Vec<Damage>,
}

/// Why nothing can be recovered, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// There is no folder with segments at the path.
    #[error("there is nothing to recover")]
    Open(#[from] OpenError),
    /// The damaged store cannot be read at all.
    #[error("the damaged store cannot be read")]
    Read(#[from] ReadError),
    /// The new store cannot be written.
    #[error("the new store cannot be written")]
    Write(#[from] WriteError),
    /// The new store cannot be closed.
    #[error("the new store cannot be closed")]
    Close(#[from] CloseError),
}

impl From<StorageError> for RecoverError {
    fn from(error: StorageError) -> Self {
        Self::Write(error.into())
    }
}

/// Writes everything that can be read of a damaged store into a new one. The damaged store is not
/// changed, and need not have a `STORE` file.
///
/// The new store is made in a folder of the same name with `.new` behind it, and gets its name when
/// it is whole; what a killed recovery left there is in the way of the next one.
///
/// Later changes of traces become part of the traces.
pub fn recover(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> Result<RecoverReport, RecoverError> {
    let directory = Directory::open_damaged(from.as_ref())?;
    let journals = crate::journal::peek(&directory.journals(), None).map_err(ReadError::from)?;
    let readers = Readers::new(Access::ReadOnly);
    let snapshot = Snapshot::take(&directory, &readers, journals)?;
    let to = to.as_ref();
    check_free(to)?;
    let mut draft = to.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    begin_folder(draft)?;
    let mut report = write_anew(&snapshot, draft).inspect_err(|_| {
        empty_folder(draft);
        drop(fs::remove_dir(draft));
    })?;
    // An empty folder gives way; a full one, which somebody made meanwhile, does not.
    drop(fs::remove_dir(to));
    files::rename(draft, to)?;
    files::sync_name(to)?;
    report.damage = snapshot.damage();
    Ok(report)
}

/// Makes a store of what a snapshot can read.
fn write_anew(snapshot: &Snapshot, to: &Path) -> Result<RecoverReport, RecoverError> {
    let store = Store::open(to, OpenOptions::default())?;
    let mut report = RecoverReport {
        spans_expected: snapshot.count_spans(),
        ..RecoverReport::default()
    };
    let mut chunk = Vec::new();
    for trace in snapshot.traces(TimeRange::default()) {
        let trace = trace?;
        report.traces += 1;
        report.spans += trace.spans.len() as u64;
        chunk.push(trace);
        if chunk.len() >= CHUNK_TRACES {
            store.write(&chunk)?;
            chunk.clear();
        }
    }
    store.write(&chunk)?;
    let deleted = snapshot.deleted()?;
    if !deleted.is_empty() {
        store.delete(&deleted)?;
    }
    let mut change = store.state().change();
    for (key, bytes) in snapshot.readable_values()? {
        change.put_key(&key, &bytes);
        report.values += 1;
    }
    if report.values > 0 {
        change.commit().map_err(|error| match error {
            crate::StateError::Storage(error) => RecoverError::from(error),
            _ => RecoverError::Write(WriteError::Closed),
        })?;
    }
    store.close()?;
    Ok(report)
}
