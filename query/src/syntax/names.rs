//! From words to fields and constants.

use spanlite_model::SpanKind;

use super::ast::{Expr, ExprKind, Literal, Place};
use super::cursor::{Cursor, Parsed};
use super::field::{Builtin, Field, Scope};
use super::fold::status_word;
use super::form::Form;
use super::habits::{unknown_colon, unknown_scope, unknown_word};
use super::token::Token;

/// The field that is next, taken; an error if something else is.
pub(crate) fn field(cursor: &mut Cursor<'_>) -> Parsed<(Field, Place)> {
    let place = cursor.place();
    if let Some(field) = try_field(cursor)? {
        return Ok((field, cursor.since(place)));
    }
    if let Token::Word(word) = *cursor.token()
        && !is_keyword(word)
    {
        return Err(unknown_word(word, place, cursor));
    }
    cursor.note("a field");
    Err(cursor.unexpected())
}

/// Takes the field that is next, if one is.
pub(crate) fn try_field(cursor: &mut Cursor<'_>) -> Parsed<Option<Field>> {
    let place = cursor.place();
    let form = cursor.form;
    let field = match cursor.token() {
        Token::Word(word) => match form {
            Form::Braces => Builtin::in_braces(word),
            Form::Filter => Builtin::in_filter(word)
                .or_else(|| Builtin::in_braces(word).filter(|_| is_shared(word))),
        }
        .map(Field::Builtin),
        Token::Colon { scope, name } => {
            let whole = format!("{scope}:{name}");
            let builtin = Builtin::in_braces(&whole);
            Some(Field::Builtin(
                builtin.ok_or_else(|| unknown_colon(scope, name, place))?,
            ))
        }
        Token::Name { scope, name } => {
            let field = match form {
                Form::Braces => in_braces(scope, name),
                Form::Filter => in_filter(scope, name),
            };
            Some(field.ok_or_else(|| unknown_scope(scope, name, place, form))?)
        }
        Token::Text { value, quote: '`' } if form == Form::Filter => {
            return Ok(back_quoted(cursor, &value.clone()));
        }
        _ => None,
    };
    if field.is_some() {
        cursor.advance();
    }
    Ok(field)
}

/// The field a path begins at.
pub(crate) fn path_root(word: &str) -> Field {
    Field::Builtin(if word == "output" {
        Builtin::SpanOutput
    } else {
        Builtin::SpanInput
    })
}

/// Built-ins without a colon that both forms know.
fn is_shared(word: &str) -> bool {
    matches!(word, "input" | "output" | "text")
}

fn in_braces(scope: &str, name: &str) -> Option<Field> {
    let attribute = |scope, name: &str| Field::Attribute {
        scope,
        name: name.into(),
    };
    match scope {
        "" => Some(attribute(Scope::Either, name)),
        "parent" => {
            let (scope, name) = match name.split_once('.') {
                Some(("span", name)) => (Scope::Span, name),
                Some(("resource", name)) => (Scope::Resource, name),
                _ => (Scope::Either, name),
            };
            Some(Field::Parent {
                scope,
                name: name.into(),
            })
        }
        "issue" if name == "id" => Some(Field::Builtin(Builtin::TraceIssue)),
        _ => Some(attribute(Scope::from_word(scope)?, name)),
    }
}

fn in_filter(scope: &str, name: &str) -> Option<Field> {
    if let Some(builtin) = Builtin::in_filter(&format!("{scope}.{name}")) {
        return Some(Field::Builtin(builtin));
    }
    match (scope, name.strip_prefix("attributes.")) {
        ("span", Some("")) => None,
        ("span", Some(key)) => Some(Field::Attribute {
            scope: Scope::Span,
            name: key.into(),
        }),
        ("span" | "issue" | "parent", _) => None,
        _ => in_braces(scope, name),
    }
}

/// A name in back quotes where the filter form lets one begin: `` `timestamp` ``, `` `tags`.env ``.
fn back_quoted(cursor: &mut Cursor<'_>, word: &str) -> Option<Field> {
    let adjacent = cursor.place().end;
    if let Token::Name { scope: "", name } = cursor.ahead(1)
        && let Some(field) = in_filter(word, name)
    {
        let name_starts = cursor.ahead_place(1).start;
        if name_starts == adjacent {
            cursor.advance();
            cursor.advance();
            return Some(field);
        }
    }
    let field = Builtin::in_filter(word).map(Field::Builtin)?;
    cursor.advance();
    Some(field)
}

/// A constant, if one is next.
pub(crate) fn try_literal(cursor: &mut Cursor<'_>) -> Option<Expr> {
    let literal = match cursor.token() {
        Token::Text { value, .. } => Literal::Text(value.as_str().into()),
        Token::Int(number) => Literal::Int(*number),
        Token::Float(number) => Literal::Float(*number),
        Token::Duration(nanos) => Literal::Duration(*nanos),
        Token::Word(word) => word_literal(word, cursor.form)?,
        _ => return None,
    };
    let place = cursor.advance();
    Some(Expr {
        kind: ExprKind::Literal(literal),
        place,
    })
}

fn word_literal(word: &str, form: Form) -> Option<Literal> {
    Some(match word {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "minInt" => Literal::Int(i64::MIN),
        "maxInt" => Literal::Int(i64::MAX),
        word => {
            if let Some(status) = status_word(word) {
                Literal::Status(status)
            } else if form == Form::Filter {
                return None;
            } else {
                Literal::Kind(
                    SpanKind::ALL
                        .into_iter()
                        .find(|kind| kind.as_str() == word)?,
                )
            }
        }
    })
}

/// Words that belong to the grammar, so that they are not answered as unknown names.
pub(crate) fn is_keyword(word: &str) -> bool {
    const KEYWORDS: [&str; 32] = [
        "and",
        "or",
        "not",
        "in",
        "is",
        "between",
        "has",
        "contains",
        "startswith",
        "endswith",
        "like",
        "ilike",
        "rlike",
        "nil",
        "null",
        "by",
        "select",
        "coalesce",
        "count",
        "min",
        "max",
        "avg",
        "sum",
        "order",
        "limit",
        "offset",
        "since",
        "until",
        "with",
        "asc",
        "desc",
        "as",
    ];
    KEYWORDS
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
}
