//! Constants are folded while they are read: `1 + 1 > 1` is `true`.

use spanlite_model::StatusCode;

use super::ast::{BinaryOp, Expr, ExprKind, Literal, Place, UnaryOp};

/// `op operand`, folded where the operand is a constant of the right type.
pub(crate) fn unary(op: UnaryOp, operand: Expr, place: Place) -> Expr {
    let folded = match (&operand.kind, op) {
        (ExprKind::Literal(Literal::Int(number)), UnaryOp::Minus) => {
            Some(Literal::Int(number.wrapping_neg()))
        }
        (ExprKind::Literal(Literal::Float(number)), UnaryOp::Minus) => {
            Some(Literal::Float(-number))
        }
        (ExprKind::Literal(Literal::Duration(nanos)), UnaryOp::Minus) => {
            Some(Literal::Duration(nanos.wrapping_neg()))
        }
        (ExprKind::Literal(Literal::Bool(value)), UnaryOp::Not | UnaryOp::Isnt) => {
            Some(Literal::Bool(!value))
        }
        _ => None,
    };
    let kind = folded.map_or_else(
        || ExprKind::Unary {
            op,
            operand: Box::new(operand),
        },
        ExprKind::Literal,
    );
    Expr { kind, place }
}

/// `left op right`, folded where both are constants that the operator takes.
pub(crate) fn binary(op: BinaryOp, left: Expr, right: Expr, at: Place) -> Expr {
    let place = left.place.to(right.place);
    let folded = match (&left.kind, &right.kind) {
        (ExprKind::Literal(left), ExprKind::Literal(right)) => literals(op, left, right),
        _ => None,
    };
    let kind = folded.map_or_else(
        || ExprKind::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
            at,
        },
        ExprKind::Literal,
    );
    Expr { kind, place }
}

/// A constant always exists.
pub(crate) fn exists(operand: Expr, negated: bool, place: Place) -> Expr {
    let kind = if matches!(operand.kind, ExprKind::Literal(_)) {
        ExprKind::Literal(Literal::Bool(!negated))
    } else {
        ExprKind::Exists {
            operand: Box::new(operand),
            negated,
        }
    };
    Expr { kind, place }
}

/// The value of `left op right`; nothing where the types do not allow it, for `=~` and its like,
/// and for whole numbers divided by 0.
pub(crate) fn literals(op: BinaryOp, left: &Literal, right: &Literal) -> Option<Literal> {
    if let (Literal::Bool(left), Literal::Bool(right)) = (left, right) {
        return Some(Literal::Bool(match op {
            BinaryOp::And => *left && *right,
            BinaryOp::Or => *left || *right,
            BinaryOp::Equal => left == right,
            BinaryOp::NotEqual => left != right,
            _ => return None,
        }));
    }
    if op.is_arithmetic() {
        return arithmetic(op, left, right);
    }
    let ordering = match (left, right) {
        (Literal::Text(left), Literal::Text(right)) => left.cmp(right),
        (Literal::Status(left), Literal::Status(right)) => {
            return equality(op, left == right);
        }
        (Literal::Kind(left), Literal::Kind(right)) => return equality(op, left == right),
        (Literal::Int(left), Literal::Int(right)) => left.cmp(right),
        _ => number(left)?.partial_cmp(&number(right)?)?,
    };
    compare(op, ordering).map(Literal::Bool)
}

fn equality(op: BinaryOp, equal: bool) -> Option<Literal> {
    match op {
        BinaryOp::Equal => Some(Literal::Bool(equal)),
        BinaryOp::NotEqual => Some(Literal::Bool(!equal)),
        _ => None,
    }
}

/// Whether an ordering fits a comparison.
pub(crate) fn compare(op: BinaryOp, ordering: std::cmp::Ordering) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => ordering.is_eq(),
        BinaryOp::NotEqual => ordering.is_ne(),
        BinaryOp::Less => ordering.is_lt(),
        BinaryOp::LessEqual => ordering.is_le(),
        BinaryOp::Greater => ordering.is_gt(),
        BinaryOp::GreaterEqual => ordering.is_ge(),
        _ => return None,
    })
}

fn number(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Int(number) | Literal::Duration(number) => Some(*number as f64),
        Literal::Float(number) => Some(*number),
        _ => None,
    }
}

/// Arithmetic of constants: whole numbers stay whole, anything else becomes a float.
fn arithmetic(op: BinaryOp, left: &Literal, right: &Literal) -> Option<Literal> {
    if let (Literal::Int(left), Literal::Int(right)) = (left, right) {
        return int_arithmetic(op, *left, *right).map(Literal::Int);
    }
    float_arithmetic(op, number(left)?, number(right)?).map(Literal::Float)
}

/// Whole numbers wrap; dividing by 0 and negative exponents have no whole value.
pub(crate) fn int_arithmetic(op: BinaryOp, left: i64, right: i64) -> Option<i64> {
    Some(match op {
        BinaryOp::Add => left.wrapping_add(right),
        BinaryOp::Subtract => left.wrapping_sub(right),
        BinaryOp::Multiply => left.wrapping_mul(right),
        BinaryOp::Divide if right != 0 => left.wrapping_div(right),
        BinaryOp::Modulo if right != 0 => left.wrapping_rem(right),
        BinaryOp::Power => match u32::try_from(right) {
            Ok(exponent) => left.wrapping_pow(exponent),
            // 1 / left^n, cut to a whole number.
            Err(_) if right < 0 => match left {
                1 => 1,
                -1 if right % 2 == 0 => 1,
                -1 => -1,
                0 => return None,
                _ => 0,
            },
            Err(_) => (left as f64).powf(right as f64) as i64,
        },
        _ => return None,
    })
}

pub(crate) fn float_arithmetic(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        BinaryOp::Modulo => left % right,
        BinaryOp::Power => left.powf(right),
        _ => return None,
    })
}

/// The name of a status as a word.
pub(crate) fn status_word(word: &str) -> Option<StatusCode> {
    match word {
        "ok" => Some(StatusCode::Ok),
        "error" => Some(StatusCode::Error),
        "unset" => Some(StatusCode::Unset),
        _ => None,
    }
}
