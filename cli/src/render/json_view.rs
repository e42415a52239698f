use std::io;

use spanlite_model::Json;

use super::line::{Line, Sheet};
use super::look::Role;
use super::node::Node;
use super::text::{escape, pieces};
use super::units;

/// How much of a payload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonFold {
    /// Texts longer than this many bytes are cut.
    pub(crate) text_bytes: usize,
    /// Lists and objects below this many levels are one line.
    pub(crate) depth: usize,
    /// Longer lists and objects are cut.
    pub(crate) entries: usize,
}

impl JsonFold {
    /// What is read at a glance.
    pub(crate) const SHORT: Self = Self {
        text_bytes: 400,
        depth: 4,
        entries: 20,
    };
    /// Everything.
    pub(crate) const FULL: Self = Self {
        text_bytes: usize::MAX,
        depth: usize::MAX,
        entries: usize::MAX,
    };
}

/// Writes a payload for people, indented by `indent` columns.
pub(crate) fn write_json(
    sheet: &mut Sheet<'_>,
    json: &Json,
    indent: usize,
    fold: JsonFold,
) -> io::Result<()> {
    match Node::parse(json.as_text()) {
        Some(value) => write_value(sheet, &value, indent, fold),
        // Deeper than the parser goes: shown as it is.
        None => write_text(sheet, json.as_text(), indent, fold, Role::Plain),
    }
}

/// Writes a value for people. The depth of a parsed value is at most 128, so that recursion is
/// bounded.
pub(crate) fn write_value(
    sheet: &mut Sheet<'_>,
    value: &Node,
    indent: usize,
    fold: JsonFold,
) -> io::Result<()> {
    if let Node::Text(text) = value {
        return write_text(sheet, text, indent, fold, Role::Plain);
    }
    let mut line = Line::new();
    line.pad(indent);
    Tree { sheet, fold }.value(value, &mut line, indent, 0)?;
    sheet.line(&line)
}

/// Writes a text in its own lines, cut where it is long.
pub(crate) fn write_text(
    sheet: &mut Sheet<'_>,
    text: &str,
    indent: usize,
    fold: JsonFold,
    role: Role,
) -> io::Result<()> {
    let (shown, more) = cut(text, fold.text_bytes);
    for one in shown.lines() {
        let mut line = Line::new();
        line.pad(indent);
        wrap(sheet, &mut line, indent, role, one)?;
        sheet.line(&line)?;
    }
    if more > 0 {
        let mut line = Line::new();
        line.pad(indent).text(Role::Dim, &more_bytes(more));
        sheet.line(&line)?;
    }
    Ok(())
}

fn more_bytes(more: usize) -> String {
    format!("… {} more, --full shows all", units::bytes(more as u64))
}

/// Adds a text to a line, in further lines below `indent` where it is long.
fn wrap(
    sheet: &mut Sheet<'_>,
    line: &mut Line,
    indent: usize,
    role: Role,
    text: &str,
) -> io::Result<()> {
    let columns = sheet.look.width.saturating_sub(indent).max(20);
    let first = sheet.look.width.saturating_sub(line.width()).max(20);
    let escaped = escape(text).text;
    for (index, piece) in pieces(&escaped, first, columns).into_iter().enumerate() {
        if index > 0 {
            sheet.line(&std::mem::take(line))?;
            line.pad(indent);
        }
        line.text(role, piece);
    }
    Ok(())
}

fn cut(text: &str, max_bytes: usize) -> (&str, usize) {
    // A little over the limit is not worth a cut.
    if text.len() <= max_bytes.saturating_add(max_bytes / 4) {
        return (text, 0);
    }
    let shown = text.get(..floor_boundary(text, max_bytes)).unwrap_or(text);
    (shown, text.len() - shown.len())
}

/// The last boundary between characters at or before a byte.
fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut at = byte.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Tree<'s, 'o> {
    sheet: &'s mut Sheet<'o>,
    fold: JsonFold,
}

impl Tree<'_, '_> {
    /// Adds a value to a line; complex ones go on below it and leave their last line open.
    fn value(
        &mut self,
        value: &Node,
        line: &mut Line,
        indent: usize,
        depth: usize,
    ) -> io::Result<()> {
        match value {
            Node::Null => line.text(Role::Dim, "null"),
            Node::Bool(value) => line.text(Role::Number, &value.to_string()),
            Node::Number(value) => line.text(Role::Number, &value.to_string()),
            Node::Text(text) if text.trim_end().contains('\n') => {
                return self.block(text, line, indent);
            }
            Node::Text(text) => {
                let (shown, more) = cut(text, self.fold.text_bytes);
                let quoted = serde_json::to_string(shown)?;
                let at = line.width().min(indent + 24);
                wrap(self.sheet, line, at, Role::Text, &quoted)?;
                if more > 0 {
                    line.pad(1).text(Role::Dim, &more_bytes(more));
                }
                line
            }
            Node::Raw(json) => line.fitted(Role::Plain, json.as_text(), self.sheet.look.width),
            Node::List(values) if values.is_empty() => line.text(Role::Dim, "[]"),
            Node::Object(fields) if fields.is_empty() => line.text(Role::Dim, "{}"),
            Node::List(values) if depth >= self.fold.depth => line.text(
                Role::Dim,
                &format!("[… {}]", units::plural(values.len() as u64, "item")),
            ),
            Node::Object(fields) if depth >= self.fold.depth => line.text(
                Role::Dim,
                &format!("{{… {}}}", units::plural(fields.len() as u64, "key")),
            ),
            Node::List(values) if values.iter().all(is_small) && values.len() <= 8 => {
                line.text(Role::Number, &value.to_text())
            }
            Node::List(values) => {
                line.text(Role::Dim, "[");
                let entries = values.iter().map(|value| (None, value));
                self.entries(entries, values.len(), line, indent, depth)?;
                line.text(Role::Dim, "]")
            }
            Node::Object(fields) => {
                line.text(Role::Dim, "{");
                let entries = fields
                    .iter()
                    .map(|(key, value)| (Some(key.as_str()), value));
                self.entries(entries, fields.len(), line, indent, depth)?;
                line.text(Role::Dim, "}")
            }
        };
        Ok(())
    }

    /// A text of several lines below its key, behind a rule.
    fn block(&mut self, text: &str, line: &mut Line, indent: usize) -> io::Result<()> {
        let (shown, more) = cut(text.trim_end(), self.fold.text_bytes);
        let columns = self.sheet.look.width.saturating_sub(indent + 4).max(20);
        for one in shown.lines() {
            let escaped = escape(one).text;
            for piece in pieces(&escaped, columns, columns) {
                self.sheet.line(&std::mem::take(line))?;
                line.pad(indent + 2)
                    .sign(Role::Dim, "│ ")
                    .text(Role::Text, piece);
            }
        }
        if more > 0 {
            self.sheet.line(&std::mem::take(line))?;
            line.pad(indent + 2)
                .sign(Role::Dim, "│ ")
                .text(Role::Dim, &more_bytes(more));
        }
        Ok(())
    }

    fn entries<'v>(
        &mut self,
        entries: impl Iterator<Item = (Option<&'v str>, &'v Node)>,
        count: usize,
        line: &mut Line,
        indent: usize,
        depth: usize,
    ) -> io::Result<()> {
        for (key, value) in entries.take(self.fold.entries) {
            self.sheet.line(&std::mem::take(line))?;
            line.pad(indent + 2);
            if let Some(key) = key {
                line.fitted(Role::Key, key, 60).text(Role::Dim, ": ");
            }
            self.value(value, line, indent + 2, depth + 1)?;
        }
        if count > self.fold.entries {
            self.sheet.line(&std::mem::take(line))?;
            let more = units::count((count - self.fold.entries) as u64);
            line.pad(indent + 2)
                .text(Role::Dim, &format!("… {more} more, --full shows all"));
        }
        self.sheet.line(&std::mem::take(line))?;
        line.pad(indent);
        Ok(())
    }
}

fn is_small(value: &Node) -> bool {
    matches!(value, Node::Null | Node::Bool(_) | Node::Number(_))
}

#[cfg(test)]
mod tests {
    use super::super::look::{Look, Zone};
    use super::*;

    fn shown(text: &str, fold: JsonFold) -> String {
        let look = Look {
            width: 60,
            color: false,
            hyperlinks: None,
            ascii: false,
            zone: Zone::Utc,
        };
        let mut out = Vec::new();
        let json = Json::from_text(text).unwrap();
        write_json(&mut Sheet::new(&mut out, &look), &json, 2, fold).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn payloads_are_laid_out() {
        let text = r#"{"messages": [{"role": "user", "content": "a\u001b[2J\nb"}], "n": [1, 2], "deep": {"a": {"b": {"c": {"d": 1}}}}}"#;
        insta::assert_snapshot!(shown(text, JsonFold::SHORT), @r#"
          {
            messages: [
              {
                role: "user"
                content:
                  │ a\x1b[2J
                  │ b
              }
            ]
            n: [1,2]
            deep: {
              a: {
                b: {
                  c: {… 1 key}
                }
              }
            }
          }
        "#);
    }

    #[test]
    fn long_texts_are_cut_and_wrapped() {
        let text = serde_json::to_string(&"word ".repeat(200)).unwrap();
        let fold = JsonFold {
            text_bytes: 80,
            ..JsonFold::SHORT
        };
        insta::assert_snapshot!(shown(&text, fold), @r"
          word word word word word word word word word word word
          word word word word word
          … 920 B more, --full shows all
        ");
    }

    #[test]
    fn deeper_than_the_parser_is_shown_as_text() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let shown = shown(&deep, JsonFold::FULL);
        assert_eq!(shown.matches('[').count(), 200);
    }
}
