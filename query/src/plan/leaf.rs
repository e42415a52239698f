//! Conditions on one field, answered by its column: once for every distinct value, not once for
//! every span.

use spanlite_store::block::{AttributeKind, BlockError, Ints, Strings};

use super::block::Block;
use super::fields::{kind, state_name, status};
use super::mask::{Mask, Rows, Truth};
use super::verdicts::Verdicts;
use crate::eval::{At, Datum, View};
use crate::pattern::Pattern;
use crate::resolve::{Matcher, Node};
use crate::syntax::ast::BinaryOp;
use crate::syntax::field::{Builtin, Field, Scope};

/// A condition on one field, to be asked about values.
pub(super) struct Leaf<'n, 'v> {
    pub(super) node: &'n Node,
    /// A trace without spans: what a condition on a given value needs no more than.
    pub(super) nowhere: &'v View<'v>,
}

impl Leaf<'_, '_> {
    fn holds(&self, value: &Datum<'_>) -> bool {
        let at = At::given(self.nowhere, value);
        self.node.is_true(at)
    }

    /// The comparison with a number that the condition is, if it is one.
    pub(super) fn threshold(&self) -> Option<(BinaryOp, f64)> {
        let Node::Compare { op, left, right } = self.node else {
            return None;
        };
        let (op, limit) = match (&**left, &**right) {
            (Node::Field(_), Node::Constant(limit)) => (*op, limit),
            (Node::Constant(limit), Node::Field(_)) => (op.mirrored(), limit),
            _ => return None,
        };
        // Floats hold whole numbers exactly up to here.
        let exact = 9e15;
        limit
            .number()
            .filter(|limit| limit.abs() < exact)
            .map(|limit| (op, limit))
    }

    /// The pattern that a text in the field has to fit, if that is what the condition says.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        let (Node::Regex {
            of,
            regex: pattern,
            negated: false,
        }
        | Node::Text {
            of,
            matcher: Matcher::Piece { regex: pattern, .. } | Matcher::Pattern(pattern),
        }) = self.node
        else {
            return None;
        };
        matches!(**of, Node::Field(_)).then_some(pattern)
    }

    pub(super) fn truth(&self, value: &Datum<'_>) -> Truth {
        self.holds(value).into()
    }

    /// The same for a value that may not be known.
    fn truth_of(&self, value: Option<&Datum<'_>>) -> Truth {
        value.map_or(Truth::Maybe, |value| self.truth(value))
    }

    /// The text that the field has to be equal to, if that is what the condition says.
    pub(super) fn wanted_text(&self) -> Option<&str> {
        let Node::Compare {
            op: BinaryOp::Equal,
            left,
            right,
        } = self.node
        else {
            return None;
        };
        match (&**left, &**right) {
            (Node::Field(_), Node::Constant(Datum::Text(text)))
            | (Node::Constant(Datum::Text(text)), Node::Field(_)) => Some(text),
            _ => None,
        }
    }
}

type Read<T> = Result<T, BlockError>;

/// Whose rows a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Span,
    Event,
    Trace,
}

/// The level of a field that stands in a column.
pub(super) fn level(field: &Field) -> Option<Level> {
    use Builtin as B;
    match field {
        Field::Builtin(builtin) => match builtin {
            B::SpanName
            | B::SpanType
            | B::SpanStatus
            | B::SpanState
            | B::SpanKind
            | B::SpanDuration
            | B::SpanStart
            | B::SpanStatusMessage
            | B::SpanInput
            | B::SpanOutput
            | B::SpanEnd
            | B::SpanDepth
            | B::SpanId
            | B::SpanParentId
            | B::SpanChildCount
            | B::NestedSetLeft
            | B::NestedSetRight
            | B::NestedSetParent
            | B::InstrumentationName
            | B::InstrumentationVersion => Some(Level::Span),
            B::EventName | B::EventTimeSinceStart => Some(Level::Event),
            B::TraceId
            | B::TraceStart
            | B::TraceEnd
            | B::Timestamp
            | B::EndTime
            | B::ExecutionTime
            | B::TraceSession
            | B::TraceUser
            | B::TraceDuration
            | B::TraceRootName
            | B::TraceName
            | B::TraceSpanCount
            | B::TraceErrorCount
            | B::TraceStatus
            | B::TraceState => Some(Level::Trace),
            _ => None,
        },
        Field::Attribute { scope, name } => match scope {
            // MLflow's own keys may stand in fields of their own.
            _ if name.starts_with("mlflow.") => None,
            Scope::Either | Scope::Span | Scope::Resource | Scope::Instrumentation => {
                Some(Level::Span)
            }
            Scope::Event => Some(Level::Event),
            Scope::Tag | Scope::Metadata => Some(Level::Trace),
            _ => None,
        },
        Field::Parent { .. } => None,
    }
}

/// Whether columns give the value of a field span by span.
pub(super) fn stands_by_row(field: &Field) -> bool {
    let is_text = matches!(
        field,
        Field::Builtin(
            Builtin::SpanInput
                | Builtin::SpanOutput
                | Builtin::SpanStatusMessage
                | Builtin::InstrumentationName
                | Builtin::InstrumentationVersion
        )
    );
    !is_text && level(field).is_some_and(|level| level != Level::Event)
}

impl Block<'_> {
    /// Where the condition holds, row by row of the field's level.
    pub(super) fn leaf(&self, field: &Field, leaf: &Leaf<'_, '_>) -> Read<Option<Mask>> {
        use Builtin as B;
        let reader = &*self.reader;
        let n_spans = reader.n_spans();
        Ok(Some(match field {
            Field::Builtin(B::SpanName) => texts(&reader.names()?, leaf, "")?,
            Field::Builtin(B::SpanType) => {
                let unknown = spanlite_model::SpanType::default();
                texts(&reader.span_types()?, leaf, unknown.as_str())?
            }
            Field::Builtin(B::SpanStatus) => few(&reader.status_codes()?, leaf, |code| {
                Datum::Status(status(code))
            }),
            Field::Builtin(B::SpanState) => few(&reader.status_codes()?, leaf, |code| {
                Datum::text(state_name(code))
            }),
            Field::Builtin(B::SpanKind) => {
                few(&reader.kinds()?, leaf, |number| Datum::Kind(kind(number)))
            }
            Field::Builtin(B::SpanDuration) => {
                let mut mask = ints(&reader.durations()?, leaf, |nanos| {
                    Datum::Duration(nanos.max(0))
                });
                self.overwrite_open(&mut mask, leaf)?;
                mask
            }
            Field::Builtin(B::SpanStatusMessage) => {
                self.status_messages(leaf, leaf.truth(&Datum::text("")))?
            }
            Field::Builtin(B::SpanInput) => self.payloads(&reader.inputs()?, leaf)?,
            Field::Builtin(B::SpanOutput) => self.payloads(&reader.outputs()?, leaf)?,
            Field::Builtin(B::InstrumentationName) => {
                self.scopes(leaf, |scope, leaf| leaf.truth(&Datum::text(&scope.name)))?
            }
            Field::Builtin(B::InstrumentationVersion) => {
                self.scopes(leaf, |scope, leaf| leaf.truth(&Datum::text(&scope.version)))?
            }
            Field::Builtin(B::EventName) => texts(&reader.event_names()?, leaf, "")?,
            Field::Builtin(B::EventTimeSinceStart) => {
                ints(&reader.event_offsets()?, leaf, Datum::Duration)
            }
            Field::Builtin(builtin) if level(field) == Some(Level::Span) => {
                let mut mask = Mask::empty(n_spans);
                let is_there = self.each_span_value(*builtin, &mut |row, value| {
                    mask.set(row, leaf.truth_of(value.as_ref()));
                })?;
                return Ok(is_there.then_some(mask));
            }
            Field::Builtin(builtin) => {
                let mut mask = Mask::empty(reader.n_traces());
                let is_there = self.each_trace_value(*builtin, &mut |place, value| {
                    mask.set(place, leaf.truth_of(value.as_ref()));
                })?;
                return Ok(is_there.then_some(mask));
            }
            Field::Attribute { scope, name } => match scope {
                Scope::Span => self.attribute(AttributeKind::Span, name, leaf)?.0,
                Scope::Event => self.attribute(AttributeKind::Event, name, leaf)?.0,
                Scope::Tag => self.attribute(AttributeKind::Tag, name, leaf)?.0,
                Scope::Metadata => self.attribute(AttributeKind::Metadata, name, leaf)?.0,
                Scope::Resource => self.resources(name, leaf)?,
                Scope::Instrumentation => self.scopes(leaf, |scope, leaf| {
                    leaf.truth(&scope.attributes.get(name).map_or(Datum::Nil, Datum::of))
                })?,
                Scope::Either => {
                    let (own, present) = self.attribute(AttributeKind::Span, name, leaf)?;
                    let present = Mask::exact(present);
                    let other = self.resources(name, leaf)?.and(&present.clone().not());
                    own.and(&present).or(&other)
                }
                _ => return Ok(None),
            },
            Field::Parent { .. } => return Ok(None),
        }))
    }

    fn overwrite_open(&self, mask: &mut Mask, leaf: &Leaf<'_, '_>) -> Read<()> {
        let open = self.reader.open_spans()?;
        if open.is_empty() {
            return Ok(());
        }
        let nil = Mask::constant(mask.len(), leaf.holds(&Datum::Nil));
        let mut rows = Rows::none(mask.len());
        for row in open {
            rows.insert(row as usize);
        }
        let open = Mask::exact(rows);
        *mask = mask.clone().and(&open.clone().not()).or(&nil.and(&open));
        Ok(())
    }

    /// Status messages; `empty` is what is known where there is none.
    pub(super) fn status_messages(&self, leaf: &Leaf<'_, '_>, empty: Truth) -> Read<Mask> {
        let messages = self.reader.status_messages()?;
        let mut mask = by_entry(&messages, empty, |entry| {
            Ok(leaf.truth(&Datum::text(messages.entry(entry)?)))
        })?;
        let long = self.reader.status_message_texts()?;
        if long.constant_value() != Some(0) {
            let mut maybe = Mask::empty(mask.len());
            long.for_each(0, long.len(), |row, number| {
                if number != 0 {
                    maybe.set(row, Truth::Maybe);
                }
            });
            // What the short column says of these rows is about an empty text.
            let long_rows = Mask::exact(maybe.maybe.clone());
            mask = mask.and(&long_rows.not()).or(&maybe);
        }
        Ok(mask)
    }

    fn resources(&self, name: &str, leaf: &Leaf<'_, '_>) -> Read<Mask> {
        let resources = self.reader.resources()?;
        by_entry(&resources, leaf.truth(&Datum::Nil), |entry| {
            let resource = spanlite_store::block::read_resource(
                resources.entry_bytes(entry).unwrap_or_default(),
            )?;
            Ok(leaf.truth(&resource.attributes.get(name).map_or(Datum::Nil, Datum::of)))
        })
    }

    fn scopes(
        &self,
        leaf: &Leaf<'_, '_>,
        truth: impl Fn(&spanlite_model::Scope, &Leaf<'_, '_>) -> Truth,
    ) -> Read<Mask> {
        let scopes = self.reader.scopes()?;
        let default = truth(&spanlite_model::Scope::default(), leaf);
        by_entry(&scopes, default, |entry| {
            let scope =
                spanlite_store::block::read_scope(scopes.entry_bytes(entry).unwrap_or_default())?;
            Ok(truth(&scope, leaf))
        })
    }

    /// An attribute's rows: where the condition holds, and which rows have the attribute.
    fn attribute(&self, kind: AttributeKind, key: &str, leaf: &Leaf<'_, '_>) -> Read<(Mask, Rows)> {
        let n_rows = match kind {
            AttributeKind::Tag | AttributeKind::Metadata => self.reader.n_traces(),
            AttributeKind::Event => self.reader.event_names()?.len(),
            _ => self.reader.n_spans(),
        };
        let attribute = self.reader.attribute(kind, key)?;
        let mut present = Rows::none(n_rows);
        let mut mask = Mask::empty(n_rows);
        let verdicts: Vec<Verdicts<'_>> = attribute
            .parts()
            .iter()
            .map(|part| Verdicts::of(part.value_type, &part.values, leaf))
            .collect::<Read<_>>()?;
        attribute.for_each(|row, part, index| {
            present.insert(row);
            if let Some(verdicts) = verdicts.get(part) {
                mask.set(row, verdicts.at(index, leaf));
            }
        });
        if leaf.holds(&Datum::Nil) {
            mask = mask.or(&Mask::exact(present.clone()).not());
        }
        Ok((mask, present))
    }
}

/// What a condition says of every entry of a dictionary; code 0 stands for no entry.
fn by_entry(column: &Strings<'_>, missing: Truth, of: impl Fn(usize) -> Read<Truth>) -> Read<Mask> {
    let mut verdicts = vec![missing];
    for entry in 0..column.n_entries() {
        verdicts.push(of(entry)?);
    }
    let mut mask = Mask::empty(column.len());
    if verdicts.iter().all(|verdict| *verdict == Truth::No) {
        return Ok(mask);
    }
    column.for_each_code(0, column.len(), |row, code| {
        mask.set(
            row,
            verdicts.get(code as usize).copied().unwrap_or(Truth::Maybe),
        );
    });
    Ok(mask)
}

fn texts(column: &Strings<'_>, leaf: &Leaf<'_, '_>, missing: &str) -> Read<Mask> {
    if let Some(wanted) = leaf.wanted_text()
        && wanted != missing
    {
        let mut rows = Rows::none(column.len());
        if let Some(wanted) = column.code_of(wanted.as_bytes()) {
            column.for_each_code(0, column.len(), |row, code| {
                if code == wanted {
                    rows.insert(row);
                }
            });
        }
        return Ok(Mask::exact(rows));
    }
    by_entry(column, leaf.truth(&Datum::text(missing)), |entry| {
        Ok(leaf.truth(&Datum::text(column.entry(entry)?)))
    })
}

/// A column with few distinct values.
fn few(column: &Ints<'_>, leaf: &Leaf<'_, '_>, datum: impl Fn(i64) -> Datum<'static>) -> Mask {
    let mut known = [None; 16];
    let mut mask = Mask::empty(column.len());
    column.for_each(0, column.len(), |row, value| {
        let truth = match known.get_mut(value as usize) {
            Some(known) => *known.get_or_insert_with(|| leaf.truth(&datum(value))),
            None => leaf.truth(&datum(value)),
        };
        mask.set(row, truth);
    });
    mask
}

fn ints(column: &Ints<'_>, leaf: &Leaf<'_, '_>, datum: impl Fn(i64) -> Datum<'static>) -> Mask {
    let mut mask = Mask::empty(column.len());
    if let Some((op, limit)) = leaf.threshold() {
        column.for_each(0, column.len(), |row, value| {
            let number = datum(value).number().unwrap_or(f64::NAN);
            if holds(op, number, limit) {
                mask.set(row, Truth::Yes);
            }
        });
        return mask;
    }
    column.for_each(0, column.len(), |row, value| {
        mask.set(row, leaf.truth(&datum(value)));
    });
    mask
}

#[expect(clippy::float_cmp, reason = "equality of the language is exact")]
pub(super) fn holds(op: BinaryOp, number: f64, limit: f64) -> bool {
    match op {
        BinaryOp::Equal => number == limit,
        BinaryOp::NotEqual => number != limit,
        BinaryOp::Less => number < limit,
        BinaryOp::LessEqual => number <= limit,
        BinaryOp::Greater => number > limit,
        BinaryOp::GreaterEqual => number >= limit,
        _ => false,
    }
}
