use std::sync::Arc;

use prost::Message as _;
use spanlite_model::{
    Attributes, Event, Link, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, Trace,
    TraceId, TraceInfo, Value,
};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::fields::Fields;
use super::{TRACE_INFO, wire};
use crate::error::{ReadFailure, shown};
use crate::group::ByTrace;
use crate::lift::lift;
use crate::lines::InfoDocument;

/// Reads an `ExportTraceServiceRequest` (or `TracesData`, whose bytes are the same).
///
/// Spans of one trace are put together, in the order they came. Fields that OTLP added after
/// release 1.9 are dropped.
pub fn read_otlp_protobuf(bytes: &[u8]) -> Result<Vec<Trace>, ReadFailure> {
    let mut spans = ByTrace::default();
    each_span_of_message(bytes, |wire, resource, scope| {
        spans.push(span(wire, resource, scope)?);
        Ok(())
    })?;
    Ok(whole(spans))
}

/// Reads one OTLP/JSON document, `{"resourceSpans": […]}`.
///
/// Fields that OTLP does not define, or added after release 1.9, are dropped.
pub fn read_otlp_json(bytes: &[u8]) -> Result<Vec<Trace>, ReadFailure> {
    traces(serde_json::from_slice(bytes)?)
}

pub(crate) fn read_json(text: &str) -> Result<Vec<Trace>, ReadFailure> {
    read_otlp_json(text.as_bytes())
}

/// Reads a span object that stands alone, or a list of them.
pub(crate) fn bare_spans(text: &str) -> Result<Vec<Trace>, ReadFailure> {
    let spans = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)?
    } else {
        vec![serde_json::from_str(text)?]
    };
    traces(wire::ExportTraceServiceRequest {
        resource_spans: vec![wire::ResourceSpans {
            scope_spans: vec![wire::ScopeSpans {
                spans,
                ..wire::ScopeSpans::default()
            }],
            ..wire::ResourceSpans::default()
        }],
    })
}

fn traces(request: wire::ExportTraceServiceRequest) -> Result<Vec<Trace>, ReadFailure> {
    let mut spans = ByTrace::default();
    each_span(request, |wire, resource, scope| {
        spans.push(span(wire, resource, scope)?);
        Ok(())
    })?;
    Ok(whole(spans))
}

/// What a server takes of a request: the spans that can be read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Taken {
    /// The spans that were read, by trace.
    pub traces: Vec<Trace>,
    /// How many spans were left out.
    pub refused_spans: u64,
    /// Why the first of them was.
    pub first_refusal: Option<ReadFailure>,
}

/// Reads an `ExportTraceServiceRequest` as a server does: a span that cannot be read is left out
/// and counted, and so is one without ids, which a sender must give.
///
/// What it takes in memory is told by [`Footprint::of_otlp_protobuf`](crate::Footprint).
pub fn take_otlp_protobuf(bytes: &[u8]) -> Result<Taken, ReadFailure> {
    let mut taking = Taking::default();
    each_span_of_message(bytes, |wire, resource, scope| {
        taking.add(wire, resource, scope);
        Ok(())
    })?;
    Ok(taking.finish())
}

/// Reads OTLP/JSON as [`take_otlp_protobuf`] does. Text that is no OTLP/JSON, an id that is not
/// hex among it, refuses the whole request.
pub fn take_otlp_json(bytes: &[u8]) -> Result<Taken, ReadFailure> {
    let mut taking = Taking::default();
    each_span(serde_json::from_slice(bytes)?, |wire, resource, scope| {
        taking.add(wire, resource, scope);
        Ok(())
    })?;
    Ok(taking.finish())
}

#[derive(Default)]
struct Taking {
    spans: ByTrace,
    taken: Taken,
}

impl Taking {
    fn add(&mut self, wire: wire::Span, resource: &Arc<Resource>, scope: &Arc<Scope>) {
        match has_ids(&wire).and_then(|()| span(wire, resource, scope)) {
            Ok(span) => self.spans.push(span),
            Err(failure) => {
                self.taken.refused_spans += 1;
                self.taken.first_refusal.get_or_insert(failure);
            }
        }
    }

    fn finish(self) -> Taken {
        Taken {
            traces: whole(self.spans),
            ..self.taken
        }
    }
}

fn has_ids(span: &wire::Span) -> Result<(), ReadFailure> {
    let ids = [("trace id", &span.trace_id), ("span id", &span.span_id)];
    for (field, id) in ids {
        if id.iter().all(|byte| *byte == 0) {
            let span = shown(&span.name);
            return Err(ReadFailure::NoId { field, span });
        }
    }
    Ok(())
}

fn each_span(
    request: wire::ExportTraceServiceRequest,
    mut each: impl FnMut(wire::Span, &Arc<Resource>, &Arc<Scope>) -> Result<(), ReadFailure>,
) -> Result<(), ReadFailure> {
    for of_resource in request.resource_spans {
        let resource = Arc::new(resource(of_resource.resource, of_resource.schema_url));
        for of_scope in of_resource.scope_spans {
            let scope = Arc::new(scope(of_scope.scope, of_scope.schema_url));
            for span in of_scope.spans {
                each(span, &resource, &scope)?;
            }
        }
    }
    Ok(())
}

/// Decodes span by span, so that never more than one of them is there in both forms.
fn each_span_of_message(
    request: &[u8],
    mut each: impl FnMut(wire::Span, &Arc<Resource>, &Arc<Scope>) -> Result<(), ReadFailure>,
) -> Result<(), ReadFailure> {
    // The walk over fields says nothing of bytes that are none.
    <()>::decode(request)?;
    for of_resource in Fields::of(request).numbered(wire::RESOURCE_SPANS) {
        let said = wire::ResourceOfSpans::decode(of_resource)?;
        let resource = Arc::new(resource(said.resource, said.schema_url));
        for of_scope in Fields::of(of_resource).numbered(wire::SCOPE_SPANS) {
            let said = wire::ScopeOfSpans::decode(of_scope)?;
            let scope = Arc::new(scope(said.scope, said.schema_url));
            for span in Fields::of(of_scope).numbered(wire::SPANS) {
                each(wire::Span::decode(span)?, &resource, &scope)?;
            }
        }
    }
    Ok(())
}

/// Works out what the attributes of the spans of each trace say.
fn whole(spans: ByTrace) -> Vec<Trace> {
    let mut traces = spans.into_traces();
    for trace in &mut traces {
        if let Some(info) = take_info(&mut trace.spans) {
            trace.info = info;
        }
        crate::dialect::derive_trace(trace);
    }
    traces
}

/// What the writer of this crate put onto a span because OTLP has no place for it.
fn take_info(spans: &mut [Span]) -> Option<TraceInfo> {
    spans.iter_mut().find_map(|span| {
        let text = span.attributes.get_str(TRACE_INFO)?;
        let info: InfoDocument = serde_json::from_str(text).ok()?;
        span.attributes.remove(TRACE_INFO);
        Some(info.into())
    })
}

fn resource(resource: Option<wire::Resource>, schema_url: String) -> Resource {
    let resource = resource.unwrap_or_default();
    Resource {
        attributes: attributes(resource.attributes),
        dropped_attributes_count: resource.dropped_attributes_count,
        schema_url,
    }
}

fn scope(scope: Option<wire::Scope>, schema_url: String) -> Scope {
    let scope = scope.unwrap_or_default();
    Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes(scope.attributes),
        dropped_attributes_count: scope.dropped_attributes_count,
        schema_url,
    }
}

fn span(
    mut span: wire::Span,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
) -> Result<Span, ReadFailure> {
    fill_ids(&mut span);
    let trace_id = TraceId::from_bytes(id(&span.trace_id, "trace id", &span.name)?);
    let span_id = SpanId::from_bytes(id(&span.span_id, "span id", &span.name)?);
    let parent_span_id = match span.parent_span_id.as_slice() {
        [] => None,
        bytes => Some(SpanId::from_bytes(id(bytes, "parent span id", &span.name)?)),
    };
    let links = span
        .links
        .into_iter()
        .map(|link| self::link(link, &span.name))
        .collect::<Result<_, _>>()?;
    let status = span.status.unwrap_or_default();
    let out_of_list = |field, number| ReadFailure::Enum {
        field,
        number,
        span: shown(&span.name),
    };
    let kind = u8::try_from(span.kind).ok().and_then(SpanKind::from_number);
    let code = u8::try_from(status.code)
        .ok()
        .and_then(StatusCode::from_number);
    let mut lifted = Span {
        parent_span_id: parent_span_id.filter(|id| !id.is_zero()),
        kind: kind.ok_or_else(|| out_of_list("kind", span.kind))?,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: (span.end_time_unix_nano != 0).then_some(span.end_time_unix_nano),
        status: Status {
            code: code.ok_or_else(|| out_of_list("status code", status.code))?,
            message: status.message,
        },
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        links,
        trace_state: span.trace_state,
        flags: span.flags,
        dropped_attributes_count: span.dropped_attributes_count,
        dropped_events_count: span.dropped_events_count,
        dropped_links_count: span.dropped_links_count,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        ..Span::new(trace_id, span_id, span.name)
    };
    lift(&mut lifted);
    Ok(lifted)
}

/// Gives a span without ids those that follow from its content, so that reading it twice gives
/// one span.
fn fill_ids(span: &mut wire::Span) {
    if !span.trace_id.is_empty() && !span.span_id.is_empty() {
        return;
    }
    let content = span.encode_to_vec();
    if span.trace_id.is_empty() {
        span.trace_id = xxh3_128(&content).to_be_bytes().to_vec();
    }
    if span.span_id.is_empty() {
        span.span_id = xxh3_64_with_seed(&content, 1).to_be_bytes().to_vec();
    }
}

fn id<const N: usize>(
    bytes: &[u8],
    field: &'static str,
    span: &str,
) -> Result<[u8; N], ReadFailure> {
    bytes.try_into().map_err(|_| ReadFailure::IdLength {
        field,
        expected: N,
        found: bytes.len(),
        span: shown(span),
    })
}

fn event(event: wire::Event) -> Event {
    Event {
        name: event.name,
        time_unix_nano: event.time_unix_nano,
        attributes: attributes(event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: wire::Link, span: &str) -> Result<Link, ReadFailure> {
    Ok(Link {
        trace_id: TraceId::from_bytes(id(&link.trace_id, "linked trace id", span)?),
        span_id: SpanId::from_bytes(id(&link.span_id, "linked span id", span)?),
        trace_state: link.trace_state,
        attributes: attributes(link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    })
}

fn attributes(entries: Vec<wire::KeyValue>) -> Attributes {
    entries
        .into_iter()
        .map(|entry| (entry.key, value(entry.value)))
        .collect()
}

fn value(any: Option<wire::AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        None => Value::Null,
        Some(wire::AnyOf::String(text)) => Value::String(text),
        Some(wire::AnyOf::Bool(value)) => Value::Bool(value),
        Some(wire::AnyOf::Int(value)) => Value::Int(value),
        Some(wire::AnyOf::Double(value)) => Value::Double(value),
        Some(wire::AnyOf::Bytes(value)) => Value::Bytes(value),
        Some(wire::AnyOf::Array(array)) => {
            Value::Array(array.values.into_iter().map(|v| value(Some(v))).collect())
        }
        Some(wire::AnyOf::Map(list)) => Value::Map(
            list.values
                .into_iter()
                .map(|entry| (entry.key, value(entry.value)))
                .collect(),
        ),
    }
}
