//! Attributes of spans, events and links, tags and metadata of traces, as columns.
//!
//! There is one column for every key and type of value. Which columns a row has, in which order,
//! is its shape; rows with the same shape share it. A column holds the values of the rows that
//! have it, one after another, so that nothing is stored for the others.

use std::borrow::Cow;

use spanlite_model::Value;

use super::BlockError;
use super::bytes::{Cursor, put_bytes, put_varint};
use super::ints::{Ints, put_ints};
use super::kept::Keep;
use super::strings::{FastMap, Strings, StringsBuilder};
use super::terms::{TermField, TermsBuilder};
use super::texts::{MIN_TEXT_BYTES, TextsBuilder};
use super::value::put_value;
use crate::record::FlatValue;

/// Further keys of a block go into one column together, so that programs which make keys up do
/// not make columns without end.
const MAX_COLUMNS: usize = 1024;

/// The type of the values of an attribute column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// Values that are absent by themselves: the column has only rows.
    Null = 0,
    /// Booleans, as 0 and 1.
    Bool = 1,
    /// Integers.
    Int = 2,
    /// Floats.
    Double = 3,
    /// Texts shorter than 256 bytes.
    String = 4,
    /// Longer texts, kept apart from the columns.
    Text = 5,
    /// Bytes.
    Bytes = 6,
    /// 256 bytes or more, kept apart from the columns.
    LongBytes = 7,
    /// Arrays and maps.
    Nested = 8,
    /// Arrays and maps of 256 bytes or more, kept apart from the columns.
    LongNested = 9,
    /// Keys with values of any type, where a block has more keys than columns.
    Overflow = 10,
}

impl ValueType {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        [
            Self::Null,
            Self::Bool,
            Self::Int,
            Self::Double,
            Self::String,
            Self::Text,
            Self::Bytes,
            Self::LongBytes,
            Self::Nested,
            Self::LongNested,
            Self::Overflow,
        ]
        .get(usize::from(number))
        .copied()
    }

    /// Whether values may be lists or maps.
    pub(super) fn is_nested(self) -> bool {
        matches!(self, Self::Nested | Self::LongNested | Self::Overflow)
    }

    /// Returns whether the values stand among the texts and the column refers to them.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::LongBytes | Self::LongNested)
    }
}

/// One value on its way into a column.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Value(&'a FlatValue<'a>),
    Str(&'a str),
}

impl<'a> Field<'a> {
    /// The type of the column it belongs to, and its bytes where they have any length.
    fn classify(self) -> (ValueType, Option<Cow<'a, [u8]>>) {
        let by_length = |bytes: Cow<'a, [u8]>, short, long| {
            let is_long = bytes.len() >= MIN_TEXT_BYTES;
            (if is_long { long } else { short }, Some(bytes))
        };
        let value = match self {
            Self::Value(value) => value,
            Self::Str(text) => {
                return by_length(text.as_bytes().into(), ValueType::String, ValueType::Text);
            }
        };
        match value {
            FlatValue::Null => (ValueType::Null, None),
            FlatValue::Bool(_) => (ValueType::Bool, None),
            FlatValue::Int(_) => (ValueType::Int, None),
            FlatValue::Double(_) => (ValueType::Double, None),
            FlatValue::String(text) => {
                by_length(text.as_bytes().into(), ValueType::String, ValueType::Text)
            }
            FlatValue::Bytes(bytes) => {
                by_length((*bytes).into(), ValueType::Bytes, ValueType::LongBytes)
            }
            FlatValue::Nested(value) => {
                let mut encoded = Vec::new();
                put_value(&mut encoded, value);
                by_length(encoded.into(), ValueType::Nested, ValueType::LongNested)
            }
        }
    }
}

/// The columns of one kind of row while they are filled.
#[derive(Default)]
pub(super) struct AttributesBuilder<'a> {
    shapes: FastMap<Vec<u32>, i64>,
    shape_list: Vec<Vec<u32>>,
    /// The shape of every row.
    pub(super) rows: Vec<i64>,
    numbers: FastMap<(&'a str, u8), u32>,
    pub(super) columns: Vec<ColumnBuilder<'a>>,
    shape: Vec<u32>,
}

pub(super) struct ColumnBuilder<'a> {
    pub(super) key: &'a str,
    pub(super) value_type: ValueType,
    pub(super) values: Values<'a>,
    /// The column that came after this one the last time: most often the next one again.
    next: u32,
}

pub(super) enum Values<'a> {
    Null(usize),
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
    Strings(StringsBuilder<'a>),
    Blobs(Vec<Vec<u8>>),
}

impl Values<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Null(rows) => *rows,
            Self::Ints(rows) => rows.len(),
            Self::Doubles(rows) => rows.len(),
            Self::Strings(rows) => rows.rows(),
            Self::Blobs(rows) => rows.len(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null(_) => {}
            Self::Ints(rows) => put_ints(out, rows),
            Self::Doubles(rows) => put_doubles(out, rows),
            Self::Strings(rows) => rows.put(out),
            Self::Blobs(rows) => {
                let mut strings = StringsBuilder::default();
                for row in rows {
                    strings.push(Some(row));
                }
                strings.put(out);
            }
        }
    }
}

impl<'a> AttributesBuilder<'a> {
    /// Adds a row.
    pub(super) fn push_row(
        &mut self,
        fields: impl Iterator<Item = (&'a str, Field<'a>)>,
        texts: &mut TextsBuilder<'a>,
    ) {
        let mut shape = std::mem::take(&mut self.shape);
        shape.clear();
        let mut expected = 0;
        for (key, field) in fields {
            let (value_type, bytes) = field.classify();
            let number = self.column(expected, key, value_type);
            let column = &mut self.columns[number as usize];
            match (&mut column.values, field) {
                (Values::Null(rows), _) => *rows += 1,
                (Values::Ints(rows), Field::Value(FlatValue::Int(value))) => rows.push(*value),
                (Values::Ints(rows), Field::Value(FlatValue::Bool(value))) => {
                    rows.push(i64::from(*value));
                }
                (Values::Ints(rows), _) => {
                    rows.push(texts.add(bytes.unwrap_or_default()));
                }
                (Values::Doubles(rows), Field::Value(FlatValue::Double(value))) => {
                    rows.push(*value);
                }
                (Values::Doubles(rows), _) => rows.push(0.0),
                (Values::Strings(rows), _) => match bytes {
                    Some(Cow::Borrowed(bytes)) => rows.push(Some(bytes)),
                    _ => rows.push(None),
                },
                (Values::Blobs(rows), field) => rows.push(match (column.value_type, bytes) {
                    (ValueType::Nested, Some(bytes)) => bytes.into_owned(),
                    _ => overflow_entry(key, field),
                }),
            }
            if let Some(last) = shape.last() {
                self.columns[*last as usize].next = number;
            }
            shape.push(number);
            expected = self.columns[number as usize].next;
        }
        let code = if let Some(code) = self.shapes.get(&shape) {
            *code
        } else {
            let code = self.shape_list.len() as i64;
            self.shapes.insert(shape.clone(), code);
            self.shape_list.push(shape.clone());
            code
        };
        self.rows.push(code);
        self.shape = shape;
    }

    /// The number of the column for a key and type.
    fn column(&mut self, expected: u32, key: &'a str, value_type: ValueType) -> u32 {
        if let Some(column) = self.columns.get(expected as usize)
            && column.value_type == value_type
            && column.key == key
        {
            return expected;
        }
        if let Some(number) = self.numbers.get(&(key, value_type as u8)) {
            return *number;
        }
        let (key, value_type) = if self.columns.len() < MAX_COLUMNS {
            (key, value_type)
        } else {
            ("", ValueType::Overflow)
        };
        if let Some(number) = self.numbers.get(&(key, value_type as u8)) {
            return *number;
        }
        let number = self.columns.len() as u32;
        self.numbers.insert((key, value_type as u8), number);
        self.columns.push(ColumnBuilder {
            key,
            value_type,
            values: match value_type {
                ValueType::Null => Values::Null(0),
                ValueType::Double => Values::Doubles(Vec::new()),
                ValueType::String | ValueType::Bytes => Values::Strings(StringsBuilder::default()),
                ValueType::Nested | ValueType::Overflow => Values::Blobs(Vec::new()),
                _ => Values::Ints(Vec::new()),
            },
            next: number + 1,
        });
        number
    }

    /// Returns whether no row has an attribute.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns whether some keys share a column.
    pub(super) fn overflows(&self) -> bool {
        let last = self.columns.last();
        last.is_some_and(|column| column.value_type == ValueType::Overflow)
    }

    /// Adds the texts of all columns to the terms of the block.
    pub(super) fn add_terms(
        &self,
        field: impl Fn(&'a str) -> TermField<'a>,
        terms: &mut TermsBuilder,
    ) {
        for column in &self.columns {
            match &column.values {
                Values::Strings(rows) if column.value_type == ValueType::String => {
                    terms.add_field(field(column.key), rows.entries().iter().copied());
                }
                // A list has the texts in it, which no term tells of.
                _ if column.value_type.is_nested() => terms.add_unindexed(field(column.key)),
                _ => terms.add_field(field(column.key), [[0u8; 0]; 0].into_iter()),
            }
        }
    }

    /// Writes the shapes: how many, and of each its columns.
    pub(super) fn put_shapes(&self, out: &mut Vec<u8>) {
        put_varint(out, self.shape_list.len() as u64);
        for shape in &self.shape_list {
            put_varint(out, shape.len() as u64);
            for column in shape {
                put_varint(out, u64::from(*column));
            }
        }
    }
}

/// A key with its value, in the column for the keys that have none.
fn overflow_entry(key: &str, field: Field<'_>) -> Vec<u8> {
    let mut entry = Vec::new();
    put_bytes(&mut entry, key.as_bytes());
    match field {
        Field::Value(value) => put_value(&mut entry, &value.to_value()),
        Field::Str(text) => put_value(&mut entry, &Value::from(text)),
    }
    entry
}

/// The shapes of one kind of row.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// The columns of all shapes, one shape after another.
    columns: Vec<u32>,
    ends: Vec<u32>,
}

impl Shapes {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BlockError> {
        let mut cursor = Cursor::new(bytes);
        let mut shapes = Self::default();
        for _ in 0..cursor.count()? {
            for _ in 0..cursor.count()? {
                shapes.columns.push(cursor.varint()? as u32);
            }
            shapes.ends.push(shapes.columns.len() as u32);
        }
        Ok(shapes)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn kept_bytes(&self) -> usize {
        4 * (self.columns.len() + self.ends.len())
    }

    /// The columns of a shape; none for one that is not there.
    pub(super) fn get(&self, shape: usize) -> &[u32] {
        let end = self.ends.get(shape).map_or(0, |end| *end as usize);
        let start = match shape {
            0 => 0,
            shape => self.ends.get(shape - 1).map_or(0, |end| *end as usize),
        };
        self.columns.get(start..end).unwrap_or_default()
    }
}

/// The exponent that stands for floats stored as their bits.
const BITS: u8 = u8::MAX;
/// Decimals with more digits after the point are stored as bits.
const MAX_DIGITS: u8 = 9;

/// Writes floats: as integers with an exponent of ten where every one comes back bit for bit,
/// which prices and temperatures do; else as their bits.
fn put_doubles(out: &mut Vec<u8>, rows: &[f64]) {
    for digits in 0..=MAX_DIGITS {
        let scale = 10f64.powi(i32::from(digits));
        let integer = |row: &f64| {
            let scaled = (row * scale).round();
            let integer = scaled as i64;
            let same = (integer as f64 / scale).to_bits() == row.to_bits();
            (scaled.abs() < 9e15 && same).then_some(integer)
        };
        if let Some(integers) = rows.iter().map(integer).collect::<Option<Vec<_>>>() {
            out.push(digits);
            put_ints(out, &integers);
            return;
        }
    }
    out.push(BITS);
    let bits: Vec<i64> = rows.iter().map(|row| row.to_bits() as i64).collect();
    put_ints(out, &bits);
}

/// A column of floats.
#[derive(Debug, Clone, Copy)]
pub struct Doubles<'a> {
    ints: Ints<'a>,
    /// What the integers are divided by; nothing if they are the bits of the floats.
    scale: Option<f64>,
}

impl<'a> Doubles<'a> {
    fn read(cursor: &mut Cursor<'a>, rows: usize, keep: Keep<'a>) -> Result<Self, BlockError> {
        let scale = match cursor.byte()? {
            BITS => None,
            digits if digits <= MAX_DIGITS => Some(10f64.powi(i32::from(digits))),
            _ => {
                return Err(BlockError::malformed(
                    "a column of floats has an unknown form",
                ));
            }
        };
        let ints = Ints::read(cursor, rows, keep.only())?;
        Ok(Self { ints, scale })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ints.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ints.is_empty()
    }

    fn value(&self, stored: i64) -> f64 {
        match self.scale {
            Some(scale) => stored as f64 / scale,
            None => f64::from_bits(stored as u64),
        }
    }

    /// The value of a row. Panics beyond the last row, as a slice does.
    pub fn get(&self, row: usize) -> f64 {
        self.value(self.ints.get(row))
    }

    /// Calls `each` with the number and value of the rows from `first` up to `end`, in order.
    pub fn for_each(&self, first: usize, end: usize, mut each: impl FnMut(usize, f64)) {
        self.ints
            .for_each(first, end, |row, stored| each(row, self.value(stored)));
    }
}

/// The values of an attribute column, one for each row that has it.
#[derive(Debug, Clone, Copy)]
pub enum ColumnValues<'a> {
    /// [`ValueType::Null`]: as many as there are.
    Null(usize),
    /// [`ValueType::Bool`] and [`ValueType::Int`]. For [`ValueType::Text`],
    /// [`ValueType::LongBytes`] and [`ValueType::LongNested`]: numbers of values in the text
    /// table of the trace, counted from 1.
    Ints(Ints<'a>),
    /// [`ValueType::Double`].
    Doubles(Doubles<'a>),
    /// [`ValueType::String`], [`ValueType::Bytes`], and the encoded values of
    /// [`ValueType::Nested`] and [`ValueType::Overflow`].
    Strings(Strings<'a>),
}

impl<'a> ColumnValues<'a> {
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        value_type: ValueType,
        rows: usize,
        keep: Keep<'a>,
    ) -> Result<Self, BlockError> {
        Ok(match value_type {
            ValueType::Null => Self::Null(rows),
            ValueType::Double => Self::Doubles(Doubles::read(cursor, rows, keep)?),
            ValueType::String | ValueType::Bytes | ValueType::Nested | ValueType::Overflow => {
                Self::Strings(Strings::read(cursor, rows, keep)?)
            }
            _ => Self::Ints(Ints::read(cursor, rows, keep.only())?),
        })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Null(rows) => *rows,
            Self::Ints(rows) => rows.len(),
            Self::Doubles(rows) => rows.len(),
            Self::Strings(rows) => rows.len(),
        }
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
