//! The document in which a server without a database keeps the spans of a trace: `traces.json`, in
//! the form of MLflow's `Span.to_dict`.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spanlite_model::{Attributes, Span, StatusCode, Value, keys};

use crate::json::quoted;

/// The document. Spans that were there stay as they are written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    spans: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct SpanIdOnly {
    span_id: String,
}

#[derive(Serialize)]
struct SpanDict<'a> {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    name: &'a str,
    start_time_unix_nano: u64,
    end_time_unix_nano: Option<u64>,
    events: Vec<EventDict<'a>>,
    status: StatusDict<'a>,
    attributes: BTreeMap<&'a str, String>,
    links: Vec<LinkDict<'a>>,
}

#[derive(Serialize)]
struct EventDict<'a> {
    name: &'a str,
    time_unix_nano: u64,
    attributes: &'a Attributes,
}

#[derive(Serialize)]
struct LinkDict<'a> {
    trace_id: String,
    span_id: String,
    attributes: &'a Attributes,
}

#[derive(Serialize)]
struct StatusDict<'a> {
    code: &'static str,
    message: &'a str,
}

impl Document {
    /// A document of spans as they go over the wire.
    pub(super) fn of(spans: &[Span]) -> Result<Self, serde_json::Error> {
        let spans = spans.iter().map(|span| {
            let dict = SpanDict::of(span);
            serde_json::value::to_raw_value(&dict)
        });
        Ok(Self {
            spans: spans.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The spans of `self`, and those of an older document that `self` does not have.
    pub(super) fn over(mut self, older: &[u8]) -> Result<Self, serde_json::Error> {
        let id_of = |span: &RawValue| {
            let span: Result<SpanIdOnly, _> = serde_json::from_str(span.get());
            span.map(|span| span.span_id)
        };
        let mut own = HashSet::new();
        for span in &self.spans {
            own.insert(id_of(span)?);
        }
        let older: Self = serde_json::from_slice(older)?;
        for span in older.spans {
            if !own.contains(&id_of(&span)?) {
                self.spans.push(span);
            }
        }
        Ok(self)
    }
}

impl<'a> SpanDict<'a> {
    fn of(span: &'a Span) -> Self {
        let mut attributes: BTreeMap<&str, String> = span
            .attributes
            .iter()
            .map(|(key, value)| (key, stored_text(value)))
            .collect();
        attributes.insert(
            keys::MLFLOW_TRACE_REQUEST_ID,
            quoted(&span.trace_id.to_string()),
        );
        Self {
            trace_id: BASE64.encode(span.trace_id.as_bytes()),
            span_id: BASE64.encode(span.span_id.as_bytes()),
            parent_span_id: span.parent_span_id.map(|id| BASE64.encode(id.as_bytes())),
            name: &span.name,
            start_time_unix_nano: span.start_time_unix_nano,
            end_time_unix_nano: span.end_time_unix_nano,
            events: span
                .events
                .iter()
                .map(|event| EventDict {
                    name: &event.name,
                    time_unix_nano: event.time_unix_nano,
                    attributes: &event.attributes,
                })
                .collect(),
            status: StatusDict {
                code: match span.status.code {
                    StatusCode::Unset => "STATUS_CODE_UNSET",
                    StatusCode::Ok => "STATUS_CODE_OK",
                    StatusCode::Error => "STATUS_CODE_ERROR",
                },
                message: &span.status.message,
            },
            attributes,
            links: span
                .links
                .iter()
                .map(|link| LinkDict {
                    trace_id: link.trace_id.to_string(),
                    span_id: link.span_id.to_string(),
                    attributes: &link.attributes,
                })
                .collect(),
        }
    }
}

/// What a server with a database would store of an attribute that is sent: the JSON text of the
/// value, less one layer of quotes where a string holds JSON.
fn stored_text(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let first = text.trim_start_matches([' ', '\t', '\r', '\n']);
            if first.starts_with(['"', '[', '{']) {
                text.clone()
            } else {
                quoted(text)
            }
        }
        Value::Double(number) if number.is_nan() => "NaN".to_owned(),
        Value::Double(number) if number.is_infinite() && *number > 0.0 => "Infinity".to_owned(),
        Value::Double(number) if number.is_infinite() => "-Infinity".to_owned(),
        other => other.to_json_text(),
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{SpanId, TraceId};

    use super::*;

    fn span(place: u8, name: &str) -> Span {
        let mut span = Span::new(
            TraceId::from_bytes([7; 16]),
            SpanId::from_bytes([place; 8]),
            name,
        );
        span.attributes = [
            ("text", Value::from("plain")),
            ("list", Value::from("[1, 2]")),
            ("nan", Value::Double(f64::NAN)),
        ]
        .into_iter()
        .collect();
        span
    }

    #[test]
    fn newer_spans_take_the_place_of_older_ones() {
        let older = Document::of(&[span(1, "old"), span(2, "kept")]).unwrap();
        let older = older.to_bytes().unwrap();
        let both = Document::of(&[span(1, "new")])
            .unwrap()
            .over(&older)
            .unwrap();
        let names: Vec<String> = both
            .spans
            .iter()
            .map(|span| {
                let span: serde_json::Value = serde_json::from_str(span.get()).unwrap();
                assert_eq!(span["attributes"]["text"], "\"plain\"");
                assert_eq!(span["attributes"]["list"], "[1, 2]");
                assert_eq!(span["attributes"]["nan"], "NaN");
                span["name"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(names, ["new", "kept"]);
    }
}
