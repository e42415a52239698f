use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_PARTS, Object, Spot, Step, append, take_over};

/// An answer of the responses interface. Its last event repeats all of it; the pieces count
/// only when that event never comes.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    whole: Option<Object>,
    head: Object,
    /// Output items by their place: the finished item, or the text of an unfinished one.
    items: BTreeMap<u64, Value>,
    text: Object,
}

/// The kind of an event that brings a piece of the answer's text.
const TEXT: &str = "response.output_text.delta";

/// An event that brings a piece of something.
#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    delta: Cow<'a, str>,
}

/// Returns whether an event brings a piece of something.
fn is_delta(kind: &str) -> bool {
    kind.rsplit('.').next() == Some("delta")
}

/// What an event brings, and where it belongs: the pieces of what is not text belong nowhere.
pub(super) fn piece(piece: Piece<'_>) -> Option<(Cow<'_, str>, Spot)> {
    let field = if piece.kind == TEXT {
        "output_text"
    } else {
        ""
    };
    let is_piece = is_delta(piece.kind) && !piece.delta.is_empty();
    is_piece.then_some((piece.delta, Spot { place: 0, field }))
}

impl Responses {
    pub(super) fn append(&mut self, spot: Spot, text: &str) {
        if !spot.field.is_empty() {
            append(&mut self.text, spot.field, text);
        }
    }

    fn add_delta(&mut self, kind: &str, delta: &str) -> Step {
        if kind == TEXT {
            append(&mut self.text, "output_text", delta);
        }
        Step {
            content: !delta.is_empty(),
            last: false,
        }
    }

    pub(super) fn add(&mut self, mut event: Object) -> Step {
        let kind = match event.remove("type") {
            Some(Value::String(kind)) => kind,
            _ => String::new(),
        };
        match kind.as_str() {
            "response.completed" | "response.incomplete" | "response.failed" => {
                if let Some(Value::Object(response)) = event.remove("response") {
                    self.whole = Some(response);
                }
                Step {
                    content: false,
                    last: true,
                }
            }
            "response.created" | "response.in_progress" => {
                if let Some(Value::Object(mut response)) = event.remove("response") {
                    take_over(
                        &mut self.head,
                        &mut response,
                        &["id", "model", "created_at"],
                    );
                }
                Step::default()
            }
            "response.output_item.done" => {
                let place = event.get("output_index").and_then(Value::as_u64);
                if let (Some(place), Some(item)) = (place, event.remove("item"))
                    && place < MAX_PARTS
                {
                    self.items.insert(place, item);
                }
                Step::default()
            }
            "error" => {
                self.head.insert("error".to_owned(), event.into());
                Step {
                    content: false,
                    last: true,
                }
            }
            _ if is_delta(&kind) => {
                let delta = event.get("delta").and_then(Value::as_str);
                self.add_delta(&kind, delta.unwrap_or_default())
            }
            _ => Step::default(),
        }
    }

    pub(super) fn finish(self) -> Option<Value> {
        if let Some(whole) = self.whole {
            return Some(whole.into());
        }
        let mut answer = self.head;
        answer.extend(self.text);
        if !self.items.is_empty() {
            let items: Vec<Value> = self.items.into_values().collect();
            answer.insert("output".to_owned(), json!(items));
        }
        (!answer.is_empty()).then(|| answer.into())
    }
}
