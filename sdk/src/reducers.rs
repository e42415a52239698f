//! Makes one message of the chunks of a stream.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Joins the chunks of an `OpenAI` chat stream into the completion that a call without streaming
/// would have returned: content, refusal, tool calls, finish reasons and usage, for each choice.
///
/// Chunks may be of any type that serialises as the API writes them. What is not a chunk is
/// skipped.
///
/// ```
/// use futures_core::Stream;
/// use serde_json::Value;
/// use spanlite::{reducers, trace};
///
/// #[trace(output_reducer = reducers::openai_chat)]
/// fn predict(chunks: Vec<Value>) -> impl Iterator<Item = Value> {
///     chunks.into_iter()
/// }
/// ```
pub fn openai_chat<T: Serialize>(chunks: &[T]) -> Value {
    let mut completion = Map::new();
    let mut choices: Vec<Choice> = Vec::new();
    let mut usage = Value::Null;
    for chunk in chunks {
        let Ok(Value::Object(chunk)) = serde_json::to_value(chunk) else {
            continue;
        };
        for (key, value) in chunk {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("choices", Value::Array(deltas)) => {
                    for delta in &deltas {
                        Choice::of(&mut choices, delta).add(delta);
                    }
                }
                ("usage", value) => usage = value,
                (_, value) => {
                    completion.entry(key).or_insert(value);
                }
            }
        }
    }
    completion.insert("object".to_owned(), json!("chat.completion"));
    choices.sort_by_key(|choice| choice.index);
    let choices = choices.into_iter().map(Choice::into_value).collect();
    completion.insert("choices".to_owned(), Value::Array(choices));
    if !usage.is_null() {
        completion.insert("usage".to_owned(), usage);
    }
    Value::Object(completion)
}

/// One choice, as far as its deltas have come.
#[derive(Default)]
struct Choice {
    index: u64,
    message: Map<String, Value>,
    tool_calls: Vec<(u64, Map<String, Value>)>,
    finish_reason: Value,
}

impl Choice {
    fn of<'c>(choices: &'c mut Vec<Self>, delta: &Value) -> &'c mut Self {
        let index = delta["index"].as_u64().unwrap_or(0);
        let known = choices.iter().position(|choice| choice.index == index);
        let place = known.unwrap_or(choices.len());
        if known.is_none() {
            choices.push(Self {
                index,
                ..Self::default()
            });
        }
        &mut choices[place]
    }

    fn add(&mut self, delta: &Value) {
        if !delta["finish_reason"].is_null() {
            self.finish_reason = delta["finish_reason"].clone();
        }
        let Some(parts) = delta["delta"].as_object() else {
            return;
        };
        for (key, part) in parts {
            if key == "tool_calls" {
                for call in part.as_array().into_iter().flatten() {
                    self.add_tool_call(call);
                }
            } else {
                // A role is said once; what repeats it must not double it.
                join(&mut self.message, key, part, key != "role");
            }
        }
    }

    fn add_tool_call(&mut self, call: &Value) {
        let index = call["index"]
            .as_u64()
            .unwrap_or(self.tool_calls.len() as u64);
        let known = self
            .tool_calls
            .iter()
            .position(|(known, _)| *known == index);
        let place = known.unwrap_or(self.tool_calls.len());
        if known.is_none() {
            self.tool_calls.push((index, Map::new()));
        }
        let joined = &mut self.tool_calls[place].1;
        for (key, part) in call.as_object().into_iter().flatten() {
            match (key.as_str(), part) {
                ("index", _) => {}
                ("function", Value::Object(parts)) => {
                    let function = joined.entry("function").or_insert_with(|| json!({}));
                    if let Value::Object(function) = function {
                        for (key, part) in parts {
                            join(function, key, part, true);
                        }
                    }
                }
                _ => join(joined, key, part, false),
            }
        }
    }

    fn into_value(mut self) -> Value {
        self.message
            .entry("role")
            .or_insert_with(|| json!("assistant"));
        self.message.entry("content").or_insert(Value::Null);
        if !self.tool_calls.is_empty() {
            self.tool_calls.sort_by_key(|(index, _)| *index);
            let calls = self
                .tool_calls
                .into_iter()
                .map(|(_, call)| Value::Object(call));
            self.message
                .insert("tool_calls".to_owned(), calls.collect());
        }
        json!({
            "index": self.index,
            "message": self.message,
            "finish_reason": self.finish_reason,
        })
    }
}

/// Adds a part to what is there: texts grow if `grows`, anything else is replaced.
fn join(joined: &mut Map<String, Value>, key: &str, part: &Value, grows: bool) {
    match (joined.get_mut(key), part) {
        (_, Value::Null) => {}
        (Some(Value::String(text)), Value::String(more)) if grows => text.push_str(more),
        (_, part) => {
            joined.insert(key.to_owned(), part.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(delta: &Value, finish_reason: &Value) -> Value {
        json!({
            "id": "c-1", "object": "chat.completion.chunk", "created": 5, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
            "usage": null,
        })
    }

    #[test]
    fn content_tool_calls_and_usage_are_joined() {
        let chunks = [
            chunk(&json!({"role": "assistant", "content": ""}), &Value::Null),
            chunk(&json!({"content": "Let me "}), &Value::Null),
            chunk(&json!({"content": "look."}), &Value::Null),
            chunk(
                &json!({"tool_calls": [{"index": 0, "id": "t-1", "type": "function",
                    "function": {"name": "search", "arguments": ""}}]}),
                &Value::Null,
            ),
            chunk(
                &json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"q\":"}}]}),
                &Value::Null,
            ),
            chunk(
                &json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
                &Value::Null,
            ),
            chunk(&json!({}), &json!("tool_calls")),
            json!({"id": "c-1", "choices": [], "usage": {"total_tokens": 9}}),
        ];
        assert_eq!(
            openai_chat(&chunks),
            json!({
                "id": "c-1", "object": "chat.completion", "created": 5, "model": "m",
                "choices": [{
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Let me look.",
                        "tool_calls": [{"id": "t-1", "type": "function",
                            "function": {"name": "search", "arguments": "{\"q\":1}"}}],
                    },
                    "finish_reason": "tool_calls",
                }],
                "usage": {"total_tokens": 9},
            })
        );
    }

    #[test]
    fn choices_are_kept_apart_and_strange_chunks_are_skipped() {
        let chunks = [
            json!({"choices": [{"index": 1, "delta": {"content": "b"}}]}),
            json!("no chunk"),
            json!({"choices": [{"index": 0, "delta": {"content": "a"}}, 7]}),
            json!({"choices": [{"index": 1, "delta": {"content": "c"}, "finish_reason": "stop"}]}),
        ];
        let completion = openai_chat(&chunks);
        assert_eq!(completion["choices"][0]["message"]["content"], "a");
        assert_eq!(completion["choices"][1]["message"]["content"], "bc");
        assert_eq!(completion["choices"][1]["finish_reason"], "stop");
    }
}
