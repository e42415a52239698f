//! What follows from the attributes that instrumentations write in their own dialects.
//!
//! Span type, inputs, outputs, session and user are worked out where nobody said them, in
//! MLflow's order of precedence: `OpenInference`, Gemini CLI, Claude Code, the GenAI conventions,
//! Traceloop, Google ADK, Vercel AI, `VoltAgent`, `LiveKit`, Laminar, Langfuse; then Monocle. The attributes stay as they are, and
//! [`spanlite_model::Derived`] says which fields came from them. Tokens, cost, model and provider are not copied:
//! [`spanlite_model::TokenUsage::of`] and its neighbours read the attributes themselves.

mod nested;
mod source;
mod types;

pub(crate) use source::BODY;
pub(crate) use types::langfuse as langfuse_type;

use spanlite_model::{Span, SpanType, Trace, TraceInfo, keys};

/// Attribute keys of the session, the first that is there wins.
const SESSION_KEYS: &[&str] = &[
    keys::SESSION_ID,
    keys::GEN_AI_CONVERSATION_ID,
    "traceloop.association.properties.session_id",
    "gcp.vertex.agent.session_id",
    "ai.telemetry.metadata.sessionId",
    "lmnr.association.properties.session_id",
    "langfuse.session.id",
    "voltagent.conversation_id",
    "scope.agentic.session",
];

/// Attribute keys of the user, the first that is there wins.
const USER_KEYS: &[&str] = &[
    keys::USER_ID,
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "lmnr.association.properties.user_id",
    "langfuse.user.id",
];

/// How keys begin that any dialect writes; a span with none of them is left alone.
const PREFIXES: &[&str] = &[
    "gen_ai.",
    "openinference.",
    "input.value",
    "output.value",
    "llm.",
    "retrieval.",
    "traceloop.",
    "gcp.vertex.agent.",
    "ai.",
    "lmnr.",
    "langfuse.",
    "span.type",
    "entity.type",
    "voltagent.",
    "lk.",
    "pydantic_ai.",
];

/// Fills what a span does not say itself and its attributes tell.
///
/// Fields that are set stay as they are; an unknown span type counts as not set.
pub fn derive_fields(span: &mut Span) {
    if !speaks_a_dialect(span) {
        return;
    }
    if span.span_type == SpanType::Unknown
        && let Some(span_type) = types::span_type(span)
    {
        span.derived.span_type = span_type != SpanType::Unknown;
        span.span_type = span_type;
    }
    if span.inputs.is_none() {
        span.inputs = source::inputs(span);
        span.derived.inputs = span.inputs.is_some();
    }
    if span.outputs.is_none() {
        span.outputs = source::outputs(span);
        span.derived.outputs = span.outputs.is_some();
    }
}

fn speaks_a_dialect(span: &Span) -> bool {
    let known = |key: &str| PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    span.attributes.iter().any(|(key, _)| known(key))
        || span.events.iter().any(|event| {
            event.name.starts_with("gen_ai.")
                || event.name.starts_with("data.")
                || event.attributes.get(BODY).is_some()
        })
}

/// Fills what the spans and the trace do not say themselves and the attributes tell.
pub(crate) fn derive_trace(trace: &mut Trace) {
    derive_spans(&mut trace.spans);
    derive_info(&trace.spans, &mut trace.info);
}

/// Fills span types, inputs and outputs where they are absent.
pub(crate) fn derive_spans(spans: &mut [Span]) {
    spans.iter_mut().for_each(derive_fields);
}

/// Fills session and user where they are absent, from the first span that names one.
pub(crate) fn derive_info(spans: &[Span], info: &mut TraceInfo) {
    let first = |names: &[&str]| {
        spans.iter().find_map(|span| {
            let texts = names
                .iter()
                .filter_map(|name| span.attributes.get_str(name));
            texts.map(str::to_owned).find(|text| !text.is_empty())
        })
    };
    if info.session.is_none() {
        info.session = first(SESSION_KEYS);
    }
    if info.user.is_none() {
        info.user = first(USER_KEYS);
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{Event, SpanId, TraceId, Value};

    use super::*;

    fn span(attributes: &[(&str, Value)]) -> Span {
        let mut span = Span::new(TraceId::default(), SpanId::default(), "");
        for (key, value) in attributes {
            span.attributes.push(*key, value.clone());
        }
        derive_fields(&mut span);
        span
    }

    fn check(attributes: &[(&str, &str)], span_type: &str, inputs: &str, outputs: &str) {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(key, value)| (*key, Value::from(*value)))
            .collect();
        let span = span(&attributes);
        assert_eq!(span.span_type.as_str(), span_type);
        let text = |json: &Option<spanlite_model::Json>| {
            json.as_ref()
                .map_or(String::new(), |json| json.as_text().to_owned())
        };
        assert_eq!(text(&span.inputs), inputs);
        assert_eq!(text(&span.outputs), outputs);
        assert_eq!(
            span.attributes.len(),
            attributes.len(),
            "the originals stay"
        );
        assert_eq!(span.derived.span_type, span_type != "UNKNOWN");
        assert_eq!(span.derived.inputs, !inputs.is_empty());
        assert_eq!(span.derived.outputs, !outputs.is_empty());
    }

    #[test]
    fn the_same_call_in_each_dialect() {
        let asked = r#"[{"content":"2+2?","role":"user"}]"#;
        let said = r#"[{"content":"4","role":"assistant"}]"#;
        check(
            &[
                ("openinference.span.kind", "LLM"),
                ("llm.input_messages.0.message.role", "user"),
                ("llm.input_messages.0.message.content", "2+2?"),
                ("llm.output_messages.0.message.role", "assistant"),
                ("llm.output_messages.0.message.content", "4"),
            ],
            "LLM",
            asked,
            said,
        );
        check(
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.input.messages", asked),
                ("gen_ai.output.messages", said),
            ],
            "CHAT_MODEL",
            asked,
            said,
        );
        check(
            &[
                ("llm.request.type", "chat"),
                ("gen_ai.prompt.0.role", "user"),
                ("gen_ai.prompt.0.content", "2+2?"),
                ("gen_ai.completion.0.role", "assistant"),
                ("gen_ai.completion.0.content", "4"),
            ],
            "CHAT_MODEL",
            asked,
            said,
        );
        check(
            &[
                ("ai.operationId", "ai.generateText.doGenerate"),
                ("ai.prompt.messages", asked),
                ("ai.response.text", "4"),
            ],
            "LLM",
            asked,
            "\"4\"",
        );
        check(
            &[
                ("langfuse.observation.type", "generation"),
                ("langfuse.observation.input", asked),
                ("langfuse.observation.output", "4"),
            ],
            "LLM",
            asked,
            "\"4\"",
        );
        check(
            &[
                ("lmnr.span.type", "LLM"),
                ("lmnr.span.input", asked),
                ("lmnr.span.output", "\"4\""),
            ],
            "LLM",
            asked,
            "\"4\"",
        );
    }

    #[test]
    fn tools_in_each_dialect() {
        let (arguments, result) = (r#"{"city":"Paris"}"#, r#"{"sky":"grey"}"#);
        check(
            &[
                ("openinference.span.kind", "TOOL"),
                ("input.value", arguments),
                ("output.value", result),
            ],
            "TOOL",
            arguments,
            result,
        );
        check(
            &[
                ("gen_ai.operation.name", "execute_tool"),
                ("gen_ai.tool.call.arguments", arguments),
                ("gen_ai.tool.call.result", result),
            ],
            "TOOL",
            arguments,
            result,
        );
        check(
            &[
                ("traceloop.span.kind", "tool"),
                ("traceloop.entity.input", arguments),
                ("traceloop.entity.output", result),
            ],
            "TOOL",
            arguments,
            result,
        );
        check(
            &[
                ("gen_ai.operation.name", "execute_tool"),
                ("gcp.vertex.agent.llm_request", "{}"),
                ("gcp.vertex.agent.tool_call_args", arguments),
                ("gcp.vertex.agent.llm_response", "{}"),
                ("gcp.vertex.agent.tool_response", result),
            ],
            "TOOL",
            arguments,
            result,
        );
        check(
            &[
                ("ai.operationId", "ai.toolCall"),
                ("ai.toolCall.args", arguments),
                ("ai.toolCall.result", result),
            ],
            "TOOL",
            arguments,
            result,
        );
    }

    #[test]
    fn agents_that_write_their_own_keys() {
        let asked = "fix the test";
        check(
            &[
                ("gen_ai.agent.name", "gemini-cli"),
                ("gen_ai.operation.name", "llm_call"),
                ("gen_ai.input.messages", asked),
            ],
            "LLM",
            "\"fix the test\"",
            "",
        );
        check(
            &[
                ("span.type", "claude_code.interaction"),
                ("user_prompt", asked),
            ],
            "AGENT",
            "\"fix the test\"",
            "",
        );
        check(
            &[
                ("span.type", "claude_code.llm_request"),
                ("new_context", "<REDACTED>"),
                ("response.model_output", "done"),
            ],
            "LLM",
            "",
            "\"done\"",
        );
        check(
            &[
                ("entity.type", "agent"),
                ("span.type", "tool"),
                ("input", r#"{"path":"a"}"#),
                ("output", "b"),
            ],
            "TOOL",
            r#"{"path":"a"}"#,
            "\"b\"",
        );
        check(
            &[
                ("lk.agent_name", "voice"),
                ("lk.user_input", asked),
                ("lk.response.text", "ok"),
            ],
            "AGENT",
            "\"fix the test\"",
            "\"ok\"",
        );
        let plain = span(&[("input", "x".into()), ("user_prompt", "y".into())]);
        assert_eq!((plain.span_type, plain.inputs), (SpanType::Unknown, None));
    }

    #[test]
    fn messages_in_events_are_gathered() {
        let mut span = Span::new(TraceId::default(), SpanId::default(), "");
        for (name, key, text) in [
            ("gen_ai.system.message", "content", "Be brief."),
            ("gen_ai.user.message", "content", "2+2?"),
            ("gen_ai.choice", "message", "4"),
        ] {
            let attributes = [(key, text)].into_iter().collect();
            span.events.push(Event {
                name: name.to_owned(),
                attributes,
                ..Event::default()
            });
        }
        derive_fields(&mut span);
        assert_eq!(
            span.inputs.unwrap().as_text(),
            r#"[{"content":"Be brief.","role":"system"},{"content":"2+2?","role":"user"}]"#
        );
        assert_eq!(span.outputs.unwrap().as_text(), r#"[{"message":"4"}]"#);
    }

    #[test]
    fn what_was_said_is_not_changed_and_strangers_are_left_alone() {
        let mut said = span(&[("gen_ai.operation.name", "chat".into())]);
        said.span_type = SpanType::Agent;
        said.derived = spanlite_model::Derived::default();
        let before = said.clone();
        derive_fields(&mut said);
        assert_eq!(said, before);
        let http = span(&[("http.request.method", "GET".into())]);
        assert_eq!(http.span_type, SpanType::Unknown);
        assert_eq!(http.inputs, None);
    }

    #[test]
    fn hostile_keys_are_bounded() {
        let deep = format!("llm.input_messages.{}", "0.".repeat(10_000));
        let span = span(&[
            (deep.as_str(), "x".into()),
            (
                "llm.input_messages.99999999999999999999.message.role",
                "y".into(),
            ),
            ("llm.input_messages.7", "z".into()),
            ("llm.input_messages.7.message.role", "z".into()),
        ]);
        let inputs = span.inputs.unwrap();
        assert!(inputs.to_value().is_ok());
    }
}
