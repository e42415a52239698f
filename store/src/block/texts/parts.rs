use std::ops::Range;

use super::super::BlockError;
use super::super::bytes::Cursor;

/// The longest value that is put together.
const MAX_VALUE_BYTES: u64 = 1 << 30;
/// How many parts may be looked at for one value; only a damaged block needs more.
const MAX_STEPS: usize = 1 << 24;

/// A run of bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    /// Bytes that entered the trace with this value, by their place in the block's stream.
    New { start: u64, length: u64 },
    /// Bytes of an earlier value of the trace.
    Earlier { value: u32, start: u64, length: u64 },
}

impl Part {
    pub(in super::super) fn length(&self) -> u64 {
        match self {
            Self::New { length, .. } | Self::Earlier { length, .. } => *length,
        }
    }
}

/// The table of one trace's long values.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct TraceTexts {
    parts: Vec<Part>,
    /// Where the parts of each value end, and how long the value is.
    values: Vec<(u32, u64)>,
}

impl TraceTexts {
    /// Reads the table of a trace whose new bytes begin at `start` of the block's stream and are
    /// `n_new_bytes` long.
    pub(in super::super) fn read(
        encoded: &[u8],
        n_values: usize,
        start: u64,
        n_new_bytes: u64,
    ) -> Result<Self, BlockError> {
        const WRONG: BlockError = BlockError::malformed("a text has impossible parts");
        let mut cursor = Cursor::new(encoded);
        // A damaged count does not reserve more than its bytes may hold.
        let most = n_values.min(encoded.len());
        let mut texts = Self {
            parts: Vec::with_capacity(most),
            values: Vec::with_capacity(most),
        };
        let mut at = start;
        let end = start.checked_add(n_new_bytes).ok_or(WRONG)?;
        for number in 0..n_values {
            let head = cursor.varint()?;
            let mut total = 0u64;
            let n_parts = if head & 1 == 1 { 1 } else { head >> 1 };
            for _ in 0..n_parts {
                let back = if head & 1 == 1 { 0 } else { cursor.varint()? };
                let part = if back == 0 {
                    let length = if head & 1 == 1 {
                        head >> 1
                    } else {
                        cursor.varint()?
                    };
                    let start = at;
                    at = at
                        .checked_add(length)
                        .filter(|at| *at <= end)
                        .ok_or(WRONG)?;
                    Part::New { start, length }
                } else {
                    let value = (number as u64).checked_sub(back).ok_or(WRONG)? as u32;
                    let (start, length) = (cursor.varint()?, cursor.varint()?);
                    let limit = texts.values[value as usize].1;
                    if start.checked_add(length).is_none_or(|end| end > limit) || length == 0 {
                        return Err(WRONG);
                    }
                    Part::Earlier {
                        value,
                        start,
                        length,
                    }
                };
                total = total.saturating_add(part.length());
                texts.parts.push(part);
            }
            if total > MAX_VALUE_BYTES {
                return Err(BlockError::malformed("a text is too long"));
            }
            texts.values.push((texts.parts.len() as u32, total));
        }
        Ok(texts)
    }

    /// How many distinct values the trace has.
    pub(in super::super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The length of a value in bytes.
    pub(in super::super) fn value_length(&self, value: usize) -> Option<u64> {
        self.values.get(value).map(|(_, length)| *length)
    }

    /// The parts of a value, as they are stored.
    pub(in super::super) fn parts(&self, value: usize) -> &[Part] {
        let end = self.values.get(value).map_or(0, |(end, _)| *end as usize);
        let start = match value {
            0 => 0,
            value => self
                .values
                .get(value - 1)
                .map_or(0, |(end, _)| *end as usize),
        };
        self.parts.get(start..end).unwrap_or_default()
    }

    /// Calls `each` with the ranges of the block's stream that the bytes `range` of a value are
    /// made of, in order.
    pub(in super::super) fn resolve(
        &self,
        value: usize,
        range: Range<u64>,
        mut each: impl FnMut(Range<u64>) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        if let [Part::New { start, .. }] = self.parts(value) {
            return each(start + range.start..start + range.end);
        }
        let mut steps = 0;
        let mut todo = vec![Todo::Value(value, range)];
        let mut inner = Vec::new();
        while let Some(next) = todo.pop() {
            let (value, range) = match next {
                Todo::New(range) => {
                    each(range)?;
                    continue;
                }
                Todo::Value(value, range) => (value, range),
            };
            let mut at = 0;
            for part in self.parts(value) {
                steps += 1;
                if steps > MAX_STEPS {
                    return Err(BlockError::malformed("a text has too many parts"));
                }
                if at >= range.end {
                    break;
                }
                let (first, last) = (range.start.max(at), range.end.min(at + part.length()));
                if first < last {
                    let (skip, end) = (first - at, last - at);
                    inner.push(match *part {
                        Part::New { start, .. } => Todo::New(start + skip..start + end),
                        Part::Earlier { value, start, .. } => {
                            Todo::Value(value as usize, start + skip..start + end)
                        }
                    });
                }
                at += part.length();
            }
            todo.extend(inner.drain(..).rev());
        }
        Ok(())
    }
}

/// What is still to be resolved.
enum Todo {
    New(Range<u64>),
    Value(usize, Range<u64>),
}
