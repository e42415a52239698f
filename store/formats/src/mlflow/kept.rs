//! What a document says that the model would not say again in the same words.

use std::collections::BTreeMap;

use serde_json::Value as JsonValue;
use spanlite_model::{Json, Span, TraceInfo};

use super::Object;

/// The entry of `extra` for fields of `info`.
const INFO: &str = "mlflow.info";
/// The entry of `extra` for fields of spans, by the hex of their ids.
const SPANS: &str = "mlflow.spans";
/// The only field of a span that is looked into.
const ATTRIBUTES: &str = "attributes";

/// Fields as they came, where they differ from how they would be written. A field that would be
/// written and was not there is `null`.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) info: Object,
    pub(super) spans: BTreeMap<String, Object>,
}

impl Kept {
    /// Takes note of a span that came as `original` and would be written as `rendered`.
    pub(super) fn note_span(&mut self, span: &Span, original: &Object, rendered: &Object) {
        let mut differences = difference(original, rendered);
        let sides = [original, rendered].map(|side| side.get(ATTRIBUTES)?.as_object());
        if let (Some(_), [Some(original), Some(rendered)]) = (differences.get(ATTRIBUTES), sides) {
            let inner = difference(original, rendered);
            differences.insert(ATTRIBUTES.to_owned(), inner.into());
        }
        if !differences.is_empty() {
            self.spans.insert(span.span_id.to_string(), differences);
        }
    }

    /// Takes note of an `info` that came as `original` and would be written as `rendered`.
    pub(super) fn note_info(&mut self, original: &Object, rendered: &Object) {
        self.info = difference(original, rendered);
    }

    /// Puts what was noted where it stays with the trace.
    pub(super) fn store(self, info: &mut TraceInfo) {
        if !self.info.is_empty() {
            let value = JsonValue::Object(self.info);
            info.extra.insert(INFO.to_owned(), Json::from(&value));
        }
        if !self.spans.is_empty() {
            let spans = self.spans.into_iter().map(|(id, one)| (id, one.into()));
            let value = JsonValue::Object(spans.collect());
            info.extra.insert(SPANS.to_owned(), Json::from(&value));
        }
    }

    /// Takes out what was noted when the trace was read.
    pub(super) fn load(info: &TraceInfo) -> Self {
        let object = |key: &str| match info.extra.get(key)?.to_value().ok()? {
            JsonValue::Object(object) => Some(object),
            _ => None,
        };
        let spans = object(SPANS).unwrap_or_default();
        Self {
            info: object(INFO).unwrap_or_default(),
            spans: spans
                .into_iter()
                .filter_map(|(id, one)| match one {
                    JsonValue::Object(one) => Some((id, one)),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Puts fields of a span back, each only if the span still reads as the same.
    pub(super) fn restore_span(
        &self,
        span: &Span,
        rendered: &mut Object,
        same: impl Fn(&Object, &Object) -> bool,
    ) {
        let Some(fields) = self.spans.get(&span.span_id.to_string()) else {
            return;
        };
        for (field, original) in fields {
            let inner = rendered.get(field).and_then(JsonValue::as_object);
            match (field.as_str(), inner, original) {
                (ATTRIBUTES, Some(_), JsonValue::Object(attributes)) => {
                    for (key, original) in attributes {
                        let mut changed = rendered.clone();
                        if let Some(JsonValue::Object(inner)) = changed.get_mut(ATTRIBUTES) {
                            put(inner, key, original);
                        }
                        if same(&changed, rendered) {
                            *rendered = changed;
                        }
                    }
                }
                _ => restore(rendered, field, original, &same),
            }
        }
    }

    /// Puts fields of `info` back, each only if it still reads as the same.
    pub(super) fn restore_info(
        &self,
        rendered: &mut Object,
        same: impl Fn(&Object, &Object) -> bool,
    ) {
        for (field, original) in &self.info {
            restore(rendered, field, original, &same);
        }
    }
}

fn restore(
    rendered: &mut Object,
    field: &str,
    original: &JsonValue,
    same: impl Fn(&Object, &Object) -> bool,
) {
    let mut changed = rendered.clone();
    put(&mut changed, field, original);
    if same(&changed, rendered) {
        *rendered = changed;
    }
}

fn put(object: &mut Object, field: &str, value: &JsonValue) {
    if value.is_null() {
        object.remove(field);
    } else {
        object.insert(field.to_owned(), value.clone());
    }
}

/// The fields of `original` that `rendered` does not have alike. Absent, `null` and empty are
/// alike.
fn difference(original: &Object, rendered: &Object) -> Object {
    let said = |value: &&JsonValue| match value {
        JsonValue::Null => false,
        JsonValue::Array(list) => !list.is_empty(),
        JsonValue::Object(object) => !object.is_empty(),
        _ => true,
    };
    let mut out = Object::new();
    for (field, value) in original {
        if rendered.get(field).filter(said) != Some(value).filter(said) {
            out.insert(field.clone(), value.clone());
        }
    }
    for (field, value) in rendered {
        if !original.contains_key(field) && said(&value) {
            out.insert(field.clone(), JsonValue::Null);
        }
    }
    out
}
