//! Replays the journals of writers that are gone.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::batch::{Batch, Positions, SLOTS_REGION};
use super::file::JournalFile;
use super::layout::HeaderError;
use super::scan::{JournalView, list, scan};
use crate::error::StorageError;

/// Stores what is replayed.
pub(crate) trait Replay {
    /// How far the segments have a journal.
    fn stored(&mut self, journal: Uuid) -> Result<Positions, StorageError>;

    /// Stores records and positions in one transaction that is durable on return. `defaults` is
    /// what the writer gave for records that leave their resource and scope out.
    fn store(&mut self, journal: Uuid, defaults: &[u8], batch: Batch) -> Result<(), StorageError>;
}

/// What a recovery did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// How many journals were replayed and removed.
    pub(crate) replayed: usize,
    /// Journals that were left in place because they are damaged. What could be read was replayed.
    pub(crate) damaged: Vec<PathBuf>,
}

/// Replays every journal whose writer is gone and removes it, one transaction each.
///
/// Exactly once: the lock keeps others away, and if this process is killed between the
/// transaction and the removal, the positions in the transaction cover everything.
pub(crate) fn recover(
    directory: &Path,
    replay: &mut impl Replay,
) -> Result<Recovery, StorageError> {
    let mut recovery = Recovery::default();
    let mut failed = None;
    for (id, path) in list(directory)? {
        // One that cannot be read keeps nobody from the others.
        if let Err(error) = recover_one(id, path, replay, &mut recovery) {
            failed = failed.or(Some(error));
        }
    }
    failed.map_or(Ok(recovery), Err)
}

fn recover_one(
    id: Uuid,
    path: PathBuf,
    replay: &mut impl Replay,
    recovery: &mut Recovery,
) -> Result<(), StorageError> {
    let Some(file) = JournalFile::take_over(&path)? else {
        return Ok(());
    };
    let scanned =
        scan(file.file(), id, false).map_err(|error| StorageError::io("read", &path, error))?;
    match scanned {
        Ok(view) => {
            replay_one(&view, replay)?;
            recovery.replayed += 1;
            if view.damage.is_some() {
                recovery.damaged.push(path);
                return Ok(());
            }
        }
        // Killed before its first record.
        Err(HeaderError::Unbegun) => {}
        Err(HeaderError::Damaged) => {
            recovery.damaged.push(path);
            return Ok(());
        }
        // For the program that wrote it.
        Err(HeaderError::Newer { .. }) => return Ok(()),
    }
    file.remove()
}

fn replay_one(view: &JournalView, replay: &mut impl Replay) -> Result<(), StorageError> {
    let stored = replay.stored(view.id)?;
    let mut batch = Batch {
        positions: stored.clone(),
        ..Batch::default()
    };
    for waiting in &view.records {
        if waiting.reached > stored.get(waiting.region) {
            batch.push(&waiting.record);
            batch.positions.advance(waiting.region, waiting.reached);
        }
    }
    if stored.get(SLOTS_REGION) == 0 {
        batch.push_open(&view.open);
    }
    if batch.count == 0 {
        return Ok(());
    }
    replay.store(view.id, &view.defaults, batch)
}
