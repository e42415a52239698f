use std::io::Write;
use std::sync::Arc;

use prost::Message as _;
use spanlite_model::{Attributes, Event, Link, Resource, Scope, Span, Trace, TraceInfo, Value};

use super::{TRACE_INFO, wire};
use crate::error::WriteError;
use crate::lift::put_back;
use crate::lines::InfoDocument;

/// The traces as the bytes of one `ExportTraceServiceRequest`.
///
/// All of a span is written. What belongs to the whole trace and does not follow from its spans
/// is carried by the attribute `spanlite.trace_info` of its first root; a trace without spans
/// has no form in OTLP and is left out.
pub fn encode_otlp(traces: &[Trace]) -> Vec<u8> {
    request(traces).encode_to_vec()
}

/// The spans alone as the bytes of one `ExportTraceServiceRequest`, with nothing added about their
/// traces. The bytes of several such requests, one after another, are a request too.
pub fn encode_otlp_spans(spans: &[&Span]) -> Vec<u8> {
    let mut groups = Vec::new();
    for span in spans.iter().copied() {
        let group = group(&mut groups, &span.resource);
        spans_of_scope(&mut group.scopes, &span.scope).push(self::span(span));
    }
    finish(groups).encode_to_vec()
}

/// Writes what [`encode_otlp`] encodes.
pub fn write_otlp_protobuf(traces: &[Trace], mut out: impl Write) -> Result<(), WriteError> {
    Ok(out.write_all(&encode_otlp(traces))?)
}

/// Writes the traces as one OTLP/JSON document on one line, with a line feed at the end.
///
/// What is written and what is left out is said at [`encode_otlp`].
pub fn write_otlp_json(traces: &[Trace], mut out: impl Write) -> Result<(), WriteError> {
    serde_json::to_writer(&mut out, &request(traces))?;
    Ok(out.write_all(b"\n")?)
}

/// Writes one OTLP/JSON document trace by trace, holding one at a time.
#[derive(Debug)]
pub struct OtlpJsonWriter<W> {
    out: W,
    begun: bool,
}

impl<W: Write> OtlpJsonWriter<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, begun: false }
    }

    /// Adds a trace to the document.
    pub fn write(&mut self, trace: &Trace) -> Result<(), WriteError> {
        for of_resource in request(std::slice::from_ref(trace)).resource_spans {
            let before: &[u8] = if self.begun {
                b","
            } else {
                b"{\"resourceSpans\":["
            };
            self.out.write_all(before)?;
            self.begun = true;
            serde_json::to_writer(&mut self.out, &of_resource)?;
        }
        Ok(())
    }

    /// Ends the document and gives the destination back, flushed.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if !self.begun {
            self.out.write_all(b"{\"resourceSpans\":[")?;
        }
        self.out.write_all(b"]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn request(traces: &[Trace]) -> wire::ExportTraceServiceRequest {
    let mut groups: Vec<ResourceGroup<'_>> = Vec::new();
    for trace in traces {
        let carrier = carrier(trace);
        for (index, span) in trace.spans.iter().enumerate() {
            let mut span_out = self::span(span);
            if let Some((_, text)) = carrier.as_ref().filter(|(place, _)| *place == index) {
                span_out
                    .attributes
                    .push(key_value(TRACE_INFO, &Value::from(text.as_str())));
            }
            let group = group(&mut groups, &span.resource);
            let spans = spans_of_scope(&mut group.scopes, &span.scope);
            spans.push(span_out);
        }
    }
    finish(groups)
}

fn finish(groups: Vec<ResourceGroup<'_>>) -> wire::ExportTraceServiceRequest {
    wire::ExportTraceServiceRequest {
        resource_spans: groups.into_iter().map(ResourceGroup::finish).collect(),
    }
}

/// Spans of one resource, by scope. Looked up from the end, where the current one stands.
struct ResourceGroup<'a> {
    resource: &'a Arc<Resource>,
    scopes: Vec<(&'a Arc<Scope>, Vec<wire::Span>)>,
}

impl ResourceGroup<'_> {
    fn finish(self) -> wire::ResourceSpans {
        let scope_spans = self.scopes.into_iter().map(|(scope, spans)| {
            let empty = Scope {
                schema_url: String::new(),
                ..Scope::clone(scope)
            } == Scope::default();
            wire::ScopeSpans {
                scope: (!empty).then(|| wire::Scope {
                    name: scope.name.clone(),
                    version: scope.version.clone(),
                    attributes: attributes(&scope.attributes),
                    dropped_attributes_count: scope.dropped_attributes_count,
                }),
                spans,
                schema_url: scope.schema_url.clone(),
            }
        });
        let resource = self.resource;
        let empty = resource.attributes.is_empty() && resource.dropped_attributes_count == 0;
        wire::ResourceSpans {
            resource: (!empty).then(|| wire::Resource {
                attributes: attributes(&resource.attributes),
                dropped_attributes_count: resource.dropped_attributes_count,
            }),
            scope_spans: scope_spans.collect(),
            schema_url: resource.schema_url.clone(),
        }
    }
}

fn group<'g, 'a>(
    groups: &'g mut Vec<ResourceGroup<'a>>,
    resource: &'a Arc<Resource>,
) -> &'g mut ResourceGroup<'a> {
    let found = groups
        .iter()
        .rposition(|one| Arc::ptr_eq(one.resource, resource) || one.resource == resource);
    let place = found.unwrap_or_else(|| {
        groups.push(ResourceGroup {
            resource,
            scopes: Vec::new(),
        });
        groups.len() - 1
    });
    &mut groups[place]
}

fn spans_of_scope<'g, 'a>(
    scopes: &'g mut Vec<(&'a Arc<Scope>, Vec<wire::Span>)>,
    scope: &'a Arc<Scope>,
) -> &'g mut Vec<wire::Span> {
    let found = scopes
        .iter()
        .rposition(|(one, _)| Arc::ptr_eq(one, scope) || *one == scope);
    let place = found.unwrap_or_else(|| {
        scopes.push((scope, Vec::new()));
        scopes.len() - 1
    });
    &mut scopes[place].1
}

/// The span that carries the trace's information, and the text it carries; nothing when all of
/// it follows from the spans.
fn carrier(trace: &Trace) -> Option<(usize, String)> {
    let mut derived = Trace {
        trace_id: trace.trace_id,
        info: TraceInfo::default(),
        spans: Vec::new(),
    };
    crate::dialect::derive_info(&trace.spans, &mut derived.info);
    if trace.info == derived.info {
        return None;
    }
    let root = trace
        .spans
        .iter()
        .position(|span| span.parent_span_id.is_none());
    // The document is made of strings, numbers and raw JSON; writing it to memory cannot fail.
    let text = serde_json::to_string(&InfoDocument::from(&trace.info)).ok()?;
    Some((root.unwrap_or(0), text))
}

fn span(span: &Span) -> wire::Span {
    let lifted = put_back(span);
    let mut all = Vec::with_capacity(lifted.len() + span.attributes.len() + 1);
    all.extend(lifted.iter().map(|(key, value)| key_value(key, value)));
    all.extend(
        span.attributes
            .iter()
            .map(|(key, value)| key_value(key, value)),
    );
    wire::Span {
        trace_id: span.trace_id.to_bytes().to_vec(),
        span_id: span.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span
            .parent_span_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        name: span.name.clone(),
        kind: span.kind as i32,
        start_time_unix_nano: span.start_time_unix_nano,
        end_time_unix_nano: span.end_time_unix_nano.unwrap_or(0),
        attributes: all,
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links_count,
        status: (span.status != spanlite_model::Status::default()).then(|| wire::Status {
            message: span.status.message.clone(),
            code: span.status.code as i32,
        }),
        flags: span.flags,
    }
}

fn event(event: &Event) -> wire::Event {
    wire::Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.clone(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: &Link) -> wire::Link {
    wire::Link {
        trace_id: link.trace_id.to_bytes().to_vec(),
        span_id: link.span_id.to_bytes().to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    }
}

fn attributes(attributes: &Attributes) -> Vec<wire::KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| key_value(key, value))
        .collect()
}

fn key_value(key: &str, value: &Value) -> wire::KeyValue {
    wire::KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
    }
}

fn any(value: &Value) -> wire::AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(wire::AnyOf::Bool(*value)),
        Value::Int(value) => Some(wire::AnyOf::Int(*value)),
        Value::Double(value) => Some(wire::AnyOf::Double(*value)),
        Value::String(text) => Some(wire::AnyOf::String(text.clone())),
        Value::Bytes(bytes) => Some(wire::AnyOf::Bytes(bytes.clone())),
        Value::Array(values) => Some(wire::AnyOf::Array(wire::ArrayValue {
            values: values.iter().map(any).collect(),
        })),
        Value::Map(entries) => Some(wire::AnyOf::Map(wire::KeyValueList {
            values: entries
                .iter()
                .map(|(key, value)| key_value(key, value))
                .collect(),
        })),
    };
    wire::AnyValue { value }
}
