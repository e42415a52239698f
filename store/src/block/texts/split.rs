use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

use super::super::bytes::{compress, compressor_like, put_varint};
use super::super::strings::FastMap;
use super::items::{Item, MIN_ITEM_BYTES, items};

/// New bytes of several traces that share a chunk stay below this length.
const CHUNK_BYTES: usize = 128 << 10;
/// A longer trace is cut into chunks of this length.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// A frame ends with the trace that makes it this long: a reader of a trace decompresses its frame.
const FRAME_BYTES: usize = 16 << 10;
/// The first chunk ends with the trace that makes it this long, and so much of it is known to the
/// frames of the others, which are compressed as if they followed it.
const KNOWN_BYTES: usize = 64 << 10;
/// What a dictionary of zstd's own form begins with; bytes that happen to are not used as one.
const DICTIONARY_MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

/// What the frames of all chunks but the first are compressed with, by the bytes of the first.
pub(in super::super) fn known_bytes(first_chunk: &[u8]) -> Option<&[u8]> {
    let known = first_chunk.get(..KNOWN_BYTES).unwrap_or(first_chunk);
    (known.len() >= 8 && !known.starts_with(&DICTIONARY_MAGIC)).then_some(known)
}

/// Splits the long values of a block into parts and packs the new bytes into chunks.
#[derive(Default)]
pub(in super::super) struct TextsBuilder<'a> {
    trace: TraceValues<'a>,
    /// Encoded values of all traces.
    pub(in super::super) values: Vec<u8>,
    /// Per trace: distinct values, bytes of encoded values, new bytes.
    pub(in super::super) n_values: Vec<i64>,
    pub(in super::super) n_value_bytes: Vec<i64>,
    pub(in super::super) n_new_bytes: Vec<i64>,
    chunk: Vec<u8>,
    /// Where in the chunk frames end.
    frame_ends: Vec<usize>,
    /// Makes the frames of all chunks but the first.
    compressor: Option<Compressor<'static>>,
    chunks: Vec<Chunk>,
}

/// A finished chunk: the raw length and what is stored.
#[derive(Debug)]
pub(in super::super) struct Chunk {
    pub(in super::super) raw_length: usize,
    pub(in super::super) stored: Vec<u8>,
}

/// The values of the trace at hand.
#[derive(Debug, Default)]
struct TraceValues<'a> {
    values: Vec<Cow<'a, [u8]>>,
    /// Whether all bytes of a value have entered what is searched.
    searched: Vec<bool>,
    by_hash: FastMap<u64, u32>,
    /// Where an element of a value was last seen.
    places: FastMap<u64, Place>,
    encoded: Vec<u8>,
    new_bytes: Vec<u8>,
}

/// Takes what enters what is searched; nothing for a value that is not searched.
type Entered<'e> = Option<&'e mut dyn FnMut(&[u8])>;

#[derive(Debug, Clone, Copy)]
struct Place {
    value: u32,
    start: usize,
    length: usize,
}

impl<'a> TextsBuilder<'a> {
    /// Adds a value of the trace at hand and returns its number in the trace, counted from 1.
    pub(in super::super) fn add(&mut self, value: impl Into<Cow<'a, [u8]>>) -> i64 {
        self.trace.add(value.into(), None)
    }

    /// The same for a value that is searched by its words. `entered` is called with every run of
    /// bytes that no earlier value of this sort had; others may have had it.
    pub(in super::super) fn add_searched(
        &mut self,
        value: impl Into<Cow<'a, [u8]>>,
        mut entered: impl FnMut(&[u8]),
    ) -> i64 {
        self.trace.add(value.into(), Some(&mut entered))
    }

    /// Ends the trace at hand.
    pub(in super::super) fn end_trace(&mut self) {
        let trace = &mut self.trace;
        self.n_values.push(trace.values.len() as i64);
        self.n_value_bytes.push(trace.encoded.len() as i64);
        self.n_new_bytes.push(trace.new_bytes.len() as i64);
        self.values.append(&mut trace.encoded);
        let mut new_bytes = std::mem::take(&mut trace.new_bytes);
        trace.values.clear();
        trace.searched.clear();
        trace.by_hash.clear();
        trace.places.clear();

        let is_full = if self.chunks.is_empty() {
            self.chunk.len() >= KNOWN_BYTES || new_bytes.len() > MAX_CHUNK_BYTES
        } else {
            self.chunk.len() + new_bytes.len() > CHUNK_BYTES
        };
        if is_full {
            self.end_chunk();
        }
        while new_bytes.len() > MAX_CHUNK_BYTES {
            let rest = new_bytes.split_off(MAX_CHUNK_BYTES);
            self.chunk = std::mem::replace(&mut new_bytes, rest);
            self.end_chunk();
        }
        self.chunk.append(&mut new_bytes);
        if self.chunk.len() - self.frame_ends.last().unwrap_or(&0) >= FRAME_BYTES {
            self.frame_ends.push(self.chunk.len());
        }
    }

    fn end_chunk(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let raw_length = self.chunk.len();
        let frames = if self.chunks.is_empty() {
            self.compressor = known_bytes(&self.chunk).and_then(compressor_like);
            compress(&self.chunk)
        } else {
            self.frames()
        };
        let frames = frames.filter(|frames| frames.len() < raw_length);
        // A chunk that does not shrink is stored as it is and known by its length.
        let stored = frames.unwrap_or_else(|| self.chunk.clone());
        self.chunks.push(Chunk { raw_length, stored });
        self.chunk.clear();
        self.frame_ends.clear();
    }

    /// The frames of the chunk at hand.
    fn frames(&mut self) -> Option<Vec<u8>> {
        let mut frames = Vec::with_capacity(self.chunk.len() / 2);
        let mut start = 0;
        let ends = self.frame_ends.iter().copied();
        for end in ends.chain([self.chunk.len()]) {
            let raw = self.chunk.get(start..end)?;
            if !raw.is_empty() {
                frames.extend(match &mut self.compressor {
                    Some(compressor) => compressor.compress(raw).ok()?,
                    None => compress(raw)?,
                });
            }
            start = end;
        }
        Some(frames)
    }

    /// The chunks of all traces, in order.
    pub(in super::super) fn take_chunks(&mut self) -> Vec<Chunk> {
        self.end_chunk();
        std::mem::take(&mut self.chunks)
    }
}

impl<'a> TraceValues<'a> {
    fn add(&mut self, value: Cow<'a, [u8]>, entered: Entered<'_>) -> i64 {
        let hash = xxh3_64(&value);
        if let Some(&number) = self.by_hash.get(&hash)
            && self.values[number as usize] == value
        {
            if let Some(entered) = entered
                && !std::mem::replace(&mut self.searched[number as usize], true)
            {
                entered(&value);
            }
            return i64::from(number) + 1;
        }
        let number = self.values.len() as u32;
        self.by_hash.insert(hash, number);
        self.searched.push(entered.is_some());
        self.put_value(number, &value, entered);
        if value.len() >= MIN_ITEM_BYTES {
            let place = Place {
                value: number,
                start: 0,
                length: value.len(),
            };
            self.places.insert(hash, place);
        }
        self.values.push(value);
        i64::from(number) + 1
    }

    fn put_value(&mut self, number: u32, value: &[u8], mut entered: Entered<'_>) {
        let mut enter = |bytes: &[u8]| {
            if let Some(entered) = &mut entered {
                entered(bytes);
            }
        };
        let slices = self.slices(number, value);
        if slices.is_empty() {
            put_varint(&mut self.encoded, (value.len() as u64) << 1 | 1);
            self.new_bytes.extend_from_slice(value);
            enter(value);
            return;
        }
        let mut n_parts = slices.len() as u64;
        let mut end = 0;
        for (item, _) in &slices {
            n_parts += u64::from(item.start > end);
            end = item.end;
        }
        n_parts += u64::from(value.len() > end);
        put_varint(&mut self.encoded, n_parts << 1);
        let mut end = 0;
        for (item, place) in slices {
            self.put_new_part(&value[end..item.start], &mut enter);
            put_varint(&mut self.encoded, u64::from(number - place.value));
            put_varint(&mut self.encoded, place.start as u64);
            put_varint(&mut self.encoded, (item.end - item.start) as u64);
            if !self.searched[place.value as usize] {
                enter(&value[item.start..item.end]);
            }
            end = item.end;
        }
        self.put_new_part(&value[end..], &mut enter);
    }

    fn put_new_part(&mut self, bytes: &[u8], enter: &mut dyn FnMut(&[u8])) {
        if !bytes.is_empty() {
            put_varint(&mut self.encoded, 0);
            put_varint(&mut self.encoded, bytes.len() as u64);
            self.new_bytes.extend_from_slice(bytes);
            enter(bytes);
        }
    }

    /// The ranges of `value` that earlier values have, with the place where each begins there.
    fn slices(&mut self, number: u32, value: &[u8]) -> Vec<(Item, Place)> {
        let mut slices: Vec<(Item, Place)> = Vec::new();
        if value.len() < 2 * MIN_ITEM_BYTES {
            return slices;
        }
        let begin = value.iter().position(|byte| !byte.is_ascii_whitespace());
        if !begin.is_some_and(|at| matches!(value[at], b'[' | b'{')) {
            return slices;
        }
        let items = items(value);
        let mut end = 0;
        for (index, item) in items.iter().enumerate() {
            let bytes = &value[item.start..item.end];
            let here = Place {
                value: number,
                start: item.start,
                length: bytes.len(),
            };
            let place = self.places.insert(xxh3_64(bytes), here);
            if item.start < end {
                continue;
            }
            let earlier = place.filter(|place| {
                place.value < number
                    && self.values[place.value as usize]
                        .get(place.start..place.start + place.length)
                        == Some(bytes)
            });
            let Some(mut place) = earlier else { continue };
            let old = &self.values[place.value as usize];
            let reach = item.start + common_prefix(&value[item.start..], &old[place.start..]);
            let mut slice = *item;
            if reach == value.len() {
                slice.end = reach;
            } else {
                let inside = items[index..].iter().take_while(|next| next.start < reach);
                let ends = inside.map(|next| next.end).filter(|end| *end <= reach);
                slice.end = ends.max().unwrap_or(item.end);
            }
            // What stands between the last slice and this one, if it is the same there.
            let gap = &value[end..item.start];
            if old[..place.start].ends_with(gap) {
                slice.start = end;
                place.start -= gap.len();
            }
            end = slice.end;
            slices.push((slice, place));
        }
        slices
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let blocks = a.chunks_exact(STEP).zip(b.chunks_exact(STEP));
    let same = blocks.take_while(|(a, b)| a == b).count() * STEP;
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}
