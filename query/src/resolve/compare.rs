//! Constants take the type of what they are compared with.

use spanlite_model::StatusCode;

use super::Node;
use super::expr::{Resolver, is_span_type};
use crate::check::type_of;
use crate::error::QueryError;
use crate::eval::Datum;
use crate::syntax::ast::{Expr, ExprKind};
use crate::syntax::field::{Builtin, Field, Type};
use crate::syntax::literal;

const NANOS_PER_MILLI: f64 = 1e6;

/// Both sides of a comparison.
pub(super) fn comparison(
    resolver: &Resolver,
    left: &Expr,
    right: &Expr,
) -> Result<(Node, Node), QueryError> {
    let (mut left_node, mut right_node) = (resolver.node(left)?, resolver.node(right)?);
    fit(&mut right_node, left);
    fit(&mut left_node, right);
    if is_span_type(left) || is_span_type(right) {
        left_node = lowered(left_node);
        right_node = lowered(right_node);
    }
    if is_id(left) || is_id(right) {
        left_node = bare(left_node);
        right_node = bare(right_node);
    }
    Ok((left_node, right_node))
}

/// Turns a constant into the type of the expression beside it.
fn fit(node: &mut Node, beside: &Expr) {
    let millis = matches!(&beside.kind, ExprKind::Field(field) if field.is_in_millis());
    let Node::Constant(constant) = node else {
        return;
    };
    let wanted = type_of(beside);
    let fitted = match (&*constant, wanted) {
        (Datum::Int(number), Type::Time | Type::Duration) if millis => {
            Datum::Int(number.saturating_mul(1_000_000))
        }
        (Datum::Float(number), Type::Time | Type::Duration) if millis => {
            Datum::Float(number * NANOS_PER_MILLI)
        }
        (Datum::Text(text), Type::Time) => match literal::date(text) {
            Some(nanos) => Datum::Time(nanos),
            None => return,
        },
        (Datum::Status(status), Type::State) => Datum::text(match status {
            StatusCode::Ok => "OK",
            StatusCode::Error => "ERROR",
            StatusCode::Unset => "UNSET",
        }),
        _ => return,
    };
    *constant = fitted;
}

fn lowered(node: Node) -> Node {
    match node {
        Node::Constant(Datum::Text(text)) => {
            Node::Constant(Datum::Text(text.to_lowercase().into()))
        }
        Node::Constant(other) => Node::Constant(other),
        other => Node::Lower(Box::new(other)),
    }
}

fn is_id(expr: &Expr) -> bool {
    use Builtin as B;
    matches!(
        expr.kind,
        ExprKind::Field(Field::Builtin(
            B::TraceId | B::SpanId | B::SpanParentId | B::LinkTraceId | B::LinkSpanId
        ))
    )
}

fn bare(node: Node) -> Node {
    match node {
        Node::Constant(Datum::Text(text)) => Node::Constant(Datum::Text(bare_id(&text).into())),
        Node::Constant(other) => Node::Constant(other),
        other => Node::BareId(Box::new(other)),
    }
}

/// An id without `tr-` and leading zeros, in lower case.
pub(crate) fn bare_id(text: &str) -> String {
    let digits = text.strip_prefix("tr-").unwrap_or(text);
    digits.trim_start_matches('0').to_ascii_lowercase()
}
