use std::borrow::Cow;

use bytes::Bytes;
use parquet::basic::Type as PhysicalType;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::types::ColumnDescriptor;

/// What one column holds in one row, or in one element of a list.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    Absent,
    Text(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// A column in the making, as Dremel's levels have it: of each cell whether it is there, and
/// whether it goes on with the list of the cell before.
#[derive(Debug)]
pub(super) struct Column {
    values: Values,
    definition_levels: Vec<i16>,
    repetition_levels: Vec<i16>,
    max_definition: i16,
    is_repeated: bool,
}

#[derive(Debug)]
enum Values {
    /// Texts after one another, with where each ends.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
}

impl Values {
    fn of(physical: PhysicalType) -> Self {
        match physical {
            PhysicalType::INT64 => Self::Ints(Vec::new()),
            PhysicalType::DOUBLE => Self::Floats(Vec::new()),
            PhysicalType::BOOLEAN => Self::Bools(Vec::new()),
            _ => Self::Texts {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
        }
    }

    /// Returns whether the cell is a value of this column.
    fn push(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Texts { bytes, ends }, Cell::Text(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
            }
            (Self::Ints(values), Cell::Int(value)) => values.push(value),
            (Self::Floats(values), Cell::Float(value)) => values.push(value),
            (Self::Bools(values), Cell::Bool(value)) => values.push(value),
            _ => return false,
        }
        true
    }
}

impl Column {
    pub(super) fn new(descriptor: &ColumnDescriptor) -> Self {
        Self {
            values: Values::of(descriptor.physical_type()),
            definition_levels: Vec::new(),
            repetition_levels: Vec::new(),
            max_definition: descriptor.max_def_level(),
            is_repeated: descriptor.max_rep_level() > 0,
        }
    }

    /// Adds a cell that is not in a list, or the element of a list at a place.
    pub(super) fn push(&mut self, cell: Cell<'_>, place: usize) {
        let is_there = self.values.push(cell);
        // A required cell that is absent shows as a level too low, which the writer refuses.
        let level = self.max_definition - i16::from(!is_there);
        self.definition_levels.push(level);
        self.repetition_levels.push(i16::from(place > 0));
    }

    /// Adds an empty list.
    pub(super) fn push_empty_list(&mut self) {
        self.definition_levels.push(0);
        self.repetition_levels.push(0);
    }

    /// About how many bytes are held.
    pub(super) fn size(&self) -> usize {
        let values = match &self.values {
            Values::Texts { bytes, ends } => bytes.len() + ends.len() * 8,
            Values::Ints(values) => values.len() * 8,
            Values::Floats(values) => values.len() * 8,
            Values::Bools(values) => values.len(),
        };
        values + self.definition_levels.len() * 4
    }

    /// Writes what is held and lets go of it.
    pub(super) fn write(
        &mut self,
        out: &mut SerializedColumnWriter<'_>,
    ) -> Result<(), ParquetError> {
        let definition = std::mem::take(&mut self.definition_levels);
        let repetition = std::mem::take(&mut self.repetition_levels);
        let definition = (self.max_definition > 0).then_some(definition.as_slice());
        let repetition = self.is_repeated.then_some(repetition.as_slice());
        match &mut self.values {
            Values::Texts { bytes, ends } => {
                let all = Bytes::from(std::mem::take(bytes));
                let mut start = 0;
                let texts: Vec<ByteArray> = std::mem::take(ends)
                    .into_iter()
                    .map(|end| ByteArray::from(all.slice(std::mem::replace(&mut start, end)..end)))
                    .collect();
                let out = out.typed::<ByteArrayType>();
                out.write_batch(&texts, definition, repetition)?;
            }
            Values::Ints(values) => {
                let values = std::mem::take(values);
                let out = out.typed::<Int64Type>();
                out.write_batch(&values, definition, repetition)?;
            }
            Values::Floats(values) => {
                let values = std::mem::take(values);
                let out = out.typed::<DoubleType>();
                out.write_batch(&values, definition, repetition)?;
            }
            Values::Bools(values) => {
                let values = std::mem::take(values);
                let out = out.typed::<BoolType>();
                out.write_batch(&values, definition, repetition)?;
            }
        }
        Ok(())
    }
}
