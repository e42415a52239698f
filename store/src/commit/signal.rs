use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::error::{FlushError, StorageError};
use crate::options::{OpenOptions, Overload};
use crate::segment::SegmentName;
use crate::segment::sealed::NewBlock;
use crate::state::StateWriter;

/// Longer intervals are as long as this: a time that the clock has.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3_600);
/// Nothing waits; the commit thread sleeps without a deadline.
const IDLE: u8 = 0;
/// Records wait; the commit thread sleeps until its interval is over.
const PENDING: u8 = 1;
/// Enough records wait for a commit before the interval is over.
const FULL: u8 = 2;
/// Somebody waits for room in the journal.
const STARVED: u8 = 3;

/// Records that are stored apart from those of the journal, durable when the answer comes.
pub(crate) struct StoreRequest {
    /// Records one after another, each behind its length as a little-endian `u32`.
    pub(crate) records: Vec<u8>,
    /// The resource and scope of records that name none.
    pub(crate) origin: Vec<u8>,
    /// Where the answer goes.
    pub(crate) reply: Sender<Result<(), StorageError>>,
}

/// Blocks that are stored apart from what is appended, durable when the answer comes.
pub(crate) struct BlocksRequest {
    pub(crate) blocks: Vec<NewBlock>,
    /// For each segment, the first block that was not looked at for the same traces.
    pub(crate) looked_at: HashMap<SegmentName, u32>,
    /// Where the answer goes: the segment they are in, and the number after the last of them.
    pub(crate) reply: Sender<Result<(SegmentName, u32), StorageError>>,
}

/// What a caller asks of the commit thread.
pub(crate) enum Request {
    /// Store these records.
    Store(StoreRequest),
    /// Store these blocks.
    Blocks(BlocksRequest),
    /// Change the state file.
    State(Box<dyn FnOnce(&mut StateWriter) + Send>),
    /// Commit everything that was appended before, then answer.
    Flush(Sender<Result<(), FlushError>>),
    /// Make blocks of what is complete; the answer tells whether there was anything.
    Seal(Sender<Result<bool, StorageError>>),
    /// Commit, then end.
    Close(Sender<Result<(), FlushError>>),
}

/// What the commit thread is to do once it wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Bring what was appended to the disk.
    Sync,
    /// Commit as much as is worth it.
    Enough,
    /// Commit everything: somebody asked, it is late, or the journal is full.
    All,
}

/// What appending threads and the commit thread tell each other.
///
/// Appending costs two loads here and no system call, except for the first record after an idle
/// time and the one that fills a commit: these wake the commit thread.
pub(crate) struct Signal {
    state: AtomicU8,
    /// Bytes in regions of the journal that are full and not stored.
    pending_bytes: AtomicUsize,
    dropped: AtomicU64,
    failing: AtomicBool,
    closed: AtomicBool,
    /// The commit thread ended without being asked to.
    has_panicked: AtomicBool,
    commit_bytes: usize,
    overload: Overload,
    thread: OnceLock<Thread>,
    requests: Mutex<Vec<Request>>,
    room: Condvar,
    room_lock: Mutex<()>,
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal").finish_non_exhaustive()
    }
}

/// Closes the signal when the commit thread panics.
pub(crate) struct Watch(Arc<Signal>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.has_panicked.store(true, Ordering::Release);
            // Dropped requests are answered: their callers find nobody at the other end.
            drop(self.0.close());
        }
    }
}

impl Signal {
    pub(crate) fn new(options: &OpenOptions) -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            pending_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
            commit_bytes: options.commit_bytes.max(1),
            overload: options.overload,
            thread: OnceLock::new(),
            requests: Mutex::new(Vec::new()),
            room: Condvar::new(),
            room_lock: Mutex::new(()),
        }
    }

    /// Tells that a record can be taken.
    #[inline]
    pub(crate) fn appended(&self) {
        let wanted = if self.pending_bytes.load(Ordering::Relaxed) >= self.commit_bytes {
            FULL
        } else {
            PENDING
        };
        if self.state.load(Ordering::Relaxed) < wanted {
            self.wake(wanted);
        }
    }

    #[cold]
    fn wake(&self, wanted: u8) {
        if self.state.fetch_max(wanted, Ordering::AcqRel) < wanted
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Returns memory after a commit.
    pub(crate) fn release(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let _lock = self
            .room_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.room.notify_all();
    }

    /// Tells that a region of the journal is full and waits for its commit.
    pub(crate) fn filled(&self, bytes: usize) {
        self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.appended();
    }

    /// Tries to get room in the journal until it works, waiting in between if the store was opened
    /// so. `None`: the record is to be dropped.
    #[cold]
    pub(crate) fn wait_for_room<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
        self.wake(STARVED);
        while self.overload == Overload::Block
            && !self.failing.load(Ordering::Acquire)
            && !self.closed.load(Ordering::Acquire)
        {
            if let Some(found) = attempt() {
                return Some(found);
            }
            let lock = self
                .room_lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // The time limit covers a wake-up between the attempt and the wait.
            drop(self.room.wait_timeout(lock, Duration::from_millis(20)));
            self.wake(STARVED);
        }
        None
    }

    /// How many records were dropped for want of memory or after the close.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts records that were lost elsewhere.
    pub(crate) fn count_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether records and requests are still taken.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Whether the last commit failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Waits until everything that was appended before, on any thread, is committed.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        let (reply, answer) = mpsc::channel();
        self.request(Request::Flush(reply))?;
        Self::answer(&answer)?
    }

    /// Waits for the answer to a request. Each that is taken is answered, unless the thread panics.
    pub(crate) fn answer<T>(answer: &Receiver<T>) -> Result<T, FlushError> {
        answer.recv().map_err(|_gone| FlushError::Panicked)
    }

    /// Why nothing is taken any more.
    fn refusal(&self) -> FlushError {
        if self.has_panicked.load(Ordering::Acquire) {
            FlushError::Panicked
        } else {
            FlushError::Closed
        }
    }

    /// Hands a request to the commit thread.
    pub(crate) fn request(&self, request: Request) -> Result<(), FlushError> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(self.refusal());
        }
        requests.push(request);
        drop(requests);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        Ok(())
    }

    /// Names the commit thread. What was appended before wakes it.
    pub(crate) fn attend(&self, thread: Thread) {
        thread.unpark();
        // Set once, by whoever started the one commit thread.
        drop(self.thread.set(thread));
    }

    /// Sleeps until there is something to do; returns what was asked for, and what is due.
    /// Everything is to be committed by `commit_by`.
    pub(super) fn wait(
        &self,
        interval: Duration,
        commit_by: Option<Instant>,
    ) -> (Vec<Request>, Due) {
        let mut deadline = None;
        loop {
            let requests =
                std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
            if !requests.is_empty() {
                return (requests, Due::All);
            }
            let now = Instant::now();
            if commit_by.is_some_and(|commit_by| commit_by <= now) {
                return (Vec::new(), Due::All);
            }
            match self.state.load(Ordering::Acquire) {
                IDLE => match commit_by {
                    Some(commit_by) => std::thread::park_timeout(commit_by - now),
                    None => std::thread::park(),
                },
                PENDING => {
                    let interval = interval.min(LONGEST_INTERVAL);
                    let end = *deadline.get_or_insert(now + interval);
                    let end = commit_by.map_or(end, |commit_by| end.min(commit_by));
                    let left = end.saturating_duration_since(now);
                    if left.is_zero() {
                        return (Vec::new(), Due::Sync);
                    }
                    std::thread::park_timeout(left);
                }
                FULL => return (Vec::new(), Due::Enough),
                _ => return (Vec::new(), Due::All),
            }
        }
    }

    /// Forgets that records wait; to be called before they are taken or brought to the disk.
    pub(super) fn begin_take(&self) {
        self.state.store(IDLE, Ordering::Release);
    }

    /// Remembers that records wait, as after an append.
    pub(super) fn keep_pending(&self) {
        self.state.fetch_max(PENDING, Ordering::AcqRel);
    }

    /// Tells appending threads how the last commit went.
    pub(super) fn set_outcome(&self, outcome: Result<(), &StorageError>) {
        self.failing.store(outcome.is_err(), Ordering::Release);
        if outcome.is_err() {
            // What failed waits for the next interval.
            self.keep_pending();
        }
    }

    /// To be held by the commit thread: if that panics, whoever waits for it, or asks it later, is
    /// told.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        Watch(Arc::clone(self))
    }

    /// Takes no more records or requests; returns the requests that came too late to be served.
    pub(super) fn close(&self) -> Vec<Request> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Release);
        self.room.notify_all();
        std::mem::take(&mut *requests)
    }
}
