//! What was decompressed of columns, kept with an open block so that it is decompressed once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::BlockError;

/// Counts what a block keeps in memory, and what all blocks do that are counted with it.
#[derive(Debug, Default)]
pub(super) struct KeptBytes {
    own: AtomicU64,
    all: Arc<AtomicU64>,
}

impl KeptBytes {
    pub(super) fn among(all: &Arc<AtomicU64>) -> Self {
        Self {
            own: AtomicU64::new(0),
            all: Arc::clone(all),
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n_bytes: usize) {
        self.own.fetch_add(n_bytes as u64, Ordering::Relaxed);
        self.all.fetch_add(n_bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, n_bytes: usize) {
        self.own.fetch_sub(n_bytes as u64, Ordering::Relaxed);
        self.all.fetch_sub(n_bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.get(), Ordering::Relaxed);
    }
}

/// The parts of one column that had to be worked out.
#[derive(Debug, Default)]
pub(super) struct KeptColumn {
    /// Of a column of texts the lengths, the texts and the codes; of one of integers the first.
    blobs: [OnceLock<Vec<u8>>; 3],
    /// Where the entries of a dictionary begin, and at the end where they end.
    starts: OnceLock<Vec<u32>>,
}

/// Where a column that is read keeps its parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep<'a> {
    pub(super) column: &'a KeptColumn,
    pub(super) n_bytes: &'a KeptBytes,
}

/// The place of one blob.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    blob: &'a OnceLock<Vec<u8>>,
    n_bytes: &'a KeptBytes,
}

impl<'a> Keep<'a> {
    /// Where the only blob of a column goes.
    pub(super) fn only(self) -> Slot<'a> {
        let [blob, _, _] = &self.column.blobs;
        self.slot(blob)
    }

    /// Where lengths, texts and codes go.
    pub(super) fn of_texts(self) -> [Slot<'a>; 3] {
        let [lengths, texts, codes] = &self.column.blobs;
        [self.slot(lengths), self.slot(texts), self.slot(codes)]
    }

    fn slot(self, blob: &'a OnceLock<Vec<u8>>) -> Slot<'a> {
        Slot {
            blob,
            n_bytes: self.n_bytes,
        }
    }

    /// Where the entries of the dictionary begin.
    pub(super) fn starts(self, fill: impl FnOnce() -> Vec<u32>) -> &'a [u32] {
        self.column.starts.get_or_init(|| {
            let starts = fill();
            self.n_bytes.add(4 * starts.len());
            starts
        })
    }
}

impl<'a> Slot<'a> {
    /// The blob; decompressed now if that was not done before.
    pub(super) fn get_or_fill(
        self,
        fill: impl FnOnce() -> Result<Vec<u8>, BlockError>,
    ) -> Result<&'a [u8], BlockError> {
        if let Some(known) = self.blob.get() {
            return Ok(known);
        }
        let filled = fill()?;
        Ok(self.blob.get_or_init(|| {
            self.n_bytes.add(filled.len());
            filled
        }))
    }
}
