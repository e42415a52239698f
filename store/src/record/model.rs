//! Records from the model's types and back.

use std::sync::Arc;

use spanlite_model::{Attributes, Event, Link, Resource, Scope, Span, TraceUpdate};

use super::RecordError;
use super::layout::{SPAN, SPAN_HEAD, UPDATE, at, bit, field, put_field, put_text, put_varint};
use super::span::{Origin, RecordRef};
use super::update::put_change;
use super::value::{put_json, put_value};

/// What a record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A span, ended or open.
    Span(Box<Span>),
    /// A change to a trace.
    Update(TraceUpdate),
}

/// Appends a record. The resource and the scope of a span are left out where they are `origin`'s.
///
/// Attribute values that nest deeper than [`MAX_DEPTH`](super::MAX_DEPTH) are cut there with a
/// mark; everything else comes back as it is.
pub fn encode_record(record: &Record, origin: &Origin, out: &mut Vec<u8>) {
    match record {
        Record::Span(span) => encode_span(span, origin, out),
        Record::Update(update) => {
            out.extend_from_slice(&[UPDATE, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(update.trace_id.as_bytes());
            out.extend_from_slice(&update.time_unix_nano.to_le_bytes());
            put_change(out, &update.change);
        }
    }
}

/// Reads a record. What a span leaves out comes from `origin`. A change of a newer version gives
/// nothing.
pub fn decode_record(bytes: &[u8], origin: &Origin) -> Result<Option<Record>, RecordError> {
    Ok(match RecordRef::parse(bytes)? {
        RecordRef::Span(span) => Some(Record::Span(Box::new(span.to_span(origin)?))),
        RecordRef::Update(update) => update.to_update()?.map(Record::Update),
    })
}

/// Appends the record of a span, as [`encode_record`] does.
pub(crate) fn encode_span(span: &Span, origin: &Origin, out: &mut Vec<u8>) {
    out.extend_from_slice(&head(span));
    text(out, field::NAME, &span.name);
    text(
        out,
        field::SPAN_TYPE,
        match &span.span_type {
            spanlite_model::SpanType::Unknown => "",
            other => other.as_str(),
        },
    );
    text(out, field::STATUS_MESSAGE, &span.status.message);
    text(out, field::TRACE_STATE, &span.trace_state);
    for (key, value) in span.attributes.iter() {
        put_field(out, field::ADD_ATTRIBUTE, |out| {
            put_text(out, key);
            put_value(out, value);
        });
    }
    if let Some(inputs) = &span.inputs {
        put_field(out, field::INPUTS, |out| put_json(out, inputs));
    }
    if let Some(outputs) = &span.outputs {
        put_field(out, field::OUTPUTS, |out| put_json(out, outputs));
    }
    for event in &span.events {
        put_field(out, field::EVENT, |out| put_event(out, event));
    }
    for link in &span.links {
        put_field(out, field::LINK, |out| put_link(out, link));
    }
    let dropped = [
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
    ];
    if dropped != [0; 3] {
        put_field(out, field::DROPPED, |out| {
            for count in dropped {
                put_varint(out, count.into());
            }
        });
    }
    if !is_same(&span.resource, &origin.resource) {
        put_field(out, field::RESOURCE, |out| {
            put_resource(out, &span.resource);
        });
    }
    if !is_same(&span.scope, &origin.scope) {
        put_field(out, field::SCOPE, |out| put_scope(out, &span.scope));
    }
}

fn is_same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn head(span: &Span) -> [u8; SPAN_HEAD] {
    let mut head = [0; SPAN_HEAD];
    head[0] = SPAN;
    let bits = [
        (span.end_time_unix_nano.is_some(), bit::ENDED),
        (span.parent_span_id.is_some(), bit::HAS_PARENT),
        (span.derived.span_type, bit::DERIVED_SPAN_TYPE),
        (span.derived.inputs, bit::DERIVED_INPUTS),
        (span.derived.outputs, bit::DERIVED_OUTPUTS),
    ];
    for (set, bit) in bits {
        head[at::BITS] |= if set { bit } else { 0 };
    }
    head[at::KIND] = span.kind as u8;
    head[at::STATUS] = span.status.code as u8;
    head[at::FLAGS].copy_from_slice(&span.flags.to_le_bytes());
    head[at::TRACE_ID].copy_from_slice(span.trace_id.as_bytes());
    head[at::SPAN_ID].copy_from_slice(span.span_id.as_bytes());
    let parent = span.parent_span_id.unwrap_or_default();
    head[at::PARENT].copy_from_slice(parent.as_bytes());
    head[at::START].copy_from_slice(&span.start_time_unix_nano.to_le_bytes());
    let end = span.end_time_unix_nano.unwrap_or_default();
    head[at::END].copy_from_slice(&end.to_le_bytes());
    head
}

/// Writes a field unless it is empty, which is what its absence means.
fn text(out: &mut Vec<u8>, tag: u8, text: &str) {
    if !text.is_empty() {
        put_field(out, tag, |out| out.extend_from_slice(text.as_bytes()));
    }
}

fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    for (key, value) in attributes.iter() {
        put_text(out, key);
        put_value(out, value);
    }
}

fn put_event(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(&event.time_unix_nano.to_le_bytes());
    put_varint(out, event.dropped_attributes_count.into());
    put_text(out, &event.name);
    put_attributes(out, &event.attributes);
}

fn put_link(out: &mut Vec<u8>, link: &Link) {
    out.extend_from_slice(link.trace_id.as_bytes());
    out.extend_from_slice(link.span_id.as_bytes());
    out.extend_from_slice(&link.flags.to_le_bytes());
    put_varint(out, link.dropped_attributes_count.into());
    put_text(out, &link.trace_state);
    put_attributes(out, &link.attributes);
}

fn put_resource(out: &mut Vec<u8>, resource: &Resource) {
    put_varint(out, resource.dropped_attributes_count.into());
    put_text(out, &resource.schema_url);
    put_attributes(out, &resource.attributes);
}

fn put_scope(out: &mut Vec<u8>, scope: &Scope) {
    put_varint(out, scope.dropped_attributes_count.into());
    put_text(out, &scope.schema_url);
    put_text(out, &scope.name);
    put_text(out, &scope.version);
    put_attributes(out, &scope.attributes);
}
