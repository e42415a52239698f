//! What can be said of a span, written on its sheet.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use spanlite_model::{StatusCode, Value, keys};
use spanlite_store::record::{EventEncoder, Redact};

use super::limits::Part;
use crate::context::Context;
use crate::live::Live;

/// Adds attributes to an event or a link while its span is short of `most` bytes. Returns whether
/// all were added.
fn put_attributes<K: AsRef<str>>(
    mut to: EventEncoder<'_>,
    attributes: impl IntoIterator<Item = (K, Value)>,
    most: usize,
    redact: Option<&dyn Redact>,
) -> bool {
    for (key, value) in attributes {
        if to.span_bytes() >= most {
            return false;
        }
        to.attribute(key.as_ref(), &value, redact);
    }
    true
}

impl Live {
    fn redact(&self) -> Option<std::sync::Arc<dyn Redact + Send + Sync>> {
        self.redact.clone()
    }

    #[inline]
    pub(crate) fn attribute<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        if !self.has_room(Part::Attribute) {
            return;
        }
        let redact = self.redact();
        self.encoder
            .set_attribute(key, value, as_dyn(redact.as_deref()));
    }

    #[inline]
    pub(crate) fn inputs<T: Serialize + ?Sized>(&mut self, value: &T) {
        if !self.has_room(Part::Whole) {
            return;
        }
        let redact = self.redact();
        self.encoder.set_inputs(value, as_dyn(redact.as_deref()));
    }

    #[inline]
    pub(crate) fn outputs<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.has_outputs = true;
        if !self.has_room(Part::Whole) {
            return;
        }
        let redact = self.redact();
        self.encoder.set_outputs(value, as_dyn(redact.as_deref()));
    }

    pub(crate) fn status(&mut self, code: StatusCode, message: &str) {
        self.status = code;
        self.encoder.set_status(code);
        if !self.has_room(Part::Whole) {
            return;
        }
        let redact = self.redact();
        let replaced = redact.and_then(|redact| redact.replace(message));
        let message = self.cut_text(replaced.as_deref().unwrap_or(message));
        self.encoder.set_status_message(message);
    }

    pub(crate) fn name(&mut self, name: &str) {
        if self.has_room(Part::Whole) {
            let name = self.cut_text(name);
            self.encoder.set_name(name);
        }
    }

    pub(crate) fn span_type(&mut self, span_type: &str) {
        if self.has_room(Part::Whole) {
            let span_type = self.cut_text(span_type);
            self.encoder.set_span_type(span_type);
        }
    }

    pub(crate) fn event<K: AsRef<str>>(
        &mut self,
        name: &str,
        unix_nanos: u64,
        attributes: impl IntoIterator<Item = (K, Value)>,
    ) {
        if !self.has_room(Part::Event) {
            return;
        }
        let redact = self.redact();
        let most = self.most_bytes();
        let name = self.cut_text(name);
        let added = self.encoder.add_event(name, unix_nanos);
        let redact = as_dyn(redact.as_deref());
        if !put_attributes(added, attributes, most, redact) {
            self.encoder.mark_cut();
        }
    }

    pub(crate) fn link<K: AsRef<str>>(
        &mut self,
        to: Context,
        attributes: impl IntoIterator<Item = (K, Value)>,
    ) {
        if !self.has_room(Part::Link) {
            return;
        }
        let redact = self.redact();
        let most = self.most_bytes();
        let added = self.encoder.add_link(to.trace_id, to.span_id);
        let redact = as_dyn(redact.as_deref());
        if !put_attributes(added, attributes, most, redact) {
            self.encoder.mark_cut();
        }
    }

    /// Records a failure as MLflow does: the event `exception` and the status.
    pub(crate) fn exception(
        &mut self,
        class: &str,
        message: fmt::Arguments<'_>,
        stack: fmt::Arguments<'_>,
    ) {
        if self.has_room(Part::Event) {
            let redact = self.redact();
            let redact = as_dyn(redact.as_deref());
            let now = self.now();
            self.encoder
                .add_event(keys::EXCEPTION, now)
                .attribute(keys::EXCEPTION_TYPE, class, redact)
                .attribute_display(keys::EXCEPTION_MESSAGE, message, redact)
                .attribute_display(keys::EXCEPTION_STACKTRACE, stack, redact);
        }
        self.status(StatusCode::Error, &message.to_string());
    }

    pub(crate) fn error(&mut self, class: &str, error: &dyn Error) {
        self.exception(
            class,
            format_args!("{error}"),
            format_args!("{}", Chain(error)),
        );
    }
}

/// The lifetime of a trait object, made shorter.
fn as_dyn<'a>(redact: Option<&'a (dyn Redact + Send + Sync + 'static)>) -> Option<&'a dyn Redact> {
    redact.map(|redact| redact as &dyn Redact)
}

/// An error and what caused it, one a line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        // A source that names itself would go on for ever.
        for _ in 0..32 {
            let Some(cause) = source else {
                break;
            };
            write!(f, "\ncaused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Defines what can be said of a span, for the types a span comes as. `$change` runs a closure
/// on the sheet of the span, if there is one.
macro_rules! span_methods {
    ($type:ty, $this:ident, $($receiver:tt)+) => {
        impl $type {
            /// Sets what went in: any value, stored as JSON.
            #[inline]
            pub fn set_inputs<T: serde::Serialize>($($receiver)+, inputs: T) {
                $this.change(|live| live.inputs(&inputs));
            }

            /// Sets what came out: any value, stored as JSON.
            #[inline]
            pub fn set_outputs<T: serde::Serialize>($($receiver)+, outputs: T) {
                $this.change(|live| live.outputs(&outputs));
            }

            /// Sets an attribute; a later value of one key takes the place of the earlier.
            ///
            /// Values that are not `Serialize` go through [`debug`](crate::debug) or
            /// [`display`](crate::display).
            #[inline]
            pub fn set_attribute<T: serde::Serialize>($($receiver)+, key: &str, value: T) {
                $this.change(|live| live.attribute(key, &value));
            }

            /// Sets several attributes of one type.
            pub fn set_attributes<K: AsRef<str>, T: serde::Serialize>(
                $($receiver)+,
                attributes: impl IntoIterator<Item = (K, T)>,
            ) {
                $this.change(|live| {
                    for (key, value) in attributes {
                        live.attribute(key.as_ref(), &value);
                    }
                });
            }

            /// Changes the name.
            pub fn set_name($($receiver)+, name: &str) {
                $this.change(|live| live.name(name));
            }

            /// Sets MLflow's role: a [`SpanType`](crate::SpanType) or any name.
            pub fn set_span_type($($receiver)+, span_type: impl AsRef<str>) {
                $this.change(|live| live.span_type(span_type.as_ref()));
            }

            /// Sets OpenTelemetry's role.
            pub fn set_kind($($receiver)+, kind: crate::SpanKind) {
                $this.change(|live| live.encoder.set_kind(kind));
            }

            /// Says that it went well.
            pub fn set_ok($($receiver)+) {
                $this.change(|live| live.status(crate::StatusCode::Ok, ""));
            }

            /// Says that it failed, without an exception event.
            pub fn set_error($($receiver)+, message: &str) {
                $this.change(|live| live.status(crate::StatusCode::Error, message));
            }

            /// Records an error: the event `exception` with type, message and what caused it, and
            /// the status.
            pub fn record_error<E: std::error::Error>($($receiver)+, error: &E) {
                $this.change(|live| live.error(std::any::type_name::<E>(), &error));
            }

            /// Records a failure that is no [`Error`](std::error::Error).
            pub fn record_exception($($receiver)+, class: &str, message: &str, stacktrace: &str) {
                $this.change(|live| {
                    live.exception(class, format_args!("{message}"), format_args!("{stacktrace}"));
                });
            }

            /// Adds an event that happens at this moment.
            pub fn add_event<K: AsRef<str>>(
                $($receiver)+,
                name: &str,
                attributes: impl IntoIterator<Item = (K, crate::Value)>,
            ) {
                $this.change(|live| {
                    let now = live.now();
                    live.event(name, now, attributes);
                });
            }

            /// Adds an event that happened at a time in Unix nanoseconds.
            pub fn add_event_at<K: AsRef<str>>(
                $($receiver)+,
                time_unix_nano: u64,
                name: &str,
                attributes: impl IntoIterator<Item = (K, crate::Value)>,
            ) {
                $this.change(|live| live.event(name, time_unix_nano, attributes));
            }

            /// Adds a pointer to another span.
            pub fn add_link<K: AsRef<str>>(
                $($receiver)+,
                to: crate::Context,
                attributes: impl IntoIterator<Item = (K, crate::Value)>,
            ) {
                $this.change(|live| live.link(to, attributes));
            }
        }
    };
}

pub(crate) use span_methods;
