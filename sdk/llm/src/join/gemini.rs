use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Object, Step, append, place, take_over};

/// An answer of Gemini's interface from its parts, each an answer of its own.
#[derive(Debug, Default)]
pub(crate) struct Content {
    head: Object,
    candidates: BTreeMap<u64, Candidate>,
}

#[derive(Debug, Default)]
struct Candidate {
    parts: Vec<Object>,
    content: Object,
    rest: Object,
}

impl Content {
    /// A reason to finish ends the answer: the interface has no event that says so.
    pub(super) fn add(&mut self, mut chunk: Object) -> Step {
        let mut step = Step::default();
        if let Some(usage) = chunk.remove("usageMetadata") {
            self.head.insert("usageMetadata".to_owned(), usage);
        }
        let candidates = chunk.remove("candidates");
        let head = ["modelVersion", "responseId", "promptFeedback", "error"];
        take_over(&mut self.head, &mut chunk, &head);
        let Some(Value::Array(candidates)) = candidates else {
            return step;
        };
        for candidate in candidates {
            let Value::Object(mut candidate) = candidate else {
                continue;
            };
            let Some(place) = place(&candidate) else {
                continue;
            };
            let target = self.candidates.entry(place).or_default();
            if let Some(Value::Object(mut content)) = candidate.remove("content") {
                if let Some(Value::Array(parts)) = content.remove("parts") {
                    for part in parts {
                        step.content |= target.add(part);
                    }
                }
                take_over(&mut target.content, &mut content, &["role"]);
            }
            step.last |= candidate.contains_key("finishReason");
            target.rest.extend(candidate);
        }
        step
    }

    pub(super) fn finish(self) -> Option<Value> {
        if self.head.is_empty() && self.candidates.is_empty() {
            return None;
        }
        let mut answer = self.head;
        let candidates = self.candidates.into_values().map(|candidate| {
            let mut out = candidate.rest;
            let mut content = candidate.content;
            content.insert("parts".to_owned(), json!(candidate.parts));
            out.insert("content".to_owned(), content.into());
            Value::Object(out)
        });
        let candidates: Vec<Value> = candidates.collect();
        if !candidates.is_empty() {
            answer.insert("candidates".to_owned(), candidates.into());
        }
        Some(answer.into())
    }
}

impl Candidate {
    /// Adds a part; a text continues the text before it if both are of one sort.
    fn add(&mut self, part: Value) -> bool {
        let Value::Object(mut part) = part else {
            return false;
        };
        let thought = part.get("thought").cloned();
        let plain = part.keys().all(|key| key == "text" || key == "thought");
        let last = self.parts.last_mut().filter(|last| {
            plain && last.contains_key("text") && last.get("thought").cloned() == thought
        });
        match (last, part.remove("text")) {
            (Some(last), Some(Value::String(more))) => append(last, "text", &more),
            (_, Some(text)) => {
                part.insert("text".to_owned(), text);
                self.parts.push(part);
            }
            (_, None) => self.parts.push(part),
        }
        true
    }
}
