//! The face of a journal to one thread.

use std::sync::Arc;

use super::Shared;
use super::map::{Guard, Latch};
use super::region::OpenRegion;
use super::ring::{NoRegion, Ring};
use super::slots::OpenSpan;
use crate::fork::{self, Owned};

/// What became of an appended record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Appended {
    /// It will be stored by the next commit; with [`Durability::EverySpan`] it is on disk.
    ///
    /// [`Durability::EverySpan`]: crate::Durability::EverySpan
    Stored,
    /// There was no memory for it, the store is closed, or (with [`Durability::EverySpan`]) the
    /// disk refused it. It is counted.
    ///
    /// [`Durability::EverySpan`]: crate::Durability::EverySpan
    Dropped,
    /// The process was forked since the lane was made. Nothing was done: ask the store for a lane
    /// of this process.
    Forked,
}

/// One thread's way into the journal: a region that it fills.
///
/// Appending never waits for the disk or for other threads, except as
/// [`Overload::Block`](crate::Overload::Block) and
/// [`Durability::EverySpan`](crate::Durability::EverySpan) say. A lane may be used from several
/// threads, but then they wait for each other.
pub struct Lane {
    inner: Owned<Arc<Inner>>,
    process: u64,
}

/// What the journal sees of a lane.
pub(super) struct Inner {
    journal: Arc<Shared>,
    /// A latch, because the commit thread only takes it from idle lanes and at the end.
    region: Latch<Option<OpenRegion>>,
    /// The shard of slots it tries first.
    shard: usize,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl Lane {
    pub(super) fn new(journal: Arc<Shared>) -> Self {
        let shard = journal.slots.next_turn();
        Self {
            inner: Owned::new(Arc::new(Inner {
                journal,
                region: Latch::default(),
                shard,
            })),
            process: fork::generation(),
        }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Appends one encoded record: a span that ended, or a change of a trace.
    #[inline]
    pub fn append(&self, record: &[u8]) -> Appended {
        if self.process != fork::generation() {
            return Appended::Forked;
        }
        let inner = &*self.inner;
        let mut region = inner.region.lock();
        if region.as_mut().is_some_and(|region| region.append(record)) {
            drop(region);
        } else if !inner.append_to_next(region, record) {
            return Appended::Dropped;
        }
        inner.journal.signal.appended();
        if inner.journal.every_span && !inner.sync() {
            return Appended::Dropped;
        }
        Appended::Stored
    }

    /// Keeps the record of a span that has begun where readers see it while the span runs, and
    /// recovery finds it if the process is killed before it ends. With the written form of the
    /// journal it gets there with the next commit interval.
    ///
    /// `None`: it is longer than [`OPEN_RECORD_BYTES`](super::OPEN_RECORD_BYTES), 1,024 spans are
    /// open, or the process was forked; then the span shows when it ends.
    pub fn open(&self, record: &[u8]) -> Option<OpenSpan> {
        if self.process != fork::generation() {
            return None;
        }
        let inner = &*self.inner;
        let open = inner.journal.slots.open(inner.shard, record)?;
        if inner.journal.slots_are_written {
            inner.journal.signal.appended();
        }
        Some(open)
    }
}

impl Inner {
    /// Appends to another region, where the present one has no room or there is none.
    #[cold]
    fn append_to_next<'a>(
        &'a self,
        mut region: Guard<'a, Option<OpenRegion>>,
        record: &[u8],
    ) -> bool {
        let large = Ring::is_large(record);
        if !large {
            drop(region.take());
        }
        let ring = &self.journal.ring;
        let mut next = ring.acquire(record.len());
        if matches!(next, Err(NoRegion::Full)) {
            // Waiting under the lock would keep the commit thread from this lane.
            drop(region);
            let acquire = || match ring.acquire(record.len()) {
                Err(NoRegion::Full) => None,
                found => Some(found),
            };
            let found = self.journal.signal.wait_for_room(acquire);
            next = found.unwrap_or(Err(NoRegion::Full));
            region = self.region.lock();
        }
        let appended = next.is_ok_and(|mut next| {
            let appended = next.append(record);
            // A large region is made for the one record, and finished by dropping it here.
            if !large {
                *region = Some(next);
            }
            appended
        });
        if !appended {
            self.journal.signal.count_dropped(1);
        }
        appended
    }

    /// Hands everything this lane appended to the system. False if it refused, which is counted.
    pub(super) fn write_through(&self) -> bool {
        let mut region = self.region.lock();
        region.as_mut().is_none_or(OpenRegion::write_through)
    }

    /// Brings everything this lane appended to the disk.
    fn sync(&self) -> bool {
        let synced = self.write_through() && self.journal.sync();
        if !synced {
            self.journal.signal.count_dropped(1);
        }
        synced
    }

    /// Leaves the region if everything in it is taken, so that idle threads hold none. What is
    /// taken is given as generations and lengths.
    pub(super) fn leave_if_idle(&self, taken: &[(u32, usize)]) {
        let Some(mut region) = self.region.try_lock() else {
            return; // it is appending
        };
        let idle = |open: &mut OpenRegion| taken.contains(&(open.generation(), open.len()));
        if region.as_mut().is_some_and(idle) {
            drop(region.take());
        }
    }

    /// Leaves the region.
    pub(super) fn leave(&self) {
        drop(self.region.lock().take());
    }
}
