use serde::Deserialize;
use serde_json::Value as JsonValue;
use spanlite_model::{Json, Span, Trace, TraceId};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

use super::kept::Kept;
use super::{Object, SOURCE, SOURCE_NAME, info, span};
use crate::error::ReadFailure;
use crate::lines::{InfoDocument, KnownProducers, ResourceDocument, ScopeDocument, SpanDocument};

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    info: Object,
    #[serde(default)]
    data: Data,
    #[serde(default)]
    spanlite: Option<Addition>,
}

#[derive(Deserialize, Default)]
struct Data {
    #[serde(default)]
    spans: Vec<Object>,
}

/// What [`super::write_mlflow_json`] adds.
#[derive(Deserialize)]
struct Addition {
    info: Option<InfoDocument>,
    #[serde(default)]
    resources: Vec<ResourceDocument>,
    #[serde(default)]
    scopes: Vec<ScopeDocument>,
    #[serde(default)]
    spans: BTreeMap<usize, SpanDocument>,
}

/// Reads one trace of MLflow's trace JSON, or a list of them. `data` may be absent: then there are
/// no spans.
pub fn read_mlflow_json(text: &str) -> Result<Vec<Trace>, ReadFailure> {
    let documents: Vec<Document> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)?
    } else {
        vec![serde_json::from_str(text)?]
    };
    documents.into_iter().map(trace).collect()
}

/// Reads what MLflow's JSON says of a trace beside its spans: the object under `info`.
pub fn read_mlflow_info(info: &serde_json::Map<String, JsonValue>) -> Result<Trace, ReadFailure> {
    plain(info, &[])
}

fn trace(document: Document) -> Result<Trace, ReadFailure> {
    let mut trace = plain(&document.info, &document.data.spans)?;
    let Some(addition) = document.spanlite else {
        crate::dialect::derive_spans(&mut trace.spans);
        return Ok(trace);
    };
    let producers = KnownProducers::new(addition.resources, addition.scopes);
    for (place, one) in addition.spans {
        let span = trace.spans.get_mut(place);
        let span = span.ok_or_else(|| span::missing("data.spans[]"))?;
        span.resource = producers
            .resource(one.resource)
            .ok_or_else(|| span::missing("spanlite.resources[]"))?;
        span.scope = producers
            .scope(one.scope)
            .ok_or_else(|| span::missing("spanlite.scopes[]"))?;
        one.apply(span);
    }
    if let Some(info) = addition.info {
        trace.info = info.into();
    }
    crate::dialect::derive_spans(&mut trace.spans);
    Ok(trace)
}

/// Reads what MLflow itself knows of a trace, with what the model would lose kept in `extra`.
pub(super) fn plain(info: &Object, spans: &[Object]) -> Result<Trace, ReadFailure> {
    let trace_id = trace_id(info, spans)?;
    let mut trace = Trace::new(trace_id, Vec::with_capacity(spans.len()));
    let mut kept = Kept::default();
    for original in spans {
        let span = span::read(original, trace_id)?;
        if !original.contains_key("context") {
            kept.note_span(&span, original, &span::write(&span, false));
        }
        trace.spans.push(span);
    }
    trace.info = info::read(info)?;
    kept.note_info(info, &info::write(&trace, false));
    kept.store(&mut trace.info);
    let source = Json::from_trusted_text(SOURCE_NAME);
    trace.info.extra.insert(SOURCE.to_owned(), source);
    Ok(trace)
}

/// The id that the spans have, else the public one; an id of another form is replaced by one
/// that follows from it.
pub(super) fn trace_id(info: &Object, spans: &[Object]) -> Result<TraceId, ReadFailure> {
    let named = info.get("trace_id").or_else(|| info.get("request_id"));
    let named = named.and_then(JsonValue::as_str);
    if let Some(id) = named.and_then(|text| text.parse().ok()) {
        return Ok(id);
    }
    if let Some(id) = spans.first().and_then(span::trace_id_of) {
        return Ok(id);
    }
    let named = named.ok_or_else(|| span::missing("info.trace_id"))?;
    let hash = xxh3_128(named.as_bytes());
    Ok(TraceId::from_bytes(hash.to_be_bytes()))
}

/// Returns whether two renderings of one span read as the same span.
pub(super) fn same_span(a: &Object, b: &Object, trace_id: TraceId) -> bool {
    let read = |object| span::read(object, trace_id).ok();
    let (a, b): (Option<Span>, Option<Span>) = (read(a), read(b));
    a.is_some() && a == b
}

/// Returns whether two renderings of `info` read as the same.
pub(super) fn same_info(a: &Object, b: &Object) -> bool {
    let (a, b) = (info::read(a).ok(), info::read(b).ok());
    a.is_some() && a == b
}
