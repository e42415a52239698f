use std::borrow::Cow;

use spanlite_store::block::{BlockError, ColumnValues, Doubles, Ints, Strings, ValueType};

use super::leaf::{Leaf, holds};
use super::mask::Truth;
use crate::eval::Datum;
use crate::syntax::ast::BinaryOp;

type Read<T> = Result<T, BlockError>;

/// What a condition says of the values of one part of an attribute.
pub(super) enum Verdicts<'b> {
    /// Of every value.
    Same(Truth),
    /// Of one entry of the dictionary alone.
    Code(&'b Strings<'b>, u32),
    /// Of every entry of the dictionary, code 0 first.
    Entries(&'b Strings<'b>, Vec<Truth>),
    Bools(&'b Ints<'b>, [Truth; 2]),
    Ints(&'b Ints<'b>, Option<(BinaryOp, f64)>),
    Doubles(&'b Doubles<'b>, Option<(BinaryOp, f64)>),
}

impl<'b> Verdicts<'b> {
    pub(super) fn of(
        value_type: ValueType,
        values: &'b ColumnValues<'b>,
        leaf: &Leaf<'_, '_>,
    ) -> Read<Self> {
        Ok(match (value_type, values) {
            (ValueType::Null, _) => Self::Same(leaf.truth(&Datum::Nil)),
            (ValueType::Bool, ColumnValues::Ints(values)) => {
                let truths = [false, true].map(|value| leaf.truth(&Datum::Bool(value)));
                Self::Bools(values, truths)
            }
            (ValueType::Int, ColumnValues::Ints(values)) => Self::Ints(values, leaf.threshold()),
            (ValueType::Double, ColumnValues::Doubles(values)) => {
                Self::Doubles(values, leaf.threshold())
            }
            (ValueType::String, ColumnValues::Strings(values)) if leaf.wanted_text().is_some() => {
                let wanted = leaf.wanted_text().unwrap_or_default();
                match values.code_of(wanted.as_bytes()) {
                    Some(code) => Self::Code(values, code),
                    None => Self::Same(Truth::No),
                }
            }
            (ValueType::String, ColumnValues::Strings(values)) => {
                let mut verdicts = vec![Truth::Maybe];
                for entry in 0..values.n_entries() {
                    let text = values.entry(entry)?;
                    verdicts.push(leaf.truth(&Datum::Text(Cow::Borrowed(text))));
                }
                Self::Entries(values, verdicts)
            }
            // Long values, lists, maps and bytes are looked at in the trace.
            _ => Self::Same(Truth::Maybe),
        })
    }

    pub(super) fn at(&self, index: usize, leaf: &Leaf<'_, '_>) -> Truth {
        match self {
            Self::Same(truth) => *truth,
            Self::Code(values, code) => (values.code(index) == *code).into(),
            Self::Entries(values, verdicts) => {
                let code = values.code(index) as usize;
                verdicts.get(code).copied().unwrap_or(Truth::Maybe)
            }
            Self::Bools(values, truths) => truths[usize::from(values.get(index) != 0)],
            Self::Ints(values, threshold) => match *threshold {
                Some((op, limit)) => holds(op, values.get(index) as f64, limit).into(),
                None => leaf.truth(&Datum::Int(values.get(index))),
            },
            Self::Doubles(values, threshold) => match *threshold {
                Some((op, limit)) => holds(op, values.get(index), limit).into(),
                None => leaf.truth(&Datum::Float(values.get(index))),
            },
        }
    }
}
