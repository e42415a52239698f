//! Words, and the pieces of text a span has.

use spanlite_model::{Span, Value};
use spanlite_store::block::{for_each_word, for_each_word_of_json};

use super::datum::Datum;
use crate::resolve::Matcher;

/// The words of a text as the word index has them: runs of letters and digits, in lower case.
pub(crate) fn words(text: &str) -> Vec<Box<str>> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.into()));
    words
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

/// Whether a value has a text that fits.
pub(crate) fn fits(matcher: &Matcher, value: &Datum<'_>) -> bool {
    match (matcher, value) {
        (Matcher::Words(phrase), Datum::Json(json)) => {
            // An escape may spell a letter out.
            if !json.as_text().contains("\\u") && !may_have(phrase, json.as_text()) {
                return false;
            }
            let mut search = PhraseSearch::new(phrase);
            for_each_word_of_json(json.as_text(), |word| search.push(word));
            search.found
        }
        (Matcher::Words(_), Datum::Many(values) | Datum::Each(values)) => {
            values.iter().any(|value| fits(matcher, value))
        }
        _ => value.any_text(&mut |text| text_fits(matcher, text)),
    }
}

fn text_fits(matcher: &Matcher, text: &str) -> bool {
    match matcher {
        Matcher::Words(phrase) if !may_have(phrase, text) => false,
        Matcher::Words(phrase) => {
            let mut search = PhraseSearch::new(phrase);
            for_each_word(text, |word| search.push(word));
            search.found
        }
        Matcher::Piece { regex, .. } | Matcher::Pattern(regex) => regex.is_match(text),
        Matcher::Prefix(prefix) => text.starts_with(&**prefix),
        Matcher::Suffix(suffix) => text.ends_with(&**suffix),
    }
}

/// Whether a text may have the longest word of a phrase, which is quickly ruled out: cutting a text
/// into words takes a good deal longer.
fn may_have(phrase: &[Box<str>], text: &str) -> bool {
    /// Has the lower case `k`, and is no letter of ASCII.
    const KELVIN: &str = "\u{212a}";
    let longest = phrase.iter().map(|word| word.as_bytes());
    let longest = longest.max_by_key(|word| word.len()).unwrap_or_default();
    let Some(first) = longest.first().filter(|_| longest.is_ascii()) else {
        return true;
    };
    let bytes = text.as_bytes();
    let mut starts = memchr::memchr2_iter(*first, first.to_ascii_uppercase(), bytes);
    let is_there = starts.any(|at| {
        let here = bytes.get(at..at + longest.len());
        here.is_some_and(|here| here.eq_ignore_ascii_case(longest))
    });
    is_there || text.contains(KELVIN)
}

/// Looks for words that follow each other. No words are in every text.
struct PhraseSearch<'p> {
    phrase: &'p [Box<str>],
    /// How many words of the phrase have come, for every place where it may have begun.
    begun: Vec<usize>,
    found: bool,
}

impl<'p> PhraseSearch<'p> {
    fn new(phrase: &'p [Box<str>]) -> Self {
        Self {
            phrase,
            begun: Vec::new(),
            found: phrase.is_empty(),
        }
    }

    fn push(&mut self, word: &str) {
        if self.found {
            return;
        }
        let fits = |place: usize| {
            self.phrase
                .get(place)
                .is_some_and(|wanted| **wanted == *word)
        };
        self.begun.push(0);
        self.begun.retain_mut(|place| {
            let fits = fits(*place);
            *place += 1;
            fits
        });
        self.found = self.begun.first() == Some(&self.phrase.len());
        if self.found {
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_words_in_a_row() {
        let has = |text, phrase| text_fits(&Matcher::Words(words(phrase)), text);
        assert!(has("The Refund-Policy, please", "refund policy"));
        assert!(!has("refund the policy", "refund policy"));
        assert!(has("a a b", "a b"));
        assert!(!has("refunds policy", "refund policy"));
        assert!(has("Größe ✓ zählt", "größe zählt"));
        assert!(has("", "") && !has("", "x"));
        assert!(has("a b a b c", "a b c"));
        assert!(has("300 \u{212a}elvin", "kelvin") && has("REFUND", "refund"));
        let escaped = spanlite_model::Json::from_text(r#""\u0072efund""#).unwrap();
        assert!(fits(
            &Matcher::Words(words("refund")),
            &Datum::Json(&escaped)
        ));
        let json = spanlite_model::Json::from_text(r#"{"q": "refund\npolicy"}"#).unwrap();
        let phrase = Matcher::Words(words("refund policy"));
        assert!(fits(&phrase, &Datum::Json(&json)));
    }
}
