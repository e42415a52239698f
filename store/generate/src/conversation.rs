use serde_json::json;
use spanlite_model::{Json, SpanType, keys};

use crate::draft::{Draft, MILLISECOND, SECOND};
use crate::text::{push_text, text};

const MODELS: &[(&str, &str)] = &[
    ("gpt-4o-mini", "openai"),
    ("gpt-4o", "openai"),
    ("gpt-5", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("claude-haiku-4-5", "anthropic"),
    ("gemini-2.5-flash", "gcp.gemini"),
    ("gemini-2.5-pro", "gcp.gemini"),
    ("llama-3.3-70b", "ollama"),
    ("mistral-large", "mistral_ai"),
    ("deepseek-chat", "deepseek"),
    ("command-r", "cohere"),
    ("qwen3-32b", "ollama"),
];

/// Bytes of text that make a token, about.
const BYTES_PER_TOKEN: u64 = 4;

/// A list of messages that grows: each model call gets all of them.
pub(crate) struct Conversation {
    /// The messages as JSON text, without the brackets around them.
    messages: Vec<String>,
    bytes: usize,
    model: usize,
}

impl Conversation {
    /// Begins with a system prompt of one of 20 for its size, so that it recurs across traces.
    pub(crate) fn new(draft: &mut Draft, system_bytes: usize) -> Self {
        let which = draft.random.below(20);
        let mut of_prompt = crate::random::Random::new(which, system_bytes as u64);
        let prompt = text(&mut of_prompt, system_bytes);
        let mut conversation = Self {
            messages: Vec::new(),
            bytes: 0,
            model: draft.random.zipf(MODELS.len() as u64) as usize,
        };
        conversation.push("system", &prompt);
        conversation
    }

    /// Adds a message.
    pub(crate) fn push(&mut self, role: &str, content: &str) {
        let message = json!({ "role": role, "content": content }).to_string();
        self.bytes += message.len() + 1;
        self.messages.push(message);
    }

    /// How many bytes of messages a call sends.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a summary in the place of all but the system prompt and the last fifth.
    pub(crate) fn compact(&mut self, draft: &mut Draft) {
        let kept = self.messages.len() / 5;
        let gone = self.messages.len().saturating_sub(kept);
        if gone > 1 {
            self.messages.drain(1..gone);
        }
        self.bytes = self.messages.iter().map(|message| message.len() + 1).sum();
        let summary = text(&mut draft.random, 2_000);
        self.push("user", &summary);
    }

    fn inputs(&self) -> Json {
        Json::from_trusted_text(format!("{{\"messages\":[{}]}}", self.messages.join(",")))
    }

    /// Makes one model call below `parent` and adds its answer. Returns whether it went well.
    pub(crate) fn call(&mut self, draft: &mut Draft, parent: usize, call: &Call) -> bool {
        let (model, provider) = MODELS[self.model];
        let place = draft.open(Some(parent), format!("chat {model}"), SpanType::ChatModel);
        let mut answer = String::new();
        push_text(&mut draft.random, call.answer_bytes, &mut answer);
        let seconds = draft.random.log_normal(call.seconds_p50, call.seconds_p90);
        draft.pass(seconds.min(120.0) * SECOND);
        let input_tokens = self.bytes as u64 / BYTES_PER_TOKEN;
        let output_tokens = answer.len() as u64 / BYTES_PER_TOKEN;
        let span = draft.span(place);
        span.attributes.push("gen_ai.operation.name", "chat");
        span.attributes.push(keys::GEN_AI_REQUEST_MODEL, model);
        span.attributes.push(keys::GEN_AI_PROVIDER_NAME, provider);
        span.attributes
            .push("gen_ai.usage.input_tokens", input_tokens as i64);
        if draft.random.chance(call.error_share) {
            draft.span(place).inputs = Some(self.inputs());
            draft.fail(place, "RateLimitError", "429 too many requests");
            return false;
        }
        draft
            .span(place)
            .attributes
            .push("gen_ai.usage.output_tokens", output_tokens as i64);
        let outputs = json!({ "role": "assistant", "content": answer });
        let inputs = self.inputs();
        draft.payload(place, inputs, Json::from(&outputs));
        draft.decorate(place);
        draft.close(place);
        self.push("assistant", &answer);
        true
    }

    /// Runs one tool below `parent` and adds what it said. Returns the place of its span.
    pub(crate) fn tool(&mut self, draft: &mut Draft, parent: usize, tool: &Tool) -> usize {
        let which = draft.random.zipf(tool.names);
        let name = crate::text::name("tool", which);
        let place = draft.open(Some(parent), name.clone(), SpanType::Tool);
        draft
            .span(place)
            .attributes
            .push("gen_ai.tool.name", name.as_str());
        let arguments = json!({ "query": text(&mut draft.random, 80) });
        let result = text(&mut draft.random, tool.result_bytes);
        let nanos = if draft.random.chance(0.8) {
            draft.random.log_normal(tool.quick_ms, 10.0) * MILLISECOND
        } else {
            draft.random.log_normal(tool.slow_s, 8.0).min(60.0) * SECOND
        };
        let begun = draft.now;
        draft.pass(nanos);
        let failed = draft.random.chance(tool.error_share);
        let span = draft.span(place);
        span.inputs = Some(Json::from(&arguments));
        if failed {
            draft.fail(place, "ToolError", "exit status 1");
        } else {
            draft.span(place).outputs = Some(Json::string(&result));
            draft.close(place);
        }
        draft.decorate(place);
        if draft.random.chance(tool.overlap_share) {
            // The next tool begins beside this one.
            draft.now = begun + (draft.now - begun) / 2;
        }
        self.push("tool", &result);
        place
    }
}

/// How a model call goes.
pub(crate) struct Call {
    pub(crate) answer_bytes: usize,
    pub(crate) seconds_p50: f64,
    pub(crate) seconds_p90: f64,
    pub(crate) error_share: f64,
}

/// How a tool call goes.
pub(crate) struct Tool {
    /// How many different tools there are.
    pub(crate) names: u64,
    pub(crate) result_bytes: usize,
    pub(crate) quick_ms: f64,
    pub(crate) slow_s: f64,
    pub(crate) error_share: f64,
    pub(crate) overlap_share: f64,
}
