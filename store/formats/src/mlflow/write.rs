use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use spanlite_model::{Attributes, Span, Trace, Value};

use super::kept::Kept;
use super::read::{plain, same_info, same_span};
use super::{Object, SOURCE, SOURCE_NAME, info, span};
use crate::error::WriteError;
use crate::lines::{InfoDocument, Producers, ResourceDocument, ScopeDocument, SpanDocument};

#[derive(Serialize)]
struct Document {
    info: Object,
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    spanlite: Option<Addition>,
}

#[derive(Serialize)]
struct Data {
    spans: Vec<Object>,
}

#[derive(Serialize)]
struct Addition {
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<InfoDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<ResourceDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<ScopeDocument>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    spans: BTreeMap<usize, SpanDocument>,
}

/// Writes one trace as MLflow's trace JSON on one line, with a line feed at the end.
///
/// A trace that was read from this format is written as it came. For any other, span types,
/// inputs and outputs that Spanlite worked out are written as MLflow's own keys, name, state,
/// times, tokens and cost are filled in, and what MLflow has no place for stands under the key
/// `spanlite`. MLflow knows no interrupted traces: they are `IN_PROGRESS` there, with the
/// metadata `spanlite.state`.
pub fn write_mlflow_json(trace: &Trace, mut out: impl Write) -> Result<(), WriteError> {
    serde_json::to_writer(&mut out, &document(trace))?;
    Ok(out.write_all(b"\n")?)
}

/// The trace as [`write_mlflow_json`] writes it, as a value.
pub fn mlflow_json(trace: &Trace) -> Result<serde_json::Value, WriteError> {
    Ok(serde_json::to_value(document(trace))?)
}

fn document(trace: &Trace) -> Document {
    let source = trace.info.extra.get(SOURCE);
    let foreign = source.is_none_or(|source| source.as_text() != SOURCE_NAME);
    let kept = Kept::load(&trace.info);
    let mut info = info::write(trace, foreign);
    kept.restore_info(&mut info, same_info);
    let mut spans = Vec::with_capacity(trace.spans.len());
    for one in &trace.spans {
        let mut rendered = span::write(one, foreign);
        let same = |a: &Object, b: &Object| same_span(a, b, trace.trace_id);
        kept.restore_span(one, &mut rendered, same);
        spans.push(rendered);
    }
    let spanlite = addition(trace, &info, &spans, foreign);
    Document {
        info,
        data: Data { spans },
        spanlite,
    }
}

/// What the document would lose; nothing when it loses nothing.
fn addition(trace: &Trace, info: &Object, spans: &[Object], foreign: bool) -> Option<Addition> {
    let mut back = plain(info, spans).ok();
    if let Some(back) = &mut back
        && !foreign
    {
        crate::dialect::derive_spans(&mut back.spans);
    }
    let same_info = back.as_ref().is_some_and(|back| back.info == trace.info);
    let mut producers = Producers::default();
    let mut differences = BTreeMap::new();
    for (place, span) in trace.spans.iter().enumerate() {
        let Some(read) = back.as_ref().and_then(|back| back.spans.get(place)) else {
            continue;
        };
        let mut difference = SpanDocument::difference(&sorted(span), &sorted(read));
        let same_producers = span.resource == read.resource && span.scope == read.scope;
        if difference != SpanDocument::default() || !same_producers {
            (difference.resource, difference.scope) = producers.places(span);
            differences.insert(place, difference);
        }
    }
    if same_info && differences.is_empty() {
        return None;
    }
    let (resources, scopes) = producers.finish();
    Some(Addition {
        info: (!same_info).then(|| InfoDocument::from(&trace.info)),
        resources,
        scopes,
        spans: differences,
    })
}

/// The span with attributes by key: the format does not keep their order.
fn sorted(span: &Span) -> Span {
    let mut span = span.clone();
    sort(&mut span.attributes);
    span.events
        .iter_mut()
        .for_each(|event| sort(&mut event.attributes));
    span.links
        .iter_mut()
        .for_each(|link| sort(&mut link.attributes));
    span
}

fn sort(attributes: &mut Attributes) {
    let mut entries: Vec<(String, Value)> = std::mem::take(attributes).into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    *attributes = entries.into();
}
