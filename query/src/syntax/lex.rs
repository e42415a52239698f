//! Text to tokens, with nom. Errors are exact and stop the reading.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, multispace1, satisfy};
use nom::combinator::{opt, recognize};
use nom::error::{ErrorKind, ParseError};
use nom::sequence::pair;
use nom::{IResult, Parser as _};

use super::ast::Place;
use super::field::Scope;
use super::form::Form;
use super::literal;
use super::names::is_keyword;
use super::quoted::{key_name, path, text};
use super::token::{Lexeme, Symbol, Token};
use crate::error::{Code, QueryError};

/// A mistake in a token: the text from where it starts and from where it ends.
#[derive(Debug)]
pub(crate) struct Fault<'a> {
    from: &'a str,
    to: &'a str,
    code: Code,
    message: String,
    help: Option<Box<str>>,
    replace: Option<Box<str>>,
}

impl<'a> ParseError<&'a str> for Fault<'a> {
    fn from_error_kind(input: &'a str, _: ErrorKind) -> Self {
        Fault::new(input, after_char(input), Code::UnexpectedCharacter, "")
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> Fault<'a> {
    pub(crate) fn new(from: &'a str, to: &'a str, code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Fault {
            from,
            to,
            code,
            message,
            help: None,
            replace: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn replace(mut self, text: &str) -> Self {
        self.replace = Some(text.into());
        self
    }

    /// Makes the fault final: no other branch is tried.
    pub(crate) fn cut<T>(self) -> Lexed<'a, T> {
        Err(nom::Err::Failure(self))
    }
}

pub(crate) type Lexed<'a, T> = IResult<&'a str, T, Fault<'a>>;

pub(crate) fn after_char(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

/// Reads all tokens, the last of which is [`Token::End`]. Behind the first single `|` the filter
/// form follows the rules of the braces form.
pub(crate) fn tokens(query: &str, form: Form) -> Result<Vec<Lexeme<'_>>, QueryError> {
    let mut form = form;
    let mut lexemes = Vec::with_capacity(query.len() / 4 + 2);
    let offset = |rest: &str| query.len() - rest.len();
    let mut rest = query;
    loop {
        let step = blank(rest).and_then(|(input, ())| {
            if input.is_empty() {
                return Ok((input, (input, Token::End)));
            }
            let (after, token) = token(input, form)?;
            Ok((after, (input, token)))
        });
        match step {
            Ok((after, (input, token))) => {
                if token == Token::Int(i64::MIN) && !negates(&lexemes) {
                    return Err(too_large(offset(input)..offset(after)));
                }
                let end = token == Token::End;
                if token == Token::Symbol(Symbol::Bar) {
                    form = Form::Braces;
                }
                lexemes.push(Lexeme {
                    token,
                    place: Place::new(offset(input), offset(after)),
                });
                if end {
                    return Ok(lexemes);
                }
                rest = after;
            }
            Err(nom::Err::Failure(fault) | nom::Err::Error(fault)) => {
                return Err(report(&fault, offset(fault.from)..offset(fault.to)));
            }
            // Complete parsers do not ask for more.
            Err(nom::Err::Incomplete(_)) => {
                let at = offset(rest);
                return Err(QueryError::new(
                    Code::Unexpected,
                    at..at,
                    "the query is cut off",
                ));
            }
        }
    }
}

/// Whether the last token is a minus that stands before a number rather than between two.
fn negates(lexemes: &[Lexeme<'_>]) -> bool {
    let mut last = lexemes.iter().rev().map(|lexeme| &lexeme.token);
    last.next() == Some(&Token::Symbol(Symbol::Minus))
        && match last.next() {
            None => true,
            Some(Token::Symbol(symbol)) => {
                !matches!(symbol, Symbol::CloseParen | Symbol::CloseBrace)
            }
            Some(Token::Word(word)) => is_keyword(word),
            Some(_) => false,
        }
}

fn too_large(span: std::ops::Range<usize>) -> QueryError {
    QueryError::new(
        Code::NumberTooLarge,
        span,
        "this number does not fit 64 bits",
    )
    .help(format!(
        "whole numbers reach to {}; put .0 behind it for a float",
        i64::MAX
    ))
}

fn report(fault: &Fault<'_>, span: std::ops::Range<usize>) -> QueryError {
    let mut error = QueryError::new(fault.code, span, fault.message.clone());
    if fault.code == Code::UnexpectedCharacter {
        let c = fault.from.chars().next().unwrap_or(' ');
        error.message = format!("`{c}` has no meaning here");
        let help = match c {
            ';' => Some(("a query has no `;`", "")),
            '&' => Some(("write && to join conditions", "&&")),
            '[' => Some(("paths are for input, output and json(…)", "")),
            '“' | '”' | '‘' | '’' | '„' => Some(("use plain quotes", "\"")),
            '≠' => Some(("write !=", "!=")),
            _ => None,
        };
        if let Some((help, replace)) = help {
            error.help = Some(help.into());
            error.replace = Some(replace.into());
        }
    }
    error.help = error.help.or_else(|| fault.help.clone());
    error.replace = error.replace.or_else(|| fault.replace.clone());
    error
}

/// White space and comments.
fn blank(input: &str) -> Lexed<'_, ()> {
    let mut rest = input;
    loop {
        let (after, _) = opt(multispace1).parse(rest)?;
        if let Some(comment) = after.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = after.strip_prefix("/*") {
            let Some((_, tail)) = comment.split_once("*/") else {
                return Fault::new(after, "", Code::UnclosedComment, "this comment has no end")
                    .help("close it with */")
                    .cut();
            };
            rest = tail;
        } else {
            return Ok((after, ()));
        }
    }
}

fn token(input: &str, form: Form) -> Lexed<'_, Token<'_>> {
    alt((
        number,
        |input| text(input, form),
        |input| name(input, form),
        param,
        foreign,
        symbol,
    ))
    .parse(input)
}

pub(crate) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(input: &str) -> Lexed<'_, &str> {
    recognize(pair(
        satisfy(|c| c.is_alphabetic() || c == '_'),
        take_while(is_word_char),
    ))
    .parse(input)
}

fn param(input: &str) -> Lexed<'_, Token<'_>> {
    alt((
        pair(char('$'), word).map(|(_, name)| Token::Param(name)),
        pair(char('@'), word).map(|(_, name)| Token::Saved(name)),
    ))
    .parse(input)
}

fn symbol(input: &str) -> Lexed<'_, Token<'_>> {
    let found = Symbol::ALL
        .iter()
        .find(|symbol| input.starts_with(symbol.as_str()));
    match found {
        Some(symbol) => {
            let (rest, _) = tag(symbol.as_str()).parse(input)?;
            Ok((rest, Token::Symbol(*symbol)))
        }
        None => Err(nom::Err::Error(Fault::from_error_kind(
            input,
            ErrorKind::Tag,
        ))),
    }
}

/// Operators of other languages.
fn foreign(input: &str) -> Lexed<'_, Token<'_>> {
    for (text, ours) in [("==", "="), ("<>", "!="), ("!==", "!=")] {
        let (rest, found) = opt(tag(text)).parse(input)?;
        if found.is_some() {
            let message = format!("`{text}` is not an operator here");
            return Fault::new(input, rest, Code::ForeignOperator, message)
                .help(format!("write {ours}"))
                .replace(ours)
                .cut();
        }
    }
    Err(nom::Err::Error(Fault::from_error_kind(
        input,
        ErrorKind::Tag,
    )))
}

/// `2`, `1.5`, `.5`, `5.`, `1e3`, `1h30m`.
fn number(input: &str) -> Lexed<'_, Token<'_>> {
    let (rest, text) = recognize(alt((
        recognize((
            take_while1(|c: char| c.is_ascii_digit()),
            opt(pair(char('.'), take_while(|c: char| c.is_ascii_digit()))),
        )),
        recognize(pair(char('.'), take_while1(|c: char| c.is_ascii_digit()))),
    )))
    .parse(input)?;
    let is_unit = |c: char| c.is_ascii_digit() || c == '.' || "nsuµμmhdwy".contains(c);
    let (long_rest, long) = take_while(is_unit).parse(input)?;
    if long.len() > text.len()
        && let Some(nanos) = literal::duration(long)
    {
        return after_number(input, long_rest, Token::Duration(nanos));
    }
    let (rest, exponent) = opt(recognize((
        alt((char('e'), char('E'))),
        opt(alt((char('+'), char('-')))),
        take_while1(|c: char| c.is_ascii_digit()),
    )))
    .parse(rest)?;
    if exponent.is_none() && !text.contains('.') {
        let number = match text.parse() {
            Ok(number) => number,
            // Legal behind a minus only, which the caller looks at.
            Err(_) if text == "9223372036854775808" => i64::MIN,
            Err(_) => {
                let error = too_large(0..0);
                let mut fault = Fault::new(input, rest, error.code, error.message);
                fault.help = error.help;
                return fault.cut();
            }
        };
        return after_number(input, rest, Token::Int(number));
    }
    let whole = input.get(..input.len() - rest.len()).unwrap_or(text);
    match whole.parse::<f64>() {
        Ok(number) if number.is_finite() => after_number(input, rest, Token::Float(number)),
        Ok(_) => Fault::new(
            input,
            rest,
            Code::BadNumber,
            format!("{whole} is more than a float holds"),
        )
        .cut(),
        Err(_) => Fault::new(
            input,
            rest,
            Code::BadNumber,
            format!("{whole} is not a number"),
        )
        .cut(),
    }
}

/// Refuses a number that runs into a word.
fn after_number<'a>(input: &'a str, rest: &'a str, token: Token<'a>) -> Lexed<'a, Token<'a>> {
    let (end, tail) = take_while(|c| is_word_char(c) || c == '.').parse(rest)?;
    if tail.is_empty() || tail.starts_with('.') || is_keyword(tail) {
        return Ok((rest, token));
    }
    let whole = input.get(..input.len() - end.len()).unwrap_or(input);
    let proposal = spelled_out(whole);
    let mut fault = Fault::new(
        input,
        end,
        Code::BadNumber,
        format!("{whole} is not a number"),
    );
    fault.help = match &proposal {
        Some(number) => Some(format!("write {number}").into()),
        None => Some("numbers are written 2, 1.5, 1e3 and durations 100ms, 1h30m, 2d".into()),
    };
    fault.replace = proposal.map(Into::into);
    fault.cut()
}

/// What somebody meant who wrote `10k`, `5MB`, `0x10`, `1_000`, `1.5d`.
pub(crate) fn spelled_out(text: &str) -> Option<String> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16)
            .ok()
            .map(|number| number.to_string());
    }
    if text.contains('_') {
        let plain: String = text.chars().filter(|c| *c != '_').collect();
        return plain.parse::<i64>().ok().map(|number| number.to_string());
    }
    let unit_at = text.find(|c: char| c.is_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok()?;
    if unit == "d" || unit == "w" {
        let hours = number * if unit == "d" { 24.0 } else { 168.0 };
        return Some(format!("{hours}h"));
    }
    let factor = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "b" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "sec" => return Some(format!("{number}s")),
        "min" => return Some(format!("{number}m")),
        "hr" => return Some(format!("{number}h")),
        _ => return None,
    };
    Some(format!("{}", number * factor))
}

/// Words, and whatever hangs on them: attributes, built-ins, paths.
fn name(input: &str, form: Form) -> Lexed<'_, Token<'_>> {
    let (rest, scope) = opt(word).parse(input)?;
    let scope = scope.unwrap_or_default();
    let trace_scope = Scope::from_word(scope).is_some_and(Scope::is_of_trace) || scope == "issue";
    if matches!(scope, "input" | "output") && rest.starts_with(['.', '[']) {
        let (rest, steps) = path(rest)?;
        return Ok((rest, Token::Path { root: scope, steps }));
    }
    if let Some(key) = rest.strip_prefix('.') {
        let back_quotes = form == Form::Filter || trace_scope;
        let (rest, name) = key_name(key, back_quotes)?;
        if name.is_empty() {
            return Fault::new(
                input,
                key,
                Code::Unexpected,
                "a name is missing behind the dot",
            )
            .help("the name follows the dot at once; quote odd names: span.\"a b\"")
            .cut();
        }
        return Ok((rest, Token::Name { scope, name }));
    }
    if scope.is_empty() {
        return Err(nom::Err::Error(Fault::from_error_kind(
            input,
            ErrorKind::Alpha,
        )));
    }
    if let Some(builtin) = rest.strip_prefix(':')
        && let Ok((rest, name)) = word(builtin)
    {
        if scope == "span" && matches!(name, "input" | "output") && rest.starts_with(['.', '[']) {
            let (rest, steps) = path(rest)?;
            return Ok((rest, Token::Path { root: name, steps }));
        }
        return Ok((rest, Token::Colon { scope, name }));
    }
    Ok((rest, Token::Word(scope)))
}
