use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::args::Format;
use crate::error::CliError;
use crate::render::json::JsonStyle;
use crate::render::{Line, Listing, Look, Node, Role, Sheet, json};
use crate::settings::Settings;

/// Where a command writes: data to stdout, by a pager where people read it; everything else to
/// stderr.
pub(crate) struct Output<'s> {
    settings: &'s Settings,
    sink: Option<Sink>,
    /// What is said on stderr once the data is out.
    remarks: Vec<Line>,
}

enum Sink {
    Memory(Bounded),
    Stdout(BufWriter<io::StdoutLock<'static>>),
    Pager(Child, BufWriter<ChildStdin>),
}

impl Sink {
    fn stdout() -> Self {
        Self::Stdout(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// Starts the pager; stdout where it does not start.
    fn pager(settings: &Settings) -> Self {
        let mut words = settings.pager.value.split_whitespace();
        let Some(program) = words.next().filter(|_| settings.stdout_is_terminal) else {
            return Self::stdout();
        };
        let started = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            return Self::stdout();
        };
        match child.stdin.take() {
            Some(stdin) => Self::Pager(child, BufWriter::with_capacity(1 << 16, stdin)),
            None => Self::stdout(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Memory(out) => out,
            Self::Stdout(out) => out,
            Self::Pager(_, out) => out,
        }
    }
}

/// Bytes in memory, no more than a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit_bytes: usize,
}

/// What was written is larger than its reader takes.
#[derive(Debug, thiserror::Error)]
#[error("the result is larger than {limit_bytes} bytes")]
pub(crate) struct TooLarge {
    limit_bytes: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit_bytes {
            let limit_bytes = self.limit_bytes;
            return Err(io::Error::other(TooLarge { limit_bytes }));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'s> Output<'s> {
    /// Keeps what is written in memory. Writing more than `limit_bytes` fails with [`TooLarge`].
    pub(crate) fn in_memory(settings: &'s Settings, limit_bytes: usize) -> Self {
        Self {
            sink: Some(Sink::Memory(Bounded {
                bytes: Vec::new(),
                limit_bytes,
            })),
            ..Self::new(settings)
        }
    }

    /// What was written to memory.
    pub(crate) fn into_text(self) -> String {
        match self.sink {
            Some(Sink::Memory(out)) => String::from_utf8_lossy(&out.bytes).into_owned(),
            _ => String::new(),
        }
    }

    pub(crate) fn new(settings: &'s Settings) -> Self {
        Self {
            settings,
            sink: None,
            remarks: Vec::new(),
        }
    }

    /// How output for people looks.
    pub(crate) fn look(&self) -> &'s Look {
        &self.settings.look
    }

    /// Where data for machines goes.
    pub(crate) fn data(&mut self) -> &mut dyn Write {
        self.sink.get_or_insert_with(Sink::stdout).writer()
    }

    /// Where pages for people go.
    pub(crate) fn sheet(&mut self) -> Sheet<'_> {
        let settings = self.settings;
        let sink = self.sink.get_or_insert_with(|| Sink::pager(settings));
        Sheet::new(sink.writer(), &settings.look)
    }

    /// A page for people; as Markdown a block of plain text that can be pasted elsewhere.
    pub(crate) fn page(
        &mut self,
        draw: impl FnOnce(&mut Sheet<'_>) -> io::Result<()>,
    ) -> Result<(), CliError> {
        if self.settings.format != Some(Format::Md) {
            return Ok(draw(&mut self.sheet())?);
        }
        let look = Look {
            color: false,
            hyperlinks: None,
            ..self.look().clone()
        };
        let mut text = Vec::new();
        draw(&mut Sheet::new(&mut text, &look))?;
        let ticks = text.split(|byte| *byte != b'`').map(<[u8]>::len).max();
        let fence = "`".repeat(ticks.unwrap_or(0).max(2) + 1);
        let out = self.data();
        writeln!(out, "{fence}text")?;
        out.write_all(&text)?;
        writeln!(out, "{fence}")?;
        Ok(())
    }

    /// Where lines for people go one by one, as they come.
    pub(crate) fn plain_sheet(&mut self) -> Sheet<'_> {
        let look = &self.settings.look;
        Sheet::new(self.sink.get_or_insert_with(Sink::stdout).writer(), look)
    }

    /// Sends out what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        if let Some(sink) = &mut self.sink {
            sink.writer().flush()?;
        }
        Ok(())
    }

    /// How JSON is written: laid out and escaped for a terminal, as it is for a pipe.
    pub(crate) fn json_style(&self) -> JsonStyle {
        JsonStyle {
            pretty: self.settings.stdout_is_terminal,
            escape: self.settings.stdout_is_terminal,
        }
    }

    /// Writes a list in the form that was asked for, as a table if none was.
    pub(crate) fn list(&mut self, listing: &Listing) -> Result<(), CliError> {
        let style = self.json_style();
        match self.settings.format.unwrap_or(Format::Table) {
            Format::Table | Format::Tree => listing.write_table(&mut self.sheet())?,
            Format::Json => listing.write_json(self.data(), style)?,
            Format::Ndjson => listing.write_ndjson(self.data(), style.escape)?,
            Format::Csv => listing.write_csv(self.data(), style.escape)?,
            Format::Md => listing.write_md(self.data())?,
        }
        Ok(())
    }

    /// Whether one JSON object is wanted where people get sentences.
    pub(crate) fn wants_json(&self) -> bool {
        matches!(self.settings.format, Some(Format::Json | Format::Ndjson))
    }

    /// Writes one JSON object, on one line where lines are wanted.
    pub(crate) fn object(&mut self, item: &Node) -> Result<(), CliError> {
        let mut style = self.json_style();
        style.pretty &= self.settings.format != Some(Format::Ndjson);
        Ok(json::write(self.data(), item, style)?)
    }

    /// Says what was done: a line on stderr, or where JSON is wanted one object on stdout.
    pub(crate) fn done(&mut self, line: Line, item: &Node) -> Result<(), CliError> {
        if self.wants_json() {
            return self.object(item);
        }
        self.remark(line);
        Ok(())
    }

    /// Asks the user on stderr.
    pub(crate) fn ask(question: &str) -> Result<(), CliError> {
        let mut stderr = io::stderr().lock();
        stderr.write_all(question.as_bytes())?;
        Ok(stderr.flush()?)
    }

    /// Says something on stderr once the data is out: a sum, a hint.
    pub(crate) fn remark(&mut self, line: Line) {
        if !self.settings.quiet {
            self.remarks.push(line);
        }
    }

    /// Says on stderr, once the data is out, what was written to a file.
    pub(crate) fn wrote(&mut self, what: &str, path: &Path, more: &str) {
        let mut line = Line::of(Role::Dim, &format!("{what} to "));
        let link = self.settings.stderr_look.file_link(path);
        line.linked(Role::Dim, &path.display().to_string(), link.as_deref());
        line.text(Role::Dim, more);
        self.remark(line);
    }

    /// Gives a hint on stderr once the data is out.
    pub(crate) fn hint(&mut self, text: &str) {
        self.remark(Line::of(Role::Dim, text));
    }

    /// Warns on stderr once the data is out, even when told to be quiet.
    pub(crate) fn warn(&mut self, text: &str) {
        let mut line = Line::of(Role::Warning, "warning: ");
        line.text(Role::Plain, text);
        self.remarks.push(line);
    }

    /// The same for a warning that is drawn over several lines.
    pub(crate) fn warn_drawn(&mut self, drawn: &str) {
        let mut lines = drawn.lines();
        self.warn(lines.next().unwrap_or_default());
        self.remarks
            .extend(lines.map(|line| Line::of(Role::Plain, line)));
    }

    /// Sends everything out, waits for the pager, and says the remarks.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        match self.sink.take() {
            None | Some(Sink::Memory(_)) => {}
            Some(Sink::Stdout(mut out)) => out.flush()?,
            Some(Sink::Pager(mut child, mut out)) => {
                out.flush()?;
                drop(out);
                child.wait()?;
            }
        }
        let mut stderr = io::stderr().lock();
        let mut sheet = Sheet::new(&mut stderr, &self.settings.stderr_look);
        for line in &self.remarks {
            sheet.line(line)?;
        }
        Ok(())
    }
}
