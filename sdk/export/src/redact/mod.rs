//! Taking values out of traces before they leave the machine.

mod json;
mod trace;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use self::json::{looks_like_json, redact_json};

/// How often JSON inside a JSON string is looked into.
const NESTING_LIMIT: u32 = 4;

/// Rules that say what must not leave the machine.
///
/// They reach every text that is sent: names of spans, events and the trace, attributes, inputs and
/// outputs (also JSON inside strings), status messages, tags, metadata, assessments, resources. What
/// they take out is replaced by `[redacted:RULE]`; the store keeps the original. The same text
/// always gives the same result, so a trace that did not change is not sent again.
///
/// Ids, times, numbers (but those under a named key) and span types are not looked at.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    keys: Vec<String>,
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    name: String,
    regex: Regex,
}

/// What is written down of a [`Redaction`] in a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RedactionRules {
    /// Whether [`Redaction::DEFAULT_KEYS`] and [`Redaction::DEFAULT_PATTERNS`] hold too.
    pub default: bool,
    /// Keys whose values are taken out: the last part of an attribute key or a key of a JSON
    /// object, without regard to case, `-` and `_`. A key also matches as an ending after `_`:
    /// `password` takes out `db_password`.
    pub keys: Vec<String>,
    /// Names and regular expressions of texts that are taken out.
    pub patterns: Vec<(String, String)>,
}

/// How many values were taken out, by the rule that did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedactionCounts {
    total: u64,
    by_rule: BTreeMap<String, u64>,
}

impl RedactionCounts {
    /// By all rules together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The name of each rule that took something out, and how many values, in order of names. A
    /// rule about a key is named as the key in lower case with `_`.
    pub fn by_rule(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_rule
            .iter()
            .map(|(rule, count)| (rule.as_str(), *count))
    }

    fn add(&mut self, rule: &str, count: u64) {
        self.total += count;
        match self.by_rule.get_mut(rule) {
            Some(sum) => *sum += count,
            None => {
                self.by_rule.insert(rule.to_owned(), count);
            }
        }
    }
}

/// A pattern is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("the redaction pattern `{name}` is no regular expression")]
pub struct PatternError {
    /// The name of the rule.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub source: regex::Error,
}

impl RedactionRules {
    /// Returns whether nothing is taken out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules ready for use.
    pub fn compile(&self) -> Result<Redaction, PatternError> {
        let own = self.patterns.iter();
        let own = own.map(|(name, regex)| (name.as_str(), regex.as_str()));
        let built_in = Redaction::DEFAULT_PATTERNS.iter().copied();
        let patterns = built_in.filter(|_| self.default).chain(own);
        let patterns = patterns
            .map(|(name, regex)| match Regex::new(regex) {
                Ok(regex) => Ok(Pattern {
                    name: name.to_owned(),
                    regex,
                }),
                Err(source) => Err(PatternError {
                    name: name.to_owned(),
                    source,
                }),
            })
            .collect::<Result<_, _>>()?;
        let built_in = Redaction::DEFAULT_KEYS.iter().copied();
        let keys = built_in
            .filter(|_| self.default)
            .chain(self.keys.iter().map(String::as_str))
            .map(normalise)
            .collect();
        Ok(Redaction { keys, patterns })
    }
}

impl Redaction {
    /// Keys of the default rules.
    pub const DEFAULT_KEYS: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "api_key",
        "apikey",
        "access_key",
        "access_token",
        "refresh_token",
        "auth_token",
        "id_token",
        "authorization",
        "proxy_authorization",
        "cookie",
        "set_cookie",
        "private_key",
        "credentials",
    ];

    /// Names and regular expressions of the default rules.
    pub const DEFAULT_PATTERNS: &[(&str, &str)] = &[
        (
            "private-key",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        ),
        (
            "jwt",
            r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
        ),
        ("bearer", r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*"),
        ("api-key", r"\bsk-[A-Za-z0-9_-]{16,}"),
        ("aws-key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        (
            "github-token",
            r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
        ),
        ("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("google-key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("url-password", r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@"),
        (
            "email",
            r"(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b",
        ),
    ];

    /// Returns whether nothing is taken out.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.patterns.is_empty()
    }

    /// The rule that takes the value of `key` out.
    fn key_rule(&self, key: &str) -> Option<&str> {
        let last = key.rsplit('.').next().unwrap_or(key);
        let key = normalise(last);
        self.keys
            .iter()
            .find(|rule| {
                key.strip_suffix(rule.as_str())
                    .is_some_and(|before| before.is_empty() || before.ends_with('_'))
            })
            .map(String::as_str)
    }

    /// The text with what the patterns find taken out.
    fn redact_plain<'a>(&self, text: &'a str, counts: &mut RedactionCounts) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in &self.patterns {
            let mut n = 0;
            let replaced = pattern.regex.replace_all(&text, |_: &regex::Captures<'_>| {
                n += 1;
                mark(&pattern.name)
            });
            if let Cow::Owned(replaced) = replaced {
                text = Cow::Owned(replaced);
                counts.add(&pattern.name, n);
            }
        }
        text
    }

    /// The same for a text that may hold JSON, whose keys then count too.
    fn redact_text<'a>(
        &self,
        text: &'a str,
        depth: u32,
        counts: &mut RedactionCounts,
    ) -> Cow<'a, str> {
        if depth < NESTING_LIMIT && looks_like_json(text) {
            return redact_json(self, text, depth, counts);
        }
        self.redact_plain(text, counts)
    }
}

/// What stands in the place of what was taken out.
fn mark(rule: impl fmt::Display) -> String {
    format!("[redacted:{rule}]")
}

fn normalise(key: &str) -> String {
    key.chars()
        .map(|letter| match letter {
            '-' | ' ' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_rules() -> Redaction {
        let rules = RedactionRules {
            default: true,
            ..RedactionRules::default()
        };
        rules.compile().unwrap()
    }

    fn redacted_by(rules: &Redaction, text: &str) -> (String, u64) {
        let mut counts = RedactionCounts::default();
        let redacted = rules.redact_text(text, 0, &mut counts).into_owned();
        (redacted, counts.total())
    }

    #[test]
    fn the_default_rules_find_secrets_and_leave_the_rest() {
        let rules = default_rules();
        for (text, redacted) in [
            (
                "write to ann.b@example.co.uk now",
                "write to [redacted:email] now",
            ),
            (
                "Authorization: Bearer abcdefghij0123456789",
                "Authorization: [redacted:bearer]",
            ),
            ("sk-abcdefghijklmnop1234", "[redacted:api-key]"),
            ("postgres://u:pw@host/db", "[redacted:url-password]host/db"),
            ("AKIAABCDEFGHIJKLMNOP", "[redacted:aws-key]"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc",
                "[redacted:private-key]",
            ),
        ] {
            assert_eq!(redacted_by(&rules, text), (redacted.to_owned(), 1));
        }
        for text in [
            "task-sketch of a plan",
            "see http://host:80/path",
            "a@b",
            "12:30",
        ] {
            assert_eq!(redacted_by(&rules, text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn keys_match_whole_words_at_their_end() {
        let rules = default_rules();
        for key in [
            "password",
            "db.Password",
            "DB_PASSWORD",
            "http.Set-Cookie",
            "x-api-key",
        ] {
            assert!(rules.key_rule(key).is_some(), "{key}");
        }
        for key in [
            "input_tokens",
            "passwordless",
            "secretary",
            "mypassword",
            "cookies",
        ] {
            assert_eq!(rules.key_rule(key), None, "{key}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        let rules = RedactionRules {
            patterns: vec![("mine".to_owned(), "(".to_owned())],
            ..RedactionRules::default()
        };
        let error = rules.compile().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the redaction pattern `mine` is no regular expression"
        );
    }
}
