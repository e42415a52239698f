//! Where records wait between the program's threads and the commit thread, safe from a kill.
//!
//! This is the seam between the threads that append and the commit thread:
//!
//! * A thread appends to its [`Lane`]. `Signal` wakes the commit thread and, when the ring is full,
//!   makes the thread wait or drop, as the options say.
//! * Whoever wants what was appended on disk calls [`Journal::sync`]; only where that is not
//!   possible a commit has to do it.
//! * The commit thread calls [`Journal::begin_take`], and [`Journal::take`] until everything that
//!   was appended before is taken: batches, each with the [`Positions`] that are reached when it
//!   is stored. It writes a batch and its positions in one redb transaction, and then calls
//!   [`Journal::release`] with the same batch, before it takes the next.
//! * A batch that could not be stored stays with the commit thread, which tries it again; it is
//!   never given back.
//! * [`Journal::end`], a last commit, [`Journal::take_open`], and [`Journal::close`] end it.
//! * [`peek`] shows what live and dead journals of a directory hold, for a snapshot. The caller
//!   drops what lies at or below the positions that its segments have stored.
//! * [`recover`] replays the journals whose writers are gone, each once, and removes them.
//!
//! A journal is a ring of regions, each filled by one lane at a time. Three forms differ only in
//! what the regions are made of ([`JournalForm`]). The file's bytes are in `store/DESIGN.md`.

mod batch;
mod file;
mod frame;
mod lane;
mod layout;
mod map;
mod recover;
mod region;
mod ring;
mod scan;
mod slots;
mod sync;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use uuid::Uuid;

pub(crate) use batch::{Batch, Positions};
pub use file::JournalForm;
pub use lane::{Appended, Lane};
pub(crate) use recover::{Replay, recover};
pub(crate) use ring::Taking;
pub(crate) use scan::{JournalView, any_dead, has_file, is_alive, peek};
pub use slots::{OPEN_RECORD_BYTES, OpenSpan};

use crate::commit::Signal;
use crate::error::StorageError;
use crate::limit;
use crate::options::{Durability, OpenOptions};
use file::{JournalFile, write_at};
use layout::{BITMAPS_BYTES, Header, REGION_BYTES, SHARDS};
use map::Piece;
use ring::Ring;
use slots::Slots;
use sync::GroupSync;

/// More than this is committed rather than synced.
const SYNC_BYTES: usize = 1 << 20;

/// The journal of this process: the lanes of its threads, and the regions they fill.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    id: Uuid,
}

/// What the journal shares with its lanes.
struct Shared {
    ring: Ring,
    slots: Arc<Slots>,
    /// Slots get into the file by writing, at each `take`.
    slots_are_written: bool,
    signal: Arc<Signal>,
    lanes: Mutex<Vec<Weak<lane::Inner>>>,
    file: Arc<JournalFile>,
    every_span: bool,
    group: GroupSync,
    /// What a sync could not bring to the disk is lost to later ones: the system calls its pages
    /// written.
    failed_syncs: AtomicU64,
    /// The name of the file is on disk, which is looked after before anything else must be.
    is_named: OnceLock<bool>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("id", &self.id)
            .field("form", &self.form())
            .finish_non_exhaustive()
    }
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
        let form = match options.durability {
            Durability::Memory => JournalForm::Memory,
            Durability::Journal | Durability::EverySpan if options.map_journal => {
                JournalForm::Mapped
            }
            Durability::Journal | Durability::EverySpan => JournalForm::Written,
        };
        Self::create_as(form, directory, options, defaults, signal)
    }

    /// As [`Journal::create`], but in a form of choice; the mapped one only where it is possible.
    fn create_as(
        wanted: JournalForm,
        directory: &Path,
        options: &OpenOptions,
        defaults: &[u8],
        signal: Arc<Signal>,
    ) -> Result<Self, StorageError> {
        let id = Uuid::new_v4();
        // The rest is for records that are too large for the ring.
        let ring_bytes = limit::part(options.memory_limit_bytes as u64, 2) as usize;
        let header = Header::new(id, ring_bytes, defaults);
        let file = Arc::new(JournalFile::create(directory, id)?);
        let begun = Self::begin(wanted, header, Arc::clone(&file), options, signal);
        if begun.is_err() {
            // The error says more than a failure to tidy up.
            drop(file.remove());
        }
        let shared = Arc::new(begun?);
        if shared.every_span {
            file.sync_with_name(directory)?;
            shared.is_named.get_or_init(|| true);
        }
        Ok(Self { shared, id })
    }

    fn begin(
        wanted: JournalForm,
        mut header: Header,
        file: Arc<JournalFile>,
        options: &OpenOptions,
        signal: Arc<Signal>,
    ) -> Result<Shared, StorageError> {
        let failed = |error| StorageError::io("begin", file.path(), error);
        let length = header.ring_end();
        let lengthened = limit::check(length).and_then(|()| file.file().set_len(length));
        lengthened.map_err(failed)?;
        let mapped = (wanted == JournalForm::Mapped && file.can_be_mapped())
            .then(|| Control::mapped(&file, &header).ok())
            .flatten();
        let (form, control) = match (mapped, wanted) {
            (Some(control), _) => (JournalForm::Mapped, control),
            (None, JournalForm::Memory) => (wanted, Control::plain(&header).map_err(failed)?),
            (None, _) => (
                JournalForm::Written,
                Control::plain(&header).map_err(failed)?,
            ),
        };
        header.form = form;
        // The header makes it a journal: recovery removes a file without one.
        write_at(file.file(), &header.encode(), 0).map_err(failed)?;
        let slots_are_written = form != JournalForm::Mapped;
        let slots_file = slots_are_written.then(|| Arc::clone(&file));
        Ok(Shared {
            slots: Arc::new(Slots::new(
                &header,
                control.bitmaps,
                control.shards,
                slots_file,
            )),
            ring: Ring::new(
                header,
                form,
                Arc::clone(&file),
                control.directory,
                Arc::clone(&signal),
                options.memory_limit_bytes,
            ),
            slots_are_written,
            signal,
            lanes: Mutex::default(),
            file,
            every_span: options.durability == Durability::EverySpan,
            group: GroupSync::default(),
            failed_syncs: AtomicU64::new(0),
            is_named: OnceLock::new(),
        })
    }

    /// The id of the journal, which stands for its writer.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// How records are kept until they are committed.
    pub(crate) fn form(&self) -> JournalForm {
        self.shared.ring.form()
    }

    /// How many writes into the journal's file and syncs of it have failed. What they held is safe
    /// only after its commit.
    pub(crate) fn failures(&self) -> u64 {
        let syncs = self.shared.failed_syncs.load(Ordering::Relaxed);
        self.shared.ring.failures() + self.shared.slots.failures() + syncs
    }

    /// A lane for the calling thread.
    pub(crate) fn lane(&self) -> Lane {
        let lane = Lane::new(Arc::clone(&self.shared));
        let mut lanes = self.shared.lock_lanes();
        lanes.push(Arc::downgrade(lane.inner()));
        lane
    }

    /// Begins to take everything that was appended before the call. Only the commit thread does.
    pub(crate) fn begin_take(&self) -> Taking {
        let shared = &self.shared;
        let taken = shared.ring.taken();
        for lane in shared.live_lanes() {
            lane.leave_if_idle(&taken);
        }
        let taking = shared.ring.begin_take();
        shared.slots.write_through();
        taking
    }

    /// Takes the next batch, of about `limit_bytes` or with one larger record. Empty: all is taken.
    pub(crate) fn take(&self, taking: &mut Taking, limit_bytes: usize) -> Batch {
        let batch = self.shared.ring.take(taking, limit_bytes);
        self.shared.ring.make_ready();
        batch
    }

    /// Whether a commit costs less than to [`sync`](Self::sync) what is not on disk. A sync makes
    /// the pages of a mapped file read-only, one interruption of every thread a page, and the
    /// lanes then pay for a fault at each of them.
    pub(crate) fn is_behind(&self) -> bool {
        self.form() == JournalForm::Mapped && self.shared.ring.unsynced_bytes() > SYNC_BYTES
    }

    /// Brings everything that was appended before the call to the disk, where it waits for its
    /// commit. False: only a commit can do that, because the records are in memory alone, or the
    /// file has refused something.
    pub(crate) fn sync(&self) -> bool {
        let shared = &self.shared;
        match shared.ring.checked_form() {
            JournalForm::Memory => return false,
            JournalForm::Mapped => {}
            JournalForm::Written => {
                shared.slots.write_through();
                for lane in shared.live_lanes() {
                    lane.write_through();
                }
            }
        }
        let is_named = *shared.is_named.get_or_init(|| {
            let folder = shared.file.path().parent();
            folder.is_some_and(|folder| shared.file.sync_with_name(folder).is_ok())
        });
        let filled = shared.ring.filled();
        let synced = is_named
            && shared.sync()
            && self.failures() == 0
            && shared.ring.checked_form() != JournalForm::Memory;
        if synced {
            shared.ring.synced(&filled);
        }
        synced
    }

    /// Tells that a batch is stored together with its positions: its place in the journal is free.
    pub(crate) fn release(&self, batch: &Batch) {
        self.shared.ring.release(&batch.positions);
    }

    /// What is appended and not stored, and the records of open spans, for a snapshot of this
    /// process.
    pub(crate) fn view(&self) -> JournalView {
        let ring = &self.shared.ring;
        // Open spans first: one that ends meanwhile is then also among the records, which win.
        let open = self.shared.slots.view();
        JournalView {
            id: self.id,
            alive: !ring.is_closed(),
            form: Some(ring.form()),
            defaults: ring.header().defaults.clone(),
            records: ring.view(),
            open,
            damage: None,
        }
    }

    /// How many bytes wait to be stored.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.shared.ring.pending_bytes()
    }

    /// Takes no more records: when it returns, every append has either been counted as dropped or
    /// is in the next [`Journal::take`].
    pub(crate) fn end(&self) {
        self.shared.ring.close();
        for lane in self.shared.live_lanes() {
            lane.leave();
        }
    }

    /// Adds the records of spans that are still open to the last batch.
    pub(crate) fn take_open(&self, batch: &mut Batch) {
        batch.push_open(&self.shared.slots.view());
    }

    /// Removes the file. Only for a journal of which everything is stored; the file of another
    /// stays for recovery.
    pub(crate) fn close(&self) {
        // What is stored is not replayed, so a file that stays is only in the way.
        drop(self.shared.file.remove());
    }
}

impl Shared {
    fn lock_lanes(&self) -> std::sync::MutexGuard<'_, Vec<Weak<lane::Inner>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lanes whose threads live; the others are forgotten.
    fn live_lanes(&self) -> Vec<Arc<lane::Inner>> {
        let mut live = Vec::new();
        self.lock_lanes().retain(|lane| {
            live.extend(lane.upgrade());
            lane.strong_count() > 0
        });
        live
    }

    /// Waits until what was written to the file before is on disk.
    fn sync(&self) -> bool {
        self.group.wait(|| {
            self.file.file().sync_data().inspect_err(|_lost| {
                self.failed_syncs.fetch_add(1, Ordering::Relaxed);
            })?;
            #[cfg(test)]
            crate::power::synced_journals(self.file.path());
            Ok(())
        })
    }
}

/// The memory of what comes before the ring.
struct Control {
    directory: Piece,
    bitmaps: Piece,
    shards: Piece,
}

impl Control {
    fn plain(header: &Header) -> std::io::Result<Self> {
        Ok(Self {
            directory: Piece::plain(header.directory_bytes())?,
            bitmaps: Piece::plain(BITMAPS_BYTES)?,
            shards: Piece::plain(SHARDS as usize * REGION_BYTES)?,
        })
    }

    fn mapped(file: &JournalFile, header: &Header) -> std::io::Result<Self> {
        file.allocate(0, header.ring_offset())?;
        let map = |offset, bytes| Piece::mapped(file.file(), offset, bytes);
        Ok(Self {
            directory: map(header.directory_offset(), header.directory_bytes())?,
            bitmaps: map(header.bitmaps_offset(), BITMAPS_BYTES)?,
            shards: map(header.shards_offset(), SHARDS as usize * REGION_BYTES)?,
        })
    }
}
