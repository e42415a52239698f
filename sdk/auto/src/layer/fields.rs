use std::error::Error;
use std::fmt;

use spanlite::{Span, SpanKind, Value};
use spanlite_model::Attributes;
use tracing::field::{Field, Visit};

use super::meaning;

/// Writes the fields of a span into it.
pub(super) struct SpanFields<'s> {
    pub(super) span: &'s mut Span,
    /// A copy, for spans whose fields mean something.
    pub(super) copy: Option<&'s mut Attributes>,
    /// Set when a field says that the span is a call of a model.
    pub(super) model_call: &'s mut bool,
}

impl SpanFields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match (name, value.as_str()) {
            ("otel.name", Some(text)) => return self.span.set_name(text),
            ("otel.kind", Some(text)) => {
                let kind = SpanKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str().eq_ignore_ascii_case(text));
                return self.span.set_kind(kind.unwrap_or_default());
            }
            ("otel.status_code", Some(text)) if text.eq_ignore_ascii_case("error") => {
                return self.span.set_error("");
            }
            ("otel.status_code", Some(text)) if text.eq_ignore_ascii_case("ok") => {
                return self.span.set_ok();
            }
            ("otel.status_message" | "otel.status_description", Some(text)) => {
                return self.span.set_error(text);
            }
            ("gen_ai.operation.name", Some(text)) => {
                *self.model_call = meaning::is_model_call(text);
            }
            _ => {}
        }
        self.span.set_attribute(name, &value);
        if let Some(copy) = &mut self.copy {
            copy.set(name, value);
        }
    }
}

impl Visit for SpanFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.span.record_error(&value);
        self.put(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

/// A number beyond 63 bits becomes its text.
fn unsigned(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::Int)
}

/// Gathers the fields of an event.
#[derive(Default)]
pub(super) struct EventFields {
    pub(super) message: Option<String>,
    pub(super) attributes: Attributes,
}

impl EventFields {
    fn put(&mut self, field: &Field, value: Value) {
        self.attributes.push(field.name(), value);
    }

    /// Class, text and stack of the exception that the event tells, by the names of
    /// OpenTelemetry, or of a field `error`.
    pub(super) fn exception(&self) -> Option<(&str, &str, &str)> {
        let text = |key: &str| self.attributes.get_str(key);
        let message = text("exception.message").or_else(|| text("error"));
        let class = text("exception.type").or_else(|| message.map(|_| "error"))?;
        let stacktrace = text("exception.stacktrace").unwrap_or_default();
        Some((class, message.unwrap_or_default(), stacktrace))
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(value.to_owned());
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = Some(text);
        } else {
            self.put(field, text.into());
        }
    }
}
