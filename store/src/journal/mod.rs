//! Where records wait between the program's threads and the commit thread.
//!
//! This is the seam between the threads that append and the commit thread:
//!
//! * A thread appends to its [`Lane`]. It asks `Signal::reserve` for memory first (which may block
//!   or drop, as the options say) and calls `Signal::appended` afterwards.
//! * The commit thread calls [`Journal::take`]: everything that was appended before, with the
//!   [`Positions`] that are reached when it is stored. It writes the batch and the positions in
//!   one redb transaction, and then calls [`Journal::release`] with the same batch.
//! * A batch that could not be stored stays with the commit thread, which tries it again; it is
//!   never given back.
//! * [`peek`] shows what live and dead journals of a directory hold, for a snapshot. The caller
//!   drops what lies below the positions that its segments have stored.
//! * [`recover`] replays the journals whose writers are gone, each once, and removes them.
//!
//! Positions only grow. Each region counts on its own, so that threads need not agree on an order.

#![expect(
    dead_code,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::no_effect_underscore_binding,
    reason = "the lanes are plain memory until journal files are written"
)]

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uuid::Uuid;

use crate::commit::Signal;
use crate::error::StorageError;
use crate::fork;
use crate::options::{Durability, OpenOptions};

/// The number of bytes that frame a record inside a [`Batch`].
pub(crate) const LENGTH_BYTES: usize = 4;

/// What became of an appended record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Appended {
    /// It will be stored by the next commit; with [`Durability::EverySpan`] it is stored.
    Stored,
    /// There was no memory for it, the store is closed, or (with [`Durability::EverySpan`]) the
    /// commit failed. It is counted.
    Dropped,
    /// The process was forked since the lane was made. Nothing was done: ask the store for a lane
    /// of this process.
    Forked,
}

/// One thread's batch of records that wait for the next commit.
///
/// Appending never waits for the disk or for other threads, except as
/// [`Overload::Block`](crate::Overload::Block) and [`Durability::EverySpan`] say.
#[derive(Debug)]
pub struct Lane {
    buffer: Arc<Buffer>,
    journal: Arc<Shared>,
    generation: u64,
}

/// How far each region of one journal is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub(crate) struct Positions(Vec<(u32, u64)>);

impl Positions {
    /// The position of a region; 0 if nothing of it is stored.
    pub(crate) fn get(&self, region: u32) -> u64 {
        let found = self.0.iter().find(|(number, _)| *number == region);
        found.map_or(0, |(_, position)| *position)
    }

    /// Moves a region forward; a position behind the present one changes nothing.
    pub(crate) fn advance(&mut self, region: u32, position: u64) {
        match self.0.iter_mut().find(|(number, _)| *number == region) {
            Some((_, old)) => *old = position.max(*old),
            None => self.0.push((region, position)),
        }
    }

    /// Moves every region forward to where `other` has it.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (region, position) in &other.0 {
            self.advance(*region, *position);
        }
    }
}

/// Records that the commit thread stores together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records one after another, each behind its length as a little-endian `u32`.
    pub(crate) records: Vec<u8>,
    /// How many there are.
    pub(crate) count: u64,
    /// How many bytes were reserved for them.
    pub(crate) reserved_bytes: usize,
    /// How far the journal is stored once they are.
    pub(crate) positions: Positions,
}

impl Batch {
    /// Adds one record.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.records
            .extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.records.extend_from_slice(record);
        self.count += 1;
    }

    /// Adds another batch behind this one.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.records.is_empty() {
            std::mem::swap(&mut self.records, &mut other.records);
        } else {
            self.records.append(&mut other.records);
        }
        self.count += other.count;
        self.reserved_bytes += other.reserved_bytes;
        self.positions.merge(&other.positions);
    }
}

/// What a journal of the directory holds.
#[derive(Debug)]
pub(crate) struct JournalView {
    /// The id of the journal, which is its writer's.
    pub(crate) id: Uuid,
    /// Whether the writer lives.
    pub(crate) alive: bool,
    /// The resource and scope of records that name none, as the writer's options had them.
    pub(crate) defaults: Vec<u8>,
    /// For each record its region, the position behind it, and its bytes; of one region in order.
    pub(crate) records: Vec<(u32, u64, Vec<u8>)>,
}

/// The journal of this process: the lanes of its threads.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    id: Uuid,
}

struct Shared {
    signal: Arc<Signal>,
    lanes: Mutex<Vec<Weak<Buffer>>>,
    /// What lanes held whose threads ended.
    orphans: Mutex<Batch>,
    every_span: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Buffer {
    batch: Mutex<Batch>,
}

impl Journal {
    /// Begins a journal in `directory`. `defaults` is written once, so that recovery knows the
    /// resource and scope of records that name none.
    pub(crate) fn create(
        directory: &Path,
        options: &OpenOptions,
        defaults: &[u8],
        signal: Arc<Signal>,
    ) -> Result<Self, StorageError> {
        let _plain_memory_needs_neither = (directory, defaults);
        Ok(Self {
            shared: Arc::new(Shared {
                signal,
                lanes: Mutex::default(),
                orphans: Mutex::default(),
                every_span: options.durability == Durability::EverySpan,
            }),
            id: Uuid::new_v4(),
        })
    }

    /// The id of the journal, which stands for its writer.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// A lane for the calling thread.
    pub(crate) fn lane(&self) -> Lane {
        let buffer = Arc::new(Buffer::default());
        let mut lanes = lock(&self.shared.lanes);
        lanes.push(Arc::downgrade(&buffer));
        Lane {
            buffer,
            journal: Arc::clone(&self.shared),
            generation: fork::generation(),
        }
    }

    /// Takes everything that was appended before the call. Only the commit thread calls it.
    pub(crate) fn take(&self) -> Batch {
        let mut taken = Batch::default();
        lock(&self.shared.lanes).retain(|lane| {
            let Some(buffer) = lane.upgrade() else {
                return false;
            };
            taken.append(&mut std::mem::take(&mut *lock(&buffer.batch)));
            true
        });
        // After the lanes: a lane that ends meanwhile empties itself under this lock.
        taken.append(&mut std::mem::take(&mut *lock(&self.shared.orphans)));
        taken
    }

    /// Tells that a batch is stored together with its positions: its memory and its place in the
    /// journal are free.
    pub(crate) fn release(&self, batch: &Batch) {
        self.shared.signal.release(batch.reserved_bytes);
    }

    /// Ends the journal. If nothing is left in it, its file is removed.
    pub(crate) fn close(&self) {}
}

/// Shows every journal of a directory, for a snapshot.
pub(crate) fn peek(directory: &Path) -> Result<Vec<JournalView>, StorageError> {
    let _no_files_yet = directory;
    Ok(Vec::new())
}

/// Where recovery puts what dead journals hold.
pub(crate) trait Replay {
    /// How far the segments of the store have the journal.
    fn stored(&mut self, journal: Uuid) -> Result<Positions, StorageError>;

    /// Stores what lies above, with its positions, in one transaction. `defaults` are those that
    /// the journal was created with.
    fn store(&mut self, journal: Uuid, defaults: &[u8], batch: Batch) -> Result<(), StorageError>;
}

/// Replays every journal whose writer is gone, and removes its file when that is stored. Returns
/// how many were removed.
pub(crate) fn recover(directory: &Path, replay: &mut dyn Replay) -> Result<usize, StorageError> {
    let _no_files_yet = (directory, replay);
    Ok(0)
}

impl Lane {
    /// Appends one encoded record: a span that ended, a span that began, or a change of a trace.
    pub fn append(&self, record: &[u8]) -> Appended {
        if self.generation != fork::generation() {
            return Appended::Forked;
        }
        let signal = &self.journal.signal;
        let bytes = record.len() + LENGTH_BYTES;
        if u32::try_from(record.len()).is_err() || !signal.reserve(bytes) {
            return Appended::Dropped;
        }
        {
            let mut batch = lock(&self.buffer.batch);
            batch.push(record);
            batch.reserved_bytes += bytes;
        }
        signal.appended();
        if self.journal.every_span && signal.flush().is_err() {
            return Appended::Dropped;
        }
        Appended::Stored
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            let mut orphans = lock(&self.journal.orphans);
            orphans.append(&mut std::mem::take(&mut *lock(&self.buffer.batch)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
