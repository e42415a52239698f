use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::ReadFailure;

/// The formats that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// OTLP/JSON: an object with `resourceSpans`.
    OtlpJson,
    /// An OTLP/JSON span that stands alone, or a list of them.
    OtlpSpan,
    /// The protobuf message `ExportTraceServiceRequest`.
    OtlpProtobuf,
    /// MLflow's trace JSON: an object with `info` and `data`.
    MlflowJson,
    /// Spanlite's own lines.
    JsonLines,
}

impl Format {
    /// The name as errors and summaries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtlpJson => "OTLP/JSON",
            Self::OtlpSpan => "OTLP/JSON span",
            Self::OtlpProtobuf => "OTLP protobuf",
            Self::MlflowJson => "MLflow trace JSON",
            Self::JsonLines => "Spanlite JSON lines",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Finds the format of a file by its content. One JSON document, or the first of several, must
/// be whole; for protobuf the first byte decides.
pub fn detect(bytes: &[u8]) -> Result<Format, ReadFailure> {
    let text = crate::source::without_mark(bytes);
    match crate::source::Start::of(text) {
        crate::source::Start::Nothing => Err(ReadFailure::Empty),
        crate::source::Start::Json => {
            let document = crate::source::first_document(text).unwrap_or(text);
            detect_json(document)
        }
        crate::source::Start::Protobuf => Ok(Format::OtlpProtobuf),
        crate::source::Start::Compressed { with } => Err(ReadFailure::Compressed { with }),
        crate::source::Start::Other { start } => Err(ReadFailure::NotATraceFile { start }),
    }
}

/// Finds the format of one JSON document.
pub(crate) fn detect_json(document: &[u8]) -> Result<Format, ReadFailure> {
    let Shape { list, keys } = serde_json::from_slice(document)?;
    let has = |key: &str| keys.iter().any(|one| one == key);
    let all = |names: &[&str]| names.iter().all(|name| has(name));
    let format = if !list && (has("resourceSpans") || has("resource_spans")) {
        Some(Format::OtlpJson)
    } else if !list && has("spanlite_trace") {
        Some(Format::JsonLines)
    } else if all(&["info", "data"]) {
        Some(Format::MlflowJson)
    } else if has("name")
        && !has("context")
        && !has("spanContext")
        && (has("kind") || has("traceId"))
    {
        Some(Format::OtlpSpan)
    } else {
        None
    };
    format.ok_or(ReadFailure::UnknownShape { keys })
}

/// The outermost keys of a JSON document; of a list those of its first element.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) list: bool,
    pub(crate) keys: Vec<String>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

/// How many keys are looked at; no format needs more to be told.
const MAX_KEYS: usize = 64;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, serde::de::IgnoredAny)) = map.next_entry()? {
            if keys.len() < MAX_KEYS {
                keys.push(key);
            }
        }
        Ok(Shape { list: false, keys })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut first: Option<Shape> = seq.next_element()?;
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        let keys = first.take().map(|first| first.keys).unwrap_or_default();
        Ok(Shape { list: true, keys })
    }
}
