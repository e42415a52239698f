//! Puts the events of a stream together into the answer that the same call gives unstreamed.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;

use serde_json::{Map, Value};

use crate::Interface;

/// What an event of a stream brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// A piece of the answer.
    pub(crate) content: bool,
    /// The end of the answer; nothing that follows belongs to it.
    pub(crate) last: bool,
}

/// The answer as far as it has come.
#[derive(Debug)]
pub(crate) enum Joined {
    Chat(openai::Chat),
    Responses(responses::Responses),
    Anthropic(anthropic::Message),
    Gemini(gemini::Content),
    Ollama(ollama::Answer),
}

impl Joined {
    pub(crate) fn new(interface: Interface) -> Self {
        match interface {
            Interface::OpenAiResponses => Self::Responses(responses::Responses::default()),
            Interface::AnthropicMessages => Self::Anthropic(anthropic::Message::default()),
            Interface::GeminiGenerate | Interface::GeminiEmbed => {
                Self::Gemini(gemini::Content::default())
            }
            Interface::OllamaChat | Interface::OllamaGenerate | Interface::OllamaEmbed => {
                Self::Ollama(ollama::Answer::default())
            }
            _ => Self::Chat(openai::Chat::default()),
        }
    }

    /// Takes one event.
    pub(crate) fn add(&mut self, event: Value) -> Step {
        let Value::Object(event) = event else {
            return Step::default();
        };
        match self {
            Self::Chat(chat) => chat.add(event),
            Self::Responses(responses) => responses.add(event),
            Self::Anthropic(message) => message.add(event),
            Self::Gemini(content) => content.add(event),
            Self::Ollama(answer) => answer.add(event),
        }
    }

    /// The answer; nothing when no event brought any of it.
    pub(crate) fn finish(self) -> Option<Value> {
        match self {
            Self::Chat(chat) => chat.finish(),
            Self::Responses(responses) => responses.finish(),
            Self::Anthropic(message) => message.finish(),
            Self::Gemini(content) => content.finish(),
            Self::Ollama(answer) => answer.finish(),
        }
    }
}

type Object = Map<String, Value>;

/// How many parts (choices, tool calls, blocks) are told apart; later ones are dropped.
const MAX_PARTS: u64 = 256;

/// The number of a part, where it is small enough to be one.
fn place(object: &Object) -> Option<u64> {
    let index = object.get("index").and_then(Value::as_u64).unwrap_or(0);
    (index < MAX_PARTS).then_some(index)
}

/// Adds a text to the end of a field.
fn append(object: &mut Object, field: &str, more: &str) {
    match object.get_mut(field) {
        Some(Value::String(text)) => text.push_str(more),
        _ => {
            object.insert(field.to_owned(), Value::String(more.to_owned()));
        }
    }
}

/// Takes over fields that say something and are not there yet.
fn take_over(target: &mut Object, source: &mut Object, fields: &[&str]) {
    for field in fields {
        if let Some(value) = source.remove(*field).filter(|value| !value.is_null()) {
            target.entry(*field).or_insert(value);
        }
    }
}
