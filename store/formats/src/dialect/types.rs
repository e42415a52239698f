use spanlite_model::{Span, SpanType};

/// The type that the first dialect with an opinion gives.
pub(super) fn span_type(span: &Span) -> Option<SpanType> {
    let text = |key| span.attributes.get_str(key);
    let by = |key, table: fn(&str) -> Option<SpanType>| text(key).and_then(table);
    by("openinference.span.kind", open_inference)
        .or_else(|| gemini_cli(span))
        .or_else(|| claude_code(span).map(ClaudeCode::span_type))
        .or_else(|| by("gen_ai.operation.name", gen_ai))
        .or_else(|| by("traceloop.span.kind", traceloop))
        .or_else(|| by("llm.request.type", traceloop_request))
        .or_else(|| google_adk(span))
        .or_else(|| by("ai.operationId", vercel))
        .or_else(|| volt_agent(span))
        .or_else(|| live_kit(span))
        .or_else(|| by("lmnr.span.type", laminar))
        .or_else(|| by("langfuse.observation.type", langfuse))
        .or_else(|| by("span.type", monocle))
}

fn open_inference(kind: &str) -> Option<SpanType> {
    Some(match kind.to_ascii_uppercase().as_str() {
        "LLM" => SpanType::Llm,
        "EMBEDDING" => SpanType::Embedding,
        "CHAIN" => SpanType::Chain,
        "RETRIEVER" => SpanType::Retriever,
        "RERANKER" => SpanType::Reranker,
        "TOOL" => SpanType::Tool,
        "AGENT" => SpanType::Agent,
        "GUARDRAIL" => SpanType::Guardrail,
        "EVALUATOR" => SpanType::Evaluator,
        "PROMPT" => SpanType::Task,
        _ => return None,
    })
}

/// Gemini CLI writes operations of its own under the key of the GenAI conventions.
fn gemini_cli(span: &Span) -> Option<SpanType> {
    let text = |key| span.attributes.get_str(key);
    if text("gen_ai.agent.name") != Some("gemini-cli") {
        return None;
    }
    Some(match text("gen_ai.operation.name")? {
        "llm_call" => SpanType::Llm,
        "tool_call" => SpanType::Tool,
        "agent_call" => SpanType::Agent,
        _ => return None,
    })
}

/// What a span of Claude Code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaudeCode {
    /// A prompt of the user, with all that follows from it.
    Interaction,
    LlmRequest,
    Tool,
}

impl ClaudeCode {
    fn span_type(self) -> SpanType {
        match self {
            Self::Interaction => SpanType::Agent,
            Self::LlmRequest => SpanType::Llm,
            Self::Tool => SpanType::Tool,
        }
    }
}

/// Claude Code says in `span.type` what stands in its spans' names too, with or without the
/// prefix of the names.
pub(super) fn claude_code(span: &Span) -> Option<ClaudeCode> {
    let kind = span.attributes.get_str("span.type")?;
    let kind = match kind.strip_prefix("claude_code.") {
        Some(kind) => kind,
        None if span.name.starts_with("claude_code.") => kind,
        None => return None,
    };
    Some(match kind {
        "interaction" => ClaudeCode::Interaction,
        "llm_request" => ClaudeCode::LlmRequest,
        "tool" => ClaudeCode::Tool,
        _ => return None,
    })
}

/// Returns whether a span is one of `VoltAgent`'s, whose other keys are words that anybody uses.
pub(super) fn is_volt_agent(span: &Span) -> bool {
    let mut keys = span.attributes.iter().map(|(key, _)| key);
    keys.any(|key| key.starts_with("voltagent.") || key == "entity.type")
}

/// Children repeat the agent's `entity.type`, so that their own `span.type` counts first.
fn volt_agent(span: &Span) -> Option<SpanType> {
    if !is_volt_agent(span) {
        return None;
    }
    let text = |key| span.attributes.get_str(key);
    let known = |kind: &str| {
        Some(match kind {
            "agent" => SpanType::Agent,
            "llm" => SpanType::Llm,
            "tool" => SpanType::Tool,
            "memory" => SpanType::Memory,
            _ => return None,
        })
    };
    let own = text("span.type").and_then(known);
    own.or_else(|| text("entity.type").and_then(known))
}

/// `LiveKit` names no kinds; the first key that tells one counts.
fn live_kit(span: &Span) -> Option<SpanType> {
    let keys = || span.attributes.iter().map(|(key, _)| key);
    if !keys().any(|key| key.starts_with("lk.")) {
        return None;
    }
    if span.attributes.get("gen_ai.request.model").is_some() {
        return Some(SpanType::Llm);
    }
    keys().find_map(|key| {
        Some(match key {
            "lk.retry_count" => SpanType::Llm,
            "lk.agent_name" | "lk.instructions" | "lk.generation_id" => SpanType::Agent,
            _ if key.starts_with("lk.function_tool") => SpanType::Tool,
            _ => return None,
        })
    })
}

/// MLflow leaves the last five rows unmapped.
fn gen_ai(operation: &str) -> Option<SpanType> {
    Some(match operation {
        "chat" => SpanType::ChatModel,
        "generate_content" | "text_completion" | "response" => SpanType::Llm,
        "embeddings" => SpanType::Embedding,
        "execute_tool" => SpanType::Tool,
        "create_agent" | "invoke_agent" => SpanType::Agent,
        "retrieval" => SpanType::Retriever,
        "invoke_workflow" => SpanType::Workflow,
        "plan" => SpanType::Chain,
        "rerank" => SpanType::Reranker,
        _ if operation.contains("memory") => SpanType::Memory,
        _ => return None,
    })
}

fn traceloop(kind: &str) -> Option<SpanType> {
    Some(match kind {
        "workflow" => SpanType::Workflow,
        "task" => SpanType::Task,
        "agent" => SpanType::Agent,
        "tool" => SpanType::Tool,
        _ => return None,
    })
}

fn traceloop_request(kind: &str) -> Option<SpanType> {
    Some(match kind {
        "chat" => SpanType::ChatModel,
        "completion" => SpanType::Llm,
        "embedding" => SpanType::Embedding,
        "rerank" => SpanType::Reranker,
        _ => return None,
    })
}

fn google_adk(span: &Span) -> Option<SpanType> {
    let request = span.attributes.get_str("gcp.vertex.agent.llm_request")?;
    (span.name == "call_llm" || request != "{}").then_some(SpanType::Llm)
}

fn vercel(operation: &str) -> Option<SpanType> {
    let operation = operation.strip_prefix("ai.")?;
    Some(match operation.split('.').next()? {
        "generateText" | "streamText" | "generateObject" | "streamObject" => SpanType::Llm,
        "toolCall" => SpanType::Tool,
        "embed" | "embedMany" => SpanType::Embedding,
        "rerank" => SpanType::Reranker,
        _ => return None,
    })
}

fn laminar(kind: &str) -> Option<SpanType> {
    Some(match kind {
        "LLM" => SpanType::Llm,
        "TOOL" => SpanType::Tool,
        "EVALUATOR" | "HUMAN_EVALUATOR" => SpanType::Evaluator,
        _ => return None,
    })
}

/// The type of a Langfuse observation; a plain span has none.
pub(crate) fn langfuse(kind: &str) -> Option<SpanType> {
    Some(match kind.to_ascii_uppercase().as_str() {
        "GENERATION" => SpanType::Llm,
        "AGENT" => SpanType::Agent,
        "TOOL" => SpanType::Tool,
        "CHAIN" => SpanType::Chain,
        "RETRIEVER" => SpanType::Retriever,
        "EMBEDDING" => SpanType::Embedding,
        "EVALUATOR" => SpanType::Evaluator,
        "GUARDRAIL" => SpanType::Guardrail,
        _ => return None,
    })
}

fn monocle(kind: &str) -> Option<SpanType> {
    Some(match kind {
        "inference" | "inference.framework" | "inference.modelapi" => SpanType::Llm,
        "agentic.invocation" | "agentic.delegation" => SpanType::Agent,
        "agentic.tool.invocation" | "agentic.mcp.invocation" => SpanType::Tool,
        "agentic.turn" | "agentic.request" => SpanType::Chain,
        "retrieval" => SpanType::Retriever,
        "retrieval.embedding" | "embedding" | "embedding.modelapi" => SpanType::Embedding,
        "workflow" => SpanType::Workflow,
        _ => return None,
    })
}
