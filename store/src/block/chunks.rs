//! The stream of texts of a block, as it is read: chunk by chunk, frame by frame.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use zstd::zstd_safe::DDict;

use super::BlockError;
use super::bytes::{decompress, decompress_like, split_frame};
use super::directory::Column;
use super::header::SectionKind;
use super::reader::{BlockReader, LoadSection};
use super::texts::known_bytes;

/// How many chunks a reader keeps. One trace is in one or two of them.
const CACHED_CHUNKS: usize = 2;

/// What a reader keeps of the stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    places: OnceLock<Vec<ChunkPlace>>,
    /// What the frames of all chunks but the first are like; nothing if they are like nothing.
    known: OnceLock<Option<Known>>,
    cached: Mutex<Vec<(usize, Arc<Chunk>)>>,
}

/// Where a chunk begins in the stream, and which section it is.
#[derive(Debug, Clone, Copy)]
struct ChunkPlace {
    start: u64,
    section: u32,
}

struct Known(DDict<'static>);

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Known").field(&self.0.sizeof()).finish()
    }
}

/// A chunk whose frames are decompressed when they are asked for.
#[derive(Debug)]
struct Chunk {
    stored: Vec<u8>,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// Its place in the chunk before compression.
    start: usize,
    length: usize,
    /// Its place in the stored bytes; nothing if the chunk is stored as it is.
    stored: Option<Range<usize>>,
    raw: OnceLock<Vec<u8>>,
}

impl Chunk {
    fn read(stored: Vec<u8>, raw_length: usize) -> Result<Self, BlockError> {
        const WRONG: BlockError = BlockError::malformed("a chunk of texts has the wrong length");
        let mut frames = Vec::new();
        let mut start = 0;
        if stored.len() == raw_length {
            frames.push(Frame {
                start,
                length: raw_length,
                stored: None,
                raw: OnceLock::new(),
            });
            return Ok(Self { stored, frames });
        }
        let mut rest = stored.as_slice();
        while !rest.is_empty() {
            let at = stored.len() - rest.len();
            let (frame, length, behind) = split_frame(rest)?;
            let length = usize::try_from(length).map_err(|_| WRONG)?;
            frames.push(Frame {
                start,
                length,
                stored: Some(at..at + frame.len()),
                raw: OnceLock::new(),
            });
            start = start
                .checked_add(length)
                .filter(|end| *end <= raw_length)
                .ok_or(WRONG)?;
            rest = behind;
        }
        if start == raw_length {
            Ok(Self { stored, frames })
        } else {
            Err(WRONG)
        }
    }

    fn raw<'c>(&'c self, frame: &'c Frame, known: Option<&Known>) -> Result<&'c [u8], BlockError> {
        let Some(place) = &frame.stored else {
            return Ok(&self.stored);
        };
        if let Some(raw) = frame.raw.get() {
            return Ok(raw);
        }
        let stored = self.stored.get(place.clone()).unwrap_or_default();
        let raw = match known {
            Some(Known(known)) => decompress_like(known, stored, frame.length)?,
            None => decompress(stored, frame.length)?,
        };
        Ok(frame.raw.get_or_init(|| raw))
    }

    /// Calls `each` with the pieces of a range, in order.
    fn pieces(
        &self,
        range: Range<usize>,
        known: Option<&Known>,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), BlockError> {
        let first = self
            .frames
            .partition_point(|frame| frame.start + frame.length <= range.start);
        for frame in self.frames.iter().skip(first) {
            if frame.start >= range.end {
                break;
            }
            let raw = self.raw(frame, known)?;
            let from = range.start.saturating_sub(frame.start);
            let to = (range.end - frame.start).min(frame.length);
            each(raw.get(from..to).unwrap_or_default());
        }
        Ok(())
    }

    /// What it takes once all of it is decompressed.
    fn most_bytes(&self) -> usize {
        let raw = self.frames.iter().filter(|frame| frame.stored.is_some());
        self.stored.len() + raw.map(|frame| frame.length).sum::<usize>()
    }
}

impl<L: LoadSection> BlockReader<L> {
    fn chunk_places(&self) -> Result<&[ChunkPlace], BlockError> {
        if let Some(places) = self.stream.places.get() {
            return Ok(places);
        }
        let sections = self.header().sections.iter().zip(0u32..);
        let mut numbers = sections
            .filter(|(section, _)| section.kind == SectionKind::Texts)
            .map(|(_, number)| number);
        let lengths = self.ints(Column::ChunkLengths, self.directory().n_chunks)?;
        let mut places = Vec::new();
        let mut start = 0u64;
        lengths.for_each(0, lengths.len(), |_, length| {
            if let Some(section) = numbers.next() {
                places.push(ChunkPlace { start, section });
                start = start.saturating_add(length as u64);
            }
        });
        // The end of the last chunk, so that every chunk has a length.
        places.push(ChunkPlace { start, section: 0 });
        Ok(self.stream.places.get_or_init(|| places))
    }

    fn load_chunk(&self, number: usize, places: &[ChunkPlace]) -> Result<Chunk, BlockError> {
        let (Some(place), Some(next)) = (places.get(number), places.get(number + 1)) else {
            return Err(BlockError::malformed("a chunk of texts is missing"));
        };
        let raw_length = usize::try_from(next.start - place.start)
            .map_err(|_| BlockError::malformed("a chunk of texts is too long"))?;
        Chunk::read(self.load(place.section)?, raw_length)
    }

    fn cached_chunks(&self) -> MutexGuard<'_, Vec<(usize, Arc<Chunk>)>> {
        let cached = self.stream.cached.lock();
        cached.unwrap_or_else(PoisonError::into_inner)
    }

    fn cached_chunk(&self, number: usize) -> Option<Arc<Chunk>> {
        let cached = self.cached_chunks();
        let mut found = cached.iter().filter(|(cached, _)| *cached == number);
        found.next().map(|(_, chunk)| Arc::clone(chunk))
    }

    /// Forgets the chunks that were read last: nobody is going to read what is near to them.
    pub fn forget_texts(&self) {
        for (_, chunk) in self.cached_chunks().drain(..) {
            self.kept_bytes.remove(chunk.most_bytes());
        }
    }

    fn chunk(&self, number: usize, places: &[ChunkPlace]) -> Result<Arc<Chunk>, BlockError> {
        if let Some(chunk) = self.cached_chunk(number) {
            return Ok(chunk);
        }
        let chunk = Arc::new(self.load_chunk(number, places)?);
        let mut cached = self.cached_chunks();
        if cached.len() >= CACHED_CHUNKS {
            let (_, oldest) = cached.remove(0);
            self.kept_bytes.remove(oldest.most_bytes());
        }
        self.kept_bytes.add(chunk.most_bytes());
        cached.push((number, Arc::clone(&chunk)));
        Ok(chunk)
    }

    /// What the frames of a chunk are like.
    fn known(&self, number: usize, places: &[ChunkPlace]) -> Result<Option<&Known>, BlockError> {
        if number == 0 {
            return Ok(None);
        }
        if let Some(known) = self.stream.known.get() {
            return Ok(known.as_ref());
        }
        // Who reads one trace has no more use for the first chunk.
        let first = match self.cached_chunk(0) {
            Some(first) => first,
            None => Arc::new(self.load_chunk(0, places)?),
        };
        let mut bytes = Vec::new();
        first.pieces(0..usize::MAX, None, &mut |piece| {
            bytes.extend_from_slice(piece);
        })?;
        let known = known_bytes(&bytes).map(|known| Known(DDict::create(known)));
        let known = self.stream.known.get_or_init(|| {
            let n_bytes = known.as_ref().map_or(0, |known| known.0.sizeof());
            self.kept_bytes.add(n_bytes);
            known
        });
        Ok(known.as_ref())
    }

    /// Calls `each` with the pieces of a range of the stream, in order.
    pub(super) fn read_stream(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), BlockError> {
        let places = self.chunk_places()?;
        let mut at = range.start;
        while at < range.end {
            let number = places
                .partition_point(|place| place.start <= at)
                .wrapping_sub(1);
            let bounds = places.get(number).zip(places.get(number.wrapping_add(1)));
            let (start, chunk_end) = bounds.map_or((0, 0), |(a, b)| (a.start, b.start));
            let end = range.end.min(chunk_end);
            if end <= at {
                return Err(BlockError::malformed("a text lies outside"));
            }
            let chunk = self.chunk(number, places)?;
            let part = (at - start) as usize..(end - start) as usize;
            chunk.pieces(part, self.known(number, places)?, each)?;
            at = end;
        }
        Ok(())
    }
}
