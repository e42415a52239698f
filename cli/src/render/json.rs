//! JSON for machines, safe on a terminal as well.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::text::is_unsafe;

/// The version of the envelope that lists come in.
const SCHEMA: u32 = 1;

/// How JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct JsonStyle {
    /// Whether it is laid out for reading.
    pub(crate) pretty: bool,
    /// Whether characters that a terminal obeys are written as `\u` escapes, which mean the same.
    /// Off for files and pipes, so that payloads stay byte for byte.
    pub(crate) escape: bool,
}

/// What lists come in.
#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a, T> {
    schema: u32,
    /// False when the items and the parts that `next` leads to are not all there is: damaged data
    /// was skipped, or a limit cut a list that has no next part.
    complete: bool,
    /// What to ask for to get the next part; nothing when this is all.
    next: Option<&'a str>,
    items: &'a [T],
}

impl<'a, T> Envelope<'a, T> {
    pub(crate) fn new(items: &'a [T], complete: bool, next: Option<&'a str>) -> Self {
        Self {
            schema: SCHEMA,
            complete,
            next,
            items,
        }
    }
}

/// Writes one value and a line end.
pub(crate) fn write(
    out: &mut dyn Write,
    value: &(impl Serialize + ?Sized),
    style: JsonStyle,
) -> io::Result<()> {
    let escape = style.escape;
    if style.pretty {
        let inner = PrettyFormatter::with_indent(b"  ");
        let formatter = Escaping { inner, escape };
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut *out, formatter,
        ))?;
    } else {
        let inner = CompactFormatter;
        let formatter = Escaping { inner, escape };
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut *out, formatter,
        ))?;
    }
    out.write_all(b"\n")
}

/// A time as machines read it: RFC 3339, UTC, nanoseconds.
pub(crate) fn time(unix_nano: u64) -> String {
    let time = DateTime::<Utc>::from_timestamp(
        (unix_nano / 1_000_000_000) as i64,
        (unix_nano % 1_000_000_000) as u32,
    );
    time.unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Another formatter, with what a terminal obeys escaped.
struct Escaping<F> {
    inner: F,
    escape: bool,
}

fn write_escaped<W: Write + ?Sized>(
    out: &mut W,
    text: &str,
    also: impl Fn(char) -> bool,
) -> io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_unsafe(c) && also(c)) {
        let (safe, from) = rest.split_at(at);
        out.write_all(safe.as_bytes())?;
        let mut chars = from.chars();
        if let Some(c) = chars.next() {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        rest = chars.as_str();
    }
    out.write_all(rest.as_bytes())
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, out: &mut W $(, $arg: $type)*) -> io::Result<()> {
            self.inner.$name(out $(, $arg)*)
        }
    )*};
}

impl<F: Formatter> Formatter for Escaping<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.escape {
            write_escaped(out, fragment, |_| true)
        } else {
            out.write_all(fragment.as_bytes())
        }
    }

    /// Raw JSON: a line end or tab in it stands between values, where it is harmless.
    fn write_raw_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.escape {
            write_escaped(out, fragment, |c| !matches!(c, '\n' | '\t' | '\r'))
        } else {
            out.write_all(fragment.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlite_model::Json;

    fn written(value: &impl Serialize, escape: bool) -> String {
        let mut out = Vec::new();
        let style = JsonStyle {
            pretty: false,
            escape,
        };
        write(&mut out, value, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_change_the_look_and_not_the_value() {
        let text = "\u{202e}\x1b[2J\u{9b}\u{e0041} ä";
        let shown = written(&text, true);
        assert_eq!(shown, "\"\\u202e\\u001b[2J\\u009b\\udb40\\udc41 ä\"\n");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert!(written(&text, false).contains('\u{202e}'));
        let raw = Json::from_text("[\n\"\u{202e}\"]").unwrap();
        assert_eq!(written(&raw, true), "[\n\"\\u202e\"]\n");
    }

    #[test]
    fn times_have_nanoseconds() {
        assert_eq!(
            time(1_786_569_488_000_000_001),
            "2026-08-12T21:18:08.000000001Z"
        );
        assert_eq!(time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }
}
