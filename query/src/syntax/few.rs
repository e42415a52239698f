//! Built-ins that have few values.

use spanlite_model::SpanType;

use super::field::Builtin;
use super::form::Form;
use super::token::Token;
use crate::suggest::nearest;

/// The values a built-in has, if there are few.
pub(crate) fn few_values(builtin: Builtin) -> Option<&'static [&'static str]> {
    match builtin {
        Builtin::SpanState => Some(&["OK", "ERROR", "UNSET"]),
        Builtin::TraceStatus => Some(&["OK", "ERROR", "IN_PROGRESS"]),
        Builtin::TraceState => Some(&["OK", "ERROR", "IN_PROGRESS", "INTERRUPTED"]),
        _ => None,
    }
}

/// The one of some values that a word may mean.
pub(crate) fn meant_value(word: &str, values: &[&'static str]) -> Option<&'static str> {
    let other = match word.to_ascii_lowercase().as_str() {
        "running" | "started" | "pending" | "active" | "open" => "IN_PROGRESS",
        "failed" | "failure" | "err" => "ERROR",
        "success" | "succeeded" | "done" | "finished" | "complete" | "completed" => "OK",
        "aborted" | "killed" | "crashed" | "cancelled" => "INTERRUPTED",
        _ => return nearest(word, values.iter().copied()),
    };
    values.iter().copied().find(|value| *value == other)
}

/// The value that a word without quotes may mean beside a field, and all that there are.
pub(super) fn meant_beside(
    field: &Token<'_>,
    word: &str,
    form: Form,
) -> Option<(&'static str, &'static [&'static str])> {
    let builtin = match (field, form) {
        (Token::Colon { scope, name }, _) => Builtin::in_braces(&format!("{scope}:{name}")),
        (Token::Name { scope, name }, Form::Filter) => {
            Builtin::in_filter(&format!("{scope}.{name}"))
        }
        (Token::Word(name), Form::Filter) => Builtin::in_filter(name),
        _ => None,
    }?;
    let values = match builtin {
        Builtin::SpanType => SpanType::NAMES,
        builtin => few_values(builtin)?,
    };
    Some((meant_value(word, values)?, values))
}
