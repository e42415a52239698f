use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use spanlite_model::{Trace, TraceUpdate};
use spanlite_store::{Store, WriteError};
use tokio::sync::oneshot;

use crate::budget::Share;
use crate::refusal::Refusal;

/// Spans that are made durable at once, at most.
const GROUP_SPANS: usize = 16_384;

/// What a request brought.
#[derive(Debug)]
pub(crate) enum Load {
    Traces(Vec<Trace>),
    Updates(Vec<TraceUpdate>),
}

struct Submission {
    load: Load,
    /// Held until the load is on disk, and given back to who asked.
    share: Share,
    reply: oneshot::Sender<Result<Share, Arc<WriteError>>>,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Requests whose spans are on disk.
    pub requests: u64,
    /// Spans that came and are on disk.
    pub spans: u64,
    /// Spans among them that the store did not have.
    pub new_spans: u64,
    /// Spans that were refused because they cannot be read.
    pub refused_spans: u64,
    /// Requests that were refused: too large, malformed, while memory was full or the disk failed.
    pub refused_requests: u64,
    /// Times that the store was made to write. Requests that come together share one.
    pub writes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) spans: AtomicU64,
    pub(crate) new_spans: AtomicU64,
    pub(crate) refused_spans: AtomicU64,
    pub(crate) refused_requests: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            requests: read(&self.requests),
            spans: read(&self.spans),
            new_spans: read(&self.new_spans),
            refused_spans: read(&self.refused_spans),
            refused_requests: read(&self.refused_requests),
            writes: read(&self.writes),
        }
    }
}

/// The one thread that writes into the store. What comes while it writes is written together, so
/// that many requests share one flush of the disk.
#[derive(Debug)]
pub(crate) struct Intake {
    submissions: Mutex<Option<mpsc::Sender<Submission>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    pub(crate) counters: Arc<Counters>,
}

impl Intake {
    pub(crate) fn start(store: Store) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let writing = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("spanlite-intake".to_owned())
            .spawn(move || write_all(&store, &receiver, &writing))?;
        Ok(Self {
            submissions: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            counters,
        })
    }

    /// Stores what a request brought. Returns when it is on disk, or will not be.
    pub(crate) async fn store(&self, load: Load, share: Share) -> Result<Share, Refusal> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { load, share, reply };
        let sender = {
            let open = self.submissions.lock();
            open.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let sent = sender.map(|sender| sender.send(submission).is_ok());
        if sent != Some(true) {
            return Err(Refusal::Closing);
        }
        match answer.await {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(error)) => Err(Refusal::Store(error)),
            Err(_thread_is_gone) => Err(Refusal::Closing),
        }
    }

    /// Writes what was submitted, and ends the thread.
    pub(crate) fn close(&self) {
        let lock = self.submissions.lock();
        drop(lock.unwrap_or_else(PoisonError::into_inner).take());
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A panic of the thread was printed; its requests were answered as not stored.
        drop(thread.map(JoinHandle::join));
    }
}

fn write_all(store: &Store, submissions: &mpsc::Receiver<Submission>, counters: &Counters) {
    while let Ok(first) = submissions.recv() {
        let (mut traces, mut updates) = (Vec::new(), Vec::new());
        let (mut replies, mut shares) = (Vec::new(), Vec::new());
        let mut spans = 0;
        let mut next = Some(first);
        while let Some(Submission { load, share, reply }) = next.take() {
            match load {
                Load::Traces(more) => {
                    spans += more.iter().map(|trace| trace.spans.len()).sum::<usize>();
                    traces.extend(more);
                }
                Load::Updates(more) => updates.extend(more),
            }
            replies.push(reply);
            shares.push(share);
            if spans < GROUP_SPANS {
                next = submissions.try_recv().ok();
            }
        }
        let written = write(store, &traces, &updates, counters).map_err(Arc::new);
        add(&counters.writes, 1);
        if written.is_ok() {
            add(&counters.requests, replies.len() as u64);
            add(&counters.spans, spans as u64);
        }
        drop((traces, updates));
        for (reply, share) in replies.into_iter().zip(shares) {
            // Who asked may have gone away meanwhile.
            drop(reply.send(written.clone().map(|()| share)));
        }
    }
}

fn write(
    store: &Store,
    traces: &[Trace],
    updates: &[TraceUpdate],
    counters: &Counters,
) -> Result<(), WriteError> {
    if !traces.is_empty() {
        let report = store.write(traces)?;
        add(&counters.new_spans, report.spans_written);
    }
    if !updates.is_empty() {
        store.update(updates)?;
    }
    Ok(())
}
