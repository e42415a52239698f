//! A walk over JSON text that copies what it does not change byte for byte.
//!
//! Payloads are sent as the text they were recorded as, so that key order, spaces and the spelling
//! of numbers survive. A parser that builds values would lose all three.

use std::borrow::Cow;

use crate::adjust::Adjustments;

/// One piece of a JSON text. The pieces put together are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `{`, `}`, `[`, `]`, `:`, `,` or a run of white space.
    Mark(&'a str),
    /// A string with its quotes.
    String(&'a str),
    /// A number, `true`, `false`, `null`, or whatever else stands there in a broken text.
    Scalar(&'a str),
}

/// Splits a JSON text. A text that is no JSON gives pieces too, never a panic.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next piece begins.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn end_of_string(&self) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => return at + 1,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    fn end_of_run(&self, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().iter().skip(self.at);
        self.at + rest.take_while(|byte| belongs(**byte)).count().max(1)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let first = *self.text.as_bytes().get(start)?;
        let make: fn(&'a str) -> Token<'a> = match first {
            b'"' => {
                self.at = self.end_of_string();
                Token::String
            }
            _ if is_mark(first) => {
                self.at += 1;
                Token::Mark
            }
            _ if is_blank(first) => {
                self.at = self.end_of_run(is_blank);
                Token::Mark
            }
            _ => {
                self.at = self.end_of_run(|byte| !is_blank(byte) && !is_mark(byte) && byte != b'"');
                Token::Scalar
            }
        };
        // Pieces end at ASCII bytes or at the end of the text, so the cut is never inside a letter;
        // a backslash before a letter of several bytes, which no JSON has, ends the walk.
        let Some(piece) = self.text.get(start..self.at) else {
            self.at = self.text.len();
            return self.text.get(start..).map(Token::Scalar);
        };
        Some(make(piece))
    }
}

/// How deep and how large the values of a JSON text may be for its reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// What nesting may cost: 2 a list, 3 an object, which is how many protobuf messages the
    /// server needs for each level when it answers.
    pub(crate) nesting_cost: u32,
    /// The largest absolute value of an integer that survives.
    pub(crate) largest_integer: u64,
}

impl Bounds {
    /// What MLflow's attributes bear: beyond it the server takes a span and can then no longer
    /// show it, nor anything that is searched together with it.
    pub(crate) const ATTRIBUTE: Self = Self {
        nesting_cost: 96,
        largest_integer: i64::MAX as u64,
    };

    /// What a `google.protobuf.Value` bears, where every number is a float.
    pub(crate) const PROTOBUF_VALUE: Self = Self {
        nesting_cost: 60,
        largest_integer: 1 << 53,
    };

    pub(crate) fn allow_integer(self, text: &str) -> bool {
        text.parse::<i64>()
            .is_ok_and(|number| number == i64::MIN || number.unsigned_abs() <= self.largest_integer)
    }
}

fn cost_of(mark: &str) -> u32 {
    match mark {
        "{" => 3,
        "[" => 2,
        _ => 0,
    }
}

/// Returns whether a scalar is written as an integer.
pub(crate) fn is_integer(scalar: &str) -> bool {
    let digits = scalar.strip_prefix('-').unwrap_or(scalar);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Makes a JSON text fit `bounds`: integers that are too large become strings, and what is nested
/// too deep becomes a string that holds its JSON text. Everything else stays byte for byte.
pub(crate) fn fit<'a>(text: &'a str, bounds: Bounds, adjusted: &mut Adjustments) -> Cow<'a, str> {
    if fits(text, bounds) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut open: Vec<u32> = Vec::new();
    let mut cost = 0;
    let mut tokens = Tokens::of(text);
    loop {
        let start = tokens.position();
        let Some(token) = tokens.next() else { break };
        match token {
            Token::Mark(mark @ ("{" | "[")) => {
                if cost + cost_of(mark) > bounds.nesting_cost {
                    skip_container(&mut tokens);
                    let subtree = text.get(start..tokens.position()).unwrap_or_default();
                    out.push_str(&quoted(subtree));
                    adjusted.subtrees_as_text += 1;
                } else {
                    open.push(cost_of(mark));
                    cost += cost_of(mark);
                    out.push_str(mark);
                }
            }
            Token::Mark(mark) => {
                if matches!(mark, "}" | "]") {
                    cost -= open.pop().unwrap_or(0);
                }
                out.push_str(mark);
            }
            Token::Scalar(scalar) if is_integer(scalar) && !bounds.allow_integer(scalar) => {
                out.push_str(&quoted(scalar));
                adjusted.integers_as_text += 1;
            }
            Token::String(other) | Token::Scalar(other) => out.push_str(other),
        }
    }
    Cow::Owned(out)
}

fn fits(text: &str, bounds: Bounds) -> bool {
    let mut open: Vec<u32> = Vec::new();
    let mut cost = 0;
    Tokens::of(text).all(|token| match token {
        Token::Mark(mark @ ("{" | "[")) => {
            open.push(cost_of(mark));
            cost += cost_of(mark);
            cost <= bounds.nesting_cost
        }
        Token::Mark("}" | "]") => {
            cost -= open.pop().unwrap_or(0);
            true
        }
        Token::Scalar(scalar) => !is_integer(scalar) || bounds.allow_integer(scalar),
        Token::Mark(_) | Token::String(_) => true,
    })
}

/// Moves past the end of the container whose opening mark was read last.
fn skip_container(tokens: &mut Tokens<'_>) {
    let mut depth = 1_u64;
    for token in tokens {
        match token {
            Token::Mark("{" | "[") => depth += 1,
            Token::Mark("}" | "]") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    // Writing a `str` as JSON into memory cannot fail.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit_attribute(text: &str) -> (String, Adjustments) {
        let mut adjusted = Adjustments::default();
        let out = fit(text, Bounds::ATTRIBUTE, &mut adjusted).into_owned();
        (out, adjusted)
    }

    #[test]
    fn what_fits_is_not_touched() {
        for text in [
            r#"{ "b": 2.0, "a": [1e400, -9223372036854775808, 9223372036854775807], "c": "\ud800" }"#,
            "[]",
            "",
            r#""12345678901234567890""#,
            "123456789012345678901234567890.5",
        ] {
            assert_eq!(
                fit_attribute(text),
                (text.to_owned(), Adjustments::default())
            );
        }
    }

    #[test]
    fn integers_beyond_64_bits_become_strings() {
        let (out, adjusted) = fit_attribute(
            r#"{"a":9223372036854775808,"b":[-9223372036854775809, 1],"c":"9223372036854775808"}"#,
        );
        assert_eq!(
            out,
            r#"{"a":"9223372036854775808","b":["-9223372036854775809", 1],"c":"9223372036854775808"}"#
        );
        assert_eq!(adjusted.integers_as_text, 2);
    }

    #[test]
    fn what_is_nested_too_deep_becomes_its_text() {
        let lists = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert_eq!(fit_attribute(&lists(48)).0, lists(48));
        let (out, adjusted) = fit_attribute(&lists(50));
        assert_eq!(
            out,
            format!("{}\"[[1]]\"{}", "[".repeat(48), "]".repeat(48))
        );
        assert_eq!(adjusted.subtrees_as_text, 1);

        let objects = |depth: usize| "{\"k\":".repeat(depth) + "\"é\"" + &"}".repeat(depth);
        assert_eq!(fit_attribute(&objects(32)).0, objects(32));
        let (out, adjusted) = fit_attribute(&format!("[{}]", objects(32)));
        assert!(out.contains(r#"{"k":"{\"k\":\"é\"}"}"#), "{out}");
        assert_eq!(adjusted.subtrees_as_text, 1);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in r#"[\[\]{}:,"\\ a1é-]{0,40}"#) {
            let pieces: String = Tokens::of(&text)
                .map(|token| match token {
                    Token::Mark(piece) | Token::String(piece) | Token::Scalar(piece) => piece,
                })
                .collect();
            prop_assert_eq!(pieces, text);
        }

        #[test]
        fn any_text_is_survived(text in r#"[\[\]{}:,"\\ a19é-]{0,60}"#) {
            let bounds = Bounds { nesting_cost: 5, largest_integer: 50 };
            fit(&text, bounds, &mut Adjustments::default());
        }
    }
}
