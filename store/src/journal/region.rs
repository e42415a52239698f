//! The region that a lane is filling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::file::{JournalFile, write_at};
use super::frame::{Seal, frame_bytes};
use super::map::Writer;
use crate::commit::Signal;

/// What the lane tells the commit thread about its region, beside the bytes themselves.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How many records were appended.
    pub(super) records: AtomicU32,
    /// The lane has left the region: nothing more will be appended.
    pub(super) finished: AtomicBool,
}

/// A region that one lane fills. Dropping it tells that it is finished.
pub(super) struct OpenRegion {
    writer: Writer,
    seal: Seal,
    generation: u32,
    sequence: u32,
    progress: Arc<Progress>,
    through: Option<Through>,
    signal: Arc<Signal>,
}

/// Copies a region of plain memory to its place in the file.
pub(super) struct Through {
    pub(super) file: Arc<JournalFile>,
    pub(super) offset: u64,
    /// Counts writes that failed. Their bytes are written again with the next ones.
    pub(super) failures: Arc<AtomicU64>,
    /// How many records are handed to the system at a time.
    pub(super) records: u32,
    /// How much of the region is in the file, and how many records are not.
    pub(super) written: usize,
    pub(super) waiting: u32,
}

impl OpenRegion {
    pub(super) fn new(
        writer: Writer,
        seal: Seal,
        generation: u32,
        through: Option<Through>,
        signal: Arc<Signal>,
    ) -> (Self, Arc<Progress>) {
        let progress = Arc::<Progress>::default();
        let region = Self {
            writer,
            seal,
            generation,
            sequence: 0,
            progress: Arc::clone(&progress),
            through,
            signal,
        };
        (region, progress)
    }

    /// Which use of a region it is.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many bytes were appended.
    pub(super) fn len(&self) -> usize {
        self.writer.len()
    }

    /// Appends a record. False if it does not fit.
    #[inline]
    pub(super) fn append(&mut self, record: &[u8]) -> bool {
        let size = frame_bytes(record.len());
        if size > self.writer.room() {
            return false;
        }
        let header = self.seal.header(self.sequence, record);
        if !self.writer.append(&header, record, size) {
            return false;
        }
        self.sequence += 1;
        self.progress
            .records
            .store(self.sequence, Ordering::Relaxed);
        if let Some(through) = &mut self.through {
            through.waiting += 1;
            if through.waiting >= through.records {
                through.write(&self.writer);
            }
        }
        true
    }

    /// Hands everything to the system that was not handed over yet. False if it refused.
    pub(super) fn write_through(&mut self) -> bool {
        let Some(through) = &mut self.through else {
            return true;
        };
        through.write(&self.writer);
        through.written == self.writer.len()
    }
}

impl Through {
    #[cold]
    fn write(&mut self, writer: &Writer) {
        self.waiting = 0;
        let Some(bytes) = writer.bytes().get(self.written..) else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        let offset = self.offset + self.written as u64;
        match write_at(self.file.file(), bytes, offset) {
            Ok(()) => self.written += bytes.len(),
            Err(_counted) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for OpenRegion {
    fn drop(&mut self) {
        // What the system refuses is counted, and safe after its commit.
        self.write_through();
        self.signal.filled(self.len());
        self.progress.finished.store(true, Ordering::Release);
    }
}
