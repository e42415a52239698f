//! Memory that the journal's regions are made of: a mapped piece of its file, or plain memory.
//!
//! All `unsafe` of the journal is here. The safe face keeps these rules:
//!
//! * Pieces never overlap: each memory is made with one piece, and [`Piece::split`] consumes it.
//! * A piece has one owner. It is written through `&mut`, or through the one [`Writer`] made of it.
//! * Bytes that a [`Writer`] has published do not change while a [`Published`] can see them: the
//!   piece comes back only when neither is left ([`Published::reclaim`]).
//!
//! Another process could write into the file, as with every mapped file. Nothing of ours does:
//! readers use `pread`. If the file is truncated underneath, the next access raises SIGBUS; the
//! handler in [`mod@sigbus`] puts zeroed memory in place of the lost pages, so that the program
//! goes on, and [`Piece::is_lost`] tells of it.

#![expect(
    unsafe_code,
    reason = "memory that another process can see is reached by pointers"
)]

mod latch;
#[cfg(target_os = "linux")]
mod sigbus;

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::{MmapMut, MmapRaw};

pub(super) use latch::{Guard, Latch};

/// A stretch of memory, shared by the pieces it was split into.
struct Memory {
    map: MmapRaw,
    lost: Arc<AtomicBool>,
    /// Before `map` is unmapped, the range must leave the handler's table: see `Drop`.
    #[cfg(target_os = "linux")]
    range: Option<sigbus::Range>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("len", &self.map.len())
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
impl Drop for Memory {
    fn drop(&mut self) {
        // Before `map` goes: another mapping may take its addresses at once.
        drop(self.range.take());
    }
}

/// A part of a memory with one owner.
#[derive(Debug)]
pub(super) struct Piece {
    memory: Arc<Memory>,
    offset: usize,
    len: usize,
}

impl Piece {
    /// Plain memory, all zero. Its pages are made when they are first written.
    pub(super) fn plain(len: usize) -> io::Result<Self> {
        let memory = Memory {
            map: MmapMut::map_anon(len)?.into(),
            lost: Arc::default(),
            #[cfg(target_os = "linux")]
            range: None,
        };
        Ok(Self {
            memory: Arc::new(memory),
            offset: 0,
            len,
        })
    }

    /// A mapped part of a file. The caller has allocated its blocks, and maps each part once.
    #[cfg(target_os = "linux")]
    pub(super) fn mapped(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let map = memmap2::MmapOptions::new()
            .offset(offset)
            .len(len)
            .map_raw(file)?;
        let lost = Arc::new(AtomicBool::new(false));
        let range = sigbus::watch(map.as_mut_ptr(), map.len(), &lost)?;
        let memory = Memory {
            map,
            lost,
            range: Some(range),
        };
        Ok(Self {
            memory: Arc::new(memory),
            offset: 0,
            len,
        })
    }

    /// Elsewhere files are not mapped.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn mapped(_file: &File, _offset: u64, _len: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Splits it into pieces of `len` bytes; a shorter rest is given up.
    pub(super) fn split(self, len: usize) -> impl Iterator<Item = Self> {
        let count = self.len.checked_div(len).unwrap_or(0);
        (0..count).map(move |number| Self {
            memory: Arc::clone(&self.memory),
            offset: self.offset + number * len,
            len,
        })
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether it is part of a file.
    pub(super) fn is_mapped(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.memory.range.is_some();
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Whether pages of the memory around it were lost, because the file was truncated or could
    /// not be written.
    pub(super) fn is_lost(&self) -> bool {
        self.memory.lost.load(Ordering::Acquire)
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `offset..offset + len` lies inside the map and belongs to this piece alone
        // (`plain`, `mapped`, `split`); the map lives as long as `memory`, its pages are
        // initialised, and `&self` excludes the writes of `bytes_mut`.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.len) }
    }

    /// Its bytes, to be written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes this the only access to the range.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.len) }
    }

    /// Makes its pages present and writable, so that the first write does not wait for them.
    pub(super) fn populate(&self) {
        #[cfg(target_os = "linux")]
        {
            let advice = memmap2::Advice::PopulateWrite;
            // Only a hint: kernels before 5.14 refuse it, and a lost page shows at the write.
            drop(self.memory.map.advise_range(advice, self.offset, self.len));
        }
    }

    /// Splits it into the one writer of its bytes and a view of what the writer has published.
    pub(super) fn into_writer(self) -> (Writer, Published) {
        let shared = Arc::new(Shared {
            piece: self,
            published: AtomicUsize::new(0),
        });
        let published = Published {
            shared: Arc::clone(&shared),
        };
        (Writer { shared, len: 0 }, published)
    }

    /// Has the lines that begin in a range fetched for writing. Another core wrote or read them
    /// last; a writer that waited for each would take half as long again.
    #[inline]
    fn fetch(&self, from: usize, to: usize) {
        let mut offset = from.next_multiple_of(LINE_BYTES);
        while offset < to.min(self.len) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instruction changes nothing that a program can see, and the address
            // lies inside the map. Processors that lack it do nothing.
            unsafe {
                let line = self.pointer().add(offset);
                core::arch::asm!(
                    "prefetchw [{line}]",
                    line = in(reg) line,
                    options(nostack, preserves_flags, readonly)
                );
            }
            offset += LINE_BYTES;
        }
    }

    #[inline]
    fn pointer(&self) -> *mut u8 {
        // SAFETY: `offset` lies inside the map (`plain`, `mapped`, `split`).
        unsafe { self.memory.map.as_mut_ptr().add(self.offset) }
    }
}

#[derive(Debug)]
struct Shared {
    piece: Piece,
    /// Bytes below are final.
    published: AtomicUsize,
}

/// The one writer of a piece. Bytes are appended, and final from then on.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    len: usize,
}

impl Writer {
    /// How many bytes were written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes still fit.
    pub(super) fn room(&self) -> usize {
        self.shared.piece.len - self.len
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: bytes below `len` are inside the piece and were published by this writer, so
        // nothing changes them while `shared` lives.
        unsafe { std::slice::from_raw_parts(self.shared.piece.pointer(), self.len) }
    }

    /// Appends a header and a body, and leaves bytes unwritten until `size` are taken. False, and
    /// nothing written, when they do not fit.
    #[inline]
    pub(super) fn append(&mut self, header: &[u8], body: &[u8], size: usize) -> bool {
        let content = header.len() + body.len();
        if size > self.room() || content > size {
            return false;
        }
        // SAFETY: `len + size` lies inside the piece (just checked), so both ranges do. They lie
        // behind `published`, where only this writer, held by `&mut`, has access. The sources are
        // references to memory that cannot overlap a range nobody else may refer to.
        unsafe {
            let start = self.shared.piece.pointer().add(self.len);
            start
                .add(header.len())
                .copy_from_nonoverlapping(body.as_ptr(), body.len());
            start.copy_from_nonoverlapping(header.as_ptr(), header.len());
        }
        let before = self.len;
        self.len += size;
        self.shared.published.store(self.len, Ordering::Release);
        self.shared
            .piece
            .fetch(before + AHEAD_BYTES, self.len + AHEAD_BYTES);
        true
    }
}

/// How far ahead of a [`Writer`] memory is fetched into the cache: far enough that it is there
/// when it is written, near enough that it is there still.
const AHEAD_BYTES: usize = 1024;
/// Memory comes into the cache by so many bytes.
const LINE_BYTES: usize = 64;

/// A view of what a [`Writer`] has published.
#[derive(Debug, Clone)]
pub(super) struct Published {
    shared: Arc<Shared>,
}

impl Published {
    /// The bytes published so far.
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: bytes below `published` were written before the release store that this acquire
        // load saw, and never change while `shared` lives: the writer only goes forward. They are
        // initialised, padding included, because map pages are.
        unsafe { std::slice::from_raw_parts(self.shared.piece.pointer(), len) }
    }

    /// How many bytes are published.
    pub(super) fn len(&self) -> usize {
        self.shared.published.load(Ordering::Acquire)
    }

    /// Whether pages of the memory around it were lost.
    pub(super) fn is_lost(&self) -> bool {
        self.shared.piece.is_lost()
    }

    /// Gives the piece back, if neither the writer nor another view is left.
    pub(super) fn reclaim(self) -> Result<Piece, Self> {
        Arc::try_unwrap(self.shared)
            .map(|shared| shared.piece)
            .map_err(|shared| Self { shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_memory_do_not_overlap() {
        let mut pieces: Vec<_> = Piece::plain(8192).unwrap().split(3000).collect();
        assert_eq!(pieces.len(), 2);
        for (piece, byte) in pieces.iter_mut().zip(1..) {
            piece.bytes_mut().fill(byte);
        }
        for (piece, byte) in pieces.iter().zip(1..) {
            assert_eq!(piece.bytes(), [byte; 3000]);
        }
    }

    #[test]
    fn a_view_shows_what_is_published_and_holds_the_piece() {
        let piece = Piece::plain(64).unwrap();
        let (mut writer, published) = piece.into_writer();
        assert!(writer.append(b"head", b"body", 16));
        assert_eq!(published.bytes(), b"headbody\0\0\0\0\0\0\0\0");
        assert!(!writer.append(b"head", &[1; 60], 64), "48 bytes are left");
        assert_eq!(published.len(), 16);
        let published = published.reclaim().unwrap_err();
        drop(writer);
        let second = published.clone();
        let published = published.reclaim().unwrap_err();
        drop(second);
        assert_eq!(published.reclaim().unwrap().len(), 64);
    }

    #[test]
    fn a_view_in_another_thread_sees_whole_appends() {
        let piece = Piece::plain(1 << 20).unwrap();
        let (mut writer, published) = piece.into_writer();
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            while seen < 1 << 20 {
                let bytes = published.bytes();
                assert_eq!(bytes.len() % 16, 0);
                for (number, chunk) in bytes.chunks_exact(16).enumerate().skip(seen / 16) {
                    assert_eq!(chunk, (number as u128).to_le_bytes());
                }
                seen = bytes.len();
            }
        });
        for number in 0..(1u128 << 16) {
            let bytes = number.to_le_bytes();
            assert!(writer.append(&bytes[..8], &bytes[8..], 16));
        }
        reader.join().unwrap();
    }
}
