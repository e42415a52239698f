use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// What is wrong with a query, where, and how to mend it. Warnings have the same shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct QueryError {
    /// The sort of mistake; stable, for programs.
    pub code: Code,
    /// Bytes of the query that are meant. May be empty, at the end of the text above all.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Box<str>>,
    /// Text that could stand at `span`, for editors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<Box<str>>,
    /// What could have stood at `span`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<&'static str>,
}

/// The sort of a mistake. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum Code {
    /// A character that begins nothing: `{ @ }`.
    UnexpectedCharacter,
    /// A string without its closing quote: `{ name = "x }`.
    UnclosedString,
    /// A comment without its end: `{ } /* x`.
    UnclosedComment,
    /// An escape that does not exist: `{ name = "\q" }`.
    BadEscape,
    /// A number written in a way the language does not have: `10k`, `0x10`, `1_000`, `1.5d`.
    BadNumber,
    /// A whole number beyond 64 bits.
    NumberTooLarge,
    /// A text that is no date where one is needed: `since "yesterday"`.
    BadDate,
    /// A word, built-in or scope that does not exist: `{ status = ERROR }`.
    UnknownName,
    /// Something else was expected here.
    Unexpected,
    /// A bracket or brace that nothing closes: `{ .a = 1`.
    Unclosed,
    /// An operator of another language: `==`, `<>`.
    ForeignOperator,
    /// A habit of another language: `SELECT … FROM`, `status:error`.
    ForeignSyntax,
    /// Words and symbols mixed in one bracket level: `.a && .b or .c`.
    MixedAndOr,
    /// `||` and `&&` in one bracket level; they have one rank. A warning.
    EqualRank,
    /// An attribute with the name of a built-in: `{ span.name = "x" }`. A note.
    LooksLikeBuiltin,
    /// `%` in a plain comparison, `*` in place of `.*`. A note.
    LooksLikePattern,
    /// A value that the field never has, or that nothing in the store has. A note.
    UnknownValue,
    /// Brackets too deep.
    TooDeep,
    /// The query is too long.
    TooLong,
    /// Operands whose types do not go together: `status = "error"`.
    TypeMismatch,
    /// An operator that the type does not have: `"a" + "b"`, `!1`.
    BadOperator,
    /// A filter that is neither true nor false: `{ duration }`.
    NotACondition,
    /// The right side of `=~` is no pattern.
    BadRegex,
    /// The pattern is too large when compiled.
    RegexTooLarge,
    /// A built-in that always exists, compared `= nil`.
    NeverNil,
    /// An aggregate over something that is no number: `max(name)`.
    NotNumeric,
    /// An expression that says nothing about the span where it must: `by(1)`.
    NoSpan,
    /// A number outside what is allowed: `topk(0)`, a quantile of 2.
    OutOfRange,
    /// `compare` with something after it.
    CompareStandsAlone,
    /// A path into JSON that cannot be read: `json(.a, "$[")`.
    BadPath,
    /// Part of the language, but not answered: `{ parent.a = 1 }`, `count() * 2 > 4`.
    Unsupported,
    /// A parameter that was not bound: `$user`.
    UnboundParameter,
}

/// Which step of reading a query a mistake belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The text is no query.
    Parse,
    /// The text is a query that cannot mean anything.
    Validate,
    /// The query means something that is not answered.
    Unsupported,
}

impl Code {
    /// The step that finds this mistake.
    pub fn phase(self) -> Phase {
        match self {
            Self::TypeMismatch
            | Self::BadOperator
            | Self::NotACondition
            | Self::BadRegex
            | Self::RegexTooLarge
            | Self::NeverNil
            | Self::NotNumeric
            | Self::NoSpan
            | Self::OutOfRange
            | Self::CompareStandsAlone
            | Self::BadPath
            | Self::BadDate
            | Self::UnboundParameter => Phase::Validate,
            Self::Unsupported => Phase::Unsupported,
            _ => Phase::Parse,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl QueryError {
    pub(crate) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            span,
            message: message.into(),
            help: None,
            replace: None,
            expected: Vec::new(),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn replace(mut self, text: impl Into<Box<str>>) -> Self {
        self.replace = Some(text.into());
        self
    }

    pub(crate) fn expecting(mut self, expected: Vec<&'static str>) -> Self {
        self.expected = expected;
        self
    }

    /// Draws the message, the line of `query` it is about, and carets with the help. Columns
    /// count characters, tabs as one; control characters are shown escaped.
    pub fn render(&self, query: &str) -> String {
        let start = floor_boundary(query, self.span.start);
        let end = floor_boundary(query, self.span.end.max(start));
        let (before, rest) = query.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = rest.find('\n').map_or(query.len(), |at| start + at);
        let piece = |from: usize, to: usize| escape(query.get(from..to).unwrap_or_default());
        let lead = piece(line_start, start);
        let marked = piece(start, end.min(line_end));
        let tail = piece(end.min(line_end), line_end);
        let carets = marked.chars().count().max(1);
        let mut text = format!(
            "{}\n  | {lead}{marked}{tail}\n  | {}{}",
            escape(&self.message),
            " ".repeat(lead.chars().count()),
            "^".repeat(carets),
        );
        if let Some(help) = &self.help {
            text.push(' ');
            text.push_str(&escape(help));
        }
        text.push('\n');
        text
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Control characters and those that turn the direction of writing, shown as escapes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_count_characters_and_controls_are_escaped() {
        let query = "{ name = \"größe\u{1b}[2J\" &&\n  status = ERROR }";
        let at = query.find("ERROR").unwrap();
        let error = QueryError::new(Code::UnknownName, at..at + 5, "unknown name ERROR")
            .help("did you mean error?");
        assert_eq!(
            error.render(query),
            "unknown name ERROR\n  |   status = ERROR }\n  |            ^^^^^ did you mean error?\n"
        );
        let at = query.find('[').unwrap();
        let error = QueryError::new(Code::Unexpected, at..at + 1, "x\u{7}");
        assert_eq!(
            error.render(query),
            "x\\u{7}\n  | { name = \"größe\\u{1b}[2J\" &&\n  |                      ^\n"
        );
    }

    #[test]
    fn a_place_at_the_end_gets_a_caret() {
        let error = QueryError::new(Code::Unclosed, 3..3, "`{` is not closed");
        assert_eq!(
            error.render("{ }"),
            "`{` is not closed\n  | { }\n  |    ^\n"
        );
        assert_eq!(error.render("é"), "`{` is not closed\n  | é\n  |  ^\n");
    }
}
