//! MLflow's names: what they stand for, and what it counts in whole milliseconds.

use spanlite_model::keys;

use super::Node;
use crate::eval::Datum;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::syntax::field::{Builtin, Field, Scope};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// The field that one of MLflow's names stands for.
pub(crate) fn plain(field: &Field) -> Field {
    let builtin = match field {
        Field::Builtin(Builtin::Timestamp) => Builtin::TraceStart,
        Field::Builtin(Builtin::ExecutionTime) => Builtin::TraceDuration,
        Field::Builtin(Builtin::EndTime) => Builtin::TraceEnd,
        Field::Attribute { scope, name } => match (scope, &**name) {
            (Scope::Tag, keys::MLFLOW_TRACE_NAME) => Builtin::TraceName,
            (Scope::Metadata, keys::MLFLOW_TRACE_SESSION) => Builtin::TraceSession,
            (Scope::Metadata, keys::MLFLOW_TRACE_USER) => Builtin::TraceUser,
            (Scope::Metadata, keys::MLFLOW_SOURCE_RUN) => Builtin::TraceRun,
            _ => return field.clone(),
        },
        _ => return field.clone(),
    };
    Field::Builtin(builtin)
}

/// What says as well that metadata is there: MLflow adds tokens and costs up when a trace is
/// stored, we do when they are asked for.
pub(crate) fn also_there(expr: &Expr) -> &'static [Builtin] {
    let ExprKind::Field(Field::Attribute { scope, name }) = &expr.kind else {
        return &[];
    };
    match (scope, &**name) {
        (Scope::Metadata, keys::MLFLOW_TRACE_TOKEN_USAGE) => &[
            Builtin::TraceInputTokens,
            Builtin::TraceOutputTokens,
            Builtin::TraceTotalTokens,
        ],
        (Scope::Metadata, keys::MLFLOW_TRACE_COST) => &[Builtin::TraceCost],
        _ => &[],
    }
}

/// A comparison of a time or a duration of MLflow's with a plain number. The server keeps whole
/// milliseconds and we nanoseconds, so that each number stands for all within its millisecond.
pub(super) fn in_millis(op: BinaryOp, left: &Expr, right: &Expr) -> Option<Node> {
    let (op, field, number) = match (millis(left), plain_number(right)) {
        (Some(field), Some(number)) => (op, field, number),
        _ => (op.mirrored(), millis(right)?, plain_number(left)?),
    };
    let of = || Box::new(Node::Field(plain(field)));
    let is = |op, nanos| Node::Compare {
        op,
        left: of(),
        right: Box::new(Node::Constant(Datum::Int(nanos))),
    };
    // The first nanoseconds of the millisecond at or after the number, and of the one after it.
    let (at, after, is_whole) = match number {
        Literal::Int(number) => (*number, number.saturating_add(1), true),
        Literal::Float(number) => (
            // A cast stops at the ends of its type.
            number.ceil() as i64,
            (number.floor() as i64).saturating_add(1),
            number.fract() == 0.0,
        ),
        _ => return None,
    };
    let at = at.saturating_mul(NANOS_PER_MILLI);
    let after = after.saturating_mul(NANOS_PER_MILLI);
    Some(match op {
        BinaryOp::Less => is(BinaryOp::Less, at),
        BinaryOp::LessEqual => is(BinaryOp::Less, after),
        BinaryOp::Greater => is(BinaryOp::GreaterEqual, after),
        BinaryOp::GreaterEqual => is(BinaryOp::GreaterEqual, at),
        BinaryOp::Equal if is_whole => Node::And(vec![
            is(BinaryOp::GreaterEqual, at),
            is(BinaryOp::Less, after),
        ]),
        BinaryOp::NotEqual if is_whole => Node::Or(vec![
            is(BinaryOp::Less, at),
            is(BinaryOp::GreaterEqual, after),
        ]),
        BinaryOp::Equal => Node::In {
            of: of(),
            values: Vec::new(),
        },
        BinaryOp::NotEqual => Node::Exists {
            of: of(),
            negated: false,
        },
        _ => return None,
    })
}

fn millis(expr: &Expr) -> Option<&Field> {
    match &expr.kind {
        ExprKind::Field(field) if field.is_in_millis() => Some(field),
        _ => None,
    }
}

fn plain_number(expr: &Expr) -> Option<&Literal> {
    match &expr.kind {
        ExprKind::Literal(number @ (Literal::Int(_) | Literal::Float(_))) => Some(number),
        _ => None,
    }
}
