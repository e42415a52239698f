//! Puts the events of a stream together into the answer that the same call gives unstreamed.

mod anthropic;
mod echo;
mod gemini;
mod ollama;
mod openai;
mod responses;

use serde_json::{Map, Value};

use self::echo::Echo;
use crate::Interface;

/// What an event of a stream brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// A piece of the answer.
    pub(crate) content: bool,
    /// The end of the answer; nothing that follows belongs to it.
    pub(crate) last: bool,
}

impl Step {
    const PIECE: Self = Self {
        content: true,
        last: false,
    };
}

/// Where a piece of text belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    /// The number of the choice or block.
    place: u64,
    field: &'static str,
}

/// The answer as far as it has come.
#[derive(Debug)]
pub(crate) struct Joined {
    answer: Answer,
    echo: Echo,
}

#[derive(Debug)]
enum Answer {
    Chat(openai::Chat),
    Responses(responses::Responses),
    Anthropic(anthropic::Message),
    Gemini(gemini::Content),
    Ollama(ollama::Answer),
}

impl Joined {
    pub(crate) fn new(interface: Interface) -> Self {
        let answer = match interface {
            Interface::OpenAiResponses => Answer::Responses(responses::Responses::default()),
            Interface::AnthropicMessages => Answer::Anthropic(anthropic::Message::default()),
            Interface::GeminiGenerate | Interface::GeminiEmbed => {
                Answer::Gemini(gemini::Content::default())
            }
            Interface::OllamaChat | Interface::OllamaGenerate | Interface::OllamaEmbed => {
                Answer::Ollama(ollama::Answer::default())
            }
            _ => Answer::Chat(openai::Chat::default()),
        };
        Self {
            answer,
            echo: Echo::default(),
        }
    }

    /// Takes the text of one event; one that is no JSON says nothing.
    pub(crate) fn read(&mut self, text: &[u8]) -> Step {
        if let Some((more, spot)) = self.echo.text(text) {
            self.answer.append(spot, more);
            return Step::PIECE;
        }
        let step = self.read_piece(text);
        step.unwrap_or_else(|| match serde_json::from_slice(text) {
            Ok(event) => self.add(event),
            Err(_) => Step::default(),
        })
    }

    /// Takes an event of the kind that makes up most of a stream: a piece of text and nothing else.
    /// A tree of values is not made of it. Others are left to [`Self::add`].
    fn read_piece(&mut self, event: &[u8]) -> Option<Step> {
        let (text, spot) = match &self.answer {
            Answer::Chat(chat) => chat.piece(serde_json::from_slice(event).ok()?),
            Answer::Responses(_) => responses::piece(serde_json::from_slice(event).ok()?),
            Answer::Anthropic(message) => message.piece(serde_json::from_slice(event).ok()?),
            Answer::Gemini(_) | Answer::Ollama(_) => None,
        }?;
        self.answer.append(spot, &text);
        self.echo.remember(event, &text, spot);
        Some(Step::PIECE)
    }

    /// Takes one event.
    pub(crate) fn add(&mut self, event: Value) -> Step {
        let Value::Object(event) = event else {
            return Step::default();
        };
        match &mut self.answer {
            Answer::Chat(chat) => chat.add(event),
            Answer::Responses(responses) => responses.add(event),
            Answer::Anthropic(message) => message.add(event),
            Answer::Gemini(content) => content.add(event),
            Answer::Ollama(answer) => answer.add(event),
        }
    }

    /// The answer; nothing when no event brought any of it.
    pub(crate) fn finish(self) -> Option<Value> {
        match self.answer {
            Answer::Chat(chat) => chat.finish(),
            Answer::Responses(responses) => responses.finish(),
            Answer::Anthropic(message) => message.finish(),
            Answer::Gemini(content) => content.finish(),
            Answer::Ollama(answer) => answer.finish(),
        }
    }
}

impl Answer {
    /// Adds a piece of text to where pieces of that spot have gone before.
    fn append(&mut self, spot: Spot, text: &str) {
        match self {
            Self::Chat(chat) => chat.append(spot, text),
            Self::Responses(responses) => responses.append(spot, text),
            Self::Anthropic(message) => message.append(spot, text),
            Self::Gemini(_) | Self::Ollama(_) => {}
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every sequence of three of these events, read as they come and by way of values.
    fn check(interface: Interface, first: &Value, events: &[Value]) {
        for number in 0..events.len().pow(3) {
            let chosen = [1, events.len(), events.len().pow(2)]
                .map(|weight| &events[number / weight % events.len()]);
            let (mut read, mut added) = (Joined::new(interface), Joined::new(interface));
            for event in [first].into_iter().chain(chosen) {
                let steps = (
                    read.read(event.to_string().as_bytes()),
                    added.add(event.clone()),
                );
                assert_eq!(steps.0, steps.1, "{event}");
            }
            assert_eq!(read.finish(), added.finish(), "{chosen:?}");
        }
    }

    #[test]
    fn pieces_of_chat_say_what_their_values_say() {
        let chunk = |choice: Value| json!({"id": "c", "model": "m", "choices": [choice]});
        let delta = |delta: Value| chunk(json!({"index": 0, "delta": delta}));
        check(
            Interface::OpenAiChat,
            &delta(json!({"role": "assistant", "content": ""})),
            &[
                delta(json!({"content": "a \"b\" é"})),
                delta(json!({"content": "plain"})),
                delta(json!({"content": "x", "role": "assistant"})),
                delta(json!({"content": "", "refusal": "no"})),
                delta(json!({"content": null, "reasoning": "hm"})),
                delta(
                    json!({"content": "y", "tool_calls": [{"index": 0, "id": "t",
                    "function": {"name": "f", "arguments": "{"}}]}),
                ),
                chunk(json!({"index": 1, "delta": {"content": "other"}})),
                chunk(json!({"index": 0, "delta": {"content": "z"}, "finish_reason": "stop"})),
                json!({"id": "late", "created": 1, "service_tier": null, "choices": [
                    {"delta": {"content": "w"}}], "usage": {"prompt_tokens": 1}}),
                json!({"created": 2, "choices": [{"delta": {"content": "v"}},
                    {"index": 2, "delta": {"content": "u"}}]}),
                json!({"choices": [], "error": {"message": "gone"}}),
            ],
        );
    }

    #[test]
    fn pieces_of_messages_say_what_their_values_say() {
        let piece = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        check(
            Interface::AnthropicMessages,
            &json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}),
            &[
                piece(0, json!({"type": "text_delta", "text": "a \n"})),
                piece(0, json!({"type": "text_delta", "text": "plain"})),
                piece(0, json!({"type": "thinking_delta", "thinking": "hm"})),
                piece(0, json!({"type": "signature_delta", "signature": "s"})),
                piece(0, json!({"type": "text_delta", "text": 7})),
                piece(1, json!({"type": "input_json_delta", "partial_json": "{}"})),
                json!({"type": "content_block_start", "index": 1,
                    "content_block": {"type": "tool_use", "name": "f"}}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
                json!({"type": "message_stop"}),
            ],
        );
    }

    #[test]
    fn pieces_of_responses_say_what_their_values_say() {
        check(
            Interface::OpenAiResponses,
            &json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
            &[
                json!({"type": "response.output_text.delta", "delta": "a"}),
                json!({"type": "response.output_text.delta", "delta": ""}),
                json!({"type": "response.function_call_arguments.delta", "delta": "{"}),
                json!({"type": "response.audio.delta", "delta": null}),
                json!({"type": "response.output_item.done", "output_index": 0, "item": {"a": 1}}),
                json!({"type": "error", "code": "x"}),
            ],
        );
    }
}
