use std::io::{self, Write};

use super::look::{Look, Role};
use super::text::{escape, fit, to_ascii};

/// One line for people. Text that comes from elsewhere goes in by [`Line::text`] and the cell
/// functions, which escape it; what we draw ourselves by [`Line::sign`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    parts: Vec<(Role, String)>,
    width: usize,
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

    /// Adds blanks.
    pub(crate) fn pad(&mut self, blanks: usize) -> &mut Self {
        self.width += blanks;
        self.push(Role::Plain, " ".repeat(blanks));
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
    pub(crate) fn parts(&self) -> &[(Role, String)] {
        &self.parts
    }

    fn push(&mut self, role: Role, text: String) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some((last, whole)) if *last == role => whole.push_str(&text),
            _ => self.parts.push((role, text)),
        }
    }

    fn write(&self, out: &mut dyn Write, color: bool, ascii: bool) -> io::Result<()> {
        let mut parts = self.parts.as_slice();
        while let Some(((_, text), rest)) = parts.split_last() {
            if !text.bytes().all(|byte| byte == b' ') {
                break;
            }
            parts = rest;
        }
        for (index, (role, text)) in parts.iter().enumerate() {
            let text = if index + 1 == parts.len() {
                text.trim_end_matches(' ')
            } else {
                text
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
            match role.sgr() {
                sgr if color && !sgr.is_empty() => write!(out, "\x1b[{sgr}m{text}\x1b[0m")?,
                _ => out.write_all(text.as_bytes())?,
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
    fn colours_close_and_blanks_at_the_end_go() {
        let mut line = Line::of(Role::Error, "failed");
        line.pad(4);
        let mut colored = Vec::new();
        line.write(&mut colored, true, false).unwrap();
        assert_eq!(colored, b"\x1b[1;31mfailed\x1b[0m\n");
    }
}
