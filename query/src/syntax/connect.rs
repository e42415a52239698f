//! `&& || and or not`, one bracket level at a time.

use super::ast::{BinaryOp, Expr, ExprKind, Literal, Place, UnaryOp};
use super::cursor::{Cursor, Parsed};
use super::expr;
use super::field::{Builtin, Field};
use super::fold;
use super::form::Form;
use super::token::{Symbol, Token};
use crate::error::{Code, QueryError};

#[derive(Clone, Copy)]
struct Connective {
    op: BinaryOp,
    is_word: bool,
    place: Place,
}

/// A whole condition: everything between two brackets.
pub(crate) fn condition(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let mut operands = vec![negation(cursor)?];
    let mut connectives: Vec<Connective> = Vec::new();
    while let Some(connective) = connective(cursor) {
        cursor.count_operator()?;
        connectives.push(connective);
        operands.push(negation(cursor)?);
    }
    join(cursor, operands, &connectives)
}

fn connective(cursor: &mut Cursor<'_>) -> Option<Connective> {
    let (op, is_word) = match cursor.token() {
        Token::Symbol(Symbol::And) => (BinaryOp::And, false),
        Token::Symbol(Symbol::Or) => (BinaryOp::Or, false),
        _ if cursor.is_word(0, "and", true) => (BinaryOp::And, true),
        _ if cursor.is_word(0, "or", true) => (BinaryOp::Or, true),
        _ => return None,
    };
    let place = cursor.advance();
    Some(Connective { op, is_word, place })
}

fn join(cursor: &mut Cursor<'_>, operands: Vec<Expr>, connectives: &[Connective]) -> Parsed<Expr> {
    let both = connectives.iter().any(|one| one.op == BinaryOp::And)
        && connectives.iter().any(|one| one.op == BinaryOp::Or);
    let words = connectives.iter().filter(|one| one.is_word).count();
    if both && cursor.form == Form::Braces {
        if words == 0 {
            warn_of_equal_rank(cursor, &operands, connectives);
            return Ok(fold_left(operands, connectives));
        }
        if words < connectives.len() {
            let odd = connectives
                .iter()
                .find(|one| one.is_word)
                .map_or_else(Place::default, |one| one.place);
            return Err(QueryError::new(
                Code::MixedAndOr,
                odd.range(),
                "words and symbols are mixed: && and || have one rank, `and` binds tighter than `or`",
            )
            .help("put brackets around what belongs together, or use one sort"));
        }
    }
    if !both {
        return Ok(fold_left(operands, connectives));
    }
    // SQL's rank: runs of `and` first, then `or` between them.
    let mut runs: Vec<Expr> = Vec::new();
    let mut operands = operands.into_iter();
    let mut run: Option<Expr> = operands.next();
    let mut or_places = Vec::new();
    for (connective, operand) in connectives.iter().zip(operands) {
        match run.take() {
            Some(left) if connective.op == BinaryOp::And => {
                run = Some(fold::binary(BinaryOp::And, left, operand, connective.place));
            }
            left => {
                runs.extend(left);
                or_places.push(*connective);
                run = Some(operand);
            }
        }
    }
    runs.extend(run);
    Ok(fold_left(runs, &or_places))
}

fn fold_left(operands: Vec<Expr>, connectives: &[Connective]) -> Expr {
    let mut operands = operands.into_iter();
    let Some(first) = operands.next() else {
        return Expr {
            kind: ExprKind::Literal(Literal::Bool(true)),
            place: Place::default(),
        };
    };
    connectives
        .iter()
        .zip(operands)
        .fold(first, |left, (connective, right)| {
            fold::binary(connective.op, left, right, connective.place)
        })
}

fn warn_of_equal_rank(cursor: &mut Cursor<'_>, operands: &[Expr], connectives: &[Connective]) {
    let mut shown = String::new();
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            let op = connectives
                .get(index - 1)
                .map_or(BinaryOp::And, |one| one.op);
            if index > 1 {
                shown = format!("({shown})");
            }
            shown.push(' ');
            shown.push_str(op.as_str());
            shown.push(' ');
        }
        shown.push_str(&super::print::expr(operand, Form::Braces));
    }
    let first = connectives
        .first()
        .map_or_else(Place::default, |one| one.place);
    let last = connectives
        .last()
        .map_or_else(Place::default, |one| one.place);
    cursor.warnings.push(
        QueryError::new(
            Code::EqualRank,
            first.to(last).range(),
            "&& and || have one rank here and are read from the left",
        )
        .help(format!(
            "this is {shown}; put brackets to say what you mean"
        )),
    );
}

fn negation(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let start = cursor.place();
    let negated = cursor.is_word(0, "not", true)
        || (cursor.form == Form::Filter && *cursor.token() == Token::Symbol(Symbol::Not));
    if negated {
        cursor.advance();
        cursor.enter()?;
        let operand = negation(cursor);
        cursor.leave();
        let operand = operand?;
        let place = cursor.since(start);
        return Ok(fold::unary(UnaryOp::Not, operand, place));
    }
    match cursor.form {
        Form::Braces => expr::comparison(cursor),
        Form::Filter => clause(cursor),
    }
}

/// A clause of the filter form: a comparison, a bare string, or one of four words.
fn clause(cursor: &mut Cursor<'_>) -> Parsed<Expr> {
    let start = cursor.place();
    if let Some(expr) = bare(cursor) {
        return Ok(expr);
    }
    let clause = expr::comparison(cursor)?;
    let yields_bool = match &clause.kind {
        ExprKind::Binary { op, .. } => !op.is_arithmetic(),
        ExprKind::Exists { .. }
        | ExprKind::In { .. }
        | ExprKind::Between { .. }
        | ExprKind::Unary {
            op: UnaryOp::Not | UnaryOp::Isnt,
            ..
        } => true,
        ExprKind::Field(field) => field.ty() == super::field::Type::Bool,
        _ => false,
    };
    if yields_bool {
        return Ok(clause);
    }
    if let ExprKind::Literal(_) = clause.kind {
        return Err(QueryError::new(
            Code::Unexpected,
            cursor.since(start).range(),
            "a clause compares a name with a value",
        )
        .help("such as tag.env = 'prod', span.type = 'LLM', status = 'ERROR'"));
    }
    cursor.note("a comparison");
    Err(cursor.unexpected())
}

/// `"rate limit"`, `error`, `running`, `interrupted`, `pinned`.
fn bare(cursor: &mut Cursor<'_>) -> Option<Expr> {
    let ends = match cursor.ahead(1) {
        Token::End | Token::Symbol(Symbol::CloseParen | Symbol::Bar | Symbol::And | Symbol::Or) => {
            true
        }
        Token::Word(word) => ["and", "or", "order", "limit", "with"]
            .iter()
            .any(|keyword| keyword.eq_ignore_ascii_case(word)),
        _ => false,
    };
    if !ends {
        return None;
    }
    let place = cursor.place();
    let field = |builtin| Expr {
        kind: ExprKind::Field(Field::Builtin(builtin)),
        place,
    };
    let text = |text: &str| Expr {
        kind: ExprKind::Literal(Literal::Text(text.into())),
        place,
    };
    let expr = match cursor.token() {
        Token::Text { value, .. } => {
            let words = text(value);
            fold::binary(BinaryOp::Has, field(Builtin::SpanText), words, place)
        }
        Token::Word("error") => fold::binary(
            BinaryOp::Equal,
            field(Builtin::TraceStatus),
            text("ERROR"),
            place,
        ),
        Token::Word("running") => fold::binary(
            BinaryOp::Equal,
            field(Builtin::TraceState),
            text("IN_PROGRESS"),
            place,
        ),
        Token::Word("interrupted") => fold::binary(
            BinaryOp::Equal,
            field(Builtin::TraceState),
            text("INTERRUPTED"),
            place,
        ),
        Token::Word("pinned") => field(Builtin::TracePinned),
        _ => return None,
    };
    cursor.advance();
    Some(expr)
}
