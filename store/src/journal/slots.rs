//! Slots for spans that have not ended: what a reader sees of running spans, and what is left of
//! them after a kill.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::file::{JournalFile, write_at};
use super::frame::{HEADER_BYTES, Seal};
use super::layout::{BITMAP_STRIDE, Header, REGION_BYTES, SHARD_SLOTS, SHARDS, SLOT_BYTES};
use super::map::Piece;
use crate::fork::{self, Owned};

/// The longest record that fits into a slot.
pub const OPEN_RECORD_BYTES: usize = SLOT_BYTES - HEADER_BYTES;

/// The slots of a journal, in shards that threads take by turns.
pub(super) struct Slots {
    seals: SlotSeals,
    shards: Vec<Mutex<Shard>>,
    through: Option<Through>,
    turn: AtomicUsize,
    failures: AtomicU64,
}

/// The places of the bitmaps and shards in the file, for the form that writes them there.
struct Through {
    file: Arc<JournalFile>,
    bitmaps_offset: u64,
    shards_offset: u64,
}

struct Shard {
    bitmap: Piece,
    slots: Piece,
    /// Bit per slot: a span is in it. Copied to `bitmap`.
    taken: u64,
    /// Bit per slot: its place in the file is older than this.
    stale: u64,
    /// How often each slot was used.
    uses: [u32; SHARD_SLOTS],
}

/// Makes the seal of each slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotSeals {
    journal: Uuid,
    first_region: u32,
}

impl SlotSeals {
    pub(super) fn new(header: &Header) -> Self {
        Self {
            journal: header.id,
            first_region: header.shard_region(0),
        }
    }

    pub(super) fn seal(self, shard: u32, slot: usize) -> Seal {
        Seal::new(self.journal, self.first_region + shard, slot as u64)
    }
}

impl Slots {
    /// Slots in `bitmaps` and `shards`, which are written to `file` if there is one.
    pub(super) fn new(
        header: &Header,
        bitmaps: Piece,
        shards: Piece,
        file: Option<Arc<JournalFile>>,
    ) -> Self {
        let pieces = bitmaps.split(BITMAP_STRIDE).zip(shards.split(REGION_BYTES));
        let shards = pieces.take(SHARDS as usize).map(|(bitmap, slots)| {
            Mutex::new(Shard {
                bitmap,
                slots,
                taken: 0,
                stale: 0,
                uses: [0; SHARD_SLOTS],
            })
        });
        Self {
            seals: SlotSeals::new(header),
            shards: shards.collect(),
            through: file.map(|file| Through {
                file,
                bitmaps_offset: header.bitmaps_offset(),
                shards_offset: header.shards_offset(),
            }),
            turn: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// The shard that a new lane tries first.
    pub(super) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS as usize
    }

    /// Puts a record into a slot, of the shard `first` if there is room. `None` if the record is
    /// too long or every slot is taken.
    pub(super) fn open(self: &Arc<Self>, first: usize, record: &[u8]) -> Option<OpenSpan> {
        if record.len() + HEADER_BYTES > SLOT_BYTES {
            return None;
        }
        let (before, from) = self.shards.split_at_checked(first)?;
        let order = (first..).zip(from).chain((0..).zip(before));
        order.into_iter().find_map(|(number, shard)| {
            let slot = lock(shard).put(self.seals, number as u32, record)?;
            Some(OpenSpan {
                slots: Owned::new(Arc::clone(self)),
                shard: number,
                slot,
                process: fork::generation(),
            })
        })
    }

    /// The records in the slots.
    pub(super) fn view(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for (shard, number) in self.shards.iter().zip(0..) {
            let shard = lock(shard);
            let taken = (0..SHARD_SLOTS).filter(|slot| shard.taken >> slot & 1 == 1);
            records.extend(taken.filter_map(|slot| {
                let record = self.seals.seal(number, slot).single(shard.slot(slot))?;
                Some(record.to_vec())
            }));
        }
        records
    }

    /// Writes the slots that changed into the file, where they are not mapped.
    pub(super) fn write_through(&self) {
        let Some(through) = &self.through else { return };
        for (shard, number) in self.shards.iter().zip(0..) {
            let mut shard = lock(shard);
            if shard.stale == 0 {
                continue;
            }
            match through.write(&shard, number) {
                Ok(()) => shard.stale = 0,
                Err(_counted) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// How many writes into the file have failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

impl Through {
    fn write(&self, shard: &Shard, number: u64) -> std::io::Result<()> {
        let first = self.shards_offset + number * REGION_BYTES as u64;
        for slot in (0..SHARD_SLOTS).filter(|slot| (shard.stale & shard.taken) >> slot & 1 == 1) {
            let offset = first + (slot * SLOT_BYTES) as u64;
            write_at(self.file.file(), shard.slot(slot), offset)?;
        }
        let offset = self.bitmaps_offset + number * BITMAP_STRIDE as u64;
        write_at(self.file.file(), &shard.taken.to_le_bytes(), offset)
    }
}

impl Shard {
    fn put(&mut self, seals: SlotSeals, number: u32, record: &[u8]) -> Option<usize> {
        let slot = self.taken.trailing_ones() as usize;
        let uses = self.uses.get_mut(slot)?;
        *uses = uses.wrapping_add(1);
        let header = seals.seal(number, slot).header(*uses, record);
        let bytes = self.slots.bytes_mut().get_mut(slot * SLOT_BYTES..)?;
        let (head, body) = bytes.split_at_mut_checked(HEADER_BYTES)?;
        body.get_mut(..record.len())?.copy_from_slice(record);
        head.copy_from_slice(&header);
        self.mark(slot, true);
        Some(slot)
    }

    /// Sets or clears the bit of a slot. The bit says what counts: a slot with its bit set is
    /// whole, because the bit is set last.
    fn mark(&mut self, slot: usize, taken: bool) {
        let bit = 1 << slot;
        self.stale |= bit;
        if taken {
            self.taken |= bit;
        } else {
            self.taken &= !bit;
        }
        if let Some(bytes) = self.bitmap.bytes_mut().first_chunk_mut() {
            *bytes = self.taken.to_le_bytes();
        }
    }

    fn slot(&self, slot: usize) -> &[u8] {
        let start = slot * SLOT_BYTES;
        let bytes = self.slots.bytes();
        bytes.get(start..start + SLOT_BYTES).unwrap_or_default()
    }
}

/// Keeps the record of a running span where readers and, after a kill, the next writer find it.
///
/// Drop it when the record of the ended span is appended, not before. A forked child forgets it.
#[must_use]
pub struct OpenSpan {
    slots: Owned<Arc<Slots>>,
    shard: usize,
    slot: usize,
    process: u64,
}

impl std::fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSpan")
            .field("shard", &self.shard)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        // A parent's slot stays, and its lock may be held for good.
        if self.process == fork::generation()
            && let Some(shard) = self.slots.shards.get(self.shard)
        {
            lock(shard).mark(self.slot, false);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
