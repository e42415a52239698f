//! Words, and the pieces of text a span has.

use spanlite_model::{Span, Value};

use super::datum::Datum;
use crate::resolve::Matcher;

/// The words of a text: runs of letters and digits, in lower case.
pub(crate) fn words(text: &str) -> Vec<Box<str>> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().into())
        .collect()
}

/// Everything `text` stands for: name, input, output, status text, errors, names and texts of
/// events.
pub(crate) fn pieces(span: &Span) -> Vec<Datum<'_>> {
    let mut pieces = vec![Datum::text(&span.name)];
    pieces.extend(span.inputs.as_ref().map(Datum::Json));
    pieces.extend(span.outputs.as_ref().map(Datum::Json));
    if !span.status.message.is_empty() {
        pieces.push(Datum::text(&span.status.message));
    }
    pieces.extend(span.error_type().map(Datum::text));
    pieces.extend(span.error_message().map(Datum::text));
    for event in &span.events {
        pieces.push(Datum::text(&event.name));
        pieces.extend(
            event
                .attributes
                .iter()
                .filter_map(|(_, value)| match value {
                    Value::String(text) => Some(Datum::text(text)),
                    _ => None,
                }),
        );
    }
    pieces
}

/// Whether a text fits.
pub(crate) fn fits(matcher: &Matcher, text: &str) -> bool {
    match matcher {
        Matcher::Words(phrase) => has_phrase(text, phrase),
        Matcher::Piece(regex) | Matcher::Pattern(regex) => regex.is_match(text),
        Matcher::Prefix(prefix) => text.starts_with(&**prefix),
        Matcher::Suffix(suffix) => text.ends_with(&**suffix),
    }
}

/// Whether the words follow each other somewhere in the text. No words are in every text.
fn has_phrase(text: &str, phrase: &[Box<str>]) -> bool {
    let Some((first, rest)) = phrase.split_first() else {
        return true;
    };
    let mut words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    loop {
        if !words.by_ref().any(|word| same_word(word, first)) {
            return false;
        }
        let mut following = words.clone();
        if rest
            .iter()
            .all(|wanted| following.next().is_some_and(|word| same_word(word, wanted)))
        {
            return true;
        }
    }
}

fn same_word(word: &str, lower: &str) -> bool {
    if word.is_ascii() {
        word.eq_ignore_ascii_case(lower)
    } else {
        word.to_lowercase() == lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_words_in_a_row() {
        let has = |text, phrase| has_phrase(text, &words(phrase));
        assert!(has("The Refund-Policy, please", "refund policy"));
        assert!(!has("refund the policy", "refund policy"));
        assert!(has("a a b", "a b"));
        assert!(!has("refunds policy", "refund policy"));
        assert!(has("Größe ✓ zählt", "größe zählt"));
        assert!(has("", "") && !has("", "x"));
    }
}
