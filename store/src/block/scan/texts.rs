use std::ops::Range;

use super::super::BlockError;
use super::super::reader::{BlockReader, LoadSection};
use super::super::texts::{Part, TraceTexts};

/// The long values of one trace: inputs, outputs, and all else of 256 bytes or more.
///
/// Columns give numbers of values, counted from 1; two spans with the same value have the same
/// number. A value that repeats parts of earlier ones is put together when it is read.
#[derive(Debug)]
pub struct Texts<'b, L> {
    block: &'b BlockReader<L>,
    table: TraceTexts,
}

impl<'b, L: LoadSection> Texts<'b, L> {
    pub(super) fn new(block: &'b BlockReader<L>, table: TraceTexts) -> Self {
        Self { block, table }
    }

    /// How many distinct values there are: the largest number.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether the trace has no long values.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    fn index(&self, number: i64) -> Result<(usize, u64), BlockError> {
        let index = number.wrapping_sub(1) as usize;
        let length = self.table.value_length(index);
        Ok((
            index,
            length.ok_or(BlockError::malformed("a text is missing"))?,
        ))
    }

    /// The length of a value in bytes.
    pub fn length(&self, number: i64) -> Result<u64, BlockError> {
        self.index(number).map(|(_, length)| length)
    }

    /// Appends a whole value.
    pub fn read(&self, number: i64, out: &mut Vec<u8>) -> Result<(), BlockError> {
        let (index, length) = self.index(number)?;
        self.block.read_text(&self.table, index, 0..length, out)
    }

    /// Whether all bytes of a value entered the trace with it, in one piece.
    pub fn is_new(&self, number: i64) -> bool {
        let index = number.wrapping_sub(1) as usize;
        matches!(self.table.parts(index), [Part::New { .. }])
    }

    /// Calls `look` with a whole value, which is put together in `scratch` only where it does not
    /// stand in one piece anyway.
    pub fn look<T>(
        &self,
        number: i64,
        scratch: &mut Vec<u8>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BlockError> {
        let (index, length) = self.index(number)?;
        look_whole(length, scratch, look, |each| {
            self.block.each_piece(&self.table, index, 0..length, each)
        })
    }

    /// Appends a part of a value; what lies beyond its end is left out. Only the chunks that hold
    /// the part are decompressed.
    pub fn read_range(
        &self,
        number: i64,
        range: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), BlockError> {
        let (index, length) = self.index(number)?;
        let range = range.start.min(length)..range.end.min(length);
        self.block.read_text(&self.table, index, range, out)
    }

    /// Calls `each` with every run of bytes that entered the trace with this value, and with where
    /// it begins in the value. All other bytes of it are in values with smaller numbers.
    pub fn read_new(
        &self,
        number: i64,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(), BlockError> {
        let (index, _) = self.index(number)?;
        let mut bytes = Vec::new();
        let mut at = 0;
        for part in self.table.parts(index) {
            if let Part::New { start, length } = *part {
                bytes.clear();
                self.block
                    .read_stream(start..start + length, &mut |piece| {
                        bytes.extend_from_slice(piece);
                    })?;
                each(at, &bytes);
            }
            at += part.length();
        }
        Ok(())
    }
}

impl<L: LoadSection> BlockReader<L> {
    /// Calls `look` with all bytes that entered the trace at a place with its texts, without
    /// reading where in them each text is. They are put together in `scratch` only where they do
    /// not stand in one piece anyway.
    ///
    /// A text is put together of runs of these bytes that are cut only beside a quote or a bracket
    /// of JSON: what is neither stands here if it stands in a text.
    pub fn look_at_new_texts<T>(
        &self,
        place: usize,
        scratch: &mut Vec<u8>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BlockError> {
        let range = self.new_text_range(place)?;
        let length = range.end - range.start;
        look_whole(length, scratch, look, |each| self.read_stream(range, each))
    }
}

/// Calls `look` with all bytes that `read` brings piece by piece, which are put together in
/// `scratch` only where they do not come in one.
fn look_whole<T>(
    length: u64,
    scratch: &mut Vec<u8>,
    look: impl FnOnce(&[u8]) -> T,
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), BlockError>,
) -> Result<T, BlockError> {
    scratch.clear();
    let (mut look, mut seen) = (Some(look), None);
    read(&mut |piece| {
        if piece.len() as u64 == length
            && let Some(look) = look.take()
        {
            seen = Some(look(piece));
        } else {
            scratch.extend_from_slice(piece);
        }
    })?;
    let seen = seen.or_else(|| look.map(|look| look(scratch)));
    seen.ok_or(BlockError::malformed("a text comes twice"))
}
