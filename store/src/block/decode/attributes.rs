use std::cell::{OnceCell, RefCell};

use spanlite_model::{Attributes, Value};

use super::super::BlockError;
use super::super::attributes::{ColumnValues, Shapes, ValueType};
use super::super::bytes::{Cursor, text};
use super::super::directory::{AttributeColumns, Entry};
use super::super::ints::Ints;
use super::super::reader::{BlockReader, LoadSection};
use super::super::texts::TraceTexts;
use super::super::value::read_value;
use super::{into_text, once};

/// Gives the attributes of rows back. Quick when rows are asked for in order.
pub(super) struct AttributesDecoder<'b, L> {
    block: &'b BlockReader<L>,
    shapes: &'b Shapes,
    rows: Ints<'b>,
    /// The number of the first of the entries.
    first_entry: usize,
    entries: &'b [Entry],
    columns: Vec<OnceCell<(ValueType, ColumnValues<'b>)>>,
    position: RefCell<Position>,
}

/// How many values of every column come before a row.
#[derive(Default)]
struct Position {
    row: usize,
    passed: Vec<u32>,
}

impl<'b, L: LoadSection> AttributesDecoder<'b, L> {
    pub(super) fn open(
        block: &'b BlockReader<L>,
        columns: AttributeColumns,
        n_rows: usize,
    ) -> Result<Self, BlockError> {
        let (first_entry, entries) = block.directory().all(columns.values);
        let mut cells = Vec::new();
        cells.resize_with(entries.len(), OnceCell::new);
        Ok(Self {
            block,
            shapes: block.shapes(columns)?,
            rows: block.ints(columns.rows, n_rows)?,
            first_entry,
            entries,
            columns: cells,
            position: RefCell::default(),
        })
    }

    pub(super) fn row(&self, row: usize, texts: &TraceTexts) -> Result<Attributes, BlockError> {
        let shape = self.shapes.get(self.rows.get(row) as usize);
        if shape.is_empty() {
            return Ok(Attributes::new());
        }
        // Put back at the end only: after an error the count starts anew.
        let mut position = self.position.take();
        self.advance(&mut position, row);
        let mut attributes = Vec::with_capacity(shape.len());
        for column in shape {
            let (Some(passed), Some(entry)) = (
                position.passed.get_mut(*column as usize),
                self.entries.get(*column as usize),
            ) else {
                return Err(BlockError::malformed("a shape has an unknown column"));
            };
            let index = *passed as usize;
            *passed += 1;
            let (value_type, values) = once(&self.columns[*column as usize], || {
                self.block
                    .values(self.first_entry + *column as usize, entry)
            })?;
            if index >= values.len() {
                return Err(BlockError::malformed("a column has too few values"));
            }
            let key = self.block.directory().key(entry);
            attributes.push(self.value(key, *value_type, values, index, texts)?);
        }
        position.row = row + 1;
        *self.position.borrow_mut() = position;
        Ok(Attributes::from(attributes))
    }

    /// Counts the values before `row`.
    fn advance(&self, position: &mut Position, row: usize) {
        if position.row > row || position.passed.is_empty() {
            *position = Position {
                row: 0,
                passed: vec![0; self.entries.len()],
            };
        }
        if position.row == row {
            return;
        }
        let mut shapes = vec![0u32; self.shapes.len()];
        self.rows.for_each(position.row, row, |_, shape| {
            if let Some(count) = shapes.get_mut(shape as usize) {
                *count += 1;
            }
        });
        for (shape, count) in shapes
            .into_iter()
            .enumerate()
            .filter(|(_, count)| *count > 0)
        {
            for column in self.shapes.get(shape) {
                if let Some(passed) = position.passed.get_mut(*column as usize) {
                    *passed += count;
                }
            }
        }
        position.row = row;
    }

    fn value(
        &self,
        key: &str,
        value_type: ValueType,
        values: &ColumnValues<'_>,
        index: usize,
        texts: &TraceTexts,
    ) -> Result<(String, Value), BlockError> {
        const WRONG: BlockError = BlockError::malformed("a column has no value where it must");
        let value = match (values, value_type) {
            (ColumnValues::Null(_), _) => Value::Null,
            (ColumnValues::Doubles(rows), _) => Value::Double(rows.get(index)),
            (ColumnValues::Ints(rows), ValueType::Bool) => Value::Bool(rows.get(index) != 0),
            (ColumnValues::Ints(rows), ValueType::Int) => Value::Int(rows.get(index)),
            (ColumnValues::Ints(rows), _) => {
                let bytes = self
                    .block
                    .text_bytes(texts, rows.get(index))?
                    .ok_or(WRONG)?;
                match value_type {
                    ValueType::LongBytes => Value::Bytes(bytes),
                    ValueType::LongNested => read_value(&mut Cursor::new(&bytes))?,
                    _ => Value::String(into_text(bytes)?),
                }
            }
            (ColumnValues::Strings(rows), _) => {
                let bytes = rows.get_bytes(index)?.ok_or(WRONG)?;
                match value_type {
                    ValueType::Bytes => Value::Bytes(bytes.to_vec()),
                    ValueType::Nested => read_value(&mut Cursor::new(bytes))?,
                    ValueType::Overflow => {
                        let mut cursor = Cursor::new(bytes);
                        let key = cursor.text()?.to_owned();
                        return Ok((key, read_value(&mut cursor)?));
                    }
                    _ => Value::String(text(bytes)?.to_owned()),
                }
            }
        };
        Ok((key.to_owned(), value))
    }
}
