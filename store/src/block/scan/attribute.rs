use spanlite_model::Value;

use super::super::BlockError;
use super::super::attributes::{ColumnValues, Shapes, ValueType};
use super::super::bytes::{Cursor, text};
use super::super::directory::{
    AttributeColumns, EVENT_ATTRIBUTES, LINK_ATTRIBUTES, METADATA, SPAN_ATTRIBUTES, TAGS,
};
use super::super::ints::Ints;
use super::super::reader::{BlockReader, LoadSection};
use super::super::value::read_value;

/// Whose attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttributeKind {
    /// Tags of traces: one row a trace.
    Tag,
    /// Metadata of traces: one row a trace.
    Metadata,
    /// Attributes of spans: one row a span.
    Span,
    /// Attributes of events: one row an event.
    Event,
    /// Attributes of links: one row a link.
    Link,
}

impl AttributeKind {
    pub(super) fn columns(self) -> AttributeColumns {
        match self {
            Self::Tag => TAGS,
            Self::Metadata => METADATA,
            Self::Span => SPAN_ATTRIBUTES,
            Self::Event => EVENT_ATTRIBUTES,
            Self::Link => LINK_ATTRIBUTES,
        }
    }
}

/// The values of one type that an attribute has.
#[derive(Debug, Clone)]
pub struct AttributePart<'b> {
    /// Their type. [`ValueType::Overflow`] has values of many keys and types, encoded.
    pub value_type: ValueType,
    /// The values, without the rows that have none.
    pub values: ColumnValues<'b>,
}

impl AttributePart<'_> {
    /// Whether [`Self::value`] gives the values: those of 256 bytes and more stand among the texts,
    /// and keys that share a column are told apart by row.
    pub fn has_values(&self) -> bool {
        !self.value_type.is_text() && self.value_type != ValueType::Overflow
    }

    /// The value at an index.
    pub fn value(&self, index: usize) -> Result<Value, BlockError> {
        const ELSEWHERE: BlockError = BlockError::malformed("a value stands outside its column");
        if !self.has_values() {
            return Err(ELSEWHERE);
        }
        Ok(match (&self.values, self.value_type) {
            (ColumnValues::Null(_), _) => Value::Null,
            (ColumnValues::Ints(values), ValueType::Bool) => Value::Bool(values.get(index) != 0),
            (ColumnValues::Ints(values), _) => Value::Int(values.get(index)),
            (ColumnValues::Doubles(values), _) => Value::Double(values.get(index)),
            (ColumnValues::Strings(values), value_type) => {
                let bytes = values.get_bytes(index)?.ok_or(ELSEWHERE)?;
                match value_type {
                    ValueType::Nested => read_value(&mut Cursor::new(bytes))?,
                    ValueType::Bytes => Value::Bytes(bytes.to_vec()),
                    _ => Value::String(text(bytes)?.to_owned()),
                }
            }
        })
    }
}

/// The values of one attribute in a block, by row.
///
/// Where a key comes twice in a row, the first one counts. Evaluate the predicate once for every
/// part, over its dictionary or its numbers, then go through the rows:
///
/// ```
/// # use spanlite_store::block::*;
/// # fn scan<L: LoadSection>(block: &BlockReader<L>) -> Result<Vec<usize>, BlockError> {
/// let region = block.attribute(AttributeKind::Span, "region")?;
/// // For every part that holds texts, the code of the wanted one.
/// let wanted: Vec<_> = region.parts().iter().map(|part| match &part.values {
///     ColumnValues::Strings(texts) if part.value_type == ValueType::String => {
///         Some((texts, texts.code_of(b"eu")?))
///     }
///     _ => None,
/// }).collect();
/// let mut rows = Vec::new();
/// region.for_each(|row, part, index| {
///     if let Some((texts, code)) = &wanted[part] && texts.code(index) == *code {
///         rows.push(row);
///     }
/// });
/// # Ok(rows)
/// # }
/// ```
#[derive(Debug)]
pub struct AttributeReader<'b> {
    rows: Ints<'b>,
    parts: Vec<AttributePart<'b>>,
    /// What a row of every shape has of the key.
    shapes: Vec<ShapeParts>,
    /// For every value of the overflow part, whether it is of this key.
    overflow: Vec<bool>,
}

/// The parts of the key in one shape.
#[derive(Debug, Clone, Default)]
struct ShapeParts {
    /// The part of the first value, if the shape has the key for certain.
    first: Option<u32>,
    /// The part of every value, in order.
    parts: Vec<u32>,
    has_overflow: bool,
}

impl<'b> AttributeReader<'b> {
    pub(super) fn open<L: LoadSection>(
        block: &'b BlockReader<L>,
        kind: AttributeKind,
        key: &str,
    ) -> Result<Self, BlockError> {
        let columns = kind.columns();
        let n_rows = match kind {
            AttributeKind::Tag | AttributeKind::Metadata => block.n_traces(),
            AttributeKind::Span => block.n_spans(),
            AttributeKind::Event => block.directory().n_events,
            AttributeKind::Link => block.directory().n_links,
        };
        let mut parts = Vec::new();
        let mut overflow = Vec::new();
        // For every column, the part it is.
        let mut numbers = Vec::new();
        let (first, entries) = block.directory().all(columns.values);
        for (number, entry) in (first..).zip(entries) {
            let is_overflow = entry.value_type == ValueType::Overflow as u8;
            if !is_overflow && block.directory().key(entry) != key {
                numbers.push(None);
                continue;
            }
            let (value_type, values) = block.values(number, entry)?;
            if let (ColumnValues::Strings(rows), true) = (&values, is_overflow) {
                overflow = overflow_rows(rows, key)?;
            }
            numbers.push(Some(parts.len() as u32));
            parts.push(AttributePart { value_type, values });
        }
        if parts.is_empty() {
            return Ok(Self {
                rows: Ints::constant(0, 0),
                parts,
                shapes: Vec::new(),
                overflow,
            });
        }
        let shapes = block.shapes(columns)?;
        Ok(Self {
            rows: block.ints(columns.rows, n_rows)?,
            shapes: shape_parts(shapes, &numbers, &parts),
            parts,
            overflow,
        })
    }

    /// The types of values the attribute has in this block, none if no row has it.
    pub fn parts(&self) -> &[AttributePart<'b>] {
        &self.parts
    }

    /// Calls `each` with every row that has the attribute, ascending, with the part its value is
    /// in, and the value's index there.
    pub fn for_each(&self, mut each: impl FnMut(usize, usize, usize)) {
        let plain = |shape: &ShapeParts| !shape.has_overflow && shape.parts.len() <= 1;
        if self.parts.len() == 1 && self.shapes.iter().all(plain) {
            let has: Vec<bool> = self
                .shapes
                .iter()
                .map(|shape| shape.first.is_some())
                .collect();
            let n_values = self.parts[0].values.len();
            let mut index = 0;
            self.rows.for_each(0, self.rows.len(), |row, shape| {
                if has.get(shape as usize) == Some(&true) && index < n_values {
                    each(row, 0, index);
                    index += 1;
                }
            });
            return;
        }
        let mut passed = vec![0usize; self.parts.len()];
        self.rows.for_each(0, self.rows.len(), |row, shape| {
            let Some(shape) = self.shapes.get(shape as usize) else {
                return;
            };
            let mut found = false;
            for part in &shape.parts {
                let part = *part as usize;
                let index = passed[part];
                passed[part] += 1;
                let values = &self.parts[part];
                let is_key = values.value_type != ValueType::Overflow
                    || self.overflow.get(index) == Some(&true);
                if !found && is_key && index < values.values.len() {
                    found = true;
                    each(row, part, index);
                }
            }
        });
    }
}

/// Which values of the overflow column are of `key`.
fn overflow_rows(
    rows: &super::super::strings::Strings<'_>,
    key: &str,
) -> Result<Vec<bool>, BlockError> {
    let is_key = |row| match rows.get_bytes(row)? {
        Some(bytes) => Ok(Cursor::new(bytes).text()? == key),
        None => Ok(false),
    };
    (0..rows.len()).map(is_key).collect()
}

fn shape_parts(
    shapes: &Shapes,
    numbers: &[Option<u32>],
    parts: &[AttributePart<'_>],
) -> Vec<ShapeParts> {
    let of_shape = |shape| {
        let columns = shapes.get(shape).iter();
        let found = columns.filter_map(|column| *numbers.get(*column as usize)?);
        let found: Vec<u32> = found.collect();
        let is_overflow = |part: &u32| parts[*part as usize].value_type == ValueType::Overflow;
        ShapeParts {
            first: found.first().copied(),
            has_overflow: found.iter().any(is_overflow),
            parts: found,
        }
    };
    (0..shapes.len()).map(of_shape).collect()
}
