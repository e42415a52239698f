//! Finds the documents in a stream: JSON values one after another, or one protobuf message.

use std::io::Read;

use crate::error::ReadFailure;

/// How large one document may be. A larger one would be held in memory several times over.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 1 << 30;
/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 18;
/// How many first bytes an error shows.
const SHOWN_BYTES: usize = 16;

/// What the first bytes of a file tell.
pub(crate) enum Start {
    /// White space only.
    Nothing,
    /// A JSON object or list.
    Json,
    /// The first field of an OTLP request.
    Protobuf,
    /// A compressed file.
    Compressed { with: &'static str },
    /// Something else.
    Other { start: Vec<u8> },
}

impl Start {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => return Self::Compressed { with: "gzip" },
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Self::Compressed { with: "zstd" },
            [b'P', b'K', 3, 4, ..] => return Self::Compressed { with: "zip" },
            // Field 1, length-delimited. The tag is a line feed, so what follows decides: a
            // message begins with a field tag, JSON with white space or a bracket.
            [b'\n', ..] if begins_message(bytes) => return Self::Protobuf,
            _ => {}
        }
        let start = bytes.trim_ascii_start();
        match start.first() {
            None => Self::Nothing,
            Some(b'{' | b'[') => Self::Json,
            Some(_) => Self::Other {
                start: start.iter().copied().take(SHOWN_BYTES).collect(),
            },
        }
    }
}

/// Returns whether the bytes are a tag of field 1, a length, and a tag of `ResourceSpans`.
fn begins_message(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(1..).unwrap_or_default().iter();
    let length_bytes = rest.by_ref().take(10).position(|byte| byte & 0x80 == 0);
    let Some(last) = length_bytes else {
        return false;
    };
    let empty = last == 0 && bytes.get(1) == Some(&0);
    match bytes.get(last + 2) {
        // An empty `ResourceSpans` is the whole message, or another follows.
        None => empty,
        Some(b'\n') if empty => true,
        // Resource, list of spans by scope, schema address.
        Some(0x0a | 0x12 | 0x1a) => !empty && bytes.get(1) != Some(&b' '),
        // The list of spans by library, deprecated.
        Some(0xc2) => true,
        Some(_) => false,
    }
}

/// The bytes without the mark that some editors put in front of UTF-8.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The first whole JSON value of a text.
pub(crate) fn first_document(text: &[u8]) -> Option<&[u8]> {
    let start = text.len() - text.trim_ascii_start().len();
    let mut scanner = Scanner::default();
    let end = scanner.end_of_value(text.get(start..)?)?;
    text.get(start..start + end)
}

/// Finds where a JSON object or list ends, without looking at anything but brackets and strings.
#[derive(Default)]
struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// How many of these bytes belong to the value; nothing while it goes on. Bytes are seen once.
    fn end_of_value(&mut self, bytes: &[u8]) -> Option<usize> {
        for (n, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(n + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Where the first line feed stands that is not among the bytes already seen.
fn line_feed(bytes: &[u8], seen: usize) -> Option<usize> {
    let unseen = bytes.get(seen..)?;
    Some(seen + unseen.iter().position(|byte| *byte == b'\n')?)
}

/// A document and where it begins.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    /// The line it begins on, the first being 1.
    pub(crate) line: u64,
    /// Its first byte.
    pub(crate) offset: u64,
    /// Whether it is JSON.
    pub(crate) json: bool,
}

/// A failure and where it is.
pub(crate) struct Fault {
    pub(crate) line: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) reason: ReadFailure,
}

/// How documents follow one another.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// The first line has not been seen.
    Unknown,
    /// A document a line: a bad one does not spoil the next.
    Lines,
    /// Documents over several lines.
    Values,
    /// One binary message.
    Message,
    /// Nothing more can be found.
    Ended,
}

/// The documents of a stream, one held at a time.
pub(crate) struct Documents<R> {
    source: R,
    /// What was read and not given out; the first `used` bytes are done with.
    buffer: Vec<u8>,
    used: usize,
    at_end: bool,
    layout: Layout,
    line: u64,
    offset: u64,
}

impl<R: Read> Documents<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            used: 0,
            at_end: false,
            layout: Layout::Unknown,
            line: 1,
            offset: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads more, and returns whether there was more.
    fn fill(&mut self) -> Result<bool, ReadFailure> {
        if self.at_end {
            return Ok(false);
        }
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        if self.buffer.len() >= MAX_DOCUMENT_BYTES {
            return Err(ReadFailure::TooLarge {
                limit_bytes: MAX_DOCUMENT_BYTES,
            });
        }
        let before = self.buffer.len();
        self.source
            .by_ref()
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut self.buffer)?;
        self.at_end = self.buffer.len() == before;
        Ok(!self.at_end)
    }

    /// Passes over bytes, keeping count of the place.
    fn pass(&mut self, count: usize) {
        let passed = self.buffer.get(self.used..self.used + count);
        let lines = passed.unwrap_or_default().split(|byte| *byte == b'\n');
        let lines = lines.count() - 1;
        self.line += lines as u64;
        self.offset += count as u64;
        self.used += count;
    }

    fn skip_space(&mut self) -> Result<(), ReadFailure> {
        loop {
            let rest = self.rest();
            let space = rest.len() - rest.trim_ascii_start().len();
            self.pass(space);
            if !self.rest().is_empty() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The layout, found by what the first line holds.
    fn find_layout(&mut self) -> Result<Layout, ReadFailure> {
        while self.rest().len() < CHUNK_BYTES && self.fill()? {}
        let marked = self.rest().len() - without_mark(self.rest()).len();
        self.pass(marked);
        match Start::of(self.rest()) {
            Start::Nothing => {
                self.skip_space()?;
                match self.rest() {
                    [] => Err(ReadFailure::Empty),
                    _ => Ok(Layout::Values),
                }
            }
            Start::Protobuf => Ok(Layout::Message),
            Start::Compressed { with } => Err(ReadFailure::Compressed { with }),
            Start::Other { start } => Err(ReadFailure::NotATraceFile { start }),
            Start::Json => {
                self.skip_space()?;
                self.json_layout()
            }
        }
    }

    /// Lines when the first line is a whole value, or the second line begins one of its own.
    fn json_layout(&mut self) -> Result<Layout, ReadFailure> {
        let mut seen = 0;
        let end = loop {
            if let Some(end) = line_feed(self.rest(), seen) {
                break end;
            }
            seen = self.rest().len();
            if !self.fill()? {
                break seen;
            }
        };
        let line = self.rest().get(..end).unwrap_or_default();
        let mut scanner = Scanner::default();
        let whole = match scanner.end_of_value(line) {
            Some(last) => line.get(last..).unwrap_or_default().trim_ascii().is_empty(),
            None => false,
        };
        let next = self.rest().get(end + 1).copied();
        let cut = !whole && line.len() > 2 && next == Some(b'{') && line.first() == Some(&b'{');
        Ok(if whole || cut {
            Layout::Lines
        } else {
            Layout::Values
        })
    }

    fn next_document(&mut self) -> Result<Option<Document>, ReadFailure> {
        if self.layout == Layout::Unknown {
            self.layout = self.find_layout()?;
        }
        if self.layout == Layout::Message {
            while self.fill()? {}
            self.layout = Layout::Ended;
            return Ok(Some(Document {
                bytes: std::mem::take(&mut self.buffer).split_off(self.used),
                line: 1,
                offset: self.offset,
                json: false,
            }));
        }
        self.skip_space()?;
        if self.layout == Layout::Ended || self.rest().is_empty() {
            return Ok(None);
        }
        let (line, offset) = (self.line, self.offset);
        let length = match self.layout {
            Layout::Lines => self.end_of_line()?,
            _ => self.end_of_value()?,
        };
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.pass(length);
        Ok(Some(Document {
            bytes,
            line,
            offset,
            json: true,
        }))
    }

    fn end_of_line(&mut self) -> Result<usize, ReadFailure> {
        let mut seen = 0;
        loop {
            if let Some(end) = line_feed(self.rest(), seen) {
                return Ok(end);
            }
            seen = self.rest().len();
            if !self.fill()? {
                return Ok(seen);
            }
        }
    }

    /// The end of the value; all that is left when it does not end, for the parser to say why.
    fn end_of_value(&mut self) -> Result<usize, ReadFailure> {
        if !matches!(self.rest().first(), Some(b'{' | b'[')) {
            let start = self.rest().iter().copied().take(SHOWN_BYTES).collect();
            return Err(ReadFailure::NotATraceFile { start });
        }
        let mut scanner = Scanner::default();
        let mut seen = 0;
        loop {
            let unseen = self.rest().get(seen..).unwrap_or_default();
            if let Some(end) = scanner.end_of_value(unseen) {
                return Ok(seen + end);
            }
            seen = self.rest().len();
            if !self.fill()? {
                return Ok(seen);
            }
        }
    }
}

impl<R: Read> Iterator for Documents<R> {
    type Item = Result<Document, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_document() {
            Ok(document) => document.map(Ok),
            Err(reason) => {
                self.layout = Layout::Ended;
                self.buffer.clear();
                self.used = 0;
                self.at_end = true;
                let line = match reason {
                    ReadFailure::NotATraceFile { .. } if self.offset > 0 => Some(self.line),
                    _ => None,
                };
                let offset = match reason {
                    ReadFailure::Empty => 0,
                    _ => self.offset,
                };
                Some(Err(Fault {
                    line,
                    offset,
                    reason,
                }))
            }
        }
    }
}
