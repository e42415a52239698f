use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Object, Spot, Step, append, place};

/// A message of Anthropic's interface from its events.
#[derive(Debug, Default)]
pub(crate) struct Message {
    head: Object,
    blocks: BTreeMap<u64, Block>,
}

#[derive(Debug, Default)]
struct Block {
    fields: Object,
    /// The input of a tool, which comes as pieces of JSON text.
    input: String,
}

/// An event that brings a piece of one block.
#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    thinking: Cow<'a, str>,
    #[serde(borrow, default)]
    partial_json: Cow<'a, str>,
    signature: Option<IgnoredAny>,
}

impl Message {
    /// The piece of a block that has begun, and where it belongs.
    pub(super) fn piece<'a>(&self, piece: Piece<'a>) -> Option<(Cow<'a, str>, Spot)> {
        let delta = piece.delta;
        let place = piece.index.unwrap_or(0);
        if piece.kind != "content_block_delta"
            || delta.signature.is_some()
            || !self.blocks.contains_key(&place)
        {
            return None;
        }
        let texts = [
            (delta.text, "text"),
            (delta.thinking, "thinking"),
            (delta.partial_json, "partial_json"),
        ];
        let mut texts = texts.into_iter().filter(|(text, _)| !text.is_empty());
        match (texts.next(), texts.next()) {
            (Some((text, field)), None) => Some((text, Spot { place, field })),
            _ => None,
        }
    }

    pub(super) fn append(&mut self, spot: Spot, text: &str) {
        if let Some(block) = self.blocks.get_mut(&spot.place) {
            block.append(spot.field, text);
        }
    }

    pub(super) fn add(&mut self, mut event: Object) -> Step {
        let kind = match event.remove("type") {
            Some(Value::String(kind)) => kind,
            _ => String::new(),
        };
        match kind.as_str() {
            "message_start" => {
                if let Some(Value::Object(message)) = event.remove("message") {
                    self.head = message;
                    self.head.remove("content");
                }
            }
            "content_block_start" => {
                if let (Some(place), Some(Value::Object(fields))) =
                    (place(&event), event.remove("content_block"))
                {
                    self.blocks.entry(place).or_default().fields = fields;
                }
            }
            "content_block_delta" => {
                if let (Some(place), Some(Value::Object(delta))) =
                    (place(&event), event.remove("delta"))
                {
                    self.blocks.entry(place).or_default().add(&delta);
                    return Step {
                        content: true,
                        last: false,
                    };
                }
            }
            "message_delta" => {
                if let Some(Value::Object(delta)) = event.remove("delta") {
                    self.head.extend(delta);
                }
                if let Some(Value::Object(usage)) = event.remove("usage") {
                    let known = self.head.entry("usage").or_insert_with(|| json!({}));
                    if let Value::Object(known) = known {
                        known.extend(usage.into_iter().filter(|(_, value)| !value.is_null()));
                    }
                }
            }
            "message_stop" => {
                return Step {
                    content: false,
                    last: true,
                };
            }
            "error" => {
                if let Some(error) = event.remove("error") {
                    self.head.insert("error".to_owned(), error);
                }
                return Step {
                    content: false,
                    last: true,
                };
            }
            _ => {}
        }
        Step::default()
    }

    pub(super) fn finish(self) -> Option<Value> {
        if self.head.is_empty() && self.blocks.is_empty() {
            return None;
        }
        let mut answer = self.head;
        let blocks: Vec<Value> = self.blocks.into_values().map(Block::finish).collect();
        if !blocks.is_empty() {
            answer.insert("content".to_owned(), blocks.into());
        }
        Some(answer.into())
    }
}

impl Block {
    fn add(&mut self, delta: &Object) {
        for (field, value) in delta {
            if let ("text" | "thinking" | "signature" | "partial_json", Value::String(more)) =
                (field.as_str(), value)
            {
                self.append(field, more);
            }
        }
    }

    fn append(&mut self, field: &str, more: &str) {
        if field == "partial_json" {
            self.input.push_str(more);
        } else {
            append(&mut self.fields, field, more);
        }
    }

    /// An input that was cut off in the middle of its JSON stays a text.
    fn finish(self) -> Value {
        let mut fields = self.fields;
        if !self.input.is_empty() {
            let input = serde_json::from_str(&self.input);
            fields.insert(
                "input".to_owned(),
                input.unwrap_or(Value::String(self.input)),
            );
        }
        fields.into()
    }
}
