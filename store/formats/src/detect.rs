use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    /// The answer of Jaeger's query API, or one trace of it.
    Jaeger,
    /// Zipkin's list of spans, second version.
    Zipkin,
    /// Langfuse's export of one trace.
    Langfuse,
    /// What the console exporter of OpenTelemetry's Python SDK prints, and Monocle's files.
    OtelConsole,
    /// Spans as evaluation tools for Strands agents collect them.
    StrandsSpans,
    /// Spans of OpenTelemetry's JavaScript SDK, such as Vercel's AI SDK makes.
    VercelAi,
    /// Amazon Bedrock AgentCore's raw log.
    AgentCore,
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
            Self::Jaeger => "Jaeger JSON",
            Self::Zipkin => "Zipkin JSON",
            Self::Langfuse => "Langfuse trace JSON",
            Self::OtelConsole => "OpenTelemetry console JSON",
            Self::StrandsSpans => "Strands spans JSON",
            Self::VercelAi => "JavaScript span JSON",
            Self::AgentCore => "AgentCore raw log",
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
    let shape: Shape = serde_json::from_slice(document)?;
    let known = FORMATS.iter().find(|(keys, _)| shape.has(keys));
    if let Some((_, format)) = known {
        return Ok(*format);
    }
    let refused = REFUSED.iter().find(|(keys, _, _)| shape.has(keys));
    Err(match refused {
        Some((_, what, why)) => ReadFailure::Unsupported { what, why },
        None => ReadFailure::UnknownShape { keys: shape.keys },
    })
}

/// The keys that tell a format, the first row whose keys are all there. A key after a dot is one
/// of the objects inside a field.
const FORMATS: &[(&[&str], Format)] = &[
    (&["resourceSpans"], Format::OtlpJson),
    (&["resource_spans"], Format::OtlpJson),
    (&["spanlite_trace"], Format::JsonLines),
    (&["info", "data"], Format::MlflowJson),
    (&["trace", "observations"], Format::Langfuse),
    (&["raw_otel_json"], Format::AgentCore),
    (&["data.traceID"], Format::Jaeger),
    (&["traceID", "spans"], Format::Jaeger),
    (&["traceId", "id", "localEndpoint"], Format::Zipkin),
    (&["traceId", "id", "timestamp", "name"], Format::Zipkin),
    (&["spanContext"], Format::VercelAi),
    (&["context", "name"], Format::OtelConsole),
    (&["spans.context"], Format::OtelConsole),
    (&["spans.span_name"], Format::OtelConsole),
    (&["trace_id", "span_id", "start_time"], Format::StrandsSpans),
    (&["spans.trace_id", "spans.span_id"], Format::StrandsSpans),
    (&["spans.spanContext"], Format::VercelAi),
    (&["name", "kind"], Format::OtlpSpan),
    (&["name", "traceId"], Format::OtlpSpan),
];

/// What is recognised and not read: keys, what it is, why.
const REFUSED: &[(&[&str], &str, &str)] = &[
    (
        &["resourceLogs"],
        "OTLP log records",
        "only spans are stored",
    ),
    (
        &["resourceMetrics"],
        "OTLP metrics",
        "only spans are stored",
    ),
    (
        &["trajectory"],
        "a trajectory of SWE-agent",
        "its steps are no spans and have no times",
    ),
    (
        &["traj"],
        "a tau-bench result",
        "its messages are no spans and have no times",
    ),
    (
        &["eval", "samples"],
        "an evaluation log of Inspect",
        "its samples are no spans",
    ),
    (
        &["sessionId", "type", "timestamp"],
        "a session log of Claude Code",
        "its lines are messages, not spans",
    ),
    (
        &["sessionId", "type", "uuid"],
        "a session log of Claude Code",
        "its lines are messages, not spans",
    ),
    (
        &["messages"],
        "a list of chat messages",
        "they are no spans and have no times",
    ),
];

/// The outermost keys of a JSON document, of a list those of its first object, and below them,
/// after a dot, the keys of objects and of the first object of lists.
#[derive(Default)]
struct Shape {
    keys: Vec<String>,
    inner: Vec<String>,
}

impl Shape {
    fn has(&self, keys: &[&str]) -> bool {
        let inside = |key: &&str| {
            let list = if key.contains('.') {
                &self.inner
            } else {
                &self.keys
            };
            list.iter().any(|one| one == key)
        };
        keys.iter().all(inside)
    }
}

/// How many keys are looked at in one object; no format needs more to be told.
const MAX_KEYS: usize = 64;

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while let Some((key, below)) = map.next_entry::<String, Keys>()? {
            if shape.keys.len() < MAX_KEYS {
                let inner = below.0.iter().map(|inner| format!("{key}.{inner}"));
                shape.inner.extend(inner);
                shape.keys.push(key);
            }
        }
        Ok(shape)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let first = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first.unwrap_or_default())
    }
}

/// The keys of an object, or of the first object of a list; of anything else none.
#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor { lists: 2 })
    }
}

/// Reads keys through at most so many lists, so that nesting costs no stack.
struct KeysVisitor {
    lists: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for KeysVisitor {
    type Value = Keys;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Keys, D::Error> {
        if self.lists == 0 {
            return IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Keys::default());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            if keys.len() < MAX_KEYS {
                keys.push(key);
            }
        }
        Ok(Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
        let below = Self {
            lists: self.lists - 1,
        };
        let first = seq.next_element_seed(below)?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first.unwrap_or_default())
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(Keys::default())
    }
}
