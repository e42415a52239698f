use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

use redb::ReadTransaction;
use spanlite_model::TraceUpdate;

use crate::commit::{
    BackgroundFailure, BlocksRequest, Committer, Counters, Request, Signal, StoreRequest,
};
use crate::directory::Directory;
use crate::error::{CloseError, FlushError, OpenError, ReadError, StorageError, WriteError};
use crate::fork::PerProcess;
use crate::journal::{self, Journal, JournalForm, Lane};
use crate::limit;
use crate::options::{Access, OpenOptions};
use crate::readers::Readers;
use crate::record::Origin;
use crate::segment::sealed::NewBlock;
use crate::segment::{SegmentName, hot, protected};
use crate::snapshot::Snapshot;
use crate::state::{State, StateWriter};

/// A trace store that is open in this process.
///
/// Clones are the same store. Opening a path that is open already gives the same store too, with
/// the options of the first. When the last clone is dropped, what was appended is committed, as
/// [`Store::close`] does it, but without telling whether it worked.
///
/// A forked child may go on using a store that its parent opened: it gets a writer and readers of
/// its own when it first needs them. What the parent's threads had appended is the parent's.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: Directory,
    options: OpenOptions,
    live: PerProcess<Live>,
}

/// What one process has open.
#[derive(Debug)]
struct Live {
    readers: Readers,
    writer: OnceLock<Result<Writer, Arc<StorageError>>>,
}

#[derive(Debug)]
struct Writer {
    journal: Arc<Journal>,
    signal: Arc<Signal>,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_closing: AtomicBool,
    /// How the close went, for all who ask for it.
    closed: OnceLock<Result<(), FlushError>>,
}

/// Where the answer to stored blocks comes: the segment, and the number after the last block.
pub(crate) type StoredBlocks = mpsc::Receiver<Result<(SegmentName, u32), StorageError>>;

type Registry = Mutex<HashMap<(PathBuf, Access), Weak<Inner>>>;

/// The stores that are open in this process.
fn registry() -> &'static PerProcess<Registry> {
    static REGISTRY: OnceLock<PerProcess<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(PerProcess::new)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store that is open under a key already, else this one.
fn only_one(key: (PathBuf, Access), new: Arc<Inner>) -> Arc<Inner> {
    let Some(registry) = registry().get_or_init(Registry::default) else {
        return new;
    };
    let mut open = lock(registry);
    open.retain(|_, inner| inner.strong_count() > 0);
    if let Some(known) = open.get(&key).and_then(Weak::upgrade)
        && !known.is_closed()
    {
        return known;
    }
    open.insert(key, Arc::downgrade(&new));
    new
}

impl Store {
    /// Opens a store.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, OpenError> {
        if options.access == Access::ReadWrite {
            limit::check_store(path.as_ref())?;
        }
        let create = options.create && options.access == Access::ReadWrite;
        let directory = Directory::open(path.as_ref(), create)?;
        if directory.is_bundle() && options.access == Access::ReadWrite {
            return Err(OpenError::Bundle {
                path: path.as_ref().to_owned(),
            });
        }
        let canonical = directory
            .path()
            .canonicalize()
            .map_err(|error| StorageError::io("open", directory.path(), error))?;
        let access = options.access;
        let inner = Arc::new(Inner {
            live: PerProcess::new(),
            options,
            directory,
        });
        let store = Self {
            inner: only_one((canonical, access), inner),
        };
        if access == Access::ReadWrite {
            // Begins recovery of killed writers, and shows early what would fail later.
            store.started().map_err(OpenError::Writer)?;
        }
        Ok(store)
    }

    /// The folder of the store.
    pub fn path(&self) -> &Path {
        self.inner.directory.path()
    }

    /// A lane for the calling thread to append its records to.
    pub fn lane(&self) -> Result<Lane, FlushError> {
        Ok(self.writer()?.journal.lane())
    }

    /// Waits until everything that was appended before, on any thread of this process, is on disk.
    ///
    /// It is so when it is synced in the journal; only where the journal is not on disk, or was
    /// refused there, this waits for a commit.
    pub fn flush(&self) -> Result<(), FlushError> {
        let writer = self.writer()?;
        let journal = &writer.journal;
        let may_sync = writer.signal.is_open() && !writer.signal.is_failing();
        if may_sync && !journal.is_behind() && journal.sync() {
            return Ok(());
        }
        writer.signal.flush()
    }

    /// Waits until everything that was appended before is stored, not only in the journal.
    pub(crate) fn commit(&self) -> Result<(), FlushError> {
        self.writer()?.signal.flush()
    }

    /// Stores later changes of traces: tags, feedback, pins. Durable on return.
    ///
    /// A change of a trace that is not stored is kept, and shows once the trace is.
    pub fn update(&self, updates: &[TraceUpdate]) -> Result<(), WriteError> {
        let updates = updates.to_vec();
        Ok(self.on_commit_thread(move |state| state.put_notes(&updates))??)
    }

    /// Makes blocks of all complete traces that were committed, which otherwise happens in the
    /// background when there are enough. Returns whether there were any.
    pub fn seal(&self) -> Result<bool, WriteError> {
        self.commit()?;
        let writer = self.writer()?;
        let (reply, answer) = mpsc::channel();
        writer.signal.request(Request::Seal(reply))?;
        Ok(Signal::answer(&answer)??)
    }

    /// What the store holds at this moment, from every process.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        if self.inner.directory.is_bundle() {
            return Snapshot::take(&self.inner.directory, &self.live()?.readers, Vec::new());
        }
        // The own journal is looked at in memory: not all of it may be in its file.
        let own = match self.inner.live.get().and_then(Live::existing) {
            Some(Ok(writer)) => Some(writer.journal.view()),
            _ => None,
        };
        let own_id = own.as_ref().map(|view| view.id);
        let mut journals = journal::peek(&self.inner.directory.journals(), own_id)?;
        journals.extend(own);
        Snapshot::take(&self.inner.directory, &self.live()?.readers, journals)
    }

    /// Whether a killed writer left something that the next one to open the store for writing puts
    /// in order: a journal to replay, a file to repair. Until then everything can be read, at some
    /// cost for each [`Store::snapshot`].
    pub fn needs_repair(&self) -> Result<bool, ReadError> {
        let directory = &self.inner.directory;
        if directory.is_bundle() {
            return Ok(false);
        }
        if journal::any_dead(&directory.journals())? {
            return Ok(true);
        }
        let live = self.live()?;
        let mut files = directory.segment_files()?;
        files.extend(directory.has_state().then(|| directory.state()));
        Ok(files.iter().any(|file| live.readers.needs_repair(file)))
    }

    /// What went wrong last in the background of this process, where nobody waited for it; nothing
    /// if all went well. Does not look at the disk.
    pub fn last_failure(&self) -> Option<BackgroundFailure> {
        match self.inner.live.get().and_then(Live::existing) {
            Some(Ok(writer)) => writer.counters.last_failure(),
            _ => None,
        }
    }

    /// Keyed values that others keep in the store.
    pub fn state(&self) -> State {
        State::new(self.clone())
    }

    /// Commits what was appended and ends the background thread. Later calls through any clone
    /// find the store closed for writing.
    pub fn close(&self) -> Result<(), CloseError> {
        let Some(live) = self.inner.live.get() else {
            return Ok(());
        };
        Ok(live.close()?)
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    pub(crate) fn options(&self) -> &OpenOptions {
        &self.inner.options
    }

    /// What this process's writer counted; zeros where there is none.
    pub(crate) fn counts(&self) -> Counts {
        let Some(Some(Ok(writer))) = self.inner.live.get().map(Live::existing) else {
            return Counts::default();
        };
        Counts {
            dropped: writer.signal.dropped(),
            pending_bytes: writer.journal.pending_bytes() as u64,
            journal: Some(writer.journal.form()),
            journal_failures: writer.journal.failures(),
            commits: writer.counters.commits.load(Ordering::Relaxed),
            failed_commits: writer.counters.failed_commits.load(Ordering::Relaxed),
            failed_seals: writer.counters.failed_seals.load(Ordering::Relaxed),
            last_failure: writer.counters.last_failure(),
        }
    }

    /// Fails where nothing can be written.
    pub(crate) fn check_writable(&self) -> Result<(), WriteError> {
        Ok(self.writer().map(|_writer| ())?)
    }

    /// Stores records apart from those of the journal; durable on return.
    pub(crate) fn store_records(
        &self,
        records: Vec<u8>,
        origin: Vec<u8>,
    ) -> Result<(), WriteError> {
        let writer = self.writer()?;
        let (reply, answer) = mpsc::channel();
        let request = StoreRequest {
            records,
            origin,
            reply,
        };
        writer.signal.request(Request::Store(request))?;
        Ok(Signal::answer(&answer)??)
    }

    /// Hands blocks of whole traces to the commit thread; they are durable when the answer comes.
    pub(crate) fn store_blocks(
        &self,
        blocks: Vec<NewBlock>,
        looked_at: HashMap<SegmentName, u32>,
    ) -> Result<StoredBlocks, WriteError> {
        let (reply, answer) = mpsc::channel();
        let request = BlocksRequest {
            blocks,
            looked_at,
            reply,
        };
        self.writer()?.signal.request(Request::Blocks(request))?;
        Ok(answer)
    }

    /// Waits until blocks are durable.
    pub(crate) fn stored_blocks(pending: &StoredBlocks) -> Result<(SegmentName, u32), WriteError> {
        Ok(Signal::answer(pending)??)
    }

    /// Runs work on the state file on the commit thread and waits for it.
    pub(crate) fn on_commit_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StateWriter) -> T + Send + 'static,
    ) -> Result<T, FlushError> {
        let writer = self.writer()?;
        let (reply, answer) = mpsc::channel();
        let task = Box::new(move |state: &mut StateWriter| drop(reply.send(work(state))));
        writer.signal.request(Request::State(task))?;
        Signal::answer(&answer)
    }

    /// Closes the files that were removed.
    pub(crate) fn close_gone(&self) -> Result<(), StorageError> {
        self.live()?.readers.close_gone(0);
        Ok(())
    }

    /// Reads the state file as it is.
    pub(crate) fn read_state<T: Default>(
        &self,
        read: impl FnOnce(&ReadTransaction, &Path) -> Result<T, StorageError>,
    ) -> Result<T, ReadError> {
        let path = self.inner.directory.state();
        match self.live()?.readers.get(&path)? {
            Some(reader) => {
                let found = protected(&path, || read(&reader.begin()?, &path))?;
                reader.check()?;
                Ok(found)
            }
            None => Ok(T::default()),
        }
    }

    fn live(&self) -> Result<&Live, StorageError> {
        let access = self.inner.options.access;
        let live = self.inner.live.get_or_init(|| Live {
            readers: Readers::new(access),
            writer: OnceLock::new(),
        });
        // The slot is emptied only while the store is dropped, when nobody can call this.
        live.ok_or_else(|| StorageError::Busy {
            path: self.inner.directory.path().to_owned(),
        })
    }

    fn writer(&self) -> Result<&Writer, FlushError> {
        if self.inner.options.access == Access::ReadOnly {
            return Err(FlushError::ReadOnly);
        }
        self.started()
            .map_err(|source| FlushError::Failed { records: 0, source })
    }

    /// The writer of this process, which is started first if there is none.
    fn started(&self) -> Result<&Writer, Arc<StorageError>> {
        let start = || Writer::start(&self.inner.directory, &self.inner.options).map_err(Arc::new);
        let started = self.live()?.writer.get_or_init(start);
        started.as_ref().map_err(Arc::clone)
    }
}

/// What the writer of this process counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) dropped: u64,
    pub(crate) pending_bytes: u64,
    pub(crate) journal: Option<JournalForm>,
    pub(crate) journal_failures: u64,
    pub(crate) commits: u64,
    pub(crate) failed_commits: u64,
    pub(crate) failed_seals: u64,
    pub(crate) last_failure: Option<BackgroundFailure>,
}

impl Inner {
    fn is_closed(&self) -> bool {
        let writer = self.live.get().and_then(Live::existing);
        matches!(writer, Some(Ok(writer)) if writer.is_closing())
    }
}

impl Live {
    /// The writer, if it was started.
    fn existing(&self) -> Option<&Result<Writer, Arc<StorageError>>> {
        self.writer.get()
    }

    fn close(&self) -> Result<(), FlushError> {
        match self.existing() {
            Some(Ok(writer)) => writer.close(),
            _ => Ok(()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Whoever wants to know how the last commit went calls `Store::close`.
        drop(self.close());
    }
}

impl Writer {
    fn start(directory: &Directory, options: &OpenOptions) -> Result<Self, StorageError> {
        let origin = hot::origin_to_bytes(&Origin {
            resource: Arc::new(options.resource.clone()),
            scope: Arc::new(options.scope.clone()),
        });
        let signal = Arc::new(Signal::new(options));
        let counters = Arc::new(Counters::new(directory.failure()));
        let journal = Arc::new(Journal::create(
            &directory.journals(),
            options,
            &origin,
            Arc::clone(&signal),
        )?);
        let committer = Committer::new(
            directory.clone(),
            options,
            origin,
            Arc::clone(&signal),
            Arc::clone(&journal),
            Arc::clone(&counters),
        );
        let watch = signal.watch();
        let thread = thread::Builder::new()
            .name("spanlite-commit".to_owned())
            .spawn(move || {
                let _watch = watch;
                committer.run();
            })
            .map_err(|error| StorageError::io("start a thread for", directory.path(), error))?;
        signal.attend(thread.thread().clone());
        Ok(Self {
            journal,
            signal,
            counters,
            thread: Mutex::new(Some(thread)),
            is_closing: AtomicBool::new(false),
            closed: OnceLock::new(),
        })
    }

    /// Whether it was asked to close, or has panicked.
    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire) || !self.signal.is_open()
    }

    /// Ends the thread; a second caller waits for the same outcome.
    fn close(&self) -> Result<(), FlushError> {
        let close = || {
            self.is_closing.store(true, Ordering::Release);
            let (reply, answer) = mpsc::channel();
            let asked = self.signal.request(Request::Close(reply));
            let outcome = asked.and_then(|()| Signal::answer(&answer)?);
            // That it panicked is in the outcome.
            drop(lock(&self.thread).take().map(JoinHandle::join));
            outcome
        };
        self.closed.get_or_init(close).clone()
    }
}

#[cfg(test)]
mod tests;
