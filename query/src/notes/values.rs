use std::collections::BTreeSet;

use spanlite_model::SpanType;
use spanlite_store::{Snapshot, TimeRange};

use super::LOOSE_TRACES;
use crate::error::{Code, QueryError};
use crate::eval::{At, Datum, RowValues as _, View};
use crate::plan::{Explain, Fields, Search};
use crate::resolve::Node;
use crate::run::{RunError, RunOptions};
use crate::suggest::nearest;
use crate::syntax::ast::Place;
use crate::syntax::field::{Builtin, Field};
use crate::syntax::form::Form;
use crate::syntax::{few_values, meant_value, print};

/// Of a store with more spans in blocks nothing is said.
const MAX_ROWS: u64 = 4_000_000;
/// So many values are remembered to find near ones among.
const MAX_VALUES: usize = 10_000;

/// A comparison with a text that one value of a field has to pass.
pub(super) struct Comparison {
    pub(super) field: Field,
    pub(super) text: Box<str>,
    /// Of the text.
    pub(super) place: Place,
}

/// What is known of the values of a field, beside the one that is wanted.
struct Values<'c> {
    wanted: &'c str,
    any_case: bool,
    /// The wanted one is there, or may be.
    is_there: bool,
    /// It is there, as a number.
    is_number: bool,
    others: BTreeSet<String>,
}

/// What to say if nothing has the value.
pub(super) fn note_of_value(
    comparison: &Comparison,
    snapshot: &Snapshot,
) -> Result<Option<QueryError>, RunError> {
    let Comparison { field, text, place } = comparison;
    let shown = print::field(field, Form::Braces);
    let note = |message: String| QueryError::new(Code::UnknownValue, place.range(), message);
    if let Field::Builtin(builtin) = field
        && let Some(values) = few_values(*builtin)
    {
        if values.contains(&&**text) {
            return Ok(None);
        }
        let note = note(format!("{shown} is never {text:?}"));
        let all = values.join(", ");
        return Ok(Some(match meant_value(text, values) {
            Some(meant) => note
                .help(format!("did you mean {meant}? ({shown} is one of {all})"))
                .replace(quoted(meant)),
            None => note.help(format!("{shown} is one of {all}")),
        }));
    }
    if is_id(field) {
        return Ok(None);
    }
    let Some(values) = values(comparison, snapshot)? else {
        return Ok(None);
    };
    if values.is_number {
        let note = note(format!("{shown} holds numbers, not the text {text:?}"));
        return Ok(Some(note.help(format!("write {text}")).replace(&**text)));
    }
    let whose = match field {
        Field::Attribute { scope, .. } if scope.is_of_trace() => "trace",
        Field::Builtin(builtin) if builtin.as_str().starts_with("trace:") => "trace",
        _ => "span",
    };
    let note = note(format!("no {whose} has {shown} = {text:?}"));
    let of_mlflow = if values.any_case {
        SpanType::NAMES
    } else {
        &[]
    };
    let others = values.others.iter().map(String::as_str);
    let others = others.chain(of_mlflow.iter().copied());
    let near = nearest(text, others.filter(|other| *other != &**text));
    Ok(Some(match near {
        Some(near) => note.help(format!("near: {near}")).replace(quoted(near)),
        None => note,
    }))
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Ids are near to each other only by chance.
fn is_id(field: &Field) -> bool {
    use Builtin as B;
    matches!(
        field,
        Field::Builtin(B::TraceId | B::SpanId | B::SpanParentId | B::LinkTraceId | B::LinkSpanId)
    )
}

/// The other values of a field; nothing if the wanted one is there, or may be.
fn values<'c>(
    comparison: &'c Comparison,
    snapshot: &Snapshot,
) -> Result<Option<Values<'c>>, RunError> {
    let field = &comparison.field;
    let node = Node::Field(field.clone());
    let mut values = Values {
        wanted: &comparison.text,
        any_case: *field == Field::Builtin(Builtin::SpanType),
        is_there: false,
        is_number: false,
        others: BTreeSet::new(),
    };
    let options = RunOptions::default();
    let search = Search::new(snapshot, &[], TimeRange::default(), &options)?;
    let mut counts = Explain::default();
    let mut n_rows = 0;
    for number in search.open_blocks(&mut counts).into_iter().rev() {
        let block = search.blocks.get(number);
        n_rows += block.map_or(0, |block| u64::from(block.header().summary().n_spans));
        if n_rows > MAX_ROWS {
            return Ok(None);
        }
        search.in_block(number, &mut counts, |found| {
            let fields = match &found.block {
                Some(block) => Fields::of(block, &mut [&node].into_iter())?,
                None => None,
            };
            let (Some(block), Some(fields)) = (&found.block, fields) else {
                values.is_there = true;
                return Ok(());
            };
            for row in 0..block.reader.n_spans() {
                values.add(&(&fields).value(field, row));
                values.is_there |= fields.take_unknown();
            }
            Ok(())
        })?;
        if values.is_there {
            return Ok(None);
        }
    }
    for (count, (trace_id, _)) in snapshot.loose()?.enumerate() {
        if count == LOOSE_TRACES {
            return Ok(None);
        }
        let Some(trace) = snapshot.trace(trace_id)? else {
            continue;
        };
        let view = View::new(&trace, options.now_unix_nano);
        values.add(&node.value(At::whole(&view)));
        for number in 0..view.len() {
            values.add(&node.value(At::span_of(&view, number)));
        }
        if values.is_there {
            return Ok(None);
        }
    }
    Ok(Some(values))
}

impl Values<'_> {
    fn add(&mut self, value: &Datum<'_>) {
        match value {
            Datum::Text(text) => {
                self.is_there |= **text == *self.wanted
                    || (self.any_case && text.eq_ignore_ascii_case(self.wanted));
                if self.others.len() < MAX_VALUES && !self.others.contains(&**text) {
                    self.others.insert(text.clone().into_owned());
                }
            }
            Datum::Int(number) => self.is_number |= number.to_string() == self.wanted,
            Datum::Float(number) => self.is_number |= number.to_string() == self.wanted,
            Datum::Array(_) | Datum::Many(_) | Datum::Json(_) => {
                for element in value.elements().unwrap_or_default() {
                    // No list holds lists.
                    if !matches!(element, Datum::Array(_) | Datum::Many(_) | Datum::Json(_)) {
                        self.add(&element);
                    }
                }
            }
            Datum::Each(values) => {
                for value in values {
                    self.add(value);
                }
            }
            _ => {}
        }
    }
}
