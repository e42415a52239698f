//! Variable-length integers and blobs, the two things all other parts of a block are made of.
//!
//! A varint has 7 bits a byte, lowest first, the top bit says that another byte follows. A blob is
//! `varint (raw length << 1 | compressed)`, then, if compressed, `varint stored length`, then the
//! bytes.

use std::borrow::Cow;
use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::stream::raw;
use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};

use super::BlockError;

/// The most a blob may decompress to.
pub(super) const MAX_BLOB_BYTES: usize = 256 << 20;
/// Compression must save at least this much: opening a compressed column costs microseconds.
pub(super) const MIN_SAVED_BYTES: usize = 128;
/// Level 1: the levels above cost more time than they save space on span data.
const ZSTD_LEVEL: i32 = 1;

const SHORT: BlockError = BlockError::malformed("bytes end early");

pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static PARTS_COMPRESSOR: RefCell<Option<raw::Encoder<'static>>> = const { RefCell::new(None) };
    static PARTS_DECOMPRESSOR: RefCell<Option<raw::Decoder<'static>>> = const { RefCell::new(None) };
}

/// The zstd frame of `raw`; nothing where zstd refuses, which it does not do in practice.
pub(super) fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut()?.compress(raw).ok()
    })
}

/// The zstd frame of `raw`, flushed where each of the parts ends, so that a reader can stop there.
/// Nothing where zstd refuses.
pub(super) fn compress_parts(raw: &[u8], ends: &[usize]) -> Option<Vec<u8>> {
    PARTS_COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = raw::Encoder::new(ZSTD_LEVEL).ok();
        }
        let encoder = slot.as_mut()?;
        encoder.reinit().ok()?;
        encoder.set_pledged_src_size(Some(raw.len() as u64)).ok()?;
        // Each flush ends a block, whose head is 3 bytes.
        let capacity = zstd::zstd_safe::compress_bound(raw.len()) + 16 * (ends.len() + 1);
        let mut frame = Vec::with_capacity(capacity);
        let mut out = OutBuffer::around(&mut frame);
        let mut start = 0;
        for end in ends.iter().copied().chain([raw.len()]) {
            let mut part = InBuffer::around(raw.get(start..end)?);
            start = end;
            while part.pos() < part.src.len() {
                encoder.run(&mut part, &mut out).ok()?;
                if out.pos() == capacity {
                    return None;
                }
            }
            if encoder.flush(&mut out).ok()? > 0 {
                return None;
            }
        }
        if encoder.finish(&mut out, true).ok()? > 0 {
            return None;
        }
        Some(frame)
    })
}

/// Decompresses the first `wanted` bytes of a frame that gives `raw_length` bytes.
pub(super) fn decompress_start(
    frame: &[u8],
    raw_length: usize,
    wanted: usize,
) -> Result<Vec<u8>, BlockError> {
    check_frame(frame, raw_length)?;
    PARTS_DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = raw::Decoder::new().ok();
        }
        let decoder = slot.as_mut().ok_or(DAMAGED)?;
        decoder.reinit().map_err(|_| DAMAGED)?;
        let mut start = vec![0; wanted.min(raw_length)];
        let (mut read, mut written) = (0, 0);
        while written < start.len() {
            let (rest, out) = (frame.get(read..), start.get_mut(written..));
            let (Some(rest), Some(out)) = (rest, out) else {
                return Err(DAMAGED);
            };
            let status = decoder.run_on_buffers(rest, out).map_err(|_| DAMAGED)?;
            if status.bytes_read == 0 && status.bytes_written == 0 {
                return Err(DAMAGED);
            }
            read += status.bytes_read;
            written += status.bytes_written;
        }
        Ok(start)
    })
}

const DAMAGED: BlockError = BlockError::malformed("a compressed part does not decompress");

/// A frame must name the length it is known to have before memory is taken for it.
fn check_frame(frame: &[u8], raw_length: usize) -> Result<(), BlockError> {
    if raw_length > MAX_BLOB_BYTES {
        return Err(BlockError::malformed("a compressed part is too large"));
    }
    match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(size)) if size == raw_length as u64 => Ok(()),
        _ => Err(DAMAGED),
    }
}

/// Decompresses a frame that must give exactly `raw_length` bytes.
pub(super) fn decompress(frame: &[u8], raw_length: usize) -> Result<Vec<u8>, BlockError> {
    check_frame(frame, raw_length)?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Decompressor::new().ok();
        }
        let decompressor = slot.as_mut().ok_or(DAMAGED)?;
        let mut raw = Vec::with_capacity(raw_length);
        match decompressor.decompress_to_buffer(frame, &mut raw) {
            Ok(length) if length == raw_length => Ok(raw),
            _ => Err(DAMAGED),
        }
    })
}

/// Writes a blob, compressed where that saves at least an eighth and [`MIN_SAVED_BYTES`].
pub(super) fn put_blob(out: &mut Vec<u8>, raw: &[u8]) {
    let frame = (raw.len() > MIN_SAVED_BYTES)
        .then(|| compress(raw))
        .flatten()
        .filter(|frame| frame.len() + (raw.len() / 8).max(MIN_SAVED_BYTES) < raw.len());
    if let Some(frame) = frame {
        put_frame(out, raw.len(), &frame);
    } else {
        put_varint(out, (raw.len() as u64) << 1);
        out.extend_from_slice(raw);
    }
}

/// Writes a blob that was compressed already.
pub(super) fn put_frame(out: &mut Vec<u8>, raw_length: usize, frame: &[u8]) {
    put_varint(out, (raw_length as u64) << 1 | 1);
    put_bytes(out, frame);
}

/// Reads forward through bytes and never beyond their end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], BlockError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BlockError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, BlockError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, BlockError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BlockError::malformed("a number has too many bytes"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number that counts things of which each needs at least one byte of memory or file.
    pub(super) fn count(&mut self) -> Result<usize, BlockError> {
        let number = self.varint()?;
        match usize::try_from(number) {
            Ok(count) if count <= MAX_BLOB_BYTES => Ok(count),
            _ => Err(BlockError::malformed("a count is too large")),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], BlockError> {
        let length = self.count()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BlockError> {
        text(self.bytes()?)
    }

    pub(super) fn blob(&mut self) -> Result<Cow<'a, [u8]>, BlockError> {
        let head = self.varint()?;
        let raw_length = usize::try_from(head >> 1).map_err(|_| SHORT)?;
        if head & 1 == 0 {
            return self.take(raw_length).map(Cow::Borrowed);
        }
        decompress(self.bytes()?, raw_length).map(Cow::Owned)
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, BlockError> {
    std::str::from_utf8(bytes).map_err(|_| BlockError::malformed("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_blobs_come_back() {
        let mut out = Vec::new();
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            put_varint(&mut out, number);
        }
        for number in [0, -1, i64::MIN, i64::MAX] {
            put_signed(&mut out, number);
        }
        let long = b"abcdefgh".repeat(100);
        put_blob(&mut out, &long);
        put_blob(&mut out, b"short");
        assert!(out.len() < 150);
        let mut cursor = Cursor::new(&out);
        for number in [0, 1, 127, 128, 300, u64::MAX] {
            assert_eq!(cursor.varint().unwrap(), number);
        }
        for number in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(cursor.signed().unwrap(), number);
        }
        assert_eq!(cursor.blob().unwrap(), long);
        assert_eq!(cursor.blob().unwrap(), &b"short"[..]);
        assert!(cursor.is_empty());
        assert!(cursor.byte().is_err());
    }

    #[test]
    fn the_start_of_a_frame_is_enough() {
        let mut state = 1u32;
        let mut digit = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 28) as u8
        };
        let raw: Vec<u8> = (0..240_000).map(&mut digit).collect();
        let frame = compress_parts(&raw, &[70_000, 140_000]).unwrap();
        assert_eq!(decompress(&frame, raw.len()).unwrap(), raw);
        for wanted in [0, 1, 69_999, 70_001, raw.len()] {
            assert_eq!(
                decompress_start(&frame, raw.len(), wanted).unwrap(),
                raw[..wanted]
            );
        }
        // What lies behind is not needed.
        let cut = &frame[..frame.len() / 2];
        assert_eq!(
            decompress_start(cut, raw.len(), 70_000).unwrap(),
            raw[..70_000]
        );
        assert!(decompress_start(cut, raw.len(), raw.len()).is_err());
        assert!(decompress_start(&frame, 1 << 40, 1).is_err());
    }

    #[test]
    fn a_frame_that_claims_gigabytes_is_refused() {
        let frame = compress(&[0; 1000]).unwrap();
        assert!(decompress(&frame, 1 << 40).is_err());
        assert!(decompress(&frame, 999).is_err());
        assert!(decompress(&frame[..frame.len() - 3], 1000).is_err());
    }
}
