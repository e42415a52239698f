//! Columns of integers.
//!
//! ```text
//! byte form, signed base, then
//!   form 0, constant:  nothing; every row is the base
//!   form 1, packed:    varint scale, byte width (1 to 64), rows * width bits, lowest bit first
//!   form 2, planes:    varint scale, byte planes (1 to 8), blob: the lowest byte of every row,
//!                      then the next one of every row, and so on
//! ```
//!
//! A row is `base + scale * stored`, wrapping. Packed rows are read in place, so one row costs
//! nothing but its own bytes; planes cost a decompression and are chosen only where they are a
//! good deal smaller.

use super::BlockError;
use super::bytes::{Cursor, compress, put_frame, put_signed, put_varint};
use super::kept::Slot;

const CONSTANT: u8 = 0;
const PACKED: u8 = 1;
const PLANES: u8 = 2;
/// Planes must save at least this much, because they are decompressed whole for one row.
const MIN_PLANES_SAVED_BYTES: usize = 400;

/// Writes a column.
pub(super) fn put_ints(out: &mut Vec<u8>, rows: &[i64]) {
    let min = rows.iter().copied().min().unwrap_or(0);
    let max = rows.iter().copied().max().unwrap_or(0);
    if min == max {
        out.push(CONSTANT);
        put_signed(out, min);
        return;
    }
    let scale = common_divisor(rows, min);
    let span = max.wrapping_sub(min) as u64 / scale;
    let width = 64 - span.leading_zeros() as usize;
    let stored = |row: &i64| row.wrapping_sub(min) as u64 / scale;

    let packed_bytes = (rows.len() * width).div_ceil(8);
    let n_planes = width.div_ceil(8);
    if packed_bytes > MIN_PLANES_SAVED_BYTES {
        let mut planes = Vec::with_capacity(n_planes * rows.len());
        for plane in 0..n_planes {
            planes.extend(rows.iter().map(|row| (stored(row) >> (8 * plane)) as u8));
        }
        let frame = compress(&planes).filter(|frame| {
            let saved = (frame.len() / 4).max(MIN_PLANES_SAVED_BYTES);
            frame.len() + saved < packed_bytes
        });
        if let Some(frame) = frame {
            out.push(PLANES);
            put_signed(out, min);
            put_varint(out, scale);
            out.push(n_planes as u8);
            put_frame(out, planes.len(), &frame);
            return;
        }
    }
    out.push(PACKED);
    put_signed(out, min);
    put_varint(out, scale);
    out.push(width as u8);
    pack(out, rows.iter().map(stored), width);
}

/// The largest number that divides the distance of every row from `min`.
fn common_divisor(rows: &[i64], min: i64) -> u64 {
    let mut divisor = 0u64;
    for row in rows {
        let (mut a, mut b) = (divisor, row.wrapping_sub(min) as u64);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        divisor = a;
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

fn pack(out: &mut Vec<u8>, rows: impl Iterator<Item = u64>, width: usize) {
    let (mut buffer, mut filled) = (0u128, 0);
    for row in rows {
        buffer |= u128::from(row) << filled;
        filled += width;
        while filled >= 32 {
            out.extend_from_slice(&(buffer as u32).to_le_bytes());
            buffer >>= 32;
            filled -= 32;
        }
    }
    let rest = (buffer as u32).to_le_bytes();
    out.extend_from_slice(&rest[..filled.div_ceil(8)]);
}

/// A column of integers that is read row by row without being unpacked first.
#[derive(Debug, Clone, Copy)]
pub struct Ints<'a> {
    rows: usize,
    base: i64,
    scale: u64,
    form: Form<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Constant,
    Packed { width: usize, bits: &'a [u8] },
    Planes { planes: &'a [u8] },
}

impl<'a> Ints<'a> {
    /// A column that is not stored, because every row has the same value.
    pub(super) fn constant(rows: usize, value: i64) -> Self {
        Self {
            rows,
            base: value,
            scale: 1,
            form: Form::Constant,
        }
    }

    /// Reads a column; planes are decompressed into `slot`.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        rows: usize,
        slot: Slot<'a>,
    ) -> Result<Self, BlockError> {
        let form = cursor.byte()?;
        let base = cursor.signed()?;
        if form == CONSTANT {
            return Ok(Self::constant(rows, base));
        }
        let scale = cursor.varint()?;
        let width = usize::from(cursor.byte()?);
        let form = match form {
            PACKED if (1..=64).contains(&width) => {
                let n_bits = rows
                    .checked_mul(width)
                    .ok_or(BlockError::malformed("a column has too many rows"))?;
                Form::Packed {
                    width,
                    bits: cursor.take(n_bits.div_ceil(8))?,
                }
            }
            PLANES if (1..=8).contains(&width) => {
                let planes = cursor.blob(slot)?;
                if Some(planes.len()) != rows.checked_mul(width) {
                    return Err(BlockError::malformed("a column has the wrong length"));
                }
                Form::Planes { planes }
            }
            _ => return Err(BlockError::malformed("a column has an unknown form")),
        };
        if rows == 0 {
            return Ok(Self::constant(rows, base));
        }
        Ok(Self {
            rows,
            base,
            scale,
            form,
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

    /// The value of every row, if all rows have the same one.
    pub fn constant_value(&self) -> Option<i64> {
        matches!(self.form, Form::Constant).then_some(self.base)
    }

    /// The value of a row. Panics beyond the last row, as a slice does.
    pub fn get(&self, row: usize) -> i64 {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let stored = match &self.form {
            Form::Constant => return self.base,
            Form::Packed { width, bits } => unpack(bits, row * width, *width),
            Form::Planes { planes } => planes
                .chunks_exact(self.rows)
                .rev()
                .fold(0, |value, plane| value << 8 | u64::from(plane[row])),
        };
        self.value(stored)
    }

    fn value(&self, stored: u64) -> i64 {
        self.base
            .wrapping_add(self.scale.wrapping_mul(stored) as i64)
    }

    /// Calls `each` with the number and value of the rows from `first` up to `end`, in order. The
    /// quickest way through a column.
    pub fn for_each(&self, first: usize, end: usize, mut each: impl FnMut(usize, i64)) {
        let end = end.min(self.rows);
        match &self.form {
            Form::Constant => (first..end).for_each(|row| each(row, self.base)),
            Form::Packed { width: 8, bits } => {
                for (row, byte) in (first..end).zip(bits.get(first..).unwrap_or_default()) {
                    each(row, self.value(u64::from(*byte)));
                }
            }
            Form::Packed { width, bits } => {
                for row in first..end {
                    each(row, self.value(unpack(bits, row * width, *width)));
                }
            }
            Form::Planes { planes } if planes.len() == self.rows => {
                for (row, byte) in (first..end).zip(planes.get(first..).unwrap_or_default()) {
                    each(row, self.value(u64::from(*byte)));
                }
            }
            Form::Planes { planes } => {
                let mut each_plane = [&[] as &[u8]; 8];
                let planes = planes.chunks_exact(self.rows);
                let n_planes = planes.len();
                for (place, plane) in each_plane.iter_mut().zip(planes) {
                    *place = plane;
                }
                let each_plane = &each_plane[..n_planes];
                for row in first..end {
                    let stored = each_plane
                        .iter()
                        .rev()
                        .fold(0, |value, plane| value << 8 | u64::from(plane[row]));
                    each(row, self.value(stored));
                }
            }
        }
    }

    /// The sum of the rows from `first` up to `end` as counts.
    pub(super) fn sum(&self, first: usize, end: usize) -> u64 {
        if let Form::Constant = self.form {
            return (self.base as u64).wrapping_mul((end - first) as u64);
        }
        let mut sum = 0u64;
        self.for_each(first, end, |_, value| sum = sum.wrapping_add(value as u64));
        sum
    }

    /// All rows.
    pub fn to_vec(self) -> Vec<i64> {
        let mut values = Vec::with_capacity(self.rows);
        self.for_each(0, self.rows, |_, value| values.push(value));
        values
    }
}

/// The `width` bits from bit `at`.
#[inline]
fn unpack(bits: &[u8], at: usize, width: usize) -> u64 {
    let (byte, shift) = (at / 8, at % 8);
    let mask = u64::MAX >> (64 - width);
    if width <= 57
        && let Some(eight) = bits.get(byte..).and_then(|rest| rest.first_chunk::<8>())
    {
        return u64::from_le_bytes(*eight) >> shift & mask;
    }
    let mut window = [0; 16];
    let end = bits.len().min(byte + 9);
    if let Some(part) = bits.get(byte..end) {
        window[..part.len()].copy_from_slice(part);
    }
    (u128::from_le_bytes(window) >> shift) as u64 & mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kept::Keep;
    use super::*;

    fn check(rows: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        put_ints(&mut out, rows);
        let mut cursor = Cursor::new(&out);
        let (column, n_bytes) = Default::default();
        let keep = Keep {
            column: &column,
            n_bytes: &n_bytes,
        };
        let column = Ints::read(&mut cursor, rows.len(), keep.only()).unwrap();
        assert!(cursor.is_empty());
        assert_eq!(column.to_vec(), rows);
        let single: Vec<i64> = (0..rows.len()).map(|row| column.get(row)).collect();
        assert_eq!(single, rows);
        out
    }

    #[test]
    fn forms_fit_their_columns() {
        assert_eq!(check(&[5; 1000]).len(), 2);
        assert_eq!(check(&[]).len(), 2);
        let thousands: Vec<i64> = (0..100).map(|n| n * 1000 % 7777 * 1000).collect();
        assert!(check(&thousands).len() < 200);
        let pattern: Vec<i64> = (0..10_000).map(|n| n % 10).collect();
        assert!(check(&pattern).len() < 100);
        check(&[i64::MIN, i64::MAX, 0, -1]);
    }

    proptest! {
        #[test]
        fn any_column_comes_back(rows in prop::collection::vec(any::<i64>(), 0..300)) {
            check(&rows);
        }

        #[test]
        fn narrow_columns_come_back(
            rows in prop::collection::vec(0i64..300, 0..600), base in any::<i64>(), scale in 1i64..9,
        ) {
            let rows: Vec<i64> =
                rows.iter().map(|row| base.wrapping_add(row.wrapping_mul(scale))).collect();
            check(&rows);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), rows in 0usize..50) {
            let (column, n_bytes) = Default::default();
            let keep = Keep { column: &column, n_bytes: &n_bytes };
            if let Ok(column) = Ints::read(&mut Cursor::new(&bytes), rows, keep.only()) {
                assert_eq!(column.to_vec().len(), rows);
            }
        }
    }
}
