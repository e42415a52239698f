//! Answers to habits of other languages, where the parser is at a loss.

use super::ast::Place;
use super::cursor::Cursor;
use super::few::meant_beside;
use super::field::{Builtin, Scope};
use super::form::Form;
use super::token::{Symbol, Token};
use crate::error::{Code, QueryError};
use crate::suggest::nearest;

/// Words that can stand for a value inside braces.
pub(crate) const VALUES: [&str; 15] = [
    "true",
    "false",
    "nil",
    "ok",
    "error",
    "unset",
    "unspecified",
    "internal",
    "client",
    "server",
    "producer",
    "consumer",
    "minInt",
    "maxInt",
    "parent",
];

/// A special answer for a token that nothing expected, if there is one.
pub(crate) fn answer(
    token: &Token<'_>,
    place: Place,
    before: Option<&Token<'_>>,
    form: Form,
) -> Option<QueryError> {
    let error = |code, message: String| QueryError::new(code, place.range(), message);
    match (token, before) {
        (Token::Word(word), _) if word.eq_ignore_ascii_case("select") && form == Form::Filter => {
            Some(
                error(Code::ForeignSyntax, "this is no SQL".to_owned()).help(
                    "write the condition alone, such as status = 'ERROR', or { status = error }",
                ),
            )
        }
        (Token::Word(word), Some(Token::Int(number)))
            if matches!(
                word.to_ascii_lowercase().as_str(),
                "kb" | "mb" | "gb" | "k" | "ms" | "s" | "m" | "h" | "d"
            ) =>
        {
            if let Some(spelled) = super::lex::spelled_out(&format!("{number}{word}")) {
                let message = format!("{number} {word} is not a number");
                return Some(error(Code::BadNumber, message).help(format!("write {spelled}")));
            }
            let joined = format!("{number}{word}");
            Some(
                error(Code::BadNumber, format!("{number} {word} is not a number"))
                    .help(format!("units follow a number at once ({joined}) and are those of time; spell other numbers out")),
            )
        }
        (Token::Word(word), _) if word.eq_ignore_ascii_case("null") => Some(
            error(Code::UnknownName, format!("unknown name {word}"))
                .help("write nil")
                .replace("nil"),
        ),
        (Token::Symbol(Symbol::Bar), _) if form == Form::Braces => Some(
            error(Code::Unexpected, "`|` does not join conditions".to_owned())
                .help("write || between conditions; | stands behind the closing brace")
                .replace("||"),
        ),
        (Token::Symbol(Symbol::Greater), Some(Token::Symbol(Symbol::Minus))) => Some(
            error(
                Code::ForeignOperator,
                "`->` is not an operator here".to_owned(),
            )
            .help("write json(field, \"$.key\")"),
        ),
        (Token::Colon { scope, name }, _) => Some(unknown_colon(scope, name, place)),
        (Token::Saved(name), _) => Some(
            error(
                Code::Unsupported,
                format!("the saved query `@{name}` is not known here"),
            )
            .help("saved queries are put in before a query is read"),
        ),
        _ => None,
    }
}

/// The error for a word that is no value, name or keyword.
pub(crate) fn unknown_word(word: &str, place: Place, cursor: &Cursor<'_>) -> QueryError {
    let form = cursor.form;
    let error = QueryError::new(
        Code::UnknownName,
        place.range(),
        format!("unknown name {word}"),
    );
    if word.eq_ignore_ascii_case("select") {
        return answer(&Token::Word("select"), place, None, Form::Filter).unwrap_or(error);
    }
    let compared = matches!(
        cursor.before(1),
        Some(Token::Symbol(Symbol::Equal | Symbol::NotEqual))
    );
    let field = cursor.before(2).filter(|_| compared);
    if let Some((meant, values)) = field.and_then(|field| meant_beside(field, word, form)) {
        let meant = match form {
            Form::Braces => format!("\"{meant}\""),
            Form::Filter => format!("'{meant}'"),
        };
        let all = values.join(", ");
        return error
            .help(format!("did you mean {meant}? (one of {all})"))
            .replace(meant);
    }
    if compared && form == Form::Filter {
        return error
            .help(format!("a text needs quotes: '{word}'"))
            .replace(format!("'{word}'"));
    }
    let names = names_without_scope(form);
    if let Some(near) = nearest(word, names.iter().copied()) {
        let values = match near {
            "ok" | "error" | "unset" if form == Form::Braces => {
                " (status values are ok, error, unset)"
            }
            _ => "",
        };
        return error
            .help(format!("did you mean {near}?{values}"))
            .replace(near);
    }
    match form {
        Form::Braces => error.help(format!(
            "an attribute begins with a dot or a scope: .{word}, span.{word}; a text needs quotes"
        )),
        Form::Filter => {
            let colon = Builtin::ALL
                .iter()
                .flat_map(|(_, names, _)| names.iter().copied())
                .find(|name| {
                    name.split_once(':')
                        .is_some_and(|(_, short)| short.eq_ignore_ascii_case(word))
                });
            match colon {
                Some(colon) => error.help(format!("did you mean {colon}?")).replace(colon),
                None => error.help(format!(
                    "names of a trace: status, name, timestamp, execution_time; else tag.{word}, span.attributes.{word}"
                )),
            }
        }
    }
}

/// Fields and values that are written without a scope.
fn names_without_scope(form: Form) -> Vec<&'static str> {
    match form {
        Form::Braces => Builtin::ALL
            .iter()
            .flat_map(|(_, names, _)| names.iter().copied())
            .filter(|name| !name.contains(':'))
            .chain(VALUES)
            .collect(),
        Form::Filter => Builtin::ALL
            .iter()
            .flat_map(|(_, _, names)| names.iter().copied())
            .filter(|name| !name.contains('.'))
            .chain([
                "error",
                "running",
                "interrupted",
                "pinned",
                "input",
                "output",
            ])
            .collect(),
    }
}

/// The error for `scope:name` that is no built-in.
pub(crate) fn unknown_colon(scope: &str, name: &str, place: Place) -> QueryError {
    let whole = format!("{scope}:{name}");
    let error = QueryError::new(
        Code::UnknownName,
        place.range(),
        format!("unknown name {whole}"),
    );
    let prefix = format!("{scope}:");
    let of_scope: Vec<&str> = Builtin::ALL
        .iter()
        .flat_map(|(_, names, _)| names.iter().copied())
        .filter(|known| known.starts_with(&prefix))
        .collect();
    if of_scope.is_empty() {
        let mut error = error;
        error.code = Code::ForeignSyntax;
        return error.help(format!(
            "a colon follows span, trace, event, link or instrumentation; to compare write {scope} = \"{name}\""
        ));
    }
    let short = |known: &'static str| known.split_once(':').map(|(_, short)| (known, short));
    let elsewhere = Builtin::ALL
        .iter()
        .flat_map(|(_, names, _)| names.iter().copied())
        .filter_map(short)
        .find(|(_, short)| short.eq_ignore_ascii_case(name));
    let near = nearest(
        name,
        of_scope
            .iter()
            .filter_map(|known| short(known))
            .map(|(_, short)| short),
    );
    if let (None, Some(near)) = (elsewhere, near) {
        let near = format!("{scope}:{near}");
        return error.help(format!("did you mean {near}?")).replace(near);
    }
    match elsewhere {
        Some((near, _)) => error.help(format!("did you mean {near}?")).replace(near),
        None => error.help(format!("{scope} has {}", of_scope.join(", "))),
    }
}

/// The error for `scope.name` whose scope does not exist.
pub(crate) fn unknown_scope(scope: &str, name: &str, place: Place, form: Form) -> QueryError {
    let error = QueryError::new(
        Code::UnknownName,
        place.range(),
        format!("unknown scope {scope}"),
    );
    if form == Form::Filter
        && matches!(
            scope,
            "span" | "trace" | "attribute" | "attributes" | "issue"
        )
    {
        let error = QueryError::new(
            Code::UnknownName,
            place.range(),
            format!("unknown name {scope}.{name}"),
        );
        let candidates = Builtin::ALL
            .iter()
            .flat_map(|(_, braces, filter)| filter.iter().chain(*braces).copied());
        let colon = format!("{scope}:{name}");
        if let Some(near) = nearest(&colon, candidates.clone())
            .or_else(|| nearest(&format!("{scope}.{name}"), candidates))
        {
            return error.help(format!("did you mean {near}?")).replace(near);
        }
        return if scope == "span" {
            error
                .help(format!("an attribute is written span.attributes.{name}"))
                .replace(format!("span.attributes.{name}"))
        } else {
            error.help("see the names of a trace in the manual: status, name, timestamp, execution_time, …")
        };
    }
    if scope == "trace" {
        return error.help(format!("built-ins of the trace have a colon: trace:{name}"));
    }
    let words = Scope::WORDS.iter().map(|(word, _)| *word);
    if let Some(near) = nearest(scope, words) {
        return error
            .help(format!("did you mean {near}.{name}?"))
            .replace(format!("{near}.{name}"));
    }
    match form {
        Form::Braces => error.help(format!("an attribute begins with a dot or a scope: .{scope}.{name}")),
        Form::Filter => error.help(format!(
            "an attribute of a span is written span.attributes.{scope}.{name}, a tag tag.{scope}.{name}"
        )),
    }
}
