//! Byte positions and tags of the record, and how numbers and texts are written and read.

use super::RecordError;

/// First byte of a span.
pub(super) const SPAN: u8 = 1;
/// First byte of a change to a trace.
pub(super) const UPDATE: u8 = 2;

/// Bytes before the fields of a span.
pub(super) const SPAN_HEAD: usize = 56;
/// Bytes before the field of an update.
pub(super) const UPDATE_HEAD: usize = 32;

/// Positions in the head of a span.
pub(super) mod at {
    use std::ops::Range;

    pub(crate) const BITS: usize = 1;
    pub(crate) const KIND: usize = 2;
    pub(crate) const STATUS: usize = 3;
    pub(crate) const FLAGS: Range<usize> = 4..8;
    pub(crate) const TRACE_ID: Range<usize> = 8..24;
    pub(crate) const SPAN_ID: Range<usize> = 24..32;
    pub(crate) const PARENT: Range<usize> = 32..40;
    pub(crate) const START: Range<usize> = 40..48;
    pub(crate) const END: Range<usize> = 48..56;
}

/// Bits of the second byte of a span.
pub(super) mod bit {
    pub(crate) const ENDED: u8 = 1;
    pub(crate) const HAS_PARENT: u8 = 1 << 1;
    pub(crate) const DERIVED_SPAN_TYPE: u8 = 1 << 2;
    pub(crate) const DERIVED_INPUTS: u8 = 1 << 3;
    pub(crate) const DERIVED_OUTPUTS: u8 = 1 << 4;
}

/// Tags of the fields of a span.
pub(super) mod field {
    pub(crate) const NAME: u8 = 1;
    pub(crate) const SPAN_TYPE: u8 = 2;
    pub(crate) const STATUS_MESSAGE: u8 = 3;
    pub(crate) const ADD_ATTRIBUTE: u8 = 4;
    pub(crate) const SET_ATTRIBUTE: u8 = 5;
    pub(crate) const INPUTS: u8 = 6;
    pub(crate) const OUTPUTS: u8 = 7;
    pub(crate) const EVENT: u8 = 8;
    pub(crate) const LINK: u8 = 9;
    pub(crate) const TRACE_STATE: u8 = 10;
    pub(crate) const DROPPED: u8 = 11;
    pub(crate) const RESOURCE: u8 = 12;
    pub(crate) const SCOPE: u8 = 13;
}

/// Tags of values.
pub(super) mod tag {
    pub(crate) const NULL: u8 = 0;
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    pub(crate) const INT: u8 = 3;
    pub(crate) const UINT: u8 = 4;
    pub(crate) const F64: u8 = 5;
    pub(crate) const F32: u8 = 6;
    pub(crate) const STRING: u8 = 7;
    pub(crate) const BYTES: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const MAP: u8 = 10;
    pub(crate) const JSON: u8 = 11;
    pub(crate) const QUOTED: u8 = 12;
    pub(crate) const END: u8 = 15;
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Length of a varint that is padded so that it can be filled in later.
const PADDED: usize = 5;

/// Leaves room for a length that is not known yet; [`fill_length`] puts it there.
pub(super) fn leave_length(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0]);
    out.len()
}

/// Fills in the length of what was written since [`leave_length`] returned `start`.
pub(super) fn fill_length(out: &mut [u8], start: usize) {
    let mut length = out.len() - start;
    for byte in &mut out[start - PADDED..start - 1] {
        *byte = length as u8 | 0x80;
        length >>= 7;
    }
    out[start - 1] = length as u8 & 0x7f;
}

/// Writes a field whose bytes `write` appends.
pub(super) fn put_field(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = start_field(out, tag);
    write(out);
    end_field(out, start);
}

/// Writes a field that holds a text. One beyond 4 GiB is left out.
#[inline]
pub(super) fn put_text_field(out: &mut Vec<u8>, tag: u8, text: &str) {
    let Ok(length) = u32::try_from(text.len()) else {
        return;
    };
    let head = u64::from(tag) | u64::from(length) << 8;
    out.reserve(8 + text.len());
    out.extend_from_slice(&head.to_le_bytes()[..5]);
    out.extend_from_slice(text.as_bytes());
}

/// Begins a field that starts with a key, and returns where its bytes begin, for [`end_field`].
#[inline]
pub(super) fn start_keyed_field(out: &mut Vec<u8>, tag: u8, key: &str) -> usize {
    out.reserve(key.len() + 64);
    let start = start_field(out, tag);
    put_text(out, key);
    start
}

/// Begins a field and returns where its bytes begin, for [`end_field`].
#[inline]
pub(super) fn start_field(out: &mut Vec<u8>, tag: u8) -> usize {
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    out.len()
}

/// Fills in the length of a field. A field beyond 4 GiB is taken back.
#[inline]
pub(super) fn end_field(out: &mut Vec<u8>, start: usize) {
    match u32::try_from(out.len() - start) {
        Ok(length) => out[start - 4..start].copy_from_slice(&length.to_le_bytes()),
        Err(_) => out.truncate(start - 5),
    }
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        let (first, rest) = self.0.split_first().ok_or(RecordError::CutOff)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(RecordError::CutOff)?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(RecordError::CutOff)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(RecordError::NumberTooLong);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RecordError::NumberTooLong)
    }

    pub(super) fn varint_u32(&mut self) -> Result<u32, RecordError> {
        u32::try_from(self.varint()?).map_err(|_| RecordError::NumberTooLong)
    }

    /// The bytes that a varint length announces.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| RecordError::CutOff)?)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RecordError> {
        utf8(self.counted()?)
    }

    /// The next field: its tag and its bytes.
    pub(super) fn field(&mut self) -> Result<(u8, &'a [u8]), RecordError> {
        let tag = self.byte()?;
        let length = self.u32()?;
        let length = usize::try_from(length).map_err(|_| RecordError::CutOff)?;
        Ok((tag, self.take(length)?))
    }
}

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(bytes).map_err(|_| RecordError::NotUtf8)
}
