//! Columns of short texts and bytes: a dictionary of the distinct ones and a code for every row.
//!
//! ```text
//! varint entries, integer column of their lengths, blob of their bytes,
//! byte 1: row n is entry n          | byte 0: integer column of codes, 0 no value, n entry n - 1
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::BlockError;
use super::bytes::{Cursor, put_blob, put_varint, text};
use super::ints::{Ints, put_ints};
use super::kept::Keep;

/// A hash map that is quick for short keys. Keys that collide on purpose make one block slow to
/// encode, no more.
pub(super) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// xxh3 over bytes, a multiplication over numbers.
#[derive(Debug, Default)]
pub(super) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        // The high bits of the product depend on all bits of the factors; the table uses both ends.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Collects the rows of a column.
#[derive(Debug, Default)]
pub(super) struct StringsBuilder<'a> {
    numbers: FastMap<&'a [u8], u32>,
    entries: Vec<&'a [u8]>,
    codes: Vec<i64>,
}

impl<'a> StringsBuilder<'a> {
    pub(super) fn push(&mut self, value: Option<&'a [u8]>) {
        let Some(value) = value else {
            self.codes.push(0);
            return;
        };
        // Neighbours often agree.
        if let Some(&code) = self.codes.last()
            && code > 0
            && self.entries[code as usize - 1] == value
        {
            self.codes.push(code);
            return;
        }
        let next = self.entries.len() as u32 + 1;
        let code = *self.numbers.entry(value).or_insert(next);
        if code == next {
            self.entries.push(value);
        }
        self.codes.push(i64::from(code));
    }

    pub(super) fn push_text(&mut self, value: Option<&'a str>) {
        self.push(value.map(str::as_bytes));
    }

    /// The distinct values, in the order they came.
    pub(super) fn entries(&self) -> &[&'a [u8]] {
        &self.entries
    }

    pub(super) fn rows(&self) -> usize {
        self.codes.len()
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let lengths: Vec<i64> = self.entries.iter().map(|one| one.len() as i64).collect();
        put_varint(out, lengths.len() as u64);
        put_ints(out, &lengths);
        put_blob(out, &self.entries.concat());
        let identity = self.codes.len() == self.entries.len()
            && self.codes.iter().zip(1..).all(|(code, row)| *code == row);
        out.push(u8::from(identity));
        if !identity {
            put_ints(out, &self.codes);
        }
    }
}

/// A column of short texts or bytes: a dictionary, and a code for every row.
///
/// A scan evaluates its predicate once for every entry of the dictionary and then goes through
/// the codes.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'a> {
    starts: &'a [u32],
    bytes: &'a [u8],
    rows: usize,
    codes: Option<Ints<'a>>,
}

impl<'a> Strings<'a> {
    /// A column that is not stored, because no row has a value.
    pub(super) fn constant(rows: usize) -> Self {
        Self {
            starts: &[0],
            bytes: &[],
            rows,
            codes: Some(Ints::constant(rows, 0)),
        }
    }

    /// Reads a column; what has to be worked out of it stays in `keep`.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        rows: usize,
        keep: Keep<'a>,
    ) -> Result<Self, BlockError> {
        let n_entries = cursor.count()?;
        if n_entries > rows {
            return Err(BlockError::malformed(
                "a dictionary is longer than its column",
            ));
        }
        let [lengths, texts, codes] = keep.of_texts();
        let lengths = Ints::read(cursor, n_entries, lengths)?;
        let bytes = cursor.blob(texts)?;
        let starts = keep.starts(|| {
            let mut starts = Vec::with_capacity(n_entries + 1);
            let mut at = 0u64;
            starts.push(0);
            lengths.for_each(0, n_entries, |_, length| {
                at = at.saturating_add(length as u64);
                starts.push(u32::try_from(at).unwrap_or(u32::MAX));
            });
            starts
        });
        if starts.last().map(|end| *end as usize) != Some(bytes.len()) {
            return Err(BlockError::malformed("a dictionary has the wrong length"));
        }
        let codes = match cursor.byte()? {
            0 => Some(Ints::read(cursor, rows, codes)?),
            1 if n_entries == rows => None,
            _ => return Err(BlockError::malformed("a text column has an unknown form")),
        };
        Ok(Self {
            starts,
            bytes,
            rows,
            codes,
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many distinct values there are.
    pub fn n_entries(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of a distinct value; its number is its code less 1.
    pub fn entry_bytes(&self, entry: usize) -> Option<&'a [u8]> {
        let (start, end) = (self.starts.get(entry)?, self.starts.get(entry + 1)?);
        self.bytes.get(*start as usize..*end as usize)
    }

    /// A distinct value as text; its number is its code less 1.
    pub fn entry(&self, entry: usize) -> Result<&'a str, BlockError> {
        text(
            self.entry_bytes(entry)
                .ok_or(BlockError::malformed("a code has no entry"))?,
        )
    }

    /// The code whose value has these bytes.
    pub fn code_of(&self, value: &[u8]) -> Option<u32> {
        let mut starts = self.starts.iter().map(|start| *start as usize);
        let mut start = starts.next()?;
        for (end, code) in starts.zip(1..) {
            if end - start == value.len() && self.bytes.get(start..end) == Some(value) {
                return Some(code);
            }
            start = end;
        }
        None
    }

    /// The code of a row: 0 if it has no value. Panics beyond the last row, as a slice does.
    ///
    /// A damaged block may give codes above [`Self::n_entries`].
    pub fn code(&self, row: usize) -> u32 {
        match &self.codes {
            Some(codes) => codes.get(row) as u32,
            None => row as u32 + 1,
        }
    }

    /// Calls `each` with the number and the code of the rows from `first` up to `end`, in order.
    pub fn for_each_code(&self, first: usize, end: usize, mut each: impl FnMut(usize, u32)) {
        match &self.codes {
            Some(codes) => codes.for_each(first, end, |row, code| each(row, code as u32)),
            None => (first..end.min(self.rows)).for_each(|row| each(row, row as u32 + 1)),
        }
    }

    /// The code that every row has, if they all agree.
    pub fn constant_code(&self) -> Option<u32> {
        let codes = self.codes.as_ref()?;
        codes.constant_value().map(|code| code as u32)
    }

    /// The bytes of a row, if it has a value.
    pub fn get_bytes(&self, row: usize) -> Result<Option<&'a [u8]>, BlockError> {
        match self.code(row) {
            0 => Ok(None),
            code => match self.entry_bytes(code as usize - 1) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(BlockError::malformed("a code has no entry")),
            },
        }
    }

    /// The text of a row, if it has one.
    pub fn get(&self, row: usize) -> Result<Option<&'a str>, BlockError> {
        self.get_bytes(row)?.map(text).transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_column_comes_back(rows in prop::collection::vec(prop::option::of("[a-c]{0,3}"), 0..200)) {
            let mut builder = StringsBuilder::default();
            for row in &rows {
                builder.push_text(row.as_deref());
            }
            let mut out = Vec::new();
            builder.put(&mut out);
            let (column, n_bytes) = Default::default();
            let keep = Keep { column: &column, n_bytes: &n_bytes };
            let column = Strings::read(&mut Cursor::new(&out), rows.len(), keep).unwrap();
            for (row, value) in rows.iter().enumerate() {
                assert_eq!(column.get(row).unwrap(), value.as_deref());
                if let Some(value) = value {
                    assert_eq!(column.code_of(value.as_bytes()), Some(column.code(row)));
                }
            }
            assert_eq!(column.code_of(b"none of them"), None);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), rows in 0usize..50) {
            let (column, n_bytes) = Default::default();
            let keep = Keep { column: &column, n_bytes: &n_bytes };
            if let Ok(column) = Strings::read(&mut Cursor::new(&bytes), rows, keep) {
                for row in 0..rows {
                    let _unchecked = column.get(row);
                }
            }
        }
    }
}
