use spanlite_model::{Json, Span, Value};

use super::nested::nested;
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
    /// In the events of the GenAI conventions before they became attributes: one a message.
    Messages(&'static [(&'static str, &'static str)]),
}

use Source::{Body, Event, Key, Messages, Nested};

const DETAILS: &str = "gen_ai.client.inference.operation.details";

const INPUTS: &[Source] = &[
    // OpenInference
    Key("input.value"),
    Nested("llm.input_messages."),
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
            Messages(names) => messages(span, names),
        }
    }
}

fn value(value: &Value) -> Option<Json> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() || text == "{}" => None,
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
