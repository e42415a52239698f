//! Which of the two forms a text has, decided before any name is read.

/// How a query is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// TraceQL.
    Braces,
    /// MLflow's filter string.
    Filter,
}

/// Functions a TraceQL query can begin with.
const HEADS: [&str; 8] = [
    "count", "avg", "max", "min", "sum", "by", "select", "coalesce",
];

impl Form {
    /// Looks at the first thing that is no blank, comment, bracket or negation.
    pub(crate) fn of(query: &str) -> Self {
        let mut rest = query;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == '!');
            if let Some(comment) = rest.strip_prefix("//") {
                rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else if let Some(negated) = strip_not(rest) {
                rest = negated;
            } else {
                break;
            }
        }
        if rest.is_empty()
            || rest.starts_with(['{', '-', '}', '|', ')', '/', '=', '<', '>', '~'])
            || rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return Self::Braces;
        }
        let word_end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        if HEADS.contains(&word) && tail.trim_start().starts_with('(') {
            Self::Braces
        } else {
            Self::Filter
        }
    }
}

fn strip_not(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(3)?;
    let ends = rest
        .chars()
        .next()
        .is_none_or(|c| !(c.is_alphanumeric() || "_.:".contains(c)));
    (word.eq_ignore_ascii_case("not") && ends).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_begin_with_a_brace_a_number_or_a_function() {
        let braces = [
            "{ }",
            " ({ .a })",
            "!{ .a }",
            "not { .a }",
            "-3 < count()",
            "1 < count()",
            "count() > 2",
            "by (span.a)",
            "/* x */ { }",
            "// x\n{ }",
            "((avg (.a) > 2))",
            "",
        ];
        for query in braces {
            assert_eq!(Form::of(query), Form::Braces, "{query}");
        }
        let filters = [
            "tag.a = 'x'",
            "name = 'x'",
            "not name = 'x'",
            "(name = 'x')",
            "`tags`.a = 'x'",
            "'x' = name",
            "count = 'x'",
            "\"rate limit\"",
            "error",
            "notes = 'x'",
            "NOT (a = 1)",
            ".5 = tag.x",
            "@slow",
        ];
        for query in filters {
            assert_eq!(Form::of(query), Form::Filter, "{query}");
        }
    }
}
