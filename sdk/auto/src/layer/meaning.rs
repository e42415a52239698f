//! What fields of model libraries mean for a span.

use spanlite::SpanType;
use spanlite_model::{Attributes, Span as Sheet, SpanId, TraceId};
use tracing::Metadata;

/// Returns whether a field begins as those do that dialects of model libraries write. It is asked
/// for each field of each span: the first byte tells most apart.
fn is_of_a_dialect(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'g') => name.starts_with("gen_ai."),
        Some(b'l') => name.starts_with("langfuse.") || name.starts_with("llm."),
        Some(b'o') => name.starts_with("openinference."),
        Some(b't') => name.starts_with("traceloop."),
        _ => false,
    }
}

/// Returns whether a call site declares a field of a dialect.
pub(super) fn speaks_a_dialect(metadata: &Metadata<'_>) -> bool {
    let mut fields = metadata.fields().iter();
    fields.any(|field| is_of_a_dialect(field.name()))
}

/// Returns whether the fields of a call site have to be looked at when its span ends.
pub(super) fn has_meaning(metadata: &Metadata<'_>) -> bool {
    speaks_a_dialect(metadata) || metadata.target().starts_with("langchain_rust")
}

/// What the fields of a span say of it beyond themselves.
pub(super) struct Meaning {
    pub(super) span_type: SpanType,
    pub(super) inputs: Option<spanlite_model::Json>,
    pub(super) outputs: Option<spanlite_model::Json>,
    /// Attributes under their names in the GenAI conventions.
    pub(super) more: Attributes,
}

/// Spans of langchain-rust, by name; it writes no content.
const LANGCHAIN: &[(&str, SpanType)] = &[
    ("llm.generate", SpanType::Llm),
    ("embed.documents", SpanType::Embedding),
    ("embed.query", SpanType::Embedding),
    ("chain.call", SpanType::Chain),
    ("agent.run", SpanType::Agent),
    ("agent.plan", SpanType::Chain),
    ("tool.call", SpanType::Tool),
];

/// Names of fields and what the conventions call them.
const RENAMED: &[(&str, &str)] = &[
    ("model", "gen_ai.request.model"),
    ("provider", "gen_ai.provider.name"),
    ("prompt_tokens", "gen_ai.usage.input_tokens"),
    ("completion_tokens", "gen_ai.usage.output_tokens"),
    ("tool", "gen_ai.tool.name"),
    ("langfuse.model", "gen_ai.request.model"),
    ("langfuse.input", "langfuse.observation.input"),
    ("langfuse.output", "langfuse.observation.output"),
    ("langfuse.type", "langfuse.observation.type"),
];

/// Works out what the fields of an ended span say.
pub(super) fn meaning(name: &str, target: &str, fields: Attributes) -> Meaning {
    let langchain = target.starts_with("langchain_rust");
    let mut more = Attributes::new();
    for (field, convention) in RENAMED {
        let renamed = langchain || field.starts_with("langfuse.");
        if let Some(value) = fields.get(field).filter(|_| renamed) {
            more.push(*convention, value.clone());
        }
    }
    let mut sheet = Sheet::new(TraceId::default(), SpanId::default(), name);
    sheet.attributes = fields;
    for (key, value) in more.iter() {
        sheet.attributes.push(key, value.clone());
    }
    if langchain {
        let known = LANGCHAIN.iter().find(|(known, _)| *known == name);
        sheet.span_type = known.map_or(SpanType::Unknown, |(_, span_type)| span_type.clone());
    }
    spanlite_formats::derive_fields(&mut sheet);
    Meaning {
        span_type: sheet.span_type,
        inputs: sheet.inputs,
        outputs: sheet.outputs,
        more,
    }
}

/// Returns whether an operation of the GenAI conventions is a call of a model.
pub(super) fn is_model_call(operation: &str) -> bool {
    matches!(
        operation,
        "chat" | "generate_content" | "text_completion" | "embeddings"
    )
}
