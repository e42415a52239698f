//! Expressions over the fields of a span, by rank of their operators.
//!
//! Ranks, low to high: connectives (read level by level), comparisons, `+ -`, the prefixes `-`
//! and `!`, `* / %`, `^`.

use super::ast::{BinaryOp, Expr, ExprKind, Function, Literal, Place, UnaryOp};
use super::connect::condition;
use super::cursor::{Cursor, Parsed};
use super::fold;
use super::form::Form;
use super::habits::unknown_word;
use super::names;
use super::token::{Symbol, Token};
use crate::error::{Code, QueryError};

const COMPARISON: u8 = 2;
const SUM: u8 = 3;
const PREFIX: u8 = 4;
const TERM: u8 = 5;
const POWER: u8 = 6;

/// A comparison or anything that binds tighter.
pub(crate) fn comparison(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    binary(cursor, COMPARISON)
}

/// A value without a comparison.
pub(crate) fn sum(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    binary(cursor, SUM)
}

fn infix(token: &Token<'_>) -> Option<(BinaryOp, u8)> {
    let Token::Symbol(symbol) = token else {
        return None;
    };
    Some(match symbol {
        Symbol::Equal => (BinaryOp::Equal, COMPARISON),
        Symbol::NotEqual => (BinaryOp::NotEqual, COMPARISON),
        Symbol::Less => (BinaryOp::Less, COMPARISON),
        Symbol::LessEqual => (BinaryOp::LessEqual, COMPARISON),
        Symbol::Greater => (BinaryOp::Greater, COMPARISON),
        Symbol::GreaterEqual => (BinaryOp::GreaterEqual, COMPARISON),
        Symbol::Regex => (BinaryOp::Regex, COMPARISON),
        Symbol::NotRegex => (BinaryOp::NotRegex, COMPARISON),
        Symbol::Plus => (BinaryOp::Add, SUM),
        Symbol::Minus => (BinaryOp::Subtract, SUM),
        Symbol::Star => (BinaryOp::Multiply, TERM),
        Symbol::Slash => (BinaryOp::Divide, TERM),
        Symbol::Percent => (BinaryOp::Modulo, TERM),
        Symbol::Caret => (BinaryOp::Power, POWER),
        _ => return None,
    })
}

fn text_op(token: &Token<'_>) -> Option<BinaryOp> {
    const TEXT_OPS: [BinaryOp; 7] = [
        BinaryOp::Has,
        BinaryOp::Contains,
        BinaryOp::StartsWith,
        BinaryOp::EndsWith,
        BinaryOp::Like,
        BinaryOp::ILike,
        BinaryOp::RLike,
    ];
    let Token::Word(word) = token else {
        return None;
    };
    TEXT_OPS
        .into_iter()
        .find(|op| op.as_str().eq_ignore_ascii_case(word))
}

fn binary(cursor: &mut Cursor<'_>, least: u8) -> Parsed<Expr> {
    let mut left = prefix(cursor)?;
    loop {
        if let Some((op, rank)) = infix(cursor.token()) {
            if rank < least {
                return Ok(left);
            }
            let at = cursor.advance();
            cursor.count_operator()?;
            if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) && cursor.is_word(0, "nil", false)
            {
                cursor.advance();
                let place = cursor.since(left.place);
                left = fold::exists(left, op == BinaryOp::Equal, place);
                continue;
            }
            // Power binds to the right, everything else to the left.
            let mut right = binary(cursor, if rank == POWER { POWER } else { rank + 1 })?;
            if rank == COMPARISON && cursor.form == Form::Filter {
                unquote(&left, &mut right);
            }
            left = fold::binary(op, left, right, at);
        } else if least <= COMPARISON
            && let Some(whole) = word_comparison(cursor, &mut left)?
        {
            left = whole;
        } else {
            cursor.note("an operator");
            return Ok(left);
        }
    }
}

/// MLflow takes digits in quotes for its names of times and durations.
fn unquote(left: &Expr, right: &mut Expr) {
    let millis = matches!(&left.kind, ExprKind::Field(field) if field.is_in_millis());
    let ExprKind::Literal(Literal::Text(text)) = &right.kind else {
        return;
    };
    if !millis {
        return;
    }
    let float = || text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = text.parse().map(Literal::Int).ok();
    if let Some(number) = number.or_else(|| float().map(Literal::Float)) {
        right.kind = ExprKind::Literal(number);
    }
}

/// `has`, `in`, `between`, `is null` and their negations behind `left`.
fn word_comparison(cursor: &mut Cursor<'_>, left: &mut Expr) -> Parsed<Option<Expr>> {
    let negated = cursor.is_word(0, "not", true)
        && (text_op(cursor.ahead(1)).is_some()
            || cursor.is_word(1, "in", true)
            || cursor.is_word(1, "between", true));
    let ahead = usize::from(negated);
    let op = text_op(cursor.ahead(ahead));
    let is_word = |word| cursor.is_word(ahead, word, true);
    if !(op.is_some() || is_word("in") || is_word("between") || is_word("is")) {
        return Ok(None);
    }
    cursor.count_operator()?;
    for _ in 0..ahead {
        cursor.advance();
    }
    let operand = std::mem::replace(
        left,
        Expr {
            kind: ExprKind::Literal(Literal::Bool(false)),
            place: left.place,
        },
    );
    let start = operand.place;
    let operand = Box::new(operand);
    let whole = if let Some(op) = op {
        let at = cursor.advance();
        let right = Box::new(sum(cursor)?);
        ExprKind::Binary {
            op,
            left: operand,
            right,
            at,
        }
    } else if cursor.eat_word("in", true).is_some() {
        ExprKind::In {
            operand,
            values: values(cursor)?,
        }
    } else if cursor.eat_word("between", true).is_some() {
        let low = Box::new(sum(cursor)?);
        if cursor.eat_word("and", true).is_none() {
            return Err(cursor.unexpected());
        }
        let high = Box::new(sum(cursor)?);
        ExprKind::Between { operand, low, high }
    } else {
        cursor.advance();
        let exists = cursor.eat_word("not", true).is_some();
        if cursor.eat_word("null", true).is_none() && cursor.eat_word("nil", true).is_none() {
            return Err(cursor.unexpected());
        }
        let place = cursor.since(start);
        return Ok(Some(fold::exists(*operand, !exists, place)));
    };
    let whole = Expr {
        kind: whole,
        place: cursor.since(start),
    };
    if !negated {
        return Ok(Some(whole));
    }
    let place = whole.place;
    let op = match cursor.form {
        Form::Braces => UnaryOp::Not,
        Form::Filter => UnaryOp::Isnt,
    };
    Ok(Some(fold::unary(op, whole, place)))
}

/// `("a", "b")`
fn values(cursor: &mut Cursor<'_>) -> Parsed<Vec<Expr>> {
    let open = cursor.expect(Symbol::OpenParen)?;
    let mut values = Vec::new();
    loop {
        let value = sum(cursor)?;
        if !matches!(value.kind, ExprKind::Literal(_) | ExprKind::Param(_)) {
            return Err(QueryError::new(
                Code::Unexpected,
                value.place.range(),
                "a list holds constants",
            ));
        }
        values.push(value);
        if cursor.eat(Symbol::Comma).is_none() {
            break;
        }
    }
    cursor.close(Symbol::CloseParen, open)?;
    Ok(values)
}

fn prefix(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    cursor.enter()?;
    let expr = operand(cursor);
    cursor.leave();
    expr
}

fn operand(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let place = cursor.place();
    let op = match cursor.token() {
        Token::Symbol(Symbol::Minus) => Some(UnaryOp::Minus),
        Token::Symbol(Symbol::Not) if cursor.form == Form::Braces => Some(UnaryOp::Not),
        _ => None,
    };
    if let Some(op) = op {
        cursor.advance();
        if *cursor.token() == Token::Int(i64::MIN) {
            // The number without its minus does not exist, so both are one token.
            cursor.advance();
            let kind = ExprKind::Literal(Literal::Int(i64::MIN));
            return Ok(Expr {
                kind,
                place: cursor.since(place),
            });
        }
        let operand = binary(cursor, PREFIX)?;
        let whole = cursor.since(place);
        return Ok(fold::unary(op, operand, whole));
    }
    if cursor.is_word(0, "nil", false) {
        return nil_first(cursor, place);
    }
    if *cursor.token() == Token::Symbol(Symbol::OpenParen) {
        let open = cursor.advance();
        let mut inner = condition(cursor)?;
        cursor.close(Symbol::CloseParen, open)?;
        inner.place = cursor.since(place);
        return Ok(inner);
    }
    if let Some(call) = call(cursor)? {
        return Ok(call);
    }
    if let Token::Path { root, steps } = cursor.token().clone() {
        cursor.advance();
        let root = names::path_root(root);
        return Ok(Expr {
            kind: ExprKind::Path { root, steps },
            place,
        });
    }
    if let Token::Param(name) = *cursor.token() {
        cursor.advance();
        return Ok(Expr {
            kind: ExprKind::Param(name.into()),
            place,
        });
    }
    if let Some(field) = names::try_field(cursor)? {
        return Ok(Expr {
            kind: ExprKind::Field(field),
            place: cursor.since(place),
        });
    }
    if let Some(literal) = names::try_literal(cursor) {
        return Ok(literal);
    }
    if let Token::Word(word) = *cursor.token()
        && !names::is_keyword(word)
    {
        return Err(unknown_word(word, place, cursor));
    }
    cursor.note("a value");
    Err(cursor.unexpected())
}

/// `nil = x` and `nil != x`; `nil` beside `nil` is false either way.
fn nil_first(cursor: &mut Cursor<'_>, place: Place) -> Parsed<Expr> {
    let nil = cursor.advance();
    let negated = if cursor.eat(Symbol::Equal).is_some() {
        true
    } else if cursor.eat(Symbol::NotEqual).is_some() {
        false
    } else {
        return Err(QueryError::new(
            Code::Unexpected,
            nil.range(),
            "nil stands beside = and != only",
        )
        .help("write .a = nil for an attribute that is missing, .a != nil for one that is there"));
    };
    if cursor.is_word(0, "nil", false) {
        cursor.advance();
        let kind = ExprKind::Literal(Literal::Bool(false));
        return Ok(Expr {
            kind,
            place: cursor.since(place),
        });
    }
    let operand = binary(cursor, SUM)?;
    let place = cursor.since(place);
    Ok(fold::exists(operand, negated, place))
}

/// `lower(name)` and the like.
fn call(cursor: &mut Cursor<'_>) -> Parsed<Option<Expr>> {
    let Token::Word(word) = *cursor.token() else {
        return Ok(None);
    };
    let known = Function::ALL
        .into_iter()
        .find(|function| function.as_str() == word);
    let Some(function) = known.filter(|_| *cursor.ahead(1) == Token::Symbol(Symbol::OpenParen))
    else {
        return Ok(None);
    };
    let start = cursor.advance();
    let open = cursor.expect(Symbol::OpenParen)?;
    let mut arguments = Vec::new();
    let wanted = match function {
        Function::Now => 0,
        Function::Lower | Function::Length | Function::Ago => 1,
        Function::Json => 2,
    };
    for index in 0..wanted {
        if index > 0 {
            cursor.expect(Symbol::Comma)?;
        }
        arguments.push(sum(cursor)?);
    }
    cursor.close(Symbol::CloseParen, open)?;
    let argument = arguments.last().map(|argument| &argument.kind);
    let wrong = match function {
        Function::Ago if !matches!(argument, Some(ExprKind::Literal(Literal::Duration(_)))) => {
            Some("ago takes a duration, such as ago(2h)")
        }
        Function::Json if !matches!(argument, Some(ExprKind::Literal(Literal::Text(_)))) => {
            Some("json takes a field and a path, such as json(span.args, \"$.from\")")
        }
        _ => None,
    };
    let place = cursor.since(start);
    match wrong {
        Some(message) => Err(QueryError::new(Code::Unexpected, place.range(), message)),
        None => Ok(Some(Expr {
            kind: ExprKind::Call {
                function,
                arguments,
            },
            place,
        })),
    }
}
