use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Object, Spot, Step, append, place, take_over};

/// A chat completion, or an older completion, from its chunks.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    head: Object,
    choices: BTreeMap<u64, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    message: Object,
    tool_calls: BTreeMap<u64, Object>,
    rest: Object,
}

/// A chunk that brings a piece of one choice's text. Fields that may say something else are looked
/// at only for whether they do.
#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    id: Option<IgnoredAny>,
    model: Option<IgnoredAny>,
    created: Option<IgnoredAny>,
    system_fingerprint: Option<IgnoredAny>,
    service_tier: Option<IgnoredAny>,
    usage: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
    #[serde(borrow)]
    choices: [PieceOfChoice<'a>; 1],
}

#[derive(Deserialize)]
struct PieceOfChoice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Delta<'a>,
    text: Option<IgnoredAny>,
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    role: Option<IgnoredAny>,
    #[serde(borrow)]
    content: Cow<'a, str>,
    refusal: Option<IgnoredAny>,
    reasoning_content: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
}

impl Chat {
    /// The text that a chunk brings and where it belongs, if that is all that the chunk says beyond
    /// what is known.
    pub(super) fn piece<'a>(&self, piece: Piece<'a>) -> Option<(Cow<'a, str>, Spot)> {
        let [choice] = piece.choices;
        let delta = choice.delta;
        let news = [
            &piece.usage,
            &piece.error,
            &choice.text,
            &choice.finish_reason,
            &delta.refusal,
            &delta.reasoning_content,
            &delta.reasoning,
            &delta.tool_calls,
        ];
        let place = choice.index.unwrap_or(0);
        let target = self.choices.get(&place)?;
        let repeats = |object: &Object, name: &str, field: &Option<IgnoredAny>| {
            field.is_none() || object.contains_key(name)
        };
        let repeats_the_head = [
            ("id", &piece.id),
            ("model", &piece.model),
            ("created", &piece.created),
            ("system_fingerprint", &piece.system_fingerprint),
            ("service_tier", &piece.service_tier),
        ]
        .into_iter()
        .all(|(name, field)| repeats(&self.head, name, field));
        let is_all = news.into_iter().all(Option::is_none)
            && repeats_the_head
            && repeats(&target.message, "role", &delta.role)
            && !delta.content.is_empty();
        let field = "content";
        is_all.then_some((delta.content, Spot { place, field }))
    }

    pub(super) fn append(&mut self, spot: Spot, text: &str) {
        if let Some(target) = self.choices.get_mut(&spot.place) {
            append(&mut target.message, spot.field, text);
        }
    }

    pub(super) fn add(&mut self, mut chunk: Object) -> Step {
        let mut step = Step::default();
        let choices = chunk.remove("choices");
        if let Some(usage) = chunk.remove("usage").filter(|usage| !usage.is_null()) {
            self.head.insert("usage".to_owned(), usage);
        }
        let head = [
            "id",
            "model",
            "created",
            "system_fingerprint",
            "service_tier",
            "error",
        ];
        take_over(&mut self.head, &mut chunk, &head);
        let Some(Value::Array(choices)) = choices else {
            return step;
        };
        for choice in choices {
            let Value::Object(mut choice) = choice else {
                continue;
            };
            let Some(place) = place(&choice) else {
                continue;
            };
            let target = self.choices.entry(place).or_default();
            if let Some(Value::Object(delta)) = choice.remove("delta") {
                step.content |= target.add(delta);
            }
            if let Some(Value::String(text)) = choice.remove("text") {
                step.content |= !text.is_empty();
                append(&mut target.rest, "text", &text);
            }
            take_over(&mut target.rest, &mut choice, &["finish_reason"]);
        }
        step
    }

    pub(super) fn finish(self) -> Option<Value> {
        if self.head.is_empty() && self.choices.is_empty() {
            return None;
        }
        let mut answer = self.head;
        let choices = self.choices.into_iter().map(|(index, choice)| {
            let mut out = choice.rest;
            out.insert("index".to_owned(), json!(index));
            let mut message = choice.message;
            if !choice.tool_calls.is_empty() {
                let calls = choice.tool_calls.into_values().collect::<Vec<_>>();
                message.insert("tool_calls".to_owned(), json!(calls));
            }
            if !message.is_empty() {
                message.entry("role").or_insert_with(|| json!("assistant"));
                out.insert("message".to_owned(), message.into());
            }
            Value::Object(out)
        });
        let choices: Vec<Value> = choices.collect();
        if !choices.is_empty() {
            answer.insert("choices".to_owned(), choices.into());
        }
        Some(answer.into())
    }
}

impl Choice {
    /// Adds a delta, and returns whether it brought any of the answer.
    fn add(&mut self, mut delta: Object) -> bool {
        let mut content = false;
        for field in ["content", "refusal", "reasoning_content", "reasoning"] {
            if let Some(Value::String(text)) = delta.remove(field) {
                content |= !text.is_empty();
                append(&mut self.message, field, &text);
            }
        }
        take_over(&mut self.message, &mut delta, &["role"]);
        let Some(Value::Array(calls)) = delta.remove("tool_calls") else {
            return content;
        };
        for call in calls {
            let Value::Object(mut call) = call else {
                continue;
            };
            let Some(place) = place(&call) else { continue };
            content = true;
            let target = self.tool_calls.entry(place).or_default();
            take_over(target, &mut call, &["id", "type"]);
            let Some(Value::Object(function)) = call.remove("function") else {
                continue;
            };
            let known = target.entry("function").or_insert_with(|| json!({}));
            if let Value::Object(known) = known {
                for field in ["name", "arguments"] {
                    if let Some(Value::String(more)) = function.get(field) {
                        append(known, field, more);
                    }
                }
            }
        }
        content
    }
}
