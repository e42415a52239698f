//! What the header of a block rules out.

use spanlite_model::{StatusCode, TraceId};
use spanlite_store::block::{BlockHeader, NumberRange, Term, TermField};

use crate::eval::Datum;
use crate::resolve::{Node, Set, Stage};
use crate::syntax::ast::{BinaryOp, Mode, SpansOp};
use crate::syntax::field::{Builtin, Field, Scope};

/// Whether a trace of the block may pass the stages.
pub(super) fn may_pass(stages: &[Stage], header: &BlockHeader) -> bool {
    stages.iter().all(|stage| match stage {
        Stage::Spans(set) => may_yield(set, header),
        Stage::Filter { condition, .. } => may_hold(condition, header),
        _ => true,
    })
}

fn may_yield(set: &Set, header: &BlockHeader) -> bool {
    match set {
        Set::Braces(condition) => may_hold(condition, header),
        Set::Pipeline(stages) => may_pass(stages, header),
        Set::Absent(_) => true,
        Set::Binary { op, left, right } => match op {
            SpansOp::Or => may_yield(left, header) || may_yield(right, header),
            SpansOp::Related {
                mode: Mode::Negated,
                ..
            } => may_yield(right, header),
            _ => may_yield(left, header) && may_yield(right, header),
        },
    }
}

fn may_hold(node: &Node, header: &BlockHeader) -> bool {
    match node {
        Node::Constant(value) => matches!(value, Datum::Bool(true)),
        Node::And(nodes) => nodes.iter().all(|node| may_hold(node, header)),
        Node::Or(nodes) => nodes.iter().any(|node| may_hold(node, header)),
        Node::SomeEvent(inner) => may_hold(inner, header),
        Node::Compare { op, left, right } => match (&**left, &**right) {
            (Node::Field(field), Node::Constant(value)) => may_compare(field, *op, value, header),
            (Node::Constant(value), Node::Field(field)) => {
                may_compare(field, mirrored(*op), value, header)
            }
            (Node::BareId(of), Node::Constant(id)) | (Node::Constant(id), Node::BareId(of)) => {
                *op != BinaryOp::Equal || may_have_id(of, id, header)
            }
            _ => true,
        },
        Node::In { of, values } => match &**of {
            Node::Field(field) => values
                .iter()
                .any(|value| may_compare(field, BinaryOp::Equal, value, header)),
            _ => true,
        },
        Node::Exists { of, negated: false } => match &**of {
            Node::Field(field) => {
                term_field(field).is_none_or(|field| header.may_have(Term::exists(field)))
            }
            _ => true,
        },
        _ => true,
    }
}

/// Whether the trace with an id, which has lost its leading zeros, may be in the block.
fn may_have_id(of: &Node, id: &Datum<'_>, header: &BlockHeader) -> bool {
    match (of, id) {
        (Node::Field(Field::Builtin(Builtin::TraceId)), Datum::Text(id)) => {
            let trace_id = format!("{id:0>32}").parse::<TraceId>();
            trace_id.map_or(true, |trace_id| header.may_have_trace(trace_id))
        }
        _ => true,
    }
}

/// The comparison with its sides swapped.
pub(super) fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        other => other,
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

fn may_compare(field: &Field, op: BinaryOp, value: &Datum<'_>, header: &BlockHeader) -> bool {
    let summary = header.summary();
    match (field, value) {
        (Field::Builtin(Builtin::SpanName), Datum::Text(text)) if op == BinaryOp::Equal => {
            text.is_empty() || header.may_have(Term::new(TermField::Name, text))
        }
        (Field::Builtin(Builtin::SpanStatus), Datum::Status(StatusCode::Error))
            if op == BinaryOp::Equal =>
        {
            summary.n_error_spans > 0
        }
        (Field::Builtin(Builtin::SpanDuration), value) => {
            let (shortest, longest) = summary.duration_nanos.clone().into_inner();
            may_lie(op, value, shortest as f64, longest as f64)
        }
        (Field::Builtin(Builtin::TraceDuration), value) => {
            let first = summary.first_start_unix_nano;
            let longest = summary.last_end_unix_nano.saturating_sub(first);
            may_lie(op, value, 0.0, longest as f64)
        }
        (Field::Builtin(Builtin::TraceStart | Builtin::SpanStart), value) => {
            let (first, last) = (summary.first_start_unix_nano, summary.last_start_unix_nano);
            may_lie(op, value, first as f64, last as f64)
        }
        (
            Field::Attribute {
                scope: Scope::Either,
                name,
            },
            value,
        ) => {
            let of = |scope| {
                let field = Field::Attribute {
                    scope,
                    name: name.clone(),
                };
                may_compare(&field, op, value, header)
            };
            of(Scope::Span) || of(Scope::Resource)
        }
        (field, Datum::Text(text)) if op == BinaryOp::Equal => match term_field(field) {
            Some(field) => header.may_have(Term::new(field, text)),
            None => true,
        },
        (
            Field::Attribute {
                scope: Scope::Span,
                name,
            },
            value,
        ) if value.number().is_some() => {
            if name.starts_with("mlflow.") || !header.is_indexed(TermField::Attribute(name)) {
                return true;
            }
            match header.number_range(name) {
                NumberRange::Absent => op == BinaryOp::NotEqual,
                NumberRange::Between(min, max) => may_lie(op, value, min, max),
                NumberRange::Unknown => true,
            }
        }
        _ => true,
    }
}

/// Whether a number between two may stand in this relation to a value. Bounds are taken a little
/// wider, because floats round.
fn may_lie(op: BinaryOp, value: &Datum<'_>, least: f64, most: f64) -> bool {
    let Some(value) = value.number() else {
        return true;
    };
    let slack = (least.abs().max(most.abs())) * 1e-12 + 1e-12;
    let (least, most) = (least - slack, most + slack);
    match op {
        BinaryOp::Equal => (least..=most).contains(&value),
        BinaryOp::Less | BinaryOp::LessEqual => least <= value,
        BinaryOp::Greater | BinaryOp::GreaterEqual => most >= value,
        _ => true,
    }
}
