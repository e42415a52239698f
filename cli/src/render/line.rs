use std::io::{self, Write};
use std::sync::Arc;

use spanlite_model::SpanType;

use super::look::{Look, Role};
use super::text::{escape, fit, to_ascii};

/// Columns of a span's type, at most.
const TYPE_COLUMNS: usize = 24;

/// One line for people. Text that comes from elsewhere goes in by [`Line::text`] and the cell
/// functions, which escape it; what we draw ourselves by [`Line::sign`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    parts: Vec<Part>,
    width: usize,
    /// What the text that comes next leads to.
    link: Option<Arc<str>>,
}

/// A piece of a line, escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) text: String,
    /// The address that a click opens.
    link: Option<Arc<str>>,
}

/// On which side of a cell its text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line of one text.
    pub(crate) fn of(role: Role, text: &str) -> Self {
        let mut line = Self::new();
        line.text(role, text);
        line
    }

    /// How many columns the line takes so far.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds what we draw ourselves; it is one column wide per character and not escaped.
    pub(crate) fn sign(&mut self, role: Role, sign: &str) -> &mut Self {
        self.width += sign.chars().count();
        self.push(role, sign.to_owned());
        self
    }

    /// Adds a text whole.
    pub(crate) fn text(&mut self, role: Role, text: &str) -> &mut Self {
        let fitted = escape(text);
        self.width += fitted.width;
        self.push(role, fitted.text);
        self
    }

    /// Adds as much of a text as fits into `max_width` columns.
    pub(crate) fn fitted(&mut self, role: Role, text: &str, max_width: usize) -> &mut Self {
        let fitted = fit(text, max_width);
        self.width += fitted.width;
        self.push(role, fitted.text);
        self
    }

    /// Adds a text in a cell of exactly `width` columns.
    pub(crate) fn cell(&mut self, role: Role, text: &str, width: usize, align: Align) -> &mut Self {
        let fitted = fit(text, width);
        let padding = width - fitted.width.min(width);
        if align == Align::Right {
            self.pad(padding);
        }
        self.width += fitted.width;
        self.push(role, fitted.text);
        if align == Align::Left {
            self.pad(padding);
        }
        self
    }

    /// Adds the type of a span, which may be any text.
    pub(crate) fn span_type(&mut self, span_type: &SpanType) -> &mut Self {
        self.fitted(Role::of_type(span_type), span_type.as_str(), TYPE_COLUMNS)
    }

    /// Adds a text whole that leads to an address, where there is one.
    pub(crate) fn linked(&mut self, role: Role, text: &str, url: Option<&str>) -> &mut Self {
        self.link = url.map(Arc::from);
        self.text(role, text);
        self.link = None;
        self
    }

    /// Adds a cell whose text leads to an address, where there is one.
    pub(crate) fn linked_cell(
        &mut self,
        (role, text): (Role, &str),
        width: usize,
        align: Align,
        url: Option<&str>,
    ) -> &mut Self {
        self.link = url.map(Arc::from);
        self.cell(role, text, width, align);
        self.link = None;
        self
    }

    /// Adds blanks.
    pub(crate) fn pad(&mut self, blanks: usize) -> &mut Self {
        self.width += blanks;
        let link = self.link.take();
        self.push(Role::Plain, " ".repeat(blanks));
        self.link = link;
        self
    }

    /// Adds blanks up to a column.
    pub(crate) fn pad_to(&mut self, column: usize) -> &mut Self {
        self.pad(column.saturating_sub(self.width))
    }

    /// Adds the parts of another line.
    pub(crate) fn append(&mut self, mut other: Self) -> &mut Self {
        self.width += other.width;
        self.parts.append(&mut other.parts);
        self
    }

    /// The parts with their roles, escaped.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn push(&mut self, role: Role, text: String) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(last) if last.role == role && last.link == self.link => last.text.push_str(&text),
            _ => self.parts.push(Part {
                role,
                text,
                link: self.link.clone(),
            }),
        }
    }

    fn write(&self, out: &mut dyn Write, color: bool, ascii: bool) -> io::Result<()> {
        let mut parts = self.parts.as_slice();
        while let Some((last, rest)) = parts.split_last() {
            if !last.text.bytes().all(|byte| byte == b' ') {
                break;
            }
            parts = rest;
        }
        for (index, part) in parts.iter().enumerate() {
            let text = if index + 1 == parts.len() {
                part.text.trim_end_matches(' ')
            } else {
                &part.text
            };
            let ascii_text = if ascii && !text.is_ascii() {
                to_ascii(text)
            } else {
                String::new()
            };
            let text = if ascii_text.is_empty() {
                text
            } else {
                &ascii_text
            };
            let link = &part.link;
            if let Some(url) = link {
                write!(out, "\x1b]8;;{url}\x1b\\")?;
            }
            match part.role.sgr() {
                sgr if color && !sgr.is_empty() => write!(out, "\x1b[{sgr}m{text}\x1b[0m")?,
                _ => out.write_all(text.as_bytes())?,
            }
            if link.is_some() {
                out.write_all(b"\x1b]8;;\x1b\\")?;
            }
        }
        out.write_all(b"\n")
    }
}

/// What a sheet writes to.
enum Target<'a> {
    Writer(&'a mut dyn Write),
    Lines(&'a mut Vec<Line>),
}

/// Where lines for people are written.
pub(crate) struct Sheet<'a> {
    out: Target<'a>,
    /// How it looks.
    pub(crate) look: &'a Look,
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, look: &'a Look) -> Self {
        Self {
            out: Target::Writer(out),
            look,
        }
    }

    /// A sheet that keeps its lines, for a screen that shows some of them.
    pub(crate) fn of_lines(lines: &'a mut Vec<Line>, look: &'a Look) -> Self {
        Self {
            out: Target::Lines(lines),
            look,
        }
    }

    /// Writes a line; blanks at its end are left out.
    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        match &mut self.out {
            Target::Writer(out) => line.write(*out, self.look.color, self.look.ascii),
            Target::Lines(lines) => {
                lines.push(line.clone());
                Ok(())
            }
        }
    }

    /// Writes a line of one text.
    pub(crate) fn text(&mut self, role: Role, text: &str) -> io::Result<()> {
        self.line(&Line::of(role, text))
    }

    /// Writes an empty line.
    pub(crate) fn blank(&mut self) -> io::Result<()> {
        self.line(&Line::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_exactly_as_wide_as_asked() {
        let mut line = Line::new();
        line.cell(Role::Plain, "日本語テキスト", 9, Align::Left)
            .sign(Role::Dim, "│")
            .cell(Role::Plain, "1.2s", 7, Align::Right);
        assert_eq!(line.width(), 17);
        let mut plain = Vec::new();
        line.write(&mut plain, false, false).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap(), "日本語テ…│   1.2s\n");
    }

    #[test]
    fn what_leads_somewhere_is_a_link_and_as_wide_as_before() {
        let mut line = Line::new();
        line.linked_cell((Role::Id, "9f31"), 6, Align::Left, Some("http://h/9f31"))
            .linked(Role::Plain, "none", None);
        assert_eq!(line.width(), 10);
        let mut plain = Vec::new();
        line.write(&mut plain, false, false).unwrap();
        let expected = "\x1b]8;;http://h/9f31\x1b\\9f31\x1b]8;;\x1b\\  none\n";
        assert_eq!(String::from_utf8(plain).unwrap(), expected);
    }

    #[test]
    fn colours_close_and_blanks_at_the_end_go() {
        let mut line = Line::of(Role::Error, "failed");
        line.pad(4);
        let mut colored = Vec::new();
        line.write(&mut colored, true, false).unwrap();
        assert_eq!(colored, b"\x1b[1;31mfailed\x1b[0m\n");
    }
}
