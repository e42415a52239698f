//! Variable-length integers and blobs, the two things all other parts of a block are made of.
//!
//! A varint has 7 bits a byte, lowest first, the top bit says that another byte follows. A blob is
//! `varint (raw length << 1 | compressed)`, then, if compressed, `varint stored length`, then the
//! bytes.

use ::zstd::zstd_safe::{self, CCtx, CDict, DDict};

use super::BlockError;
use super::kept::Slot;
use crate::codec::zstd;
pub(super) use crate::codec::zstd::compress;

/// The most a blob may decompress to.
pub(super) const MAX_BLOB_BYTES: usize = 256 << 20;
/// Compression must save at least this much: opening a compressed column costs microseconds.
pub(super) const MIN_SAVED_BYTES: usize = 128;

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

/// Compresses texts as if each followed a text that is known, and calls `each` with the frame of
/// each. Nothing where zstd refuses.
pub(super) fn compress_like(
    known: &[u8],
    texts: &[&[u8]],
    mut each: impl FnMut(&[u8]),
) -> Option<()> {
    // zstd looks at what is known and a text behind it in memory as at one, which is quicker.
    let longest = texts.iter().map(|text| text.len()).max()?;
    let mut buffer = vec![0; known.len() + longest];
    let (before, behind) = buffer.split_at_mut(known.len());
    before.copy_from_slice(known);
    let dictionary = CDict::create_by_reference(before, zstd::LEVEL);
    let mut context = CCtx::try_create()?;
    context.ref_cdict(&dictionary).ok()?;
    let mut frame = Vec::with_capacity(zstd_safe::compress_bound(longest));
    for text in texts {
        let here = behind.get_mut(..text.len())?;
        here.copy_from_slice(text);
        context.compress2(&mut frame, here).ok()?;
        each(&frame);
    }
    Some(())
}

const DAMAGED: BlockError = BlockError::malformed("a compressed part does not decompress");

/// A frame must name the length it is known to have before memory is taken for it.
fn check_frame(frame: &[u8], raw_length: usize) -> Result<(), BlockError> {
    if raw_length > MAX_BLOB_BYTES {
        return Err(BlockError::malformed("a compressed part is too large"));
    }
    match frame_raw_length(frame) {
        Some(length) if length == raw_length as u64 => Ok(()),
        _ => Err(DAMAGED),
    }
}

fn frame_raw_length(frame: &[u8]) -> Option<u64> {
    zstd_safe::get_frame_content_size(frame).ok().flatten()
}

/// The frame that bytes begin with and the length of what is in it, and the bytes behind it.
pub(super) fn split_frame(bytes: &[u8]) -> Result<(&[u8], u64, &[u8]), BlockError> {
    let length = zstd_safe::find_frame_compressed_size(bytes).map_err(|_| DAMAGED)?;
    let (frame, rest) = bytes.split_at_checked(length).ok_or(DAMAGED)?;
    Ok((frame, frame_raw_length(frame).ok_or(DAMAGED)?, rest))
}

/// Decompresses a frame that must give exactly `raw_length` bytes.
pub(super) fn decompress(frame: &[u8], raw_length: usize) -> Result<Vec<u8>, BlockError> {
    check_frame(frame, raw_length)?;
    zstd::decompress(frame, raw_length).ok_or(DAMAGED)
}

/// The same for a frame of [`compress_like`].
pub(super) fn decompress_like(
    known: &DDict<'_>,
    frame: &[u8],
    raw_length: usize,
) -> Result<Vec<u8>, BlockError> {
    check_frame(frame, raw_length)?;
    zstd::decompress_like(known, frame, raw_length).ok_or(DAMAGED)
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

    /// Reads a blob; what had to be decompressed stays in `slot`.
    pub(super) fn blob(&mut self, slot: Slot<'a>) -> Result<&'a [u8], BlockError> {
        match self.stored_blob()? {
            (bytes, None) => Ok(bytes),
            (frame, Some(raw_length)) => slot.get_or_fill(|| decompress(frame, raw_length)),
        }
    }

    /// Reads a blob that is looked at once.
    pub(super) fn owned_blob(&mut self) -> Result<Vec<u8>, BlockError> {
        match self.stored_blob()? {
            (bytes, None) => Ok(bytes.to_vec()),
            (frame, Some(raw_length)) => decompress(frame, raw_length),
        }
    }

    /// The bytes of a blob as they are stored, and if they are compressed their length before.
    fn stored_blob(&mut self) -> Result<(&'a [u8], Option<usize>), BlockError> {
        let head = self.varint()?;
        let raw_length = usize::try_from(head >> 1).map_err(|_| SHORT)?;
        Ok(match head & 1 {
            0 => (self.take(raw_length)?, None),
            _ => (self.bytes()?, Some(raw_length)),
        })
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, BlockError> {
    std::str::from_utf8(bytes).map_err(|_| BlockError::malformed("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::super::kept::{Keep, KeptBytes, KeptColumn};
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
        let (column, n_bytes) = (KeptColumn::default(), KeptBytes::default());
        let keep = Keep {
            column: &column,
            n_bytes: &n_bytes,
        };
        assert_eq!(cursor.clone().blob(keep.only()).unwrap(), long);
        assert_eq!(cursor.blob(keep.only()).unwrap(), long);
        assert_eq!(cursor.blob(keep.only()).unwrap(), &b"short"[..]);
        assert_eq!(n_bytes.get(), 800);
        assert!(cursor.is_empty());
        assert!(cursor.byte().is_err());
    }

    #[test]
    fn a_frame_like_a_known_text_needs_that_text() {
        let known: Vec<u8> = (0..40_000u32)
            .flat_map(|n| (n * n % 65_521).to_le_bytes())
            .collect();
        let raw = known[60_000..70_000].to_vec();
        let mut frames = Vec::new();
        compress_like(&known, &[&raw], |frame| frames.extend_from_slice(frame)).unwrap();
        assert!(frames.len() < raw.len() / 10);
        frames.extend(compress(b"next").unwrap());
        let (frame, length, rest) = split_frame(&frames).unwrap();
        assert_eq!((length, rest.is_empty()), (10_000, false));
        let dictionary = DDict::create(&known);
        assert_eq!(decompress_like(&dictionary, frame, 10_000).unwrap(), raw);
        assert_eq!(decompress_like(&dictionary, rest, 4).unwrap(), b"next");
        assert!(decompress(frame, 10_000).is_err());
        assert!(split_frame(&rest[..rest.len() - 1]).is_err());
        assert!(split_frame(&[]).is_err());
    }

    #[test]
    fn a_frame_that_claims_gigabytes_is_refused() {
        let frame = compress(&[0; 1000]).unwrap();
        assert!(decompress(&frame, 1 << 40).is_err());
        assert!(decompress(&frame, 999).is_err());
        assert!(decompress(&frame[..frame.len() - 3], 1000).is_err());
    }
}
