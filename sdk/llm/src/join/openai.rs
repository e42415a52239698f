use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Object, Step, append, place, take_over};

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

impl Chat {
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
