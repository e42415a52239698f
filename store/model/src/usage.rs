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

/// A count of tokens among the attributes of a span, beside MLflow's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCount {
    /// [`TokenUsage::input_tokens`].
    Input,
    /// [`TokenUsage::output_tokens`].
    Output,
    /// [`TokenUsage::total_tokens`].
    Total,
    /// [`TokenUsage::cache_read_input_tokens`].
    CacheRead,
    /// [`TokenUsage::cache_creation_input_tokens`].
    CacheCreation,
    /// What Claude Code calls input: without what is in a cache.
    ClaudeCodeInput,
    /// What Claude Code calls output.
    ClaudeCodeOutput,
    /// What Claude Code read from a cache.
    ClaudeCodeCacheRead,
    /// What Claude Code put into a cache.
    ClaudeCodeCacheCreation,
}

impl TokenCount {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::Output,
        Self::Total,
        Self::CacheRead,
        Self::CacheCreation,
        Self::ClaudeCodeInput,
        Self::ClaudeCodeOutput,
        Self::ClaudeCodeCacheRead,
        Self::ClaudeCodeCacheCreation,
    ];

    /// The attributes it may stand in: the GenAI conventions' (new names before old),
    /// `OpenInference`'s, Traceloop's. The first that [holds a count](Self::read) counts.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Input => &[
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.prompt_tokens",
                "llm.token_count.prompt",
                "usage.prompt_tokens",
                "llm.usage.prompt_tokens",
            ],
            Self::Output => &[
                "gen_ai.usage.output_tokens",
                "gen_ai.usage.completion_tokens",
                "llm.token_count.completion",
                "usage.completion_tokens",
                "llm.usage.completion_tokens",
            ],
            Self::Total => &[
                "gen_ai.usage.total_tokens",
                "llm.token_count.total",
                "llm.usage.total_tokens",
                "usage.total_tokens",
            ],
            Self::CacheRead => &[
                "gen_ai.usage.cache_read.input_tokens",
                "llm.token_count.prompt_details.cache_read",
            ],
            Self::CacheCreation => &[
                "gen_ai.usage.cache_write.input_tokens",
                "gen_ai.usage.cache_creation.input_tokens",
                "llm.token_count.prompt_details.cache_write",
            ],
            Self::ClaudeCodeInput => &["input_tokens"],
            Self::ClaudeCodeOutput => &["output_tokens"],
            Self::ClaudeCodeCacheRead => &["cache_read_tokens"],
            Self::ClaudeCodeCacheCreation => &["cache_creation_tokens"],
        }
    }

    /// The count that a value holds.
    pub fn read(value: &Value) -> Option<u64> {
        u64::try_from(value.to_i64()?).ok()
    }

    fn of(self, span: &Span) -> Option<u64> {
        let mut keys = self.keys().iter();
        keys.find_map(|key| Self::read(span.attributes.get(key)?))
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

fn sum_of_costs(a: Option<f64>, b: Option<f64>) -> Option<f64> {
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

    /// What a span says of its tokens: MLflow's map, else what its attributes count. A missing
    /// total is the sum.
    pub fn of(span: &Span) -> Self {
        if let Some(map) = span.attributes.get(keys::MLFLOW_TOKEN_USAGE) {
            return Self::from_map(map);
        }
        let span_type = span.attributes.get_str(keys::CLAUDE_CODE_SPAN_TYPE);
        Self::from_counts(
            span_type.is_some_and(|span_type| Self::is_of_claude_code(span_type, &span.name)),
            |count| count.of(span),
        )
    }

    /// Whether a span of this name counts as Claude Code does, by its attribute
    /// [`keys::CLAUDE_CODE_SPAN_TYPE`].
    pub fn is_of_claude_code(span_type: &str, name: &str) -> bool {
        span_type == "claude_code.llm_request"
            || (span_type == "llm_request" && name.starts_with("claude_code."))
    }

    /// What single counts say. Claude Code counts cached tokens beside those that went in; here
    /// they are among them.
    pub fn from_counts(is_of_claude_code: bool, count: impl Fn(TokenCount) -> Option<u64>) -> Self {
        use TokenCount as C;
        let usage = if is_of_claude_code {
            let (read, written) = (
                count(C::ClaudeCodeCacheRead),
                count(C::ClaudeCodeCacheCreation),
            );
            let plain = count(C::ClaudeCodeInput);
            Self {
                input_tokens: plain.and_then(|_| sum(sum(plain, read), written)),
                output_tokens: count(C::ClaudeCodeOutput),
                cache_read_input_tokens: read,
                cache_creation_input_tokens: written,
                ..Self::default()
            }
        } else {
            Self {
                input_tokens: count(C::Input),
                output_tokens: count(C::Output),
                total_tokens: count(C::Total),
                cache_read_input_tokens: count(C::CacheRead),
                cache_creation_input_tokens: count(C::CacheCreation),
                ..Self::default()
            }
        };
        usage.with_total()
    }

    fn with_total(mut self) -> Self {
        let both = || Some(self.input_tokens?.saturating_add(self.output_tokens?));
        self.total_tokens = self.total_tokens.or_else(both);
        self
    }

    /// What MLflow's map says, which may be JSON text.
    pub fn from_map(map: &Value) -> Self {
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
        let field = |name| map.get(name).and_then(TokenCount::read);
        let usage = Self {
            input_tokens: field("input_tokens"),
            output_tokens: field("output_tokens"),
            total_tokens: field("total_tokens"),
            cache_read_input_tokens: field("cache_read_input_tokens"),
            cache_creation_input_tokens: field("cache_creation_input_tokens"),
            cache_creation_input_tokens_above_1hr: field("cache_creation_input_tokens_above_1hr"),
        };
        usage.with_total()
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
        let attributes = &span.attributes;
        let computed = attributes.get(keys::SPANLITE_COST);
        let known = computed.or_else(|| attributes.get(keys::MLFLOW_LLM_COST));
        known.map_or_else(Self::default, Self::from_map)
    }

    /// What MLflow's map says.
    pub fn from_map(map: &Value) -> Self {
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
            input_cost: sum_of_costs(self.input_cost, other.input_cost),
            output_cost: sum_of_costs(self.output_cost, other.output_cost),
            total_cost: sum_of_costs(self.total_cost, other.total_cost),
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
    /// The model of the call, by [`keys::MODEL_KEYS`].
    pub fn model(&self) -> Option<&str> {
        let mut keys = keys::MODEL_KEYS.iter();
        keys.find_map(|key| self.attributes.get_str(key))
    }

    /// The provider of the model, by [`keys::PROVIDER_KEYS`].
    pub fn provider(&self) -> Option<&str> {
        let mut keys = keys::PROVIDER_KEYS.iter();
        keys.find_map(|key| self.attributes.get_str(key))
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
