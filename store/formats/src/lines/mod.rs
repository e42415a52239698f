//! Spanlite's own interchange form: one JSON object a line, one line a trace, nothing lost.
//!
//! ```text
//! {"spanlite_trace":1,"trace_id":"tr-…","info":{…},"resources":[…],"scopes":[…],"spans":[…]}
//! ```
//!
//! `info` and each span have the field names of [`spanlite_model::TraceInfo`] and
//! [`spanlite_model::Span`]; what is empty is left out; `resource` and `scope` of a span are
//! places in the lists, 0 when absent. `inputs`, `outputs` and the values of `extra` are the
//! stored JSON text. Attribute values are plain JSON, with three exceptions that JSON cannot say:
//! `{"$bytes":"<base64>"}`, `{"$double":"NaN"}` (or `Infinity`, `-Infinity`), and
//! `{"$entries":[[key,value],…]}` for a map with a key that comes twice or begins with `$`.
//! A number with a fraction or an exponent is a double, any other an integer.

mod assessment;
mod info;
mod span;
mod value;

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spanlite_model::{Resource, Scope, Span, SpanId, Trace, TraceId};

use crate::Format;
use crate::error::{ReadFailure, WriteError};
pub(crate) use info::InfoDocument;
pub(crate) use span::{ResourceDocument, ScopeDocument, SpanDocument};

/// The version that `spanlite_trace` holds.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct TraceDocument {
    spanlite_trace: u32,
    trace_id: TraceId,
    #[serde(default, skip_serializing_if = "InfoDocument::is_empty")]
    info: InfoDocument,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    resources: Vec<ResourceDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<ScopeDocument>,
    #[serde(default)]
    spans: Vec<SpanDocument>,
}

/// Writes each trace as one line of Spanlite's own JSON.
pub fn write_json_lines(traces: &[Trace], mut out: impl Write) -> Result<(), WriteError> {
    for trace in traces {
        serde_json::to_writer(&mut out, &document(trace))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn document(trace: &Trace) -> TraceDocument {
    let mut producers = Producers::default();
    let spans = trace
        .spans
        .iter()
        .map(|span| {
            let mut document = SpanDocument::from(span);
            (document.resource, document.scope) = producers.places(span);
            document
        })
        .collect();
    let (resources, scopes) = producers.finish();
    TraceDocument {
        spanlite_trace: VERSION,
        trace_id: trace.trace_id,
        info: InfoDocument::from(&trace.info),
        resources,
        scopes,
        spans,
    }
}

/// Reads one line.
pub(crate) fn read_line(text: &str) -> Result<Vec<Trace>, ReadFailure> {
    let document: TraceDocument = serde_json::from_str(text)?;
    if document.spanlite_trace != VERSION {
        return Err(ReadFailure::Unsupported {
            what: "a trace of another Spanlite",
            why: "the version of its lines is not 1",
        });
    }
    let missing = |field| ReadFailure::Field {
        format: Format::JsonLines,
        field,
    };
    let producers = KnownProducers::new(document.resources, document.scopes);
    let mut spans = Vec::with_capacity(document.spans.len());
    for one in document.spans {
        let span_id: SpanId = one.span_id.ok_or_else(|| missing("spans[].span_id"))?;
        let mut span = Span::new(document.trace_id, span_id, "");
        span.resource = producers
            .resource(one.resource)
            .ok_or_else(|| missing("resources[]"))?;
        span.scope = producers
            .scope(one.scope)
            .ok_or_else(|| missing("scopes[]"))?;
        one.apply(&mut span);
        spans.push(span);
    }
    Ok(vec![Trace {
        trace_id: document.trace_id,
        info: document.info.into(),
        spans,
    }])
}

/// The resources and scopes of a document being written, each once.
#[derive(Default)]
pub(crate) struct Producers {
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
}

impl Producers {
    /// Where the span's resource and scope stand.
    pub(crate) fn places(&mut self, span: &Span) -> (usize, usize) {
        (
            place(&mut self.resources, &span.resource),
            place(&mut self.scopes, &span.scope),
        )
    }

    /// The two lists; empty when all they hold is one that says nothing.
    pub(crate) fn finish(self) -> (Vec<ResourceDocument>, Vec<ScopeDocument>) {
        let resources = without_default(&self.resources);
        let scopes = without_default(&self.scopes);
        (
            resources.iter().map(|one| one.as_ref().into()).collect(),
            scopes.iter().map(|one| one.as_ref().into()).collect(),
        )
    }
}

fn place<T: PartialEq>(list: &mut Vec<Arc<T>>, one: &Arc<T>) -> usize {
    let found = list
        .iter()
        .position(|other| Arc::ptr_eq(other, one) || other == one);
    found.unwrap_or_else(|| {
        list.push(Arc::clone(one));
        list.len() - 1
    })
}

fn without_default<T: PartialEq + Default>(list: &[Arc<T>]) -> &[Arc<T>] {
    match list {
        [only] if **only == T::default() => &[],
        all => all,
    }
}

/// The resources and scopes of a document being read.
pub(crate) struct KnownProducers {
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
}

impl KnownProducers {
    pub(crate) fn new(resources: Vec<ResourceDocument>, scopes: Vec<ScopeDocument>) -> Self {
        Self {
            resources: resources
                .into_iter()
                .map(|one| Arc::new(one.into()))
                .collect(),
            scopes: scopes.into_iter().map(|one| Arc::new(one.into())).collect(),
        }
    }

    /// The resource at a place; the empty one when the document has no list.
    pub(crate) fn resource(&self, place: usize) -> Option<Arc<Resource>> {
        at(&self.resources, place)
    }

    /// The scope at a place; the empty one when the document has no list.
    pub(crate) fn scope(&self, place: usize) -> Option<Arc<Scope>> {
        at(&self.scopes, place)
    }
}

fn at<T: Default>(list: &[Arc<T>], place: usize) -> Option<Arc<T>> {
    if list.is_empty() && place == 0 {
        return Some(Arc::default());
    }
    list.get(place).cloned()
}
