use serde::{Deserialize, Deserializer, Serialize};
use spanlite_model::{
    Attributes, Derived, Event, Json, Link, Resource, Scope, Span, SpanId, SpanKind, SpanType,
    Status, StatusCode, TraceId,
};

use super::value::{deserialize_attributes, serialize_attributes};

/// The fields of a span that are said; absent ones have their default, or are not at issue.
#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
pub(crate) struct SpanDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time_unix_nano: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time_unix_nano: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusDocument>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_attributes",
        deserialize_with = "deserialize_attributes"
    )]
    attributes: Option<Attributes>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_a_value"
    )]
    inputs: Option<Json>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_a_value"
    )]
    outputs: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derived: Option<DerivedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventDocument>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Vec<LinkDocument>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_attributes_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_events_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_links_count: Option<u32>,
    #[serde(skip_serializing_if = "is_first")]
    pub(crate) resource: usize,
    #[serde(skip_serializing_if = "is_first")]
    pub(crate) scope: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn is_first(place: &usize) -> bool {
    *place == 0
}

/// Reads a field that is there, `null` included.
pub(super) fn null_is_a_value<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// The value when it differs from `from`.
fn said<T: PartialEq + Clone>(value: &T, from: &T) -> Option<T> {
    (value != from).then(|| value.clone())
}

impl SpanDocument {
    /// The fields in which `span` differs from `from`, without resource and scope. A field that
    /// is absent in `span` and present in `from` is not told.
    pub(crate) fn difference(span: &Span, from: &Span) -> Self {
        let option = |a: &Option<Json>, b: &Option<Json>| if a == b { None } else { a.clone() };
        Self {
            span_id: said(&span.span_id, &from.span_id),
            parent_span_id: span
                .parent_span_id
                .filter(|_| span.parent_span_id != from.parent_span_id),
            name: said(&span.name, &from.name),
            kind: said(&span.kind, &from.kind).map(Kind::from),
            span_type: said(&span.span_type, &from.span_type).map(|one| one.as_str().to_owned()),
            start_time_unix_nano: said(&span.start_time_unix_nano, &from.start_time_unix_nano),
            end_time_unix_nano: span
                .end_time_unix_nano
                .filter(|_| span.end_time_unix_nano != from.end_time_unix_nano),
            status: said(&span.status, &from.status).map(StatusDocument::from),
            attributes: said(&span.attributes, &from.attributes),
            inputs: option(&span.inputs, &from.inputs),
            outputs: option(&span.outputs, &from.outputs),
            derived: said(&span.derived, &from.derived).map(DerivedDocument::from),
            events: said(&span.events, &from.events)
                .map(|events| events.into_iter().map(EventDocument::from).collect()),
            links: said(&span.links, &from.links)
                .map(|links| links.into_iter().map(LinkDocument::from).collect()),
            trace_state: said(&span.trace_state, &from.trace_state),
            flags: said(&span.flags, &from.flags),
            dropped_attributes_count: said(
                &span.dropped_attributes_count,
                &from.dropped_attributes_count,
            ),
            dropped_events_count: said(&span.dropped_events_count, &from.dropped_events_count),
            dropped_links_count: said(&span.dropped_links_count, &from.dropped_links_count),
            resource: 0,
            scope: 0,
        }
    }

    /// Puts what is said into a span; resource and scope are the caller's.
    pub(crate) fn apply(self, span: &mut Span) {
        fn put<T>(field: &mut T, value: Option<impl Into<T>>) {
            if let Some(value) = value {
                *field = value.into();
            }
        }
        put(&mut span.span_id, self.span_id);
        span.parent_span_id = self.parent_span_id.or(span.parent_span_id);
        put(&mut span.name, self.name);
        put(&mut span.kind, self.kind);
        put(&mut span.span_type, self.span_type.map(SpanType::from));
        put(&mut span.start_time_unix_nano, self.start_time_unix_nano);
        span.end_time_unix_nano = self.end_time_unix_nano.or(span.end_time_unix_nano);
        put(&mut span.status, self.status);
        put(&mut span.attributes, self.attributes);
        span.inputs = self.inputs.or_else(|| span.inputs.take());
        span.outputs = self.outputs.or_else(|| span.outputs.take());
        put(&mut span.derived, self.derived);
        if let Some(events) = self.events {
            span.events = events.into_iter().map(Event::from).collect();
        }
        if let Some(links) = self.links {
            span.links = links.into_iter().map(Link::from).collect();
        }
        put(&mut span.trace_state, self.trace_state);
        put(&mut span.flags, self.flags);
        put(
            &mut span.dropped_attributes_count,
            self.dropped_attributes_count,
        );
        put(&mut span.dropped_events_count, self.dropped_events_count);
        put(&mut span.dropped_links_count, self.dropped_links_count);
    }
}

impl From<&Span> for SpanDocument {
    fn from(span: &Span) -> Self {
        let empty = Span::new(TraceId::default(), SpanId::default(), "");
        Self {
            span_id: Some(span.span_id),
            ..Self::difference(span, &empty)
        }
    }
}

macro_rules! names {
    ($document:ident of $model:ident { $($name:ident),* }) => {
        #[derive(Serialize, Deserialize, PartialEq)]
        #[serde(rename_all = "lowercase")]
        enum $document {
            $($name),*
        }

        impl From<$model> for $document {
            fn from(value: $model) -> Self {
                match value {
                    $($model::$name => Self::$name),*
                }
            }
        }

        impl From<$document> for $model {
            fn from(value: $document) -> Self {
                match value {
                    $($document::$name => Self::$name),*
                }
            }
        }
    };
}

names!(Kind of SpanKind { Unspecified, Internal, Server, Client, Producer, Consumer });
names!(Code of StatusCode { Unset, Ok, Error });

#[derive(Serialize, Deserialize, PartialEq)]
struct StatusDocument {
    code: Code,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
}

impl From<Status> for StatusDocument {
    fn from(status: Status) -> Self {
        Self {
            code: status.code.into(),
            message: status.message,
        }
    }
}

impl From<StatusDocument> for Status {
    fn from(status: StatusDocument) -> Self {
        Self {
            code: status.code.into(),
            message: status.message,
        }
    }
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
struct DerivedDocument {
    span_type: bool,
    inputs: bool,
    outputs: bool,
}

impl From<Derived> for DerivedDocument {
    fn from(derived: Derived) -> Self {
        Self {
            span_type: derived.span_type,
            inputs: derived.inputs,
            outputs: derived.outputs,
        }
    }
}

impl From<DerivedDocument> for Derived {
    fn from(derived: DerivedDocument) -> Self {
        Self {
            span_type: derived.span_type,
            inputs: derived.inputs,
            outputs: derived.outputs,
        }
    }
}

#[derive(Serialize, Deserialize, Default, PartialEq)]
#[serde(default)]
struct EventDocument {
    name: String,
    time_unix_nano: u64,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_attributes",
        deserialize_with = "deserialize_attributes"
    )]
    attributes: Option<Attributes>,
    #[serde(skip_serializing_if = "none_dropped")]
    dropped_attributes_count: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn none_dropped(count: &u32) -> bool {
    *count == 0
}

fn some(attributes: Attributes) -> Option<Attributes> {
    (!attributes.is_empty()).then_some(attributes)
}

impl From<Event> for EventDocument {
    fn from(event: Event) -> Self {
        Self {
            name: event.name,
            time_unix_nano: event.time_unix_nano,
            attributes: some(event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

impl From<EventDocument> for Event {
    fn from(event: EventDocument) -> Self {
        Self {
            name: event.name,
            time_unix_nano: event.time_unix_nano,
            attributes: event.attributes.unwrap_or_default(),
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
struct LinkDocument {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    trace_state: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_attributes",
        deserialize_with = "deserialize_attributes"
    )]
    attributes: Option<Attributes>,
    #[serde(default, skip_serializing_if = "none_dropped")]
    dropped_attributes_count: u32,
    #[serde(default, skip_serializing_if = "none_dropped")]
    flags: u32,
}

impl From<Link> for LinkDocument {
    fn from(link: Link) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: link.trace_state,
            attributes: some(link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        }
    }
}

impl From<LinkDocument> for Link {
    fn from(link: LinkDocument) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: link.trace_state,
            attributes: link.attributes.unwrap_or_default(),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        }
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(crate) struct ResourceDocument {
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_attributes",
        deserialize_with = "deserialize_attributes"
    )]
    attributes: Option<Attributes>,
    #[serde(skip_serializing_if = "none_dropped")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    schema_url: String,
}

impl From<&Resource> for ResourceDocument {
    fn from(resource: &Resource) -> Self {
        Self {
            attributes: some(resource.attributes.clone()),
            dropped_attributes_count: resource.dropped_attributes_count,
            schema_url: resource.schema_url.clone(),
        }
    }
}

impl From<ResourceDocument> for Resource {
    fn from(resource: ResourceDocument) -> Self {
        Self {
            attributes: resource.attributes.unwrap_or_default(),
            dropped_attributes_count: resource.dropped_attributes_count,
            schema_url: resource.schema_url,
        }
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(crate) struct ScopeDocument {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_attributes",
        deserialize_with = "deserialize_attributes"
    )]
    attributes: Option<Attributes>,
    #[serde(skip_serializing_if = "none_dropped")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    schema_url: String,
}

impl From<&Scope> for ScopeDocument {
    fn from(scope: &Scope) -> Self {
        Self {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: some(scope.attributes.clone()),
            dropped_attributes_count: scope.dropped_attributes_count,
            schema_url: scope.schema_url.clone(),
        }
    }
}

impl From<ScopeDocument> for Scope {
    fn from(scope: ScopeDocument) -> Self {
        Self {
            name: scope.name,
            version: scope.version,
            attributes: scope.attributes.unwrap_or_default(),
            dropped_attributes_count: scope.dropped_attributes_count,
            schema_url: scope.schema_url,
        }
    }
}
