//! Spans of the OpenTelemetry SDK.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Array, KeyValue, Value as OtelValue};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span as OtelSpan, SpanData, SpanProcessor};
use spanlite::{Context, Span, SpanKind, SpanType, Value};
use spanlite_model::{Span as Sheet, SpanId, TraceId};

/// Attributes that hold the ids OpenTelemetry gave the span, which headers sent elsewhere name.
const TRACE_ID: &str = "otel.trace_id";
const SPAN_ID: &str = "otel.span_id";

/// Records spans of OpenTelemetry as spans of Spanlite, when they end and on the thread that ends
/// them, so that none is lost in a queue.
///
/// A span whose parent is known here becomes its child; any other becomes a child of the manual
/// span that is open where it starts. Type, inputs and outputs are worked out from the dialect
/// its attributes speak. The resource is that of [`spanlite::init`], not of the provider.
///
/// ```
/// let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
///     .with_span_processor(spanlite_auto::OtelProcessor::new())
///     .build();
/// # drop(provider);
/// ```
#[derive(Debug, Default)]
pub struct OtelProcessor(());

type Key = (opentelemetry::TraceId, opentelemetry::SpanId);

/// Spans that have not ended, by OpenTelemetry's ids. One table for all processors, so that
/// [`otel_context`] finds them.
static OPEN: LazyLock<Mutex<HashMap<Key, Span>>> = LazyLock::new(Mutex::default);

fn open() -> MutexGuard<'static, HashMap<Key, Span>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(context: &SpanContext) -> Key {
    (context.trace_id(), context.span_id())
}

fn place_of(context: &SpanContext) -> Option<Context> {
    open().get_mut(&key(context)).map(Span::context)
}

/// The place of OpenTelemetry's present span, to attach for manual spans inside of it; where it
/// has none that is recorded here, the present place.
///
/// ```
/// let _attached = spanlite_auto::otel_context().attach();
/// ```
pub fn otel_context() -> Context {
    let context = opentelemetry::Context::current();
    place_of(context.span().span_context()).unwrap_or_else(Context::current)
}

impl OtelProcessor {
    /// A processor that writes where [`spanlite::init`] says.
    pub fn new() -> Self {
        Self(())
    }
}

impl SpanProcessor for OtelProcessor {
    fn on_start(&self, span: &mut OtelSpan, parent: &opentelemetry::Context) {
        let Some(data) = span.exported_data() else {
            return;
        };
        let mut builder = spanlite::span(&data.name).start_time_unix_nano(nanos(data.start_time));
        let parent = parent.span().span_context().clone();
        if let Some(place) = place_of(&parent) {
            builder = builder.parent(place);
        } else if parent.is_valid()
            && parent.is_remote()
            && let Some(place) = remote(&parent)
        {
            builder = builder.parent(place);
        }
        let started = builder.start_detached();
        open().insert(key(&data.span_context), started);
    }

    fn on_end(&self, data: SpanData) {
        let Some(mut span) = open().remove(&key(&data.span_context)) else {
            return;
        };
        write(&mut span, &data);
        span.end_at(nanos(data.end_time));
    }

    fn force_flush(&self) -> OTelSdkResult {
        spanlite::flush().map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.force_flush()
    }
}

/// The place of a span in another process.
fn remote(context: &SpanContext) -> Option<Context> {
    Context::from_traceparent(&format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8()
    ))
}

/// A time in Unix nanoseconds; 0 before 1970.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn write(span: &mut Span, data: &SpanData) {
    span.set_name(&data.name);
    span.set_kind(match data.span_kind {
        opentelemetry::trace::SpanKind::Client => SpanKind::Client,
        opentelemetry::trace::SpanKind::Server => SpanKind::Server,
        opentelemetry::trace::SpanKind::Producer => SpanKind::Producer,
        opentelemetry::trace::SpanKind::Consumer => SpanKind::Consumer,
        opentelemetry::trace::SpanKind::Internal => SpanKind::Internal,
    });
    let mut sheet = Sheet::new(TraceId::default(), SpanId::default(), data.name.as_ref());
    for attribute in &data.attributes {
        let value = value(&attribute.value);
        span.set_attribute(attribute.key.as_str(), &value);
        sheet.attributes.push(attribute.key.as_str(), value);
    }
    span.set_attribute(TRACE_ID, data.span_context.trace_id().to_string());
    span.set_attribute(SPAN_ID, data.span_context.span_id().to_string());
    for event in data.events.iter() {
        let attributes = pairs(&event.attributes);
        span.add_event_at(nanos(event.timestamp), &event.name, attributes);
    }
    for link in data.links.iter() {
        let known = place_of(&link.span_context).or_else(|| remote(&link.span_context));
        if let Some(to) = known {
            span.add_link(to, pairs(&link.attributes));
        }
    }
    spanlite_formats::derive_fields(&mut sheet);
    if sheet.span_type != SpanType::Unknown {
        span.set_span_type(sheet.span_type.as_str());
    }
    if let Some(inputs) = sheet.inputs {
        span.set_inputs(inputs);
    }
    if let Some(outputs) = sheet.outputs {
        span.set_outputs(outputs);
    }
    match &data.status {
        Status::Unset => {}
        Status::Ok => span.set_ok(),
        Status::Error { description } => span.set_error(description),
    }
}

fn pairs(attributes: &[KeyValue]) -> Vec<(&str, Value)> {
    let pairs = attributes.iter();
    pairs
        .map(|one| (one.key.as_str(), value(&one.value)))
        .collect()
}

fn value(value: &OtelValue) -> Value {
    match value {
        OtelValue::Bool(value) => Value::Bool(*value),
        OtelValue::I64(value) => Value::Int(*value),
        OtelValue::F64(value) => Value::Double(*value),
        OtelValue::Array(Array::Bool(values)) => list(values, |value| Value::Bool(*value)),
        OtelValue::Array(Array::I64(values)) => list(values, |value| Value::Int(*value)),
        OtelValue::Array(Array::F64(values)) => list(values, |value| Value::Double(*value)),
        OtelValue::Array(Array::String(values)) => list(values, |value| value.as_str().into()),
        other => Value::String(other.as_str().into_owned()),
    }
}

fn list<T>(values: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(values.iter().map(one).collect())
}
