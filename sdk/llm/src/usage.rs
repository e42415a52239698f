use serde_json::Value;
use spanlite_model::TokenUsage;

use crate::Interface;

fn count(object: &Value, path: &str) -> Option<u64> {
    object.pointer(path)?.as_u64()
}

fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

/// Reads the tokens of an answer. Cached tokens count as tokens that went in, as the GenAI
/// conventions and MLflow have it; Anthropic counts them apart.
pub(crate) fn usage(interface: Interface, answer: &Value) -> TokenUsage {
    let mut usage = match interface {
        Interface::AnthropicMessages => {
            let read = count(answer, "/usage/cache_read_input_tokens");
            let created = count(answer, "/usage/cache_creation_input_tokens");
            TokenUsage {
                input_tokens: plus(count(answer, "/usage/input_tokens"), plus(read, created)),
                output_tokens: count(answer, "/usage/output_tokens"),
                total_tokens: None,
                cache_read_input_tokens: read,
                cache_creation_input_tokens: created,
                cache_creation_input_tokens_above_1hr: count(
                    answer,
                    "/usage/cache_creation/ephemeral_1h_input_tokens",
                ),
            }
        }
        Interface::GeminiGenerate | Interface::GeminiEmbed => TokenUsage {
            input_tokens: count(answer, "/usageMetadata/promptTokenCount"),
            output_tokens: plus(
                count(answer, "/usageMetadata/candidatesTokenCount"),
                count(answer, "/usageMetadata/thoughtsTokenCount"),
            ),
            total_tokens: count(answer, "/usageMetadata/totalTokenCount"),
            cache_read_input_tokens: count(answer, "/usageMetadata/cachedContentTokenCount"),
            ..TokenUsage::default()
        },
        Interface::OllamaChat | Interface::OllamaGenerate | Interface::OllamaEmbed => TokenUsage {
            input_tokens: count(answer, "/prompt_eval_count"),
            output_tokens: count(answer, "/eval_count"),
            ..TokenUsage::default()
        },
        _ => TokenUsage {
            input_tokens: count(answer, "/usage/prompt_tokens")
                .or_else(|| count(answer, "/usage/input_tokens")),
            output_tokens: count(answer, "/usage/completion_tokens")
                .or_else(|| count(answer, "/usage/output_tokens")),
            total_tokens: count(answer, "/usage/total_tokens"),
            cache_read_input_tokens: count(answer, "/usage/prompt_tokens_details/cached_tokens")
                .or_else(|| count(answer, "/usage/input_tokens_details/cached_tokens")),
            ..TokenUsage::default()
        },
    };
    usage.total_tokens = usage
        .total_tokens
        .or_else(|| Some(usage.input_tokens?.saturating_add(usage.output_tokens?)));
    usage
}
