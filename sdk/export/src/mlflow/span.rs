//! A span of the model as the span an MLflow server must be sent.

use std::collections::HashMap;
use std::sync::Arc;

use spanlite_model::{
    Attributes, Derived, Event, Link, Resource, Span, SpanKind, SpanType, TokenUsage, Value, keys,
};

use super::attribute::{native, wire_json, wire_value};
use crate::adjust::{Adjustments, cut};

/// What the server's columns and checks bear, in characters.
const SPAN_TYPE_LIMIT: usize = 500;
const MODEL_LIMIT: usize = 500;
const SESSION_LIMIT: usize = 250;
/// Resource attributes become tags of the trace.
const TAG_KEY_LIMIT: usize = 250;
const TAG_VALUE_LIMIT: usize = 4_096;
/// The server stores times as signed 64-bit integers.
const LAST_TIME_UNIX_NANO: u64 = i64::MAX as u64;

/// Where what MLflow has no place for is put: the keys of OpenTelemetry's mapping to formats that
/// are not OTLP.
const KIND: &str = "span.kind";
const SCOPE_NAME: &str = "otel.scope.name";
const SCOPE_VERSION: &str = "otel.scope.version";
const TRACE_STATE: &str = "w3c.tracestate";
const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";
const DROPPED_EVENTS: &str = "otel.dropped_events_count";
const DROPPED_LINKS: &str = "otel.dropped_links_count";

/// Resources that were rewritten for one request, so that spans go on sharing them.
#[derive(Debug, Default)]
pub(super) struct Resources {
    rewritten: HashMap<*const Resource, Arc<Resource>>,
}

impl Resources {
    fn wire(&mut self, resource: &Arc<Resource>, adjusted: &mut Adjustments) -> Arc<Resource> {
        let rewritten = self.rewritten.entry(Arc::as_ptr(resource));
        Arc::clone(rewritten.or_insert_with(|| {
            let mut attributes = Attributes::new();
            for (key, value) in native(&resource.attributes, adjusted) {
                let value = match value {
                    Value::String(text) => Value::String(cut(text, TAG_VALUE_LIMIT, adjusted)),
                    other => other,
                };
                attributes.push(cut(key, TAG_KEY_LIMIT, adjusted), value);
            }
            Arc::new(Resource {
                attributes,
                ..Resource::clone(resource)
            })
        }))
    }
}

/// Rewrites a span so that the server gives it back as it is in the store.
///
/// Type, inputs and outputs become attributes, also where Spanlite worked them out from foreign
/// ones: the server's searchable columns are filled from MLflow's own keys alone.
pub(super) fn wire_span(span: Span, resources: &mut Resources, adjusted: &mut Adjustments) -> Span {
    let attributes = wire_attributes(&span, adjusted);
    let events = span.events.iter().map(|event| Event {
        name: event.name.clone(),
        time_unix_nano: clamp(event.time_unix_nano, adjusted),
        attributes: native(&event.attributes, adjusted),
        dropped_attributes_count: event.dropped_attributes_count,
    });
    let events = events.collect();
    let links = span.links.iter().map(|link| Link {
        attributes: native(&link.attributes, adjusted),
        ..link.clone()
    });
    let links = links.collect();
    Span {
        attributes,
        events,
        links,
        span_type: SpanType::Unknown,
        inputs: None,
        outputs: None,
        derived: Derived {
            span_type: true,
            inputs: true,
            outputs: true,
        },
        start_time_unix_nano: clamp(span.start_time_unix_nano, adjusted),
        end_time_unix_nano: span.end_time_unix_nano.map(|end| clamp(end, adjusted)),
        resource: resources.wire(&span.resource, adjusted),
        ..span
    }
}

fn clamp(time: u64, adjusted: &mut Adjustments) -> u64 {
    if time > LAST_TIME_UNIX_NANO {
        adjusted.clamped_times += 1;
    }
    time.min(LAST_TIME_UNIX_NANO)
}

/// Attributes in the making; a key that is there already stays as it is.
struct Wire<'a> {
    attributes: Attributes,
    adjusted: &'a mut Adjustments,
}

impl Wire<'_> {
    fn add(&mut self, key: &str, value: &Value) {
        if self.attributes.get(key).is_some() {
            self.adjusted.duplicate_keys += 1;
            return;
        }
        let value = match (limit_of(key), value) {
            (Some(limit), Value::String(text)) => {
                &Value::String(cut(text.clone(), limit, self.adjusted))
            }
            (_, value) => value,
        };
        self.attributes.push(key, wire_value(value, self.adjusted));
    }

    fn add_missing(&mut self, key: &str, value: impl Into<Value>) {
        if self.attributes.get(key).is_none() {
            self.add(key, &value.into());
        }
    }
}

fn limit_of(key: &str) -> Option<usize> {
    match key {
        keys::SESSION_ID | keys::GEN_AI_CONVERSATION_ID => Some(SESSION_LIMIT),
        keys::MLFLOW_LLM_MODEL | keys::MLFLOW_LLM_PROVIDER => Some(MODEL_LIMIT),
        _ => None,
    }
}

fn wire_attributes(span: &Span, adjusted: &mut Adjustments) -> Attributes {
    let mut attributes = Attributes::new();
    // Raw whatever it looks like: the server copies it into the column that `span.type` searches
    // before it takes quotes off.
    let span_type = cut(
        span.span_type.as_str().to_owned(),
        SPAN_TYPE_LIMIT,
        adjusted,
    );
    attributes.push(keys::MLFLOW_SPAN_TYPE, span_type);
    for (key, json) in [
        (keys::MLFLOW_SPAN_INPUTS, &span.inputs),
        (keys::MLFLOW_SPAN_OUTPUTS, &span.outputs),
    ] {
        if let Some(json) = json {
            attributes.push(key, wire_json(json, adjusted));
        }
    }
    let mut wire = Wire {
        attributes,
        adjusted,
    };
    for (key, value) in span.attributes.iter() {
        // The server writes this one itself.
        if key != keys::MLFLOW_TRACE_REQUEST_ID {
            wire.add(key, value);
        }
    }
    add_model_call(span, &mut wire);
    add_what_has_no_place(span, &mut wire);
    wire.attributes
}

/// MLflow's own keys for tokens, model and provider where other conventions said them.
fn add_model_call(span: &Span, wire: &mut Wire<'_>) {
    let usage = TokenUsage::of(span);
    if !usage.is_empty() {
        wire.add_missing(keys::MLFLOW_TOKEN_USAGE, usage_map(&usage));
    }
    if let Some(model) = span.model() {
        wire.add_missing(keys::MLFLOW_LLM_MODEL, model);
    }
    if let Some(provider) = span.provider() {
        wire.add_missing(keys::MLFLOW_LLM_PROVIDER, provider);
    }
}

/// The counts under MLflow's names.
pub(super) fn usage_map(usage: &TokenUsage) -> Value {
    let counts = [
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
        ("cache_read_input_tokens", usage.cache_read_input_tokens),
        (
            "cache_creation_input_tokens",
            usage.cache_creation_input_tokens,
        ),
        (
            "cache_creation_input_tokens_above_1hr",
            usage.cache_creation_input_tokens_above_1hr,
        ),
    ];
    let counts = counts.into_iter().filter_map(|(name, count)| {
        let count = i64::try_from(count?).unwrap_or(i64::MAX);
        Some((name.to_owned(), Value::Int(count)))
    });
    Value::Map(counts.collect())
}

fn add_what_has_no_place(span: &Span, wire: &mut Wire<'_>) {
    if !matches!(span.kind, SpanKind::Unspecified | SpanKind::Internal) {
        wire.add_missing(KIND, span.kind.as_str());
    }
    for (key, text) in [
        (SCOPE_NAME, &span.scope.name),
        (SCOPE_VERSION, &span.scope.version),
        (TRACE_STATE, &span.trace_state),
    ] {
        if !text.is_empty() {
            wire.add_missing(key, text.as_str());
        }
    }
    for (key, count) in [
        (DROPPED_ATTRIBUTES, span.dropped_attributes_count),
        (DROPPED_EVENTS, span.dropped_events_count),
        (DROPPED_LINKS, span.dropped_links_count),
    ] {
        if count > 0 {
            wire.add_missing(key, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{Json, Scope, SpanId, TraceId};

    use super::*;

    fn wire(span: Span) -> (Span, Adjustments) {
        let mut adjusted = Adjustments::default();
        let span = wire_span(span, &mut Resources::default(), &mut adjusted);
        (span, adjusted)
    }

    fn attributes_of(span: &Span) -> String {
        let mut lines: Vec<String> = span
            .attributes
            .iter()
            .map(|(key, value)| format!("{key} = {}", value.to_json_text()))
            .collect();
        lines.push(String::new());
        lines.join("\n")
    }

    #[test]
    fn lifted_fields_become_attributes_and_what_has_no_place_gets_one() {
        let mut span = Span::new(TraceId::default(), SpanId::from_bytes([1; 8]), "chat");
        span.span_type = SpanType::ChatModel;
        span.kind = SpanKind::Client;
        span.inputs = Some(Json::from_text(r#"{"messages": [1]}"#).unwrap());
        span.outputs = Some(Json::string("[x]"));
        span.trace_state = "a=b".to_owned();
        span.dropped_events_count = 2;
        span.scope = Arc::new(Scope {
            name: "lib".to_owned(),
            version: "1.0".to_owned(),
            ..Scope::default()
        });
        span.attributes = [
            (keys::MLFLOW_TRACE_REQUEST_ID, Value::from("tr-0")),
            ("gen_ai.usage.input_tokens", Value::from(12)),
            ("gen_ai.usage.output_tokens", Value::from(3)),
            ("gen_ai.request.model", Value::from("gpt-4o")),
            ("twice", Value::from(1)),
            ("twice", Value::from(2)),
        ]
        .into_iter()
        .collect();
        let (span, adjusted) = wire(span);
        insta::assert_snapshot!(attributes_of(&span), @r#"
        mlflow.spanType = "CHAT_MODEL"
        mlflow.spanInputs = "{\"messages\": [1]}"
        mlflow.spanOutputs = "\"[x]\""
        gen_ai.usage.input_tokens = 12
        gen_ai.usage.output_tokens = 3
        gen_ai.request.model = "gpt-4o"
        twice = 1
        mlflow.chat.tokenUsage = "{\"input_tokens\":12,\"output_tokens\":3,\"total_tokens\":15}"
        mlflow.llm.model = "gpt-4o"
        span.kind = "client"
        otel.scope.name = "lib"
        otel.scope.version = "1.0"
        w3c.tracestate = "a=b"
        otel.dropped_events_count = 2
        "#);
        assert_eq!((span.inputs, span.outputs), (None, None));
        assert_eq!(adjusted.duplicate_keys, 1);
    }

    #[test]
    fn what_is_too_long_or_too_late_is_cut() {
        let mut span = Span::new(TraceId::default(), SpanId::from_bytes([1; 8]), "s");
        span.span_type = SpanType::from("t".repeat(501).as_str());
        span.attributes.push(keys::SESSION_ID, "s".repeat(251));
        span.end_time_unix_nano = Some(u64::MAX);
        let mut resource = Resource::default();
        resource.attributes.push("host", "h".repeat(5_000));
        span.resource = Arc::new(resource);
        let (span, adjusted) = wire(span);
        let length = |value: Option<&str>| value.map(|text| text.chars().count());
        assert_eq!(
            length(span.attributes.get_str(keys::MLFLOW_SPAN_TYPE)),
            Some(500)
        );
        assert_eq!(length(span.attributes.get_str(keys::SESSION_ID)), Some(250));
        assert_eq!(
            length(span.resource.attributes.get_str("host")),
            Some(4_096)
        );
        assert_eq!(span.end_time_unix_nano, Some(i64::MAX as u64));
        assert_eq!((adjusted.cut_texts, adjusted.clamped_times), (3, 1));
    }
}
