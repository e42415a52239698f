//! The regions of a journal: which are free, which are being filled, and what of them is stored.

mod taking;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::{Positions, position};
use super::file::{JournalFile, JournalForm, write_at};
use super::frame::{Frames, Seal, frame_bytes};
use super::layout::{CHUNK_REGIONS, ENTRY_BYTES, Entry, Header, LARGE_REGIONS, REGION_BYTES};
use super::map::{Piece, Published};
use super::region::{OpenRegion, Progress, Through};
use super::scan::Waiting;
use crate::commit::Signal;
pub(crate) use taking::Taking;
use taking::UsedView;

/// The written form hands this many records to the system at a time.
const WRITTEN_RECORDS: u32 = 16;

/// What a journal's lanes and its commit thread share.
pub(super) struct Ring {
    header: Header,
    form: JournalForm,
    file: Arc<JournalFile>,
    signal: Arc<Signal>,
    memory_limit_bytes: usize,
    state: Mutex<State>,
    /// Writes into the file that failed.
    failures: Arc<AtomicU64>,
    /// The mapped file was cut underneath: what is appended is safe only after its commit.
    lost: AtomicBool,
}

struct State {
    directory: Piece,
    free: Vec<Free>,
    /// In order of their generations, so that of one lane the older region comes first.
    used: Vec<Used>,
    /// How far every region is taken.
    positions: Positions,
    /// How many regions the ring has so far.
    grown: u32,
    /// The last region's generation.
    generation: u32,
    closed: bool,
}

struct Free {
    region: u32,
    piece: Piece,
    /// Its pages are there and need not be made at the first write.
    ready: bool,
}

struct Used {
    region: u32,
    entry: Entry,
    view: Published,
    progress: Arc<Progress>,
    /// How far the commit thread has taken records, and how many.
    taken: (usize, u32),
    /// How far they are stored.
    stored: usize,
    /// How far they are on disk.
    synced: usize,
}

/// Why there is no region for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRegion {
    /// Every region is in use, and the ring has its full size or cannot grow.
    Full,
    /// The journal is closed.
    Closed,
}

impl Ring {
    pub(super) fn new(
        header: Header,
        form: JournalForm,
        file: Arc<JournalFile>,
        directory: Piece,
        signal: Arc<Signal>,
        memory_limit_bytes: usize,
    ) -> Self {
        Self {
            header,
            form,
            file,
            signal,
            memory_limit_bytes,
            state: Mutex::new(State {
                directory,
                free: Vec::new(),
                used: Vec::new(),
                positions: Positions::default(),
                grown: 0,
                generation: 0,
                closed: false,
            }),
            failures: Arc::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// How records are kept: what the journal began as, or memory once its file was cut.
    pub(super) fn form(&self) -> JournalForm {
        if self.lost.load(Ordering::Relaxed) {
            JournalForm::Memory
        } else {
            self.form
        }
    }

    /// As [`Ring::form`], after a look at the file.
    pub(super) fn checked_form(&self) -> JournalForm {
        self.check_file();
        self.form()
    }

    /// How many writes into the file have failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether a record needs a region of its own.
    pub(super) fn is_large(record: &[u8]) -> bool {
        frame_bytes(record.len()) > REGION_BYTES
    }

    /// A region that a record of `len` bytes fits into.
    pub(super) fn acquire(&self, len: usize) -> Result<OpenRegion, NoRegion> {
        self.check_file();
        let mut state = self.lock();
        if state.closed {
            return Err(NoRegion::Closed);
        }
        if frame_bytes(len) > REGION_BYTES {
            return self.acquire_large(&mut state, len);
        }
        if state.free.is_empty() {
            self.grow(&mut state);
        }
        let free = state.free.pop().ok_or(NoRegion::Full)?;
        if !free.ready {
            free.piece.populate();
        }
        let offset = self.header.region_offset(free.region);
        Ok(self.open(&mut state, free.region, free.piece, offset))
    }

    /// A region made for one record. It lies behind the ring in the file, is written there and
    /// not mapped, and its memory goes when it is stored.
    fn acquire_large(&self, state: &mut State, len: usize) -> Result<OpenRegion, NoRegion> {
        let bytes = frame_bytes(len);
        let large = |used: &&Used| used.region >= self.header.ring_regions;
        let in_use: usize = state
            .used
            .iter()
            .filter(large)
            .map(|used| used.entry.bytes as usize)
            .sum();
        // Alone it passes whatever its size, else it could never be stored.
        if in_use > 0 && in_use + bytes > self.memory_limit_bytes {
            return Err(NoRegion::Full);
        }
        let region = (self.header.ring_regions..self.header.ring_regions + LARGE_REGIONS)
            .find(|region| state.used.iter().all(|used| used.region != *region))
            .ok_or(NoRegion::Full)?;
        let piece = Piece::plain(bytes).map_err(|_no_memory| NoRegion::Full)?;
        let offset = large_gap(state, self.header.ring_end(), bytes as u64);
        Ok(self.open(state, region, piece, offset))
    }

    fn open(&self, state: &mut State, region: u32, piece: Piece, offset: u64) -> OpenRegion {
        state.generation += 1;
        let entry = Entry {
            generation: state.generation,
            offset,
            bytes: piece.len() as u32,
        };
        let records = match self.form() {
            JournalForm::Memory => None,
            JournalForm::Mapped => (!piece.is_mapped()).then_some(1),
            JournalForm::Written => Some(WRITTEN_RECORDS),
        };
        let through = records.map(|records| Through {
            file: Arc::clone(&self.file),
            offset,
            failures: Arc::clone(&self.failures),
            records,
            written: 0,
            waiting: 0,
        });
        let (writer, view) = piece.into_writer();
        let seal = Seal::new(self.header.id, region, u64::from(entry.generation));
        let signal = Arc::clone(&self.signal);
        let (open, progress) = OpenRegion::new(writer, seal, entry.generation, through, signal);
        state.used.push(Used {
            region,
            entry,
            view,
            progress,
            taken: (0, 0),
            stored: 0,
            synced: 0,
        });
        self.write_entry(state, region, entry.encode(self.header.id, region));
        open
    }

    /// Adds a chunk of regions. Without disk space the first chunk is of plain memory that is
    /// written record by record, and the ring grows no further.
    fn grow(&self, state: &mut State) {
        if state.grown + CHUNK_REGIONS > self.header.ring_regions {
            return;
        }
        let bytes = CHUNK_REGIONS as usize * REGION_BYTES;
        let offset = self.header.region_offset(state.grown);
        let memory = match self.form() {
            JournalForm::Mapped => self
                .file
                .allocate(offset, bytes as u64)
                .and_then(|()| Piece::mapped(self.file.file(), offset, bytes))
                .or_else(|error| match state.grown {
                    0 => Piece::plain(bytes),
                    _ => Err(error),
                }),
            JournalForm::Written | JournalForm::Memory => Piece::plain(bytes),
        };
        let Ok(memory) = memory else { return };
        let regions = (state.grown..).zip(memory.split(REGION_BYTES));
        state.free.extend(regions.map(|(region, piece)| Free {
            region,
            piece,
            ready: false,
        }));
        // The lowest is used first.
        state
            .free
            .sort_by_key(|free| std::cmp::Reverse(free.region));
        state.grown += CHUNK_REGIONS;
    }

    /// Makes the pages of free regions that will be used next. For the commit thread, so that
    /// lanes do not wait for them.
    pub(super) fn make_ready(&self) {
        for _ in 0..CHUNK_REGIONS {
            let mut state = self.lock();
            let next = state.free.iter().rev().take(CHUNK_REGIONS as usize);
            let Some(at) = next.clone().position(|free| !free.ready) else {
                return;
            };
            let at = state.free.len() - 1 - at;
            let mut free = state.free.remove(at);
            drop(state);
            free.piece.populate();
            free.ready = true;
            self.lock().free.push(free);
        }
    }

    /// Which regions hold nothing that was not taken: generation and length.
    pub(super) fn taken(&self) -> Vec<(u32, usize)> {
        let taken = |used: &Used| (used.entry.generation, used.taken.0);
        self.lock().used.iter().map(taken).collect()
    }

    /// Frees what a stored batch held.
    pub(super) fn release(&self, positions: &Positions) {
        let mut state = self.lock();
        for used in &mut state.used {
            let taken = used.taken.0;
            if position(used.entry.generation, taken) <= positions.get(used.region) {
                used.stored = taken;
            }
        }
        self.free_finished(&mut state);
    }

    fn free_finished(&self, state: &mut State) {
        let mut bytes = 0;
        for used in std::mem::take(&mut state.used) {
            let finished = used.progress.finished.load(Ordering::Acquire);
            if !finished || used.stored < used.view.len() {
                state.used.push(used);
                continue;
            }
            match used.view.reclaim() {
                Ok(piece) => {
                    bytes += used.stored;
                    self.write_entry(state, used.region, [0; ENTRY_BYTES]);
                    self.free(state, used.region, piece);
                }
                // A reader of this process still looks at it.
                Err(view) => state.used.push(Used { view, ..used }),
            }
        }
        self.signal.release(bytes);
    }

    fn free(&self, state: &mut State, region: u32, piece: Piece) {
        if region < self.header.ring_regions {
            state.free.push(Free {
                region,
                piece,
                ready: true,
            });
            return;
        }
        let large = |used: &Used| used.region >= self.header.ring_regions;
        if !state.used.iter().any(large) {
            // The space behind the ring goes back to the disk. If that fails it is used again.
            drop(self.file.file().set_len(self.header.ring_end()));
        }
    }

    /// Writes the directory entry of a region.
    fn write_entry(&self, state: &mut State, region: u32, entry: [u8; ENTRY_BYTES]) {
        let at = region as usize * ENTRY_BYTES;
        if let Some(bytes) = state.directory.bytes_mut().get_mut(at..at + ENTRY_BYTES) {
            bytes.copy_from_slice(&entry);
        }
        if self.form == JournalForm::Written {
            let offset = self.header.directory_offset() + at as u64;
            if write_at(self.file.file(), &entry, offset).is_err() {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notices a mapped file that was truncated before its lost pages are touched.
    fn check_file(&self) {
        if self.form == JournalForm::Mapped {
            let metadata = self.file.file().metadata();
            if !metadata.is_ok_and(|file| file.len() >= self.header.ring_end()) {
                self.lost.store(true, Ordering::Relaxed);
            }
        }
    }

    /// What is in use and not stored, for readers of this process.
    pub(super) fn view(&self) -> Vec<Waiting> {
        let views: Vec<_> = self.lock().used.iter().map(Used::look_back).collect();
        let mut records = Vec::new();
        for view in views {
            let seal = Seal::new(self.header.id, view.region, u64::from(view.generation));
            let frames = Frames::new(view.view.bytes(), seal);
            records.extend(frames.filter(|frame| frame.end > view.from.0).map(|frame| {
                let reached = position(view.generation, frame.end);
                Waiting {
                    region: view.region,
                    reached,
                    record: frame.record.to_vec(),
                }
            }));
        }
        records
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// How many bytes are appended and not stored.
    pub(super) fn pending_bytes(&self) -> usize {
        let state = self.lock();
        let pending = |used: &Used| used.view.len().saturating_sub(used.stored);
        state.used.iter().map(pending).sum()
    }

    /// How many of them are not on disk.
    pub(super) fn unsynced_bytes(&self) -> usize {
        let state = self.lock();
        let unsynced = |used: &Used| {
            let done = used.stored.max(used.synced);
            used.view.len().saturating_sub(done)
        };
        state.used.iter().map(unsynced).sum()
    }

    /// How far every region is filled.
    pub(super) fn filled(&self) -> Vec<(u32, usize)> {
        let filled = |used: &Used| (used.entry.generation, used.view.len());
        self.lock().used.iter().map(filled).collect()
    }

    /// Tells that regions, by their generations, are on disk so far.
    pub(super) fn synced(&self, filled: &[(u32, usize)]) {
        let mut state = self.lock();
        for used in &mut state.used {
            let generation = used.entry.generation;
            // Filled regions are in the order of their generations; some are free by now.
            if let Ok(at) = filled.binary_search_by_key(&generation, |(one, _)| *one) {
                used.synced = used.synced.max(filled[at].1);
            }
        }
    }

    /// Whether the journal has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets no lane begin another region.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// What the commit thread has not taken.
    fn look(&self) -> UsedView {
        UsedView {
            from: self.taken,
            ..self.look_back()
        }
    }

    /// What is not stored.
    fn look_back(&self) -> UsedView {
        UsedView {
            region: self.region,
            generation: self.entry.generation,
            view: self.view.clone(),
            progress: Arc::clone(&self.progress),
            from: (self.stored, 0),
            to: self.view.len(),
        }
    }
}

/// The first gap behind the ring that `bytes` fit into.
fn large_gap(state: &State, ring_end: u64, bytes: u64) -> u64 {
    let mut taken: Vec<_> = state
        .used
        .iter()
        .map(|used| (used.entry.offset, u64::from(used.entry.bytes)))
        .filter(|(offset, _)| *offset >= ring_end)
        .collect();
    taken.sort_unstable();
    let mut gap = ring_end;
    for (offset, len) in taken {
        if gap + bytes <= offset {
            break;
        }
        gap = offset + len;
    }
    gap
}
