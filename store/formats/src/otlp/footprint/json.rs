use spanlite_model::Value;

use super::{
    Footprint, INFO_FACTOR, JSON_AROUND, JSON_IN_SPAN, JSON_SPAN, VALUE_OF_PAIR, element, text,
};
use crate::otlp::TRACE_INFO;

/// How deep values are read at most; what is deeper is an error there.
const MAX_DEPTH: usize = 128;
/// What takes no bracket in a list: `null`.
const BARE_VALUE: usize = element::<Value>();
/// A node of the map of an object, which has room for eleven fields.
const TREE_OBJECT: usize = 11 * (size_of::<String>() + size_of::<serde_json::Value>()) + 96;
const TREE_LIST: usize = 6 * size_of::<serde_json::Value>();
/// A field or an element; nodes of maps are half full at worst.
const TREE_ELEMENT: usize = 3 * (size_of::<String>() + size_of::<serde_json::Value>());

/// What a JSON text is made of, as far as it takes memory.
enum Token<'a> {
    Open {
        list: bool,
    },
    Close,
    Comma,
    /// What stood before was a name.
    Colon,
    /// As it is written, without its quotes.
    Text(&'a [u8]),
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            return Some(match byte {
                b'{' => Token::Open { list: false },
                b'[' => Token::Open { list: true },
                b'}' | b']' => Token::Close,
                b',' => Token::Comma,
                b':' => Token::Colon,
                b'"' => Token::Text(self.text()),
                _ => continue,
            });
        }
    }
}

impl<'a> Tokens<'a> {
    fn text(&mut self) -> &'a [u8] {
        let mut end = 0;
        while let Some(byte) = self.rest.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let (text, rest) = self.rest.split_at(end.min(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        text
    }
}

/// A text that is kept, and once more as JSON: as it is written here it is as long at least.
fn kept(written: &[u8]) -> usize {
    2 * text(written.len())
}

/// A bracket that is open.
struct Open {
    /// Whether it is a list whose elements may be spans.
    may_hold_spans: bool,
    /// Whether it is a pair that holds what belongs to a trace.
    is_info: bool,
    /// What was counted when it opened.
    before: usize,
}

pub(super) fn of_request(bytes: &[u8]) -> Footprint {
    let mut footprint = Footprint::default();
    let mut open: Vec<Open> = Vec::new();
    let (mut name, mut last) = (None, None);
    // What stands outside of spans is a part as each span is; so many brackets are around it.
    let (mut part, mut around) = (0_usize, None);
    for token in (Tokens { rest: bytes }) {
        match token {
            Token::Open { list } => {
                if open.len() >= MAX_DEPTH {
                    break;
                }
                let is_span = open.last().is_some_and(|outer| outer.may_hold_spans);
                if is_span && around.is_none() {
                    footprint.add(std::mem::take(&mut part));
                    around = Some(open.len());
                }
                open.push(Open {
                    may_hold_spans: list && may_hold_spans(name),
                    is_info: false,
                    before: part,
                });
                footprint.spans += usize::from(is_span);
                part += match around {
                    _ if is_span => JSON_SPAN,
                    // A list has its room from what it stands in.
                    Some(_) if name.is_some() => VALUE_OF_PAIR,
                    Some(_) => JSON_IN_SPAN,
                    None => JSON_AROUND,
                };
                (name, last) = (None, None);
            }
            Token::Close => {
                let closed = open.pop();
                if let Some(info) = closed.filter(|closed| closed.is_info) {
                    let more = part.saturating_sub(info.before);
                    part = part.saturating_add(more.saturating_mul(INFO_FACTOR));
                }
                if around == Some(open.len()) {
                    footprint.add(std::mem::take(&mut part));
                    around = None;
                }
                (name, last) = (None, None);
            }
            Token::Comma => {
                part += BARE_VALUE;
                (name, last) = (None, None);
            }
            Token::Colon => {
                // Names of fields are not kept.
                name = last.take();
                part -= name.map_or(0, kept);
            }
            Token::Text(written) => {
                part += kept(written);
                last = Some(written);
                if let Some(pair) = open.last_mut().filter(|_| is_info(written)) {
                    pair.is_info = true;
                }
            }
        }
    }
    footprint.add(part);
    footprint
}

/// Whether a text, which can be written with escapes, is the key of what belongs to a trace.
fn is_info(written: &[u8]) -> bool {
    if !written.contains(&b'\\') || written.len() > 6 * TRACE_INFO.len() {
        return written == TRACE_INFO.as_bytes();
    }
    let quoted = [b"\"", written, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).is_ok_and(|text| text == TRACE_INFO)
}

/// Whether elements of a list may be spans, by the name of the list. A name can be written with
/// escapes; and a list without one is the form without names that `serde` reads objects from too.
fn may_hold_spans(name: Option<&[u8]>) -> bool {
    name.is_none_or(|name| name == b"spans" || name.contains(&b'\\'))
}

pub(super) fn of_tree(bytes: &[u8]) -> Footprint {
    let tokens = Tokens { rest: bytes }.map(|token| match token {
        Token::Open { list: true } => TREE_LIST,
        Token::Open { list: false } => TREE_OBJECT,
        Token::Comma => TREE_ELEMENT,
        Token::Text(written) => text(written.len()),
        Token::Close | Token::Colon => 0,
    });
    let mut footprint = Footprint::default();
    footprint.add(tokens.sum());
    footprint
}
