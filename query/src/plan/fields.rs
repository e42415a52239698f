//! Values of fields row by row, out of the columns of a block.

use std::cell::Cell;

use spanlite_model::{Attributes, SpanKind, StatusCode, Value};
use spanlite_store::block::{
    AttributeKind, AttributeReader, BlockError, ColumnValues, Ints, Strings, ValueType,
    read_resource, read_scope,
};

use super::block::Block;
use crate::eval::{Datum, RowValues};
use crate::resolve::Node;
use crate::syntax::field::{Builtin, Field, Scope};

type Read<T> = Result<T, BlockError>;

/// The columns of some fields. Rows are the spans of the block.
pub(crate) struct Fields<'b> {
    columns: Vec<(Field, Column<'b>)>,
    /// A value was asked for that columns do not tell.
    was_unknown: Cell<bool>,
}

enum Column<'b> {
    Texts {
        column: Strings<'b>,
        /// What a row without an entry has.
        missing: Datum<'static>,
    },
    /// Numbers, and the rows that have none, ascending.
    Numbers(Ints<'b>, fn(i64) -> Datum<'static>, Vec<u32>),
    /// By row.
    Values(Vec<Option<Datum<'static>>>),
    /// By the code of a row.
    Coded(Strings<'b>, Vec<Option<Datum<'static>>>),
    Attribute(Attribute<'b>),
    /// The attribute, where a row has it, else the other column.
    Either(Attribute<'b>, Box<Self>),
    /// A column by trace, and the trace of every row.
    OfTrace(Box<Self>, Vec<u32>),
}

/// The values of an attribute, found by row.
struct Attribute<'b> {
    reader: AttributeReader<'b>,
    /// The part and the index of the value of every row.
    slots: Vec<(u32, u32)>,
}

const NO_VALUE: (u32, u32) = (u32::MAX, 0);

impl<'b> Fields<'b> {
    /// The columns of all fields of some expressions; nothing if one of the fields has none.
    pub(crate) fn of(
        block: &'b Block<'_>,
        nodes: &mut dyn Iterator<Item = &Node>,
    ) -> Read<Option<Self>> {
        let mut wanted: Vec<Field> = Vec::new();
        let mut is_of_row = true;
        for node in nodes {
            is_of_row &= !node.asks_elsewhere();
            node.each_field(&mut |field| {
                if !wanted.contains(field) {
                    wanted.push(field.clone());
                }
            });
        }
        if !is_of_row {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(wanted.len());
        for field in wanted {
            let Some(column) = column(block, &field)? else {
                return Ok(None);
            };
            columns.push((field, column));
        }
        Ok(Some(Self {
            columns,
            was_unknown: Cell::new(false),
        }))
    }

    /// Whether a value was asked for since the last call that columns do not tell.
    pub(crate) fn take_unknown(&self) -> bool {
        self.was_unknown.replace(false)
    }
}

impl<'c> RowValues<'c> for &'c Fields<'_> {
    fn value(&self, field: &Field, row: usize) -> Datum<'c> {
        let this: &'c Fields<'_> = self;
        let known = this.columns.iter().find(|(known, _)| known == field);
        known
            .and_then(|(_, column)| column.get(row))
            .unwrap_or_else(|| {
                this.was_unknown.set(true);
                Datum::Nil
            })
    }
}

impl Column<'_> {
    /// The value of a row; nothing if that is not known.
    fn get(&self, row: usize) -> Option<Datum<'_>> {
        match self {
            Self::Texts { column, missing } => match column.code(row) {
                0 => Some(missing.clone()),
                code => column.entry(code as usize - 1).ok().map(Datum::text),
            },
            Self::Numbers(column, of, without) => Some(
                if !without.is_empty() && without.binary_search(&(row as u32)).is_ok() {
                    Datum::Nil
                } else {
                    of(column.get(row))
                },
            ),
            Self::Values(values) => values.get(row)?.clone(),
            Self::Coded(codes, values) => values.get(codes.code(row) as usize)?.clone(),
            Self::Attribute(attribute) => match attribute.slots.get(row) {
                None | Some(&NO_VALUE) => Some(Datum::Nil),
                Some(slot) => attribute.get(*slot),
            },
            Self::Either(attribute, other) => match attribute.slots.get(row) {
                None | Some(&NO_VALUE) => other.get(row),
                Some(slot) => attribute.get(*slot),
            },
            Self::OfTrace(column, traces) => column.get(*traces.get(row)? as usize),
        }
    }
}

impl<'b> Attribute<'b> {
    fn open(block: &'b Block<'_>, kind: AttributeKind, key: &str, n_rows: usize) -> Read<Self> {
        let reader = block.reader.attribute(kind, key)?;
        let mut slots = vec![NO_VALUE; n_rows];
        reader.for_each(|row, part, index| {
            if let Some(slot) = slots.get_mut(row) {
                *slot = (part as u32, index as u32);
            }
        });
        Ok(Self { reader, slots })
    }

    fn get(&self, (part, index): (u32, u32)) -> Option<Datum<'_>> {
        let part = self.reader.parts().get(part as usize)?;
        let index = index as usize;
        Some(match (part.value_type, &part.values) {
            (ValueType::Null, _) => Datum::Nil,
            (ValueType::Bool, ColumnValues::Ints(values)) => Datum::Bool(values.get(index) != 0),
            (ValueType::Int, ColumnValues::Ints(values)) => Datum::Int(values.get(index)),
            (ValueType::Double, ColumnValues::Doubles(values)) => Datum::Float(values.get(index)),
            (ValueType::String, ColumnValues::Strings(values)) => {
                let entry = (values.code(index) as usize).checked_sub(1)?;
                Datum::text(values.entry(entry).ok()?)
            }
            // Long values, lists, maps and bytes are looked at in the trace.
            _ => return None,
        })
    }
}

fn column<'b>(block: &'b Block<'_>, field: &Field) -> Read<Option<Column<'b>>> {
    use Builtin as B;
    let reader = &*block.reader;
    let texts = |column: Strings<'b>, missing: &'static str| Column::Texts {
        column,
        missing: Datum::text(missing),
    };
    Ok(Some(match field {
        Field::Builtin(B::SpanName) => texts(reader.names()?, ""),
        Field::Builtin(B::SpanType) => Column::Texts {
            column: reader.span_types()?,
            missing: Datum::Text(
                spanlite_model::SpanType::default()
                    .as_str()
                    .to_owned()
                    .into(),
            ),
        },
        Field::Builtin(B::SpanStatus) => Column::Numbers(
            reader.status_codes()?,
            |code| Datum::Status(status(code)),
            Vec::new(),
        ),
        Field::Builtin(B::SpanState) => Column::Numbers(
            reader.status_codes()?,
            |code| Datum::text(state_name(code)),
            Vec::new(),
        ),
        Field::Builtin(B::SpanKind) => Column::Numbers(
            reader.kinds()?,
            |kind| Datum::Kind(self::kind(kind)),
            Vec::new(),
        ),
        Field::Builtin(B::SpanDuration) => Column::Numbers(
            reader.durations()?,
            |nanos| Datum::Duration(nanos.max(0)),
            reader.open_spans()?,
        ),
        Field::Builtin(builtin) => return worked_out(block, *builtin),
        Field::Attribute { scope, name } => return attribute(block, *scope, name),
        Field::Parent { .. } => return Ok(None),
    }))
}

/// A built-in that stands in no column as it is.
fn worked_out<'b>(block: &'b Block<'_>, builtin: Builtin) -> Read<Option<Column<'b>>> {
    let mut values = vec![None; block.reader.n_spans()];
    let is_of_span = block.each_span_value(builtin, &mut |row, value| {
        if let Some(slot) = values.get_mut(row) {
            *slot = value;
        }
    })?;
    if is_of_span {
        return Ok(Some(Column::Values(values)));
    }
    let mut values = vec![None; block.reader.n_traces()];
    let is_of_trace = block.each_trace_value(builtin, &mut |place, value| {
        if let Some(slot) = values.get_mut(place) {
            *slot = value.map(Datum::into_owned);
        }
    })?;
    if !is_of_trace {
        return Ok(None);
    }
    let column = Box::new(Column::Values(values));
    Ok(Some(Column::OfTrace(column, traces(block)?)))
}

fn attribute<'b>(block: &'b Block<'_>, scope: Scope, name: &str) -> Read<Option<Column<'b>>> {
    // MLflow's own keys may stand in fields of their own.
    if name.starts_with("mlflow.") {
        return Ok(None);
    }
    let (n_spans, n_traces) = (block.reader.n_spans(), block.reader.n_traces());
    Ok(Some(match scope {
        Scope::Span => {
            Column::Attribute(Attribute::open(block, AttributeKind::Span, name, n_spans)?)
        }
        Scope::Resource => resources(block, name)?,
        Scope::Either => {
            let own = Attribute::open(block, AttributeKind::Span, name, n_spans)?;
            Column::Either(own, Box::new(resources(block, name)?))
        }
        Scope::Instrumentation => {
            let scopes = block.reader.scopes()?;
            let mut values = vec![Some(Datum::Nil)];
            for entry in 0..scopes.n_entries() {
                let scope = read_scope(scopes.entry_bytes(entry).unwrap_or_default())?;
                values.push(shared(&scope.attributes, name));
            }
            Column::Coded(scopes, values)
        }
        Scope::Tag | Scope::Metadata => {
            let kind = match scope {
                Scope::Tag => AttributeKind::Tag,
                _ => AttributeKind::Metadata,
            };
            let own = Attribute::open(block, kind, name, n_traces)?;
            Column::OfTrace(Box::new(Column::Attribute(own)), traces(block)?)
        }
        _ => return Ok(None),
    }))
}

fn resources<'b>(block: &'b Block<'_>, name: &str) -> Read<Column<'b>> {
    let resources = block.reader.resources()?;
    let mut values = vec![Some(Datum::Nil)];
    for entry in 0..resources.n_entries() {
        let resource = read_resource(resources.entry_bytes(entry).unwrap_or_default())?;
        values.push(shared(&resource.attributes, name));
    }
    Ok(Column::Coded(resources, values))
}

/// An attribute that spans share; lists are looked at in the trace.
fn shared(attributes: &Attributes, name: &str) -> Option<Datum<'static>> {
    match attributes.get(name) {
        None => Some(Datum::Nil),
        Some(Value::Array(_)) => None,
        Some(value) => Some(Datum::of(value).into_owned()),
    }
}

/// The place of the trace of every row.
fn traces(block: &Block<'_>) -> Read<Vec<u32>> {
    let mut traces = Vec::with_capacity(block.reader.n_spans());
    for (place, bound) in (0..).zip(block.span_starts()?.windows(2)) {
        traces.extend(std::iter::repeat_n(place, (bound[1] - bound[0]) as usize));
    }
    Ok(traces)
}

pub(crate) fn status(code: i64) -> StatusCode {
    let code = u8::try_from(code).ok().and_then(StatusCode::from_number);
    code.unwrap_or_default()
}

pub(crate) fn state_name(code: i64) -> &'static str {
    match status(code) {
        StatusCode::Ok => "OK",
        StatusCode::Error => "ERROR",
        StatusCode::Unset => "UNSET",
    }
}

pub(crate) fn kind(number: i64) -> SpanKind {
    let kind = u8::try_from(number).ok().and_then(SpanKind::from_number);
    kind.unwrap_or_default()
}
