//! OTLP's trace messages, as `opentelemetry/proto/trace/v1` and `common/v1` number and name
//! their fields at release 1.9, for protobuf and for JSON. Messages are declared by hand so that
//! no protobuf compiler is needed; fields that are not declared are dropped on reading.

use serde::{Deserialize, Serialize};

use super::json;

/// The number of the field that holds [`ResourceSpans`], of the one in it that holds
/// [`ScopeSpans`], and of the one in that that holds [`Span`].
pub(crate) const RESOURCE_SPANS: u64 = 1;
pub(crate) const SCOPE_SPANS: u64 = 2;
pub(crate) const SPANS: u64 = 2;

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    #[serde(alias = "resource_spans", deserialize_with = "json::or_default")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    #[serde(
        alias = "scope_spans",
        alias = "instrumentationLibrarySpans",
        deserialize_with = "json::or_default"
    )]
    pub(crate) scope_spans: Vec<ScopeSpans>,
    #[prost(string, tag = "3")]
    #[serde(
        alias = "schema_url",
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) schema_url: String,
}

/// [`ResourceSpans`] without the spans.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceOfSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    #[serde(
        alias = "dropped_attributes_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    #[serde(
        alias = "instrumentationLibrary",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) spans: Vec<Span>,
    #[prost(string, tag = "3")]
    #[serde(
        alias = "schema_url",
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) schema_url: String,
}

/// [`ScopeSpans`] without the spans.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScopeOfSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<Scope>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Scope {
    #[prost(string, tag = "1")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) version: String,
    #[prost(message, repeated, tag = "3")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    #[serde(
        alias = "dropped_attributes_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(
        alias = "trace_id",
        deserialize_with = "json::trace_id",
        serialize_with = "json::hex"
    )]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        alias = "span_id",
        deserialize_with = "json::span_id",
        serialize_with = "json::hex"
    )]
    pub(crate) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    #[serde(
        alias = "trace_state",
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    #[serde(
        alias = "parent_span_id",
        deserialize_with = "json::span_id",
        serialize_with = "json::hex",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    #[serde(
        deserialize_with = "json::kind",
        skip_serializing_if = "json::is_zero_i32"
    )]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    #[serde(
        alias = "start_time_unix_nano",
        deserialize_with = "json::unsigned",
        serialize_with = "json::text"
    )]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    #[serde(
        alias = "end_time_unix_nano",
        deserialize_with = "json::unsigned",
        serialize_with = "json::text",
        skip_serializing_if = "json::is_zero_u64"
    )]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "10")]
    #[serde(
        alias = "dropped_attributes_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_attributes_count: u32,
    #[prost(message, repeated, tag = "11")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    #[serde(
        alias = "dropped_events_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_events_count: u32,
    #[prost(message, repeated, tag = "13")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) links: Vec<Link>,
    #[prost(uint32, tag = "14")]
    #[serde(
        alias = "dropped_links_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_links_count: u32,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    #[serde(
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event {
    #[prost(fixed64, tag = "1")]
    #[serde(
        alias = "time_unix_nano",
        deserialize_with = "json::unsigned",
        serialize_with = "json::text"
    )]
    pub(crate) time_unix_nano: u64,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "3")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    #[serde(
        alias = "dropped_attributes_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(
        alias = "trace_id",
        deserialize_with = "json::trace_id",
        serialize_with = "json::hex"
    )]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(
        alias = "span_id",
        deserialize_with = "json::span_id",
        serialize_with = "json::hex"
    )]
    pub(crate) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    #[serde(
        alias = "trace_state",
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) trace_state: String,
    #[prost(message, repeated, tag = "4")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "5")]
    #[serde(
        alias = "dropped_attributes_count",
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) dropped_attributes_count: u32,
    #[prost(fixed32, tag = "6")]
    #[serde(
        deserialize_with = "json::unsigned",
        skip_serializing_if = "json::is_zero"
    )]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    #[serde(
        deserialize_with = "json::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) message: String,
    #[prost(int32, tag = "3")]
    #[serde(
        deserialize_with = "json::status_code",
        skip_serializing_if = "json::is_zero_i32"
    )]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "AnyOf", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(crate) value: Option<AnyOf>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AnyOf {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "json::or_default")]
    pub(crate) values: Vec<KeyValue>,
}
