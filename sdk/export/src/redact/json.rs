use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{Redaction, RedactionCounts, mark};
use crate::json::{Token, Tokens, quoted};

/// Returns whether a text is a JSON list, object or string.
pub(super) fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Takes values of named keys and texts that patterns find out of a JSON text; what is not touched
/// stays byte for byte, and a text of which nothing is taken out is given back.
pub(super) fn redact_json<'a>(
    rules: &Redaction,
    text: &'a str,
    depth: u32,
    counts: &mut RedactionCounts,
) -> Cow<'a, str> {
    let mut walk = Walk {
        rules,
        depth,
        tokens: Tokens::of(text),
        out: String::with_capacity(text.len()),
        open: Vec::new(),
        rule_of_value: None,
        counts,
        is_changed: false,
    };
    while let Some(token) = walk.tokens.next() {
        walk.step(token);
    }
    if walk.is_changed {
        Cow::Owned(walk.out)
    } else {
        Cow::Borrowed(text)
    }
}

struct Walk<'r, 'a> {
    rules: &'r Redaction,
    depth: u32,
    tokens: Tokens<'a>,
    out: String,
    open: Vec<Container>,
    rule_of_value: Option<&'r str>,
    counts: &'r mut RedactionCounts,
    is_changed: bool,
}

#[derive(Clone, Copy)]
struct Container {
    is_object: bool,
    /// In an object: the next string is a key.
    at_key: bool,
}

impl Walk<'_, '_> {
    fn step(&mut self, token: Token<'_>) {
        let at_key = self.open.last().is_some_and(|container| container.at_key);
        match token {
            Token::Mark(mark @ (":" | ",")) => {
                if let Some(container) = self.open.last_mut() {
                    container.at_key = container.is_object && mark == ",";
                }
                self.out.push_str(mark);
            }
            Token::Mark(end @ ("}" | "]")) => {
                self.open.pop();
                self.out.push_str(end);
            }
            Token::Mark(start @ ("{" | "[")) => self.container(start),
            Token::Mark(blank) => self.out.push_str(blank),
            Token::String(raw) if at_key => {
                let rules = self.rules;
                self.rule_of_value = decode(raw).and_then(|key| rules.key_rule(&key));
                self.string(raw);
            }
            Token::String(raw) => match self.rule_of_value.take() {
                Some(rule) => self.replace(rule),
                None => self.string(raw),
            },
            Token::Scalar(scalar) => match self.rule_of_value.take() {
                Some(rule) if scalar != "null" => self.replace(rule),
                _ => self.out.push_str(scalar),
            },
        }
    }

    fn container(&mut self, start: &str) {
        if let Some(rule) = self.rule_of_value.take() {
            self.skip_container();
            self.replace(rule);
            return;
        }
        let is_object = start == "{";
        self.open.push(Container {
            is_object,
            at_key: is_object,
        });
        self.out.push_str(start);
    }

    fn replace(&mut self, rule: &str) {
        self.out.push_str(&quoted(&mark(rule)));
        self.counts.add(rule, 1);
        self.is_changed = true;
    }

    /// A key or a value; kept as it is written unless something is found in it.
    fn string(&mut self, raw: &str) {
        let Some(text) = decode(raw) else {
            self.out.push_str(raw);
            return;
        };
        match self.rules.redact_text(&text, self.depth + 1, self.counts) {
            Cow::Owned(redacted) => {
                self.out.push_str(&quoted(&redacted));
                self.is_changed = true;
            }
            Cow::Borrowed(_) => self.out.push_str(raw),
        }
    }

    /// Moves past the container whose opening mark was read last.
    fn skip_container(&mut self) {
        let mut depth = 1_u64;
        for token in self.tokens.by_ref() {
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
}

/// The text of a JSON string. Lone surrogates, which no Rust text can hold, become `U+FFFD` so that
/// patterns see what stands beside them.
fn decode(raw: &str) -> Option<String> {
    if let Ok(text) = serde_json::from_str(raw) {
        return Some(text);
    }
    let bytes: serde_bytes_lossy::Lossy = serde_json::from_str(raw).ok()?;
    Some(bytes.0)
}

/// Reading of a JSON string as bytes, which `serde_json` does without refusing lone surrogates.
mod serde_bytes_lossy {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, Visitor};

    pub(super) struct Lossy(pub(super) String);

    impl<'de> Deserialize<'de> for Lossy {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Bytes;
            impl Visitor<'_> for Bytes {
                type Value = Lossy;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a string")
                }

                fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Lossy, E> {
                    Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
                }
            }
            deserializer.deserialize_bytes(Bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::RedactionRules;

    fn redact(text: &str) -> (String, u64) {
        let rules = RedactionRules {
            default: true,
            ..RedactionRules::default()
        };
        let mut counts = RedactionCounts::default();
        let out = redact_json(&rules.compile().unwrap(), text, 0, &mut counts);
        (out.into_owned(), counts.total())
    }

    #[test]
    fn values_of_named_keys_are_taken_out_whole() {
        let (out, n) = redact(
            r#"{ "password" : "x", "a": [{"db_secret": {"k": [1, "}"]}, "n": 2.0}], "cookie": null, "token": 3, "api-key": 7}"#,
        );
        assert_eq!(
            out,
            r#"{ "password" : "[redacted:password]", "a": [{"db_secret": "[redacted:secret]", "n": 2.0}], "cookie": null, "token": 3, "api-key": "[redacted:api_key]"}"#
        );
        assert_eq!(n, 3);
    }

    #[test]
    fn patterns_reach_keys_values_and_json_inside_strings() {
        let inner = r#"{"mail":"a@b.de","password":"p"}"#;
        let text = format!(r#"{{"x@y.de":["caf\u00e9 é", {}]}}"#, quoted(inner));
        let (out, n) = redact(&text);
        assert_eq!(
            out,
            r#"{"[redacted:email]":["caf\u00e9 é", "{\"mail\":\"[redacted:email]\",\"password\":\"[redacted:password]\"}"]}"#
        );
        assert_eq!(n, 3);
    }

    #[test]
    fn a_lone_surrogate_hides_nothing() {
        let (out, n) = redact(r#"["\ud800 a@b.de", "\ud800"]"#);
        assert_eq!(n, 1);
        assert!(
            out.contains("[redacted:email]") && !out.contains("a@b.de"),
            "{out}"
        );
        assert!(out.ends_with(r#", "\ud800"]"#), "{out}");
    }

    #[test]
    fn what_nothing_is_found_in_stays_byte_for_byte() {
        let text = r#" {"b": 2.0,  "a":[1e5, "\u0041"]}"#;
        assert_eq!(redact(text), (text.to_owned(), 0));
    }
}
