use crate::{Forest, Span, SpanType, Trace, Value, keys};

/// Token counts of a model call or of a whole trace. What nobody said is absent, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// Tokens that went in, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens that came out.
    pub output_tokens: Option<u64>,
    /// Both together, as the provider counts.
    pub total_tokens: Option<u64>,
    /// Of those that went in, how many came from a cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Of those that went in, how many were put into a cache.
    pub cache_creation_input_tokens: Option<u64>,
    /// Of those put into a cache, how many are kept there for an hour, which costs more.
    pub cache_creation_input_tokens_above_1hr: Option<u64>,
}

/// Cost in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Of what went in.
    pub input_cost: Option<f64>,
    /// Of what came out.
    pub output_cost: Option<f64>,
    /// Of both.
    pub total_cost: Option<f64>,
}

/// The first of `names` that holds a count.
fn count(span: &Span, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| {
        let number = span.attributes.get(name)?.to_i64()?;
        u64::try_from(number).ok()
    })
}

fn sum<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl TokenUsage {
    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a span says of its tokens: MLflow's map, else the GenAI conventions' attributes (new
    /// names before old), `OpenInference`'s, Traceloop's. A missing total is the sum.
    pub fn of(span: &Span) -> Self {
        let mut usage = match span.attributes.get(keys::MLFLOW_TOKEN_USAGE) {
            Some(map) => Self::from_map(map),
            None => Self::from_attributes(span),
        };
        usage.total_tokens = usage
            .total_tokens
            .or_else(|| Some(usage.input_tokens? + usage.output_tokens?));
        usage
    }

    fn from_map(map: &Value) -> Self {
        let parsed;
        let map = match map {
            Value::String(text) => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) => {
                    parsed = Value::from(&value);
                    &parsed
                }
                Err(_) => map,
            },
            other => other,
        };
        let field = |name| {
            map.get(name)
                .and_then(Value::to_i64)
                .and_then(|n| u64::try_from(n).ok())
        };
        Self {
            input_tokens: field("input_tokens"),
            output_tokens: field("output_tokens"),
            total_tokens: field("total_tokens"),
            cache_read_input_tokens: field("cache_read_input_tokens"),
            cache_creation_input_tokens: field("cache_creation_input_tokens"),
            cache_creation_input_tokens_above_1hr: field("cache_creation_input_tokens_above_1hr"),
        }
    }

    fn from_attributes(span: &Span) -> Self {
        if span.attributes.get_str("span.type").is_some_and(|kind| {
            kind == "claude_code.llm_request"
                || (kind == "llm_request" && span.name.starts_with("claude_code."))
        }) {
            return Self::of_claude_code(span);
        }
        Self {
            input_tokens: count(
                span,
                &[
                    "gen_ai.usage.input_tokens",
                    "gen_ai.usage.prompt_tokens",
                    "llm.token_count.prompt",
                    "usage.prompt_tokens",
                    "llm.usage.prompt_tokens",
                ],
            ),
            output_tokens: count(
                span,
                &[
                    "gen_ai.usage.output_tokens",
                    "gen_ai.usage.completion_tokens",
                    "llm.token_count.completion",
                    "usage.completion_tokens",
                    "llm.usage.completion_tokens",
                ],
            ),
            total_tokens: count(
                span,
                &[
                    "gen_ai.usage.total_tokens",
                    "llm.token_count.total",
                    "llm.usage.total_tokens",
                    "usage.total_tokens",
                ],
            ),
            cache_read_input_tokens: count(
                span,
                &[
                    "gen_ai.usage.cache_read.input_tokens",
                    "llm.token_count.prompt_details.cache_read",
                ],
            ),
            cache_creation_input_tokens: count(
                span,
                &[
                    "gen_ai.usage.cache_write.input_tokens",
                    "gen_ai.usage.cache_creation.input_tokens",
                    "llm.token_count.prompt_details.cache_write",
                ],
            ),
            cache_creation_input_tokens_above_1hr: None,
        }
    }

    /// Claude Code counts cached tokens beside those that went in; here they are among them.
    fn of_claude_code(span: &Span) -> Self {
        let read = count(span, &["cache_read_tokens"]);
        let written = count(span, &["cache_creation_tokens"]);
        let plain = count(span, &["input_tokens"]);
        Self {
            input_tokens: plain.map(|plain| plain + read.unwrap_or(0) + written.unwrap_or(0)),
            output_tokens: count(span, &["output_tokens"]),
            total_tokens: None,
            cache_read_input_tokens: read,
            cache_creation_input_tokens: written,
            cache_creation_input_tokens_above_1hr: None,
        }
    }

    /// Adds field by field; what is unknown on one side only is taken from the other.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            total_tokens: sum(self.total_tokens, other.total_tokens),
            cache_read_input_tokens: sum(
                self.cache_read_input_tokens,
                other.cache_read_input_tokens,
            ),
            cache_creation_input_tokens: sum(
                self.cache_creation_input_tokens,
                other.cache_creation_input_tokens,
            ),
            cache_creation_input_tokens_above_1hr: sum(
                self.cache_creation_input_tokens_above_1hr,
                other.cache_creation_input_tokens_above_1hr,
            ),
        }
    }
}

impl Cost {
    /// Returns whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a span says of its cost: what a [table of prices](crate::PriceTable::apply) found,
    /// else MLflow's map. A cost on an `AGENT` span is the sum of
    /// what it called, and is left out as MLflow does.
    pub fn of(span: &Span) -> Self {
        if span.span_type == SpanType::Agent {
            return Self::default();
        }
        let computed = span.attributes.get(keys::SPANLITE_COST);
        computed.map_or_else(|| Self::recorded(span), Self::from_map)
    }

    /// The cost that came with a span; nothing for an `AGENT`.
    pub(crate) fn recorded(span: &Span) -> Self {
        if span.span_type == SpanType::Agent {
            return Self::default();
        }
        let recorded = span.attributes.get(keys::MLFLOW_LLM_COST);
        recorded.map_or_else(Self::default, Self::from_map)
    }

    fn from_map(map: &Value) -> Self {
        let field = |name| map.get(name).and_then(Value::to_f64);
        Self {
            input_cost: field("input_cost"),
            output_cost: field("output_cost"),
            total_cost: field("total_cost"),
        }
    }

    /// Adds field by field; what is unknown on one side only is taken from the other.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_cost: sum(self.input_cost, other.input_cost),
            output_cost: sum(self.output_cost, other.output_cost),
            total_cost: sum(self.total_cost, other.total_cost),
        }
    }
}

/// Adds up over the topmost spans that know something: a span with a count stands for all below
/// it, which is MLflow's rule against counting a roll-up twice.
fn roll_up<T: Copy>(
    trace: &Trace,
    of: impl Fn(&Span) -> T,
    is_empty: impl Fn(&T) -> bool,
    plus: impl Fn(T, T) -> T,
    zero: T,
) -> T {
    let forest = Forest::of(&trace.spans);
    let mut total = zero;
    let mut number = 0;
    while number < forest.len() {
        let node = forest.node(number);
        let one = of(&trace.spans[node.span]);
        if is_empty(&one) {
            number += 1;
        } else {
            total = plus(total, one);
            number = node.end as usize;
        }
    }
    total
}

/// The tokens of a whole trace, without counting a roll-up twice.
pub fn trace_usage(trace: &Trace) -> TokenUsage {
    roll_up(
        trace,
        TokenUsage::of,
        TokenUsage::is_empty,
        TokenUsage::plus,
        TokenUsage::default(),
    )
}

/// The cost of a whole trace, without counting a roll-up twice.
pub fn trace_cost(trace: &Trace) -> Cost {
    roll_up(trace, Cost::of, Cost::is_empty, Cost::plus, Cost::default())
}

impl Span {
    /// The model: MLflow's key, the GenAI conventions' (who answered before who was asked),
    /// `OpenInference`'s.
    pub fn model(&self) -> Option<&str> {
        [
            keys::MLFLOW_LLM_MODEL,
            keys::GEN_AI_RESPONSE_MODEL,
            keys::GEN_AI_REQUEST_MODEL,
            "llm.response.model_name",
            "llm.model_name",
            "llm.request.model_name",
            "embedding.model_name",
        ]
        .iter()
        .find_map(|key| self.attributes.get_str(key))
    }

    /// The provider of the model.
    pub fn provider(&self) -> Option<&str> {
        [
            keys::MLFLOW_LLM_PROVIDER,
            keys::GEN_AI_PROVIDER_NAME,
            keys::GEN_AI_SYSTEM,
            "llm.provider",
        ]
        .iter()
        .find_map(|key| self.attributes.get_str(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanId, TraceId};

    fn span(id: u8, parent: Option<u8>, tokens: Option<i64>) -> Span {
        let mut span = Span::new(TraceId::default(), SpanId::from_bytes([id; 8]), "");
        span.parent_span_id = parent.map(|id| SpanId::from_bytes([id; 8]));
        span.start_time_unix_nano = u64::from(id);
        if let Some(tokens) = tokens {
            span.attributes.set("gen_ai.usage.input_tokens", tokens);
            span.attributes.set("gen_ai.usage.output_tokens", "2");
        }
        span
    }

    #[test]
    fn a_roll_up_is_counted_once() {
        let spans = vec![
            span(1, None, None),
            span(2, Some(1), Some(30)),
            span(3, Some(2), Some(10)),
            span(4, Some(2), Some(20)),
            span(5, Some(1), Some(5)),
        ];
        let usage = trace_usage(&Trace::new(TraceId::default(), spans));
        assert_eq!(usage.input_tokens, Some(35));
        assert_eq!(usage.output_tokens, Some(4));
        assert_eq!(usage.total_tokens, Some(39));
        assert_eq!(usage.cache_read_input_tokens, None);
    }
}
