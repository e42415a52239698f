use spanlite_model::{Json, Span, Value};

use super::nested::nested;
use super::types::{ClaudeCode, claude_code, is_volt_agent};
use crate::lift::from_attribute;

/// The attribute of an event that holds the body of a log record.
pub(crate) const BODY: &str = "body";

/// Where inputs or outputs may stand.
enum Source {
    /// Under a key; an empty object or text says nothing.
    Key(&'static str),
    /// Under keys that continue this prefix with places and names.
    Nested(&'static str),
    /// In the attributes of an event.
    Event(&'static str, &'static str),
    /// In the body of a log record that was joined as an event: a side of the exchange.
    Body(&'static str),
    /// Under a key of a span of Claude Code of this kind; what it redacted says nothing.
    Claude(ClaudeCode, &'static str),
    /// Under a key of a span of `VoltAgent`, too plain a word elsewhere.
    Volt(&'static str),
    /// In the events of the GenAI conventions before they became attributes: one a message.
    Messages(&'static [(&'static str, &'static str)]),
}

use Source::{Body, Claude, Event, Key, Messages, Nested, Volt};

/// What Claude Code writes in place of contents that its user did not set free.
const REDACTED: &str = "<REDACTED>";
const DETAILS: &str = "gen_ai.client.inference.operation.details";

const INPUTS: &[Source] = &[
    // OpenInference
    Key("input.value"),
    Nested("llm.input_messages."),
    // Claude Code
    Claude(ClaudeCode::Interaction, "user_prompt"),
    Claude(ClaudeCode::Interaction, "new_context"),
    Claude(ClaudeCode::LlmRequest, "new_context"),
    Claude(ClaudeCode::Tool, "tool_input"),
    Claude(ClaudeCode::Tool, "full_command"),
    Claude(ClaudeCode::Tool, "file_path"),
    // GenAI conventions
    Key("gen_ai.input.messages"),
    Key("gen_ai.tool.call.arguments"),
    Key("gen_ai.retrieval.query.text"),
    Event(DETAILS, "gen_ai.input.messages"),
    Key("gen_ai.prompt"),
    Messages(&[
        ("gen_ai.system.message", "system"),
        ("gen_ai.user.message", "user"),
        ("gen_ai.assistant.message", "assistant"),
        ("gen_ai.tool.message", "tool"),
    ]),
    // Log records joined to their spans, whose content Traceloop's keys then lack
    Body("input"),
    // Traceloop
    Key("traceloop.entity.input"),
    Nested("gen_ai.prompt."),
    // Google ADK
    Key("gcp.vertex.agent.llm_request"),
    Key("gcp.vertex.agent.tool_call_args"),
    // Vercel AI
    Key("ai.prompt.messages"),
    Key("ai.prompt"),
    Key("ai.toolCall.args"),
    Key("ai.values"),
    Key("ai.value"),
    // VoltAgent
    Volt("agent.messages"),
    Volt("llm.messages"),
    Volt("input"),
    // LiveKit
    Key("lk.user_input"),
    Key("lk.user_transcript"),
    Key("lk.chat_ctx"),
    Key("lk.input_text"),
    // Laminar
    Key("lmnr.span.input"),
    // Langfuse
    Key("langfuse.observation.input"),
    // Pydantic AI
    Key("pydantic_ai.all_messages"),
    // Monocle
    Event("data.input", "input"),
];

const OUTPUTS: &[Source] = &[
    Key("output.value"),
    Nested("llm.output_messages."),
    Nested("retrieval.documents."),
    Claude(ClaudeCode::LlmRequest, "response.model_output"),
    Claude(ClaudeCode::Tool, "new_context"),
    Event("tool.output", "output"),
    Event("tool.output", "content"),
    Event("tool.output", "diff"),
    Key("gen_ai.output.messages"),
    Key("gen_ai.tool.call.result"),
    Key("gen_ai.retrieval.documents"),
    Event(DETAILS, "gen_ai.output.messages"),
    Key("gen_ai.completion"),
    Messages(&[("gen_ai.choice", "")]),
    Body("output"),
    Key("traceloop.entity.output"),
    Nested("gen_ai.completion."),
    Key("gcp.vertex.agent.llm_response"),
    Key("gcp.vertex.agent.tool_response"),
    Key("ai.response.text"),
    Key("ai.response.object"),
    Key("ai.response.toolCalls"),
    Key("ai.toolCall.result"),
    Key("ai.embeddings"),
    Key("ai.embedding"),
    Volt("output"),
    Key("lk.response.text"),
    Key("lk.response.function_calls"),
    Key("lmnr.span.output"),
    Key("langfuse.observation.output"),
    Key("final_result"),
    Event("data.output", "response"),
];

/// What went in, from the first place that has it.
pub(super) fn inputs(span: &Span) -> Option<Json> {
    INPUTS.iter().find_map(|source| source.read(span))
}

/// What came out, from the first place that has it.
pub(super) fn outputs(span: &Span) -> Option<Json> {
    OUTPUTS.iter().find_map(|source| source.read(span))
}

impl Source {
    fn read(&self, span: &Span) -> Option<Json> {
        match self {
            Key(key) => span.attributes.get(key).and_then(value),
            Nested(prefix) => nested(&span.attributes, prefix),
            Event(name, key) => span
                .events
                .iter()
                .filter(|event| event.name == *name)
                .find_map(|event| event.attributes.get(key))
                .and_then(value),
            Body(side) => span
                .events
                .iter()
                .filter_map(|event| event.attributes.get(BODY)?.get(side))
                .find_map(value),
            Claude(kind, key) => {
                let text = span.attributes.get(key)?;
                let told = text.as_str() != Some(REDACTED) && claude_code(span) == Some(*kind);
                told.then(|| value(text)).flatten()
            }
            Volt(key) => {
                let found = span.attributes.get(key)?;
                is_volt_agent(span).then(|| value(found)).flatten()
            }
            Messages(names) => messages(span, names),
        }
    }
}

fn value(value: &Value) -> Option<Json> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() || text == "{}" || text == REDACTED => None,
        value => Some(from_attribute(value)),
    }
}

/// The messages that events hold, in order, with the role that the event's name says. Attributes
/// that say who sent them are left out.
fn messages(span: &Span, names: &[(&str, &str)]) -> Option<Json> {
    let mut messages = Vec::new();
    for event in &span.events {
        let Some((_, role)) = names.iter().find(|(name, _)| event.name == *name) else {
            continue;
        };
        let body = event.attributes.get(BODY);
        let mut fields: Vec<(String, Value)> = match body {
            Some(Value::Map(fields)) => fields.clone(),
            Some(other) => vec![("content".to_owned(), other.clone())],
            None => event
                .attributes
                .iter()
                .filter(|(key, _)| !key.starts_with("gen_ai.") && *key != "event.name")
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .collect(),
        };
        if !role.is_empty() && !fields.iter().any(|(key, _)| key == "role") {
            fields.push(("role".to_owned(), Value::from(*role)));
        }
        messages.push(Value::Map(fields));
    }
    (!messages.is_empty()).then(|| from_attribute(&Value::Array(messages)))
}
