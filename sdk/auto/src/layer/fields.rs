use std::error::Error;
use std::fmt;

use serde::Serialize;
use spanlite::{Span, SpanKind, Value};
use spanlite_model::Attributes;
use tracing::field::{Field, Visit};

use super::meaning;

/// The field that says what a span of the GenAI conventions does.
const OPERATION: &str = "gen_ai.operation.name";

/// Writes the fields of a span into it.
pub(super) struct SpanFields<'s> {
    pub(super) span: &'s mut Span,
    /// A copy, for spans whose fields mean something.
    pub(super) copy: Option<&'s mut Attributes>,
    /// Set when a field says that the span is a call of a model.
    pub(super) model_call: &'s mut bool,
}

impl SpanFields<'_> {
    fn put<V: Serialize + Into<Value>>(&mut self, name: &'static str, value: V) {
        self.span.set_attribute(name, &value);
        if let Some(copy) = &mut self.copy {
            copy.set(name, value.into());
        }
    }

    fn put_text(&mut self, name: &'static str, text: &str) {
        if name.starts_with("otel.") && self.bridge(name, text) {
            return;
        }
        if name == OPERATION {
            *self.model_call = meaning::is_model_call(text);
        }
        self.put(name, text);
    }

    /// Does what a field says to the bridges to OpenTelemetry, and returns whether it says
    /// something to them.
    fn bridge(&mut self, name: &str, text: &str) -> bool {
        match name {
            "otel.name" => self.span.set_name(text),
            "otel.kind" => {
                let kind = SpanKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str().eq_ignore_ascii_case(text));
                self.span.set_kind(kind.unwrap_or_default());
            }
            "otel.status_code" if text.eq_ignore_ascii_case("error") => self.span.set_error(""),
            "otel.status_code" if text.eq_ignore_ascii_case("ok") => self.span.set_ok(),
            "otel.status_message" | "otel.status_description" => self.span.set_error(text),
            _ => return false,
        }
        true
    }
}

impl Visit for SpanFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field.name(), value),
            Err(_) => self.put(field.name(), unsigned(value)),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.span.record_error(&value);
        self.put(field.name(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), &format!("{value:?}"));
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
