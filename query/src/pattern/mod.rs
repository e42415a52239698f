//! Patterns: Go's regular expressions and SQL's `LIKE`, for the `regex` crate.

mod needles;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

/// A compiled pattern may take this much memory.
const SIZE_LIMIT_BYTES: usize = 1 << 20;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// It is no pattern; bytes of it that are wrong, and why.
    Syntax { span: Range<usize>, reason: String },
    /// It is too large when compiled.
    TooLarge,
}

/// Where a pattern must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The whole text, as `=~` wants.
    Whole,
    /// Any part, as `rlike` wants.
    Part,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    regex: Regex,
    /// Of what one must be in whatever fits; worked out when it is first asked for.
    needles: OnceLock<Option<regex::bytes::Regex>>,
}

impl Pattern {
    fn build(text: &str, reported: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(text)
            .size_limit(SIZE_LIMIT_BYTES)
            .dfa_size_limit(2 * SIZE_LIMIT_BYTES)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                other => PatternError::Syntax {
                    span: 0..reported.len(),
                    reason: other
                        .to_string()
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .to_owned(),
                },
            })?;
        Ok(Self(Arc::new(Compiled {
            regex,
            needles: OnceLock::new(),
        })))
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    /// Looks quickly through bytes that JSON values are cut out of at quotes and brackets: whether
    /// a value, or a text in one, may fit. Nothing if the pattern has nothing to look for.
    pub(crate) fn may_fit_in(&self, json: &[u8]) -> Option<bool> {
        let Compiled { regex, needles } = &*self.0;
        let needles = needles.get_or_init(|| needles::of(regex.as_str()));
        let needles = needles.as_ref()?;
        Some(needles.is_match(json) || needles::has_escape(json))
    }
}

/// Compiles a pattern written for Go.
pub(crate) fn compile(pattern: &str, anchor: Anchor) -> Result<Pattern, PatternError> {
    let (rewritten, origin) = rewrite(pattern);
    if let Err(error) = regex_syntax::parse(&rewritten) {
        return Err(located(&error, pattern, &origin));
    }
    let whole = match anchor {
        Anchor::Whole => unanchored(&rewritten).unwrap_or_else(|| format!("^(?s:{rewritten})$")),
        Anchor::Part => rewritten,
    };
    Pattern::build(&whole, pattern)
}

/// The same pattern for a part of the text, where it begins or ends with `.*`: what is left has a
/// literal to look for far more often.
fn unanchored(rewritten: &str) -> Option<String> {
    let parser = &mut regex_syntax::ParserBuilder::new()
        .dot_matches_new_line(true)
        .build();
    let hir = parser.parse(rewritten).ok()?;
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    let (mut parts, mut head, mut tail) = (parts.as_slice(), "^", "$");
    if let Some((first, rest)) = parts.split_first()
        && is_anything(first)
    {
        (parts, head) = (rest, "");
    }
    if let Some((last, rest)) = parts.split_last()
        && is_anything(last)
    {
        (parts, tail) = (rest, "");
    }
    if head == "^" && tail == "$" {
        return None;
    }
    let inner = Hir::concat(parts.to_vec());
    Some(format!("{head}(?:{inner}){tail}"))
}

/// Whether it is `.*`, which takes any text.
fn is_anything(hir: &Hir) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else {
        return false;
    };
    let any = Hir::dot(regex_syntax::hir::Dot::AnyChar);
    repetition.min == 0 && repetition.max.is_none() && *repetition.sub == any
}

fn located(error: &regex_syntax::Error, pattern: &str, origin: &[usize]) -> PatternError {
    let (span, reason) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => {
            return PatternError::Syntax {
                span: 0..pattern.len(),
                reason: other.to_string(),
            };
        }
    };
    let place = |offset: usize| origin.get(offset).copied().unwrap_or(pattern.len());
    let start = place(span.start.offset);
    let next = pattern.get(start..).and_then(|rest| rest.chars().next());
    let least = start + next.map_or(0, char::len_utf8);
    PatternError::Syntax {
        span: start..place(span.end.offset).max(least),
        reason,
    }
}

/// The pattern in the dialect of the `regex` crate, and for each of its bytes the byte of the
/// original it comes from.
///
/// Go takes a brace that begins no repetition as itself, knows `\Q…\E`, reads `\d \w \s \b` as
/// ASCII, and has no operations between classes.
pub(crate) fn rewrite(pattern: &str) -> (String, Vec<usize>) {
    let mut out = Rewriter {
        text: String::with_capacity(pattern.len() + 8),
        origin: Vec::with_capacity(pattern.len() + 8),
    };
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let at = pattern.len() - rest.len();
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => out.escape(at, after, false),
            '[' => out.class(pattern, at),
            '{' if !begins_repetition(after) => {
                out.push(at, "\\{");
                after
            }
            c => {
                out.push_char(at, c);
                after
            }
        };
    }
    (out.text, out.origin)
}

struct Rewriter {
    text: String,
    origin: Vec<usize>,
}

impl Rewriter {
    fn push(&mut self, at: usize, text: &str) {
        self.text.push_str(text);
        self.origin.extend(std::iter::repeat_n(at, text.len()));
    }

    fn push_char(&mut self, at: usize, c: char) {
        let mut buffer = [0; 4];
        self.push(at, c.encode_utf8(&mut buffer));
    }

    /// What follows a backslash at `at`; returns what is left.
    fn escape<'a>(&mut self, at: usize, after: &'a str, in_class: bool) -> &'a str {
        let Some(c) = after.chars().next() else {
            self.push(at, "\\");
            return after;
        };
        let rest = after.get(c.len_utf8()..).unwrap_or_default();
        let ascii = match (c, in_class) {
            ('d', true) => "0-9",
            ('w', true) => "0-9A-Za-z_",
            ('s', true) => "\\t\\n\\f\\r ",
            ('d', false) => "[0-9]",
            ('w', false) => "[0-9A-Za-z_]",
            ('s', false) => "[\\t\\n\\f\\r ]",
            ('D', _) => "[^0-9]",
            ('W', _) => "[^0-9A-Za-z_]",
            ('S', _) => "[^\\t\\n\\f\\r ]",
            ('b', false) => "(?-u:\\b)",
            ('Q', false) => {
                let (quoted, tail) = rest.split_once("\\E").unwrap_or((rest, ""));
                for (offset, c) in quoted.char_indices() {
                    let mut buffer = [0; 4];
                    let c = c.encode_utf8(&mut buffer);
                    self.push(at + 2 + offset, &regex::escape(c));
                }
                return tail;
            }
            _ => {
                self.push(at, "\\");
                self.push_char(at + 1, c);
                return rest;
            }
        };
        self.push(at, ascii);
        rest
    }

    /// A class that begins at `at`; returns what is left behind it.
    fn class<'a>(&mut self, pattern: &'a str, at: usize) -> &'a str {
        self.push(at, "[");
        let mut rest = pattern.get(at + 1..).unwrap_or_default();
        let mut first = true;
        if let Some(negated) = rest.strip_prefix('^') {
            self.push(at + 1, "^");
            rest = negated;
        }
        while let Some(c) = rest.chars().next() {
            let here = pattern.len() - rest.len();
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match c {
                ']' if !first => {
                    self.push(here, "]");
                    return after;
                }
                '[' if after.starts_with(':') && after.contains(":]") => {
                    let (name, tail) = after.split_once(":]").unwrap_or((after, ""));
                    self.push(here, "[");
                    self.push(here, name);
                    self.push(here, ":]");
                    tail
                }
                '\\' => self.escape(here, after, true),
                '[' | ']' | '&' | '~' => {
                    self.push(here, "\\");
                    self.push_char(here, c);
                    after
                }
                '-' if after.starts_with('-') => {
                    self.push(here, "\\-");
                    after
                }
                c => {
                    self.push_char(here, c);
                    after
                }
            };
            first = false;
        }
        rest
    }
}

/// Whether `n}`, `n,}` or `n,m}` follows a brace.
fn begins_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let (low, high) = inside.split_once(',').unwrap_or((inside, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// SQL's pattern, in which `%` is any text and `_` any character, as a regular expression for the
/// whole text.
pub(crate) fn like(pattern: &str, ignore_case: bool) -> Result<Pattern, PatternError> {
    let mut text = String::from(if ignore_case { "^(?si)" } else { "^(?s)" });
    for c in pattern.chars() {
        match c {
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            c => {
                let mut buffer = [0; 4];
                text.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
            }
        }
    }
    text.push('$');
    Pattern::build(&text, pattern)
}

/// A piece of text, in any case.
pub(crate) fn piece(text: &str) -> Result<Pattern, PatternError> {
    Pattern::build(&format!("(?i){}", regex::escape(text)), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        compile(pattern, Anchor::Whole).unwrap().is_match(text)
    }

    #[test]
    fn patterns_are_gos_and_fit_the_whole_text() {
        assert!(fits("/products/{id}", "/products/{id}"));
        assert!(fits("a{,3}", "a{,3}"));
        assert!(fits("a{2,3}", "aaa") && !fits("a{2,3}", "aaaa"));
        assert!(fits("\\Qa.b*\\E+", "a.b**") && !fits("\\Qa.b\\E", "axb"));
        assert!(fits("a.c", "a\nc"));
        assert!(fits("", "") && !fits("", "a"));
        assert!(fits("a|b", "b") && !fits("a|b", "ab"));
        assert!(fits("(?i)get .*", "GET /x"));
        assert!(
            !fits("\\d", "٣") && fits("[\\d]", "3") && fits("\\w+", "a_1") && !fits("\\w", "é")
        );
        assert!(
            fits("[[]", "[")
                && fits("[a&&b]", "&")
                && fits("[]a]", "]")
                && fits("[[:alpha:]]", "x")
        );
        assert!(fits("[\\D]", "x") && fits("\\bfoo\\b", "foo"));
    }

    #[test]
    fn a_pattern_between_any_texts_is_looked_for_without_them() {
        let left = |pattern| unanchored(pattern);
        assert_eq!(left(".*refund.*").as_deref(), Some("(?:(?:refund))"));
        assert!(left("a.*b").is_none() && left("(.*)").is_none());
        for pattern in [
            ".*a",
            "a.*",
            ".*?a.*?",
            ".*^a$.*",
            "(?i).*ab.*",
            ".*a|b.*",
            "(?-s).*a",
            ".*",
        ] {
            let plain = RegexBuilder::new(&format!("^(?s:{pattern})$"))
                .build()
                .unwrap();
            for text in [
                "", "a", "b", "xa", "ax", "xax", "x\na\ny", "AB", "xAbx", "a\n",
            ] {
                assert_eq!(
                    fits(pattern, text),
                    plain.is_match(text),
                    "{pattern} {text:?}"
                );
            }
        }
    }

    #[test]
    fn wrong_patterns_say_where() {
        let span = |pattern: &str| match compile(pattern, Anchor::Whole) {
            Err(PatternError::Syntax { span, .. }) => span,
            other => panic!("{other:?}"),
        };
        assert_eq!(span("ab("), 2..3);
        assert_eq!(span("{x}("), 3..4);
        assert_eq!(span("a)(b"), 1..2);
        assert_eq!(span("*a"), 0..1);
        assert_eq!(span("[a"), 0..1);
        assert_eq!(
            compile("(a{1000}){1000}", Anchor::Whole).unwrap_err(),
            PatternError::TooLarge
        );
    }

    #[test]
    fn like_has_two_wildcards_and_no_escape() {
        let fits = |pattern, text| like(pattern, false).unwrap().is_match(text);
        assert!(fits("gpt-4%", "gpt-4o") && !fits("gpt-4%", "x gpt-4o"));
        assert!(fits("a_c", "a\nc") && fits("a.c", "a.c") && !fits("a.c", "abc"));
        assert!(like("%ÜB%", true).unwrap().is_match("über"));
    }
}
