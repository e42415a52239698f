use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use redb::{ReadableTable as _, TransactionError, WriteTransaction};
use uuid::Uuid;

use crate::clock;
use crate::directory::Directory;
use crate::error::StorageError;
use crate::journal::{self, Positions};
use crate::limit;
use crate::options::{Access, OpenOptions};
use crate::segment::{self, JOURNALS, OpenSegment, SegmentName, open_for_reading, positions};

/// How long a writer waits for a peer before it begins a segment of its own.
const PEER_WAIT: Duration = Duration::from_secs(2);
/// How often a segment that turns out to be unusable is left for another one.
const MAX_MOVES: usize = 16;

/// The segment that this process writes to; it may change with every transaction.
#[derive(Debug)]
pub(super) struct Active {
    directory: Directory,
    segment_bytes: u64,
    segment_age_millis: u64,
    open: Option<OpenSegment>,
    /// A peer held the shared segment too long: from here on only own segments are used.
    alone: bool,
}

impl Active {
    pub(super) fn new(directory: Directory, options: &OpenOptions) -> Self {
        Self {
            directory,
            segment_bytes: options.segment_bytes,
            segment_age_millis: options.segment_age.as_millis() as u64,
            open: None,
            alone: false,
        }
    }

    /// The segment that is open, if one is.
    pub(super) fn current(&self) -> Option<&OpenSegment> {
        self.open.as_ref()
    }

    /// Opens the newest segment, if none is open and there is one that may be written to.
    pub(super) fn open_newest(&mut self) -> Result<(), StorageError> {
        if self.open.is_none() && !self.directory.segments()?.is_empty() {
            self.open = Some(self.find()?);
        }
        Ok(())
    }

    /// Opens the newest segment that may be written to, or makes one, if none is open.
    pub(super) fn open_any(&mut self) -> Result<(), StorageError> {
        if self.open.is_none() {
            self.open = Some(self.find()?);
        }
        Ok(())
    }

    /// Begins a transaction on the segment that is open, even if it is full. Nothing if none is,
    /// or it is sealed, or a peer holds it too long.
    pub(super) fn begin_current(
        &self,
    ) -> Result<Option<(WriteTransaction, &OpenSegment)>, StorageError> {
        let Some(segment) = &self.open else {
            return Ok(None);
        };
        let Some(txn) = begin_within(segment, PEER_WAIT)? else {
            return Ok(None);
        };
        Ok((!segment.is_sealed(&txn)?).then_some((txn, segment)))
    }

    /// Drops the handle, which after a failed write can do nothing more.
    pub(super) fn reset(&mut self) {
        self.open = None;
    }

    /// Leaves the segment for one of this process's own.
    pub(super) fn leave(&mut self) {
        self.open = None;
        self.alone = true;
    }

    /// Begins a transaction on a segment that may be written to.
    pub(super) fn begin(&mut self) -> Result<(WriteTransaction, &OpenSegment), StorageError> {
        for _ in 0..MAX_MOVES {
            self.open_any()?;
            let Some(segment) = self.open.take() else {
                continue;
            };
            if is_too_long(&segment.path) {
                self.open = Some(segment::create(&self.directory)?);
                continue;
            }
            let Some(txn) = begin_within(&segment, PEER_WAIT)? else {
                self.alone = true;
                self.open = Some(segment::create(&self.directory)?);
                continue;
            };
            if segment.is_sealed(&txn)? {
                continue; // a peer rotated; the next turn finds its segment
            }
            // A segment without data is never too old: nothing would be gained by another one.
            if self.is_full(&segment) && !segment.counts(&txn)?.is_empty() {
                let next = segment::create(&self.directory)?;
                rotate(&segment, &next, txn, &self.directory.journals())?;
                self.open = Some(next);
                continue;
            }
            return Ok((txn, self.open.insert(segment)));
        }
        Err(StorageError::Busy {
            path: self.directory.path().to_owned(),
        })
    }

    fn is_full(&self, segment: &OpenSegment) -> bool {
        let age = clock::unix_millis().saturating_sub(segment.name.start_millis());
        // redb doubles a file when it grows, and has the room only before that is too long.
        let most_bytes = limit::part(self.segment_bytes, 4);
        segment.disk_bytes() >= most_bytes || age >= self.segment_age_millis
    }

    /// Opens the newest segment that is not sealed, or makes one.
    fn find(&mut self) -> Result<OpenSegment, StorageError> {
        if self.alone {
            return segment::create(&self.directory);
        }
        // Sealed segments are noticed in the transaction; looking at the newest alone keeps this
        // from opening every file of a large store.
        let newest = self.directory.segments()?.pop();
        let Some(name) = newest else {
            return segment::create(&self.directory);
        };
        if is_empty_file(&self.directory, name) || is_too_long(&self.directory.segment(&name)) {
            return segment::create(&self.directory);
        }
        match segment::open_for_writing(&self.directory, name) {
            Ok(segment) if seen_sealed(&segment)? => segment::create(&self.directory),
            Ok(segment) => Ok(segment),
            Err(StorageError::Damaged { path, .. }) => {
                // What can be read of it is read where it is; nothing is added to it.
                if open_for_reading(&self.directory, name, Access::ReadWrite).is_err() {
                    self.directory.quarantine_file(&path)?;
                }
                segment::create(&self.directory)
            }
            Err(StorageError::LockProtocolMismatch { .. } | StorageError::Busy { .. }) => {
                self.alone = true;
                segment::create(&self.directory)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a peer that may write longer files has made a segment longer than this process may.
fn is_too_long(path: &Path) -> bool {
    let metadata = fs::metadata(path);
    metadata.is_ok_and(|file| limit::check(file.len()).is_err())
}

fn is_empty_file(directory: &Directory, name: SegmentName) -> bool {
    fs::metadata(directory.segment(&name)).is_ok_and(|metadata| metadata.len() == 0)
}

fn seen_sealed(segment: &OpenSegment) -> Result<bool, StorageError> {
    match begin_within(segment, PEER_WAIT)? {
        Some(txn) => segment.is_sealed(&txn),
        None => Ok(false),
    }
}

/// Begins a write transaction, waiting no longer than `limit` for a peer that is in one.
fn begin_within(
    segment: &OpenSegment,
    limit: Duration,
) -> Result<Option<WriteTransaction>, StorageError> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_micros(500);
    loop {
        match segment.database.try_begin_write() {
            Ok(txn) => return Ok(Some(txn)),
            Err(TransactionError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(TransactionError::WouldBlock) => return Ok(None),
            Err(error) => return Err(StorageError::redb("write to", &segment.path, error)),
        }
    }
}

/// Seals a segment and carries the positions of the journals over to the next one.
///
/// The next segment is whole before the old one is sealed; after a kill in between there are two
/// segments that can be written to, which does no harm.
fn rotate(
    old: &OpenSegment,
    next: &OpenSegment,
    txn: WriteTransaction,
    journals: &Path,
) -> Result<(), StorageError> {
    copy_journals(old, next, &txn, journals)?;
    old.seal(&txn)?;
    txn.commit()
        .map_err(|error| StorageError::redb("write to", &old.path, error))
}

/// Copies how far journals are stored, but for those that are gone.
fn copy_journals(
    old: &OpenSegment,
    next: &OpenSegment,
    txn: &WriteTransaction,
    journals: &Path,
) -> Result<(), StorageError> {
    let read = |error: redb::Error| StorageError::redb("read", &old.path, error);
    let write = |error: redb::Error| StorageError::redb("write to", &next.path, error);
    let from = txn
        .open_table(JOURNALS)
        .map_err(|error| read(error.into()))?;
    let target = next
        .database
        .begin_write()
        .map_err(|error| write(error.into()))?;
    {
        let mut into = target
            .open_table(JOURNALS)
            .map_err(|error| write(error.into()))?;
        for row in from.iter().map_err(|error| read(error.into()))? {
            let (journal, positions) = row.map_err(|error| read(error.into()))?;
            let id = Uuid::from_slice(journal.value()).unwrap_or_default();
            if !journal::has_file(journals, id) {
                continue;
            }
            into.insert(journal.value(), positions.value())
                .map_err(|error| write(error.into()))?;
        }
    }
    target.commit().map_err(|error| write(error.into()))
}

/// How far a segment has a journal.
pub(super) fn stored_positions(
    directory: &Directory,
    name: SegmentName,
    journal: Uuid,
) -> Result<Positions, StorageError> {
    match open_for_reading(directory, name, Access::ReadWrite) {
        Ok(reader) => {
            let stored = positions(&reader.begin()?, reader.path())?;
            Ok(stored.get(&journal).cloned().unwrap_or_default())
        }
        // Retention was faster, or the file is for a person to look at: neither knows more.
        Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Positions::default())
        }
        Err(StorageError::Damaged { .. }) => Ok(Positions::default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableDatabase as _;

    use super::*;
    use crate::segment::{SegmentDraft, put_positions};

    fn active(folder: &Path) -> Active {
        let directory = Directory::open(folder, true).unwrap();
        Active::new(directory, &OpenOptions::default())
    }

    fn name_of(active: &mut Active) -> SegmentName {
        let (txn, segment) = active.begin().unwrap();
        let name = segment.name;
        txn.commit().unwrap();
        name
    }

    #[test]
    fn a_writer_does_not_wait_for_a_peer_that_holds_the_segment() {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = active(folder.path());
        let shared = name_of(&mut peer);
        let mut own = active(folder.path());
        assert_eq!(name_of(&mut own), shared, "they share a segment");
        let (stuck, _) = peer.begin().unwrap();
        let alone = name_of(&mut own);
        assert_ne!(alone, shared);
        assert_eq!(name_of(&mut own), alone, "it stays there");
        stuck.commit().unwrap();
    }

    #[test]
    fn a_segment_that_a_peer_sealed_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = active(folder.path());
        let first = name_of(&mut one);
        segment::seal_file(&one.directory, first).unwrap();
        let second = name_of(&mut one);
        assert_ne!(second, first);
        assert_eq!(name_of(&mut active(folder.path())), second);
    }

    #[test]
    fn a_new_segment_takes_over_positions_of_journals_that_have_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = active(folder.path());
        one.segment_bytes = 1;
        let [living, gone] = [Uuid::new_v4(), Uuid::new_v4()];
        let journals = one.directory.journals();
        fs::create_dir_all(&journals).unwrap();
        fs::write(journals.join(living.to_string()), "").unwrap();
        let mut reached = Positions::default();
        reached.advance(1, 7);
        let (txn, segment) = one.begin().unwrap();
        let (first, path) = (segment.name, segment.path.clone());
        for journal in [living, gone] {
            put_positions(&txn, &path, journal, &reached).unwrap();
        }
        let mut counts = segment.counts(&txn).unwrap();
        counts.add_batch(1, 1);
        segment.put_counts(&txn, &counts).unwrap();
        txn.commit().unwrap();
        assert_ne!(name_of(&mut one), first);
        let next = one.current().unwrap();
        let txn = next.database.begin_read().unwrap();
        let known = positions(&txn, &next.path).unwrap();
        assert_eq!(known, [(living, reached)].into());
    }

    #[test]
    fn writers_share_a_segment_after_the_clock_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = active(folder.path());
        let first = SegmentDraft::create(&one.directory, 4_000_000_000_000).unwrap();
        first.begin().unwrap().commit().unwrap();
        let first = first.publish(&one.directory).unwrap().name;
        assert_eq!(
            name_of(&mut one),
            first,
            "the future is no reason to leave it"
        );
        segment::seal_file(&one.directory, first).unwrap();
        let second = name_of(&mut one);
        assert!(second > first);
        assert_eq!(name_of(&mut active(folder.path())), second);
    }

    #[test]
    fn a_damaged_segment_is_put_aside_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = active(folder.path());
        let first = name_of(&mut one);
        one.reset();
        let path = one.directory.segment(&first);
        fs::write(&path, "this is no database").unwrap();
        let second = name_of(&mut one);
        assert_ne!(second, first);
        assert!(!path.try_exists().unwrap());
        let aside = one.directory.quarantine().join(first.file_name());
        assert_eq!(fs::read(aside).unwrap(), b"this is no database");
    }
}
