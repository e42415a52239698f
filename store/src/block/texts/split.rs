use std::borrow::Cow;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::super::bytes::{compress, compress_like, put_varint};
use super::super::strings::FastMap;
use super::items::{Item, MIN_ITEM_BYTES, items};

/// New bytes of several traces that share a chunk stay below this length.
const CHUNK_BYTES: usize = 64 << 10;
/// A longer trace is cut into chunks of this length.
const MAX_CHUNK_BYTES: usize = 1 << 20;

/// A frame ends with the trace that makes it this long: a reader of a trace decompresses its frame.
const FRAME_BYTES: usize = 16 << 10;
/// The first chunk ends with the trace that makes it this long, and so much of it is known to the
/// frames of the others, which are compressed as if they followed it.
const KNOWN_BYTES: usize = 64 << 10;
/// So much waits until it is compressed: to begin takes as long as to compress a few frames.
const WAITING_BYTES: usize = 1 << 20;
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
    /// The chunks that are not compressed yet, the last of which goes on.
    waiting: Vec<u8>,
    /// Where in what waits frames end, and where chunks do, which are ends of frames too.
    frame_ends: Vec<usize>,
    chunk_ends: Vec<usize>,
    /// What the frames of all chunks but the first are like; nothing if they are like nothing.
    known: Option<Vec<u8>>,
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

        let chunk_bytes = self.waiting.len() - self.chunk_start();
        let is_full = if self.chunks.is_empty() {
            chunk_bytes >= KNOWN_BYTES || new_bytes.len() > MAX_CHUNK_BYTES
        } else {
            chunk_bytes + new_bytes.len() > CHUNK_BYTES
        };
        if is_full {
            self.end_chunk();
        }
        let mut rest = new_bytes.as_slice();
        while let Some((chunk, after)) = rest.split_at_checked(MAX_CHUNK_BYTES)
            && !after.is_empty()
        {
            self.waiting.extend_from_slice(chunk);
            self.end_chunk();
            rest = after;
        }
        self.waiting.extend_from_slice(rest);
        new_bytes.clear();
        self.trace.new_bytes = new_bytes;
        let frame_start = self.frame_ends.last().copied().unwrap_or(0);
        if self.waiting.len() - frame_start >= FRAME_BYTES {
            self.frame_ends.push(self.waiting.len());
        }
    }

    /// Where in what waits the chunk at hand begins.
    fn chunk_start(&self) -> usize {
        self.chunk_ends.last().copied().unwrap_or(0)
    }

    fn end_chunk(&mut self) {
        let end = self.waiting.len();
        if end == self.chunk_start() {
            return;
        }
        if self.frame_ends.last() != Some(&end) {
            self.frame_ends.push(end);
        }
        self.chunk_ends.push(end);
        if self.chunks.is_empty() {
            let frame = compress(&self.waiting);
            self.known = known_bytes(&self.waiting).map(<[u8]>::to_vec);
            self.put_chunk(0..end, frame);
            self.forget_waiting();
        } else if end >= WAITING_BYTES {
            self.compress_waiting();
        }
    }

    /// Stores a chunk, as it is unless its frames are shorter.
    fn put_chunk(&mut self, place: Range<usize>, frames: Option<Vec<u8>>) {
        let raw_length = place.len();
        let frames = frames.filter(|frames| frames.len() < raw_length);
        let stored = frames.unwrap_or_else(|| self.waiting[place].to_vec());
        self.chunks.push(Chunk { raw_length, stored });
    }

    fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.frame_ends.clear();
        self.chunk_ends.clear();
    }

    fn compress_waiting(&mut self) {
        let mut start = 0;
        let ends = self.frame_ends.iter();
        let places = ends.map(|end| std::mem::replace(&mut start, *end)..*end);
        let places: Vec<Range<usize>> = places.collect();
        let frames = places.iter().map(|place| &self.waiting[place.clone()]);
        let frames: Vec<&[u8]> = frames.collect();
        // The frames of all chunks one behind the other, and where each ends.
        let (mut stored, mut stored_ends) = (Vec::new(), Vec::with_capacity(places.len()));
        let mut put = |frame: &[u8]| {
            stored.extend_from_slice(frame);
            stored_ends.push(stored.len());
        };
        let all = match &self.known {
            Some(known) => compress_like(known, &frames, put),
            None => frames
                .iter()
                .map(|raw| compress(raw).map(|frame| put(&frame)))
                .collect(),
        };
        let (mut start, mut stored_start) = (0, 0);
        for end in std::mem::take(&mut self.chunk_ends) {
            let last = places.partition_point(|place| place.end < end);
            let stored_end = stored_ends.get(last).copied().unwrap_or(stored_start);
            let frames = stored.get(stored_start..stored_end).map(<[u8]>::to_vec);
            self.put_chunk(start..end, frames.filter(|_| all.is_some()));
            (start, stored_start) = (end, stored_end);
        }
        self.forget_waiting();
    }

    /// The chunks of all traces, in order.
    pub(in super::super) fn take_chunks(&mut self) -> Vec<Chunk> {
        self.end_chunk();
        if !self.waiting.is_empty() {
            self.compress_waiting();
        }
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
