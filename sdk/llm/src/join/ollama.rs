use serde_json::{Value, json};

use super::{Object, Step, append};

/// An answer of Ollama's interface from its lines; the last one says `done` and has the counts.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    fields: Object,
    message: Object,
    tool_calls: Vec<Value>,
}

impl Answer {
    pub(super) fn add(&mut self, mut line: Object) -> Step {
        let mut step = Step {
            content: false,
            last: line.get("done").and_then(Value::as_bool) == Some(true),
        };
        if let Some(Value::Object(mut message)) = line.remove("message") {
            for field in ["content", "thinking"] {
                if let Some(Value::String(more)) = message.remove(field) {
                    step.content |= !more.is_empty();
                    append(&mut self.message, field, &more);
                }
            }
            if let Some(Value::Array(calls)) = message.remove("tool_calls") {
                step.content = true;
                self.tool_calls.extend(calls);
            }
            self.message.extend(message);
        }
        for field in ["response", "thinking"] {
            if let Some(Value::String(more)) = line.remove(field) {
                step.content |= !more.is_empty();
                append(&mut self.fields, field, &more);
            }
        }
        // Token numbers of the whole context, only of use to the server.
        line.remove("context");
        self.fields.extend(line);
        step
    }

    pub(super) fn finish(mut self) -> Option<Value> {
        if !self.tool_calls.is_empty() {
            let calls = json!(self.tool_calls);
            self.message.insert("tool_calls".to_owned(), calls);
        }
        let mut answer = self.fields;
        if !self.message.is_empty() {
            answer.insert("message".to_owned(), self.message.into());
        }
        (!answer.is_empty()).then(|| answer.into())
    }
}
