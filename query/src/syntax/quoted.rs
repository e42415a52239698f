//! Strings, keys of attributes and paths into JSON.

use nom::Parser as _;
use nom::bytes::complete::take_while;
use nom::character::complete::satisfy;

use super::ast::PathStep;
use super::form::Form;
use super::lex::{Fault, Lexed, after_char, is_word_char};
use super::token::Token;
use crate::error::Code;

pub(crate) fn text(input: &str, form: Form) -> Lexed<'_, Token<'_>> {
    let (_, quote) = satisfy(|c| matches!(c, '"' | '\'' | '`')).parse(input)?;
    let (rest, value) = match (quote, form) {
        ('"', Form::Braces) => escaped(input)?,
        ('`', _) => raw(input)?,
        _ => doubled(input, quote)?,
    };
    Ok((rest, Token::Text { value, quote }))
}

fn unclosed<T>(input: &str) -> Lexed<'_, T> {
    let quote = input.chars().next().unwrap_or('"');
    let end = match quote {
        '`' => "",
        _ => input
            .find('\n')
            .and_then(|at| input.get(at..))
            .unwrap_or(""),
    };
    Fault::new(input, end, Code::UnclosedString, "this string has no end")
        .help(format!("close it with {quote}"))
        .cut()
}

/// A string in back quotes: nothing in it has a meaning.
fn raw(input: &str) -> Lexed<'_, String> {
    let body = after_char(input);
    match body.split_once('`') {
        Some((value, rest)) => Ok((rest, value.to_owned())),
        None => unclosed(input),
    }
}

/// A string in which only the doubled quote stands for itself, as in SQL.
fn doubled(input: &str, quote: char) -> Lexed<'_, String> {
    let mut value = String::new();
    let mut rest = after_char(input);
    while let Some((part, after)) = rest.split_once(quote) {
        value.push_str(part);
        let Some(tail) = after.strip_prefix(quote) else {
            return Ok((after, value));
        };
        value.push(quote);
        rest = tail;
    }
    unclosed(input)
}

/// A string with Go's escapes, on one line. Escapes of bytes may spell a character out; bytes that
/// are none stand for U+FFFD, as they do wherever texts are made of bytes.
fn escaped(input: &str) -> Lexed<'_, String> {
    let mut value = Vec::new();
    let mut rest = after_char(input);
    loop {
        let here = rest;
        let Some(c) = rest.chars().next() else {
            return unclosed(input);
        };
        rest = after_char(rest);
        match c {
            '"' => return Ok((rest, String::from_utf8_lossy(&value).into_owned())),
            '\n' => return unclosed(input),
            '\\' => {
                let Some((decoded, after)) = escape(rest) else {
                    if rest.is_empty() {
                        return unclosed(input);
                    }
                    let end = after_char(rest);
                    let shown = here.get(..here.len() - end.len()).unwrap_or(here);
                    return Fault::new(
                        here,
                        end,
                        Code::BadEscape,
                        format!("`{shown}` is no escape"),
                    )
                    .help("write \\\\ for a backslash, or put the string in back quotes")
                    .cut();
                };
                match decoded {
                    Escape::Byte(byte) => value.push(byte),
                    Escape::Char(c) => push_char(&mut value, c),
                }
                rest = after;
            }
            c => push_char(&mut value, c),
        }
    }
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What an escape stands for.
enum Escape {
    Char(char),
    Byte(u8),
}

/// What an escape stands for, from behind its backslash.
fn escape(input: &str) -> Option<(Escape, &str)> {
    let first = input.chars().next()?;
    let rest = after_char(input);
    let plain = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '"' => '"',
        'x' => return byte(rest, 2, 16),
        'u' => return char_of(rest, 4),
        'U' => return char_of(rest, 8),
        // Three octal digits are one byte.
        '0'..='3' => return byte(input, 3, 8),
        _ => return None,
    };
    Some((Escape::Char(plain), rest))
}

fn byte(input: &str, digits: usize, radix: u32) -> Option<(Escape, &str)> {
    let (number, rest) = coded(input, digits, radix)?;
    Some((Escape::Byte(u8::try_from(number).ok()?), rest))
}

fn char_of(input: &str, digits: usize) -> Option<(Escape, &str)> {
    let (number, rest) = coded(input, digits, 16)?;
    Some((Escape::Char(char::from_u32(number)?), rest))
}

fn coded(input: &str, digits: usize, radix: u32) -> Option<(u32, &str)> {
    let (code, rest) = input.split_at_checked(digits)?;
    if !code.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some((u32::from_str_radix(code, radix).ok()?, rest))
}

/// An attribute's key: everything up to white space or an operator; quoted parts hold anything.
pub(crate) fn key_name(input: &str, back_quotes: bool) -> Lexed<'_, String> {
    let mut name = String::new();
    let mut rest = input;
    loop {
        let (after, part) =
            take_while(|c: char| !ends_key(c) && c != '"' && (c != '`' || !back_quotes))
                .parse(rest)?;
        name.push_str(part);
        match after.chars().next() {
            Some('"') => {
                let (tail, part) = quoted_key(after)?;
                name.push_str(&part);
                rest = tail;
            }
            Some('`') if back_quotes => {
                let (tail, part) = raw(after)?;
                name.push_str(&part);
                rest = tail;
            }
            _ => return Ok((after, name)),
        }
    }
}

/// Whether an attribute's key ends before this character.
pub(crate) fn ends_key(c: char) -> bool {
    c.is_whitespace() || "{}()=~!<>&|^,".contains(c)
}

/// A quoted part of a key, in which only `\"` and `\\` are escapes.
fn quoted_key(input: &str) -> Lexed<'_, String> {
    let mut value = String::new();
    let mut chars = after_char(input).char_indices();
    let body = after_char(input);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((body.get(at + 1..).unwrap_or(""), value)),
            '\\' => {
                if let Some((_, c @ ('"' | '\\'))) = chars.next() {
                    value.push(c);
                } else {
                    let from = body.get(at..).unwrap_or("");
                    let to = after_char(after_char(from));
                    return Fault::new(
                        from,
                        to,
                        Code::BadEscape,
                        "only \\\" and \\\\ are escapes in a name",
                    )
                    .cut();
                }
            }
            c => value.push(c),
        }
    }
    unclosed(input)
}

/// `.key`, `."a key"`, `[2]`, `[*]`, any number of them.
pub(crate) fn steps(text: &str) -> Option<Vec<PathStep>> {
    match path(text) {
        Ok(("", steps)) => Some(steps),
        _ => None,
    }
}

pub(crate) fn path(input: &str) -> Lexed<'_, Vec<PathStep>> {
    let mut steps = Vec::new();
    let mut rest = input;
    loop {
        if let Some(index) = rest.strip_prefix('[') {
            let (after, digits) = take_while(|c| c != ']').parse(index)?;
            let step = match digits {
                "*" => Some(PathStep::Any),
                digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                    digits.parse().ok().map(PathStep::Index)
                }
                _ => None,
            };
            let (Some(step), Some(after)) = (step, after.strip_prefix(']')) else {
                return Fault::new(
                    rest,
                    after,
                    Code::Unexpected,
                    "an index is a number or *, in brackets",
                )
                .help("write [0] for the first element, [*] for any")
                .cut();
            };
            steps.push(step);
            rest = after;
        } else if let Some(key) = rest.strip_prefix('.') {
            let (after, key) = if let Some('"') = key.chars().next() {
                quoted_key(key)?
            } else {
                let (after, key) = take_while(is_word_char).parse(key)?;
                (after, key.to_owned())
            };
            if key.is_empty() {
                return Fault::new(
                    rest,
                    after,
                    Code::Unexpected,
                    "a key is missing behind the dot",
                )
                .cut();
            }
            steps.push(PathStep::Key(key.into()));
            rest = after;
        } else {
            return Ok((rest, steps));
        }
    }
}
