//! What the header of a block rules out.

use spanlite_model::{StatusCode, TraceId};
use spanlite_store::block::{BlockHeader, NumberRange, Term, TermField};

use crate::eval::Datum;
use crate::resolve::{Node, Set, Stage};
use crate::syntax::ast::{BinaryOp, Mode, SpansOp};
use crate::syntax::field::{Builtin, Field, Scope};

/// What rules blocks out, worked out once and asked of every header.
#[derive(Debug)]
pub(super) enum Sieve {
    Constant(bool),
    All(Vec<Self>),
    Any(Vec<Self>),
    /// Whether the block has a value.
    Term(Term),
    Trace(TraceId),
    /// Whether a span failed.
    Failed,
    Compare(Quantity, BinaryOp, f64),
}

/// What headers know the range of.
#[derive(Debug)]
pub(super) enum Quantity {
    SpanDuration,
    TraceDuration,
    Start,
    Attribute(Box<str>),
}

impl Sieve {
    /// What the stages need of a block.
    pub(super) fn of(stages: &[Stage]) -> Self {
        let needed = stages.iter().map(|stage| match stage {
            Stage::Spans(set) => Self::of_set(set),
            Stage::Filter { condition, .. } => Self::of_condition(condition),
            _ => Self::Constant(true),
        });
        Self::all(needed)
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts
            .filter(|part| !matches!(part, Self::Constant(true)))
            .collect();
        match parts.len() {
            0 => Self::Constant(true),
            1 => parts.remove(0),
            _ => Self::All(parts),
        }
    }

    /// Anything passes if any part lets anything pass.
    fn any(parts: impl Iterator<Item = Self>) -> Self {
        let parts: Vec<Self> = parts.collect();
        if parts
            .iter()
            .any(|part| matches!(part, Self::Constant(true)))
        {
            return Self::Constant(true);
        }
        Self::Any(parts)
    }

    fn of_set(set: &Set) -> Self {
        match set {
            Set::Braces(condition) => Self::of_condition(condition),
            Set::Pipeline(stages) => Self::of(stages),
            Set::Absent(_) => Self::Constant(true),
            Set::Binary { op, left, right } => {
                let both = [left, right].into_iter().map(|set| Self::of_set(set));
                match op {
                    SpansOp::Or => Self::any(both),
                    SpansOp::Related {
                        mode: Mode::Negated,
                        ..
                    } => Self::of_set(right),
                    _ => Self::all(both),
                }
            }
        }
    }

    fn of_condition(node: &Node) -> Self {
        match node {
            Node::Constant(value) => Self::Constant(matches!(value, Datum::Bool(true))),
            Node::And(nodes) => Self::all(nodes.iter().map(Self::of_condition)),
            Node::Or(nodes) => Self::any(nodes.iter().map(Self::of_condition)),
            Node::SomeEvent(inner) => Self::of_condition(inner),
            Node::Compare { op, left, right } => match (&**left, &**right) {
                (Node::Field(field), Node::Constant(value)) => Self::compare(field, *op, value),
                (Node::Constant(value), Node::Field(field)) => {
                    Self::compare(field, op.mirrored(), value)
                }
                (Node::BareId(of), Node::Constant(id)) | (Node::Constant(id), Node::BareId(of))
                    if *op == BinaryOp::Equal =>
                {
                    Self::of_id(of, id)
                }
                _ => Self::Constant(true),
            },
            Node::In { of, values } => match &**of {
                Node::Field(field) => Self::any(
                    values
                        .iter()
                        .map(|value| Self::compare(field, BinaryOp::Equal, value)),
                ),
                _ => Self::Constant(true),
            },
            Node::Exists { of, negated: false } => match &**of {
                Node::Field(field) => match term_field(field) {
                    Some(field) => Self::Term(Term::exists(field)),
                    None => Self::Constant(true),
                },
                _ => Self::Constant(true),
            },
            _ => Self::Constant(true),
        }
    }

    /// The trace with an id, which has lost its leading zeros.
    fn of_id(of: &Node, id: &Datum<'_>) -> Self {
        match (of, id) {
            (Node::Field(Field::Builtin(Builtin::TraceId)), Datum::Text(id)) => {
                let trace_id = format!("{id:0>32}").parse::<TraceId>();
                trace_id.map_or(Self::Constant(true), Self::Trace)
            }
            _ => Self::Constant(true),
        }
    }

    fn compare(field: &Field, op: BinaryOp, value: &Datum<'_>) -> Self {
        let quantity = |quantity| match value.number() {
            Some(limit) => Self::Compare(quantity, op, limit),
            None => Self::Constant(true),
        };
        match (field, value) {
            (Field::Builtin(Builtin::SpanName), Datum::Text(text))
                if op == BinaryOp::Equal && !text.is_empty() =>
            {
                Self::Term(Term::new(TermField::Name, text))
            }
            (Field::Builtin(Builtin::SpanStatus), Datum::Status(StatusCode::Error))
                if op == BinaryOp::Equal =>
            {
                Self::Failed
            }
            (Field::Builtin(Builtin::SpanDuration), _) => quantity(Quantity::SpanDuration),
            (Field::Builtin(Builtin::TraceDuration), _) => quantity(Quantity::TraceDuration),
            (Field::Builtin(Builtin::TraceStart | Builtin::SpanStart), _) => {
                quantity(Quantity::Start)
            }
            (
                Field::Attribute {
                    scope: Scope::Either,
                    name,
                },
                value,
            ) => Self::any([Scope::Span, Scope::Resource].into_iter().map(|scope| {
                let name = name.clone();
                Self::compare(&Field::Attribute { scope, name }, op, value)
            })),
            (field, Datum::Text(text)) if op == BinaryOp::Equal => match term_field(field) {
                Some(field) => Self::Term(Term::new(field, text)),
                None => Self::Constant(true),
            },
            (
                Field::Attribute {
                    scope: Scope::Span,
                    name,
                },
                _,
            ) if !name.starts_with("mlflow.") => {
                quantity(Quantity::Attribute(name.as_ref().into()))
            }
            _ => Self::Constant(true),
        }
    }

    /// Whether a trace of the block may pass.
    pub(super) fn may_pass(&self, header: &BlockHeader) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::All(parts) => parts.iter().all(|part| part.may_pass(header)),
            Self::Any(parts) => parts.iter().any(|part| part.may_pass(header)),
            Self::Term(term) => header.may_have(*term),
            Self::Trace(trace_id) => header.may_have_trace(*trace_id),
            Self::Failed => header.summary().n_error_spans > 0,
            Self::Compare(quantity, op, limit) => match quantity.range(header) {
                NumberRange::Absent => *op == BinaryOp::NotEqual,
                NumberRange::Between(least, most) => may_lie(*op, *limit, least, most),
                NumberRange::Unknown => true,
            },
        }
    }
}

impl Quantity {
    fn range(&self, header: &BlockHeader) -> NumberRange {
        let summary = header.summary();
        let first = summary.first_start_unix_nano;
        match self {
            Self::SpanDuration => {
                let (shortest, longest) =
                    (summary.duration_nanos.start(), summary.duration_nanos.end());
                NumberRange::Between(*shortest as f64, *longest as f64)
            }
            Self::TraceDuration => {
                let longest = summary.last_end_unix_nano.saturating_sub(first);
                NumberRange::Between(0.0, longest as f64)
            }
            Self::Start => NumberRange::Between(first as f64, summary.last_start_unix_nano as f64),
            Self::Attribute(name) if header.is_indexed(TermField::Attribute(name)) => {
                header.number_range(name)
            }
            Self::Attribute(_) => NumberRange::Unknown,
        }
    }
}

/// The field whose texts are terms. `metadata` has keys that stand elsewhere, so it has none.
fn term_field(field: &Field) -> Option<TermField<'_>> {
    match field {
        Field::Builtin(Builtin::EventName) => Some(TermField::EventName),
        Field::Attribute { scope, name } if !name.starts_with("mlflow.") => match scope {
            Scope::Span => Some(TermField::Attribute(name)),
            Scope::Resource => Some(TermField::Resource(name)),
            Scope::Event => Some(TermField::EventAttribute(name)),
            Scope::Tag => Some(TermField::Tag(name)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a number between two may stand in this relation to a value. Bounds are taken a little
/// wider, because floats round.
fn may_lie(op: BinaryOp, value: f64, least: f64, most: f64) -> bool {
    let slack = (least.abs().max(most.abs())) * 1e-12 + 1e-12;
    let (least, most) = (least - slack, most + slack);
    match op {
        BinaryOp::Equal => (least..=most).contains(&value),
        BinaryOp::Less | BinaryOp::LessEqual => least <= value,
        BinaryOp::Greater | BinaryOp::GreaterEqual => most >= value,
        _ => true,
    }
}
