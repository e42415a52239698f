//! What of the captured values must not reach the disk.

use std::sync::Arc;

use spanlite_store::record::Redact;

/// Texts are given to it; what it returns is stored in their place.
type Function = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Rules that are applied to every captured value before it leaves the thread: inputs, outputs,
/// attributes, events, status messages. Names of spans and tags of traces are not touched.
#[derive(Clone, Default)]
pub struct Redaction {
    keys: Vec<String>,
    patterns: Vec<String>,
    function: Option<Arc<Function>>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction")
            .field("keys", &self.keys)
            .field("patterns", &self.patterns)
            .field("function", &self.function.is_some())
            .finish()
    }
}

/// What stands for a part of a text that matched.
const MARK: &str = "[redacted]";

impl Redaction {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hides the values under a key of a map, a struct, the arguments or the attributes. Case
    /// does not matter.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Hides words of texts that match a pattern, in which `*` stands for any part of a word,
    /// such as `sk-*`. A word is a run of letters, digits and `-_.@+/=`.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Gives every captured text to a function, which may return another one to store.
    #[must_use]
    pub fn function(
        mut self,
        function: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.function = Some(Arc::new(function));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.patterns.is_empty() && self.function.is_none()
    }

    fn hide_words(&self, text: &str) -> Option<String> {
        let mut hidden = String::new();
        let mut copied = 0;
        for (start, word) in words(text) {
            if self.patterns.iter().any(|pattern| matches(pattern, word)) {
                hidden.push_str(text.get(copied..start).unwrap_or_default());
                hidden.push_str(MARK);
                copied = start + word.len();
            }
        }
        if copied == 0 {
            return None;
        }
        hidden.push_str(text.get(copied..).unwrap_or_default());
        Some(hidden)
    }
}

impl Redact for Redaction {
    fn hides_key(&self, key: &str) -> bool {
        self.keys
            .iter()
            .any(|hidden| hidden.eq_ignore_ascii_case(key))
    }

    fn replace(&self, text: &str) -> Option<String> {
        let hidden = if self.patterns.is_empty() {
            None
        } else {
            self.hide_words(text)
        };
        let present = hidden.as_deref().unwrap_or(text);
        match self
            .function
            .as_ref()
            .and_then(|function| function(present))
        {
            Some(replaced) => Some(replaced),
            None => hidden,
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || "-_.@+/=".contains(c);
    let mut at = 0;
    text.split(move |c| !is_part(c)).filter_map(move |word| {
        let start = at;
        // Words are parted by one character; its length is found in the text.
        let after = text.get(start + word.len()..)?;
        at = start + word.len() + after.chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((start, word))
    })
}

/// Matches a word against a pattern with `*`. Takes time in proportion to both lengths
/// multiplied, at worst.
fn matches(pattern: &str, word: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == word;
    };
    let Some(mut word) = word.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return word.ends_with(part);
        }
        let Some(at) = word.find(part) else {
            return false;
        };
        word = word.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_match_are_hidden_and_the_rest_stays() {
        let rules = Redaction::new().pattern("sk-*").pattern("*@*.org");
        assert_eq!(
            rules.replace("é key=x (sk-12ab), mail me@site.org!"),
            Some("é key=x ([redacted]), mail [redacted]!".to_owned())
        );
        assert_eq!(rules.replace("task-list"), None);
        assert_eq!(rules.replace(""), None);
    }

    #[test]
    fn patterns_match_whole_words() {
        assert!(matches("sk-*", "sk-"));
        assert!(matches("a*b*c", "a1b2c"));
        assert!(!matches("a*b*c", "a1c"));
        assert!(!matches("abc", "abcd"));
        assert!(matches("*", "anything"));
    }

    #[test]
    fn a_function_sees_what_the_patterns_left() {
        let rules = Redaction::new()
            .pattern("secret")
            .function(|text| text.contains("redacted").then(|| "gone".to_owned()));
        assert_eq!(rules.replace("my secret"), Some("gone".to_owned()));
        assert_eq!(rules.replace("mine"), None);
    }

    #[test]
    fn keys_are_hidden_in_any_case() {
        assert!(Redaction::new().key("api_key").hides_key("API_Key"));
    }
}
