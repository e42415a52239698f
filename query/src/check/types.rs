//! Types before run time, and which go together.

use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Function, Literal};
use crate::syntax::field::Type;

/// The type of an expression as far as it is known before run time.
pub(crate) fn type_of(expr: &Expr) -> Type {
    match &expr.kind {
        ExprKind::Literal(literal) => type_of_literal(literal),
        ExprKind::Field(field) => field.ty(),
        ExprKind::Param(_) | ExprKind::Path { .. } => Type::Any,
        ExprKind::Unary { operand, .. } => type_of(operand),
        ExprKind::Binary {
            op, left, right, ..
        } if op.is_arithmetic() => match type_of(left) {
            Type::Any | Type::Json => type_of(right),
            left => left,
        },
        ExprKind::Binary { .. }
        | ExprKind::Exists { .. }
        | ExprKind::In { .. }
        | ExprKind::Between { .. } => Type::Bool,
        ExprKind::Call { function, .. } => match function {
            Function::Json => Type::Any,
            Function::Lower => Type::Text,
            Function::Length => Type::Int,
            Function::Ago | Function::Now => Type::Time,
        },
    }
}

pub(crate) fn type_of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Int(_) => Type::Int,
        Literal::Float(_) => Type::Float,
        Literal::Text(_) => Type::Text,
        Literal::Bool(_) => Type::Bool,
        Literal::Duration(_) => Type::Duration,
        Literal::Status(_) => Type::Status,
        Literal::Kind(_) => Type::Kind,
    }
}

pub(crate) fn is_open(ty: Type) -> bool {
    matches!(ty, Type::Any | Type::Json)
}

pub(crate) fn go_together(left: Type, right: Type) -> bool {
    let pair = |one: Type, other: Type| match one {
        Type::Time => other.is_numeric() || matches!(other, Type::Text | Type::Time),
        Type::State => matches!(other, Type::Text | Type::Status),
        _ => false,
    };
    is_open(left)
        || is_open(right)
        || left == right
        || left.is_numeric() && right.is_numeric()
        || pair(left, right)
        || pair(right, left)
}

pub(crate) fn has_operator(ty: Type, op: BinaryOp) -> bool {
    use BinaryOp as O;
    let equality = matches!(op, O::Equal | O::NotEqual);
    let order = matches!(op, O::Less | O::LessEqual | O::Greater | O::GreaterEqual);
    let text = matches!(op, O::Regex | O::NotRegex) || op.is_text();
    match ty {
        Type::Any | Type::Json => true,
        Type::Bool => equality || op.is_connective(),
        Type::Int | Type::Float | Type::Duration | Type::Time => {
            equality || order || op.is_arithmetic()
        }
        Type::Text => equality || order || text,
        Type::State => equality || text,
        Type::Nil | Type::Status | Type::Kind => equality,
    }
}

/// Whether an expression says something about the span or its trace.
pub(crate) fn mentions_span(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Param(_) => false,
        ExprKind::Field(_) | ExprKind::Path { .. } => true,
        ExprKind::Unary { operand, .. }
        | ExprKind::Exists { operand, .. }
        | ExprKind::In { operand, .. } => mentions_span(operand),
        ExprKind::Binary { left, right, .. } => mentions_span(left) || mentions_span(right),
        ExprKind::Between { operand, low, high } => [operand, low, high]
            .into_iter()
            .any(|one| mentions_span(one)),
        ExprKind::Call { arguments, .. } => arguments.iter().any(mentions_span),
    }
}
