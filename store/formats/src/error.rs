use std::fmt;

use crate::Format;

/// Why a file, or one document of it, cannot be read. Nothing of that document was taken.
#[derive(Debug, thiserror::Error)]
#[error("{path}{}", Place { line: *line, offset: *offset })]
#[non_exhaustive]
pub struct ReadError {
    /// The name the source was given.
    pub path: String,
    /// The line of the fault, the first being 1; binary formats have none.
    pub line: Option<u64>,
    /// The first byte of the document at fault, counted from the start of the source.
    pub offset: u64,
    /// What is wrong.
    #[source]
    pub reason: Box<ReadFailure>,
}

struct Place {
    line: Option<u64>,
    offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, ", line {line}"),
            None if self.offset > 0 => write!(f, ", byte {}", self.offset),
            None => Ok(()),
        }
    }
}

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFailure {
    /// The source cannot be read.
    #[error("the source cannot be read")]
    Io(#[from] std::io::Error),
    /// There is nothing in it but white space.
    #[error("it is empty")]
    Empty,
    /// It is neither JSON nor OTLP protobuf.
    #[error(
        "it begins with {} and is neither JSON nor OTLP protobuf",
        Start(start)
    )]
    NotATraceFile {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// It is compressed.
    #[error("it is compressed with {with}; unpack it first")]
    Compressed {
        /// Name of the compression.
        with: &'static str,
    },
    /// It is JSON of no trace format known here.
    #[error("it is JSON of no known trace format; its keys are {}", Keys(keys))]
    UnknownShape {
        /// The keys of the outermost object, or of the first object of the outermost list.
        keys: Vec<String>,
    },
    /// The format is recognised and is not read.
    #[error("it looks like {what}, which is not read: {why}")]
    Unsupported {
        /// What it looks like.
        what: &'static str,
        /// Why it is not read.
        why: &'static str,
    },
    /// It is not valid JSON, or a field has a value its format does not allow.
    #[error("{0}")]
    Json(JsonFailure),
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is not valid OTLP protobuf.
    #[error("it is not OTLP protobuf")]
    Protobuf(#[source] ProtobufFailure),
    /// An id has the wrong length.
    #[error("the {field} of span `{span}` has {found} bytes, not {expected}")]
    IdLength {
        /// Name of the field.
        field: &'static str,
        /// How many bytes such an id has.
        expected: usize,
        /// How many bytes it has.
        found: usize,
        /// Name of the span, cut to 80 characters.
        span: String,
    },
    /// An id is absent, or has zeros only, where a sender must give one.
    #[error("span `{span}` has no {field}")]
    NoId {
        /// Name of the field.
        field: &'static str,
        /// Name of the span, cut to 80 characters.
        span: String,
    },
    /// A number stands for no name of its list.
    #[error("{field} {number} of span `{span}` is none that OTLP defines")]
    Enum {
        /// Name of the field.
        field: &'static str,
        /// The number.
        number: i32,
        /// Name of the span, cut to 80 characters.
        span: String,
    },
    /// A field that the format needs is absent, or of another type than it must be.
    #[error("{format} needs the field `{field}`, and it is absent or of another type")]
    Field {
        /// The format.
        format: Format,
        /// Path of the field.
        field: &'static str,
    },
    /// A time is none, or lies before 1970 or after 2554.
    #[error("`{text}` in `{field}` is no time from 1970 on")]
    Time {
        /// Name of the field.
        field: &'static str,
        /// The text, cut to 80 characters.
        text: String,
    },
    /// It would take more memory than one document may, however small it is.
    #[error(
        "one document of it would take {needed_bytes} bytes of memory, more than {limit_bytes}"
    )]
    Memory {
        /// What it would take.
        needed_bytes: usize,
        /// What a document may take.
        limit_bytes: usize,
    },
    /// It is larger than one document may be.
    #[error("one document of it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// How large a document may be.
        limit_bytes: usize,
    },
}

/// A fault that the JSON parser found, told without the parser's own place, which counts from
/// the document's start and not from the file's.
#[derive(Debug)]
pub struct JsonFailure {
    source: serde_json::Error,
}

impl JsonFailure {
    /// The line inside the document, the first being 1; 0 when the parser does not know.
    pub fn line(&self) -> usize {
        self.source.line()
    }

    /// The column in bytes, the first being 1; 0 when the parser does not know.
    pub fn column(&self) -> usize {
        self.source.column()
    }
}

impl fmt::Display for JsonFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.source.to_string();
        let place = format!(
            " at line {} column {}",
            self.source.line(),
            self.source.column()
        );
        match text.strip_suffix(&place) {
            Some(text) => write!(f, "{text} at column {}", self.source.column()),
            None => f.write_str(&text),
        }
    }
}

impl From<serde_json::Error> for ReadFailure {
    fn from(source: serde_json::Error) -> Self {
        Self::Json(JsonFailure { source })
    }
}

/// A fault that the protobuf decoder found.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ProtobufFailure {
    source: prost::DecodeError,
}

impl From<prost::DecodeError> for ReadFailure {
    fn from(source: prost::DecodeError) -> Self {
        Self::Protobuf(ProtobufFailure { source })
    }
}

/// Why traces could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The destination refused.
    #[error("the destination cannot be written")]
    Io(#[from] std::io::Error),
    /// A value cannot be written as JSON, or the destination refused in the middle of one.
    #[error("a trace cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The name of a span as errors show it.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

struct Start<'a>(&'a [u8]);

impl fmt::Display for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

struct Keys<'a>(&'a [String]);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, key) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}`{}`", shown(key).escape_debug())?;
        }
        Ok(())
    }
}
