//! What models cost: a table that is read from text, and the cost of a span by it.

mod names;
mod table;

pub use table::{ModelPrices, Price, PriceTable, PriceTableError};

use crate::{Cost, Span, SpanType, TokenUsage, Trace, Value, keys};

impl Price {
    /// What a call cost. Tokens that came from a cache or went into one are priced apart where the
    /// provider does so. Nothing where the counts do not tell.
    ///
    /// Input counts include cached tokens; where they are smaller than the cached ones, the
    /// instrumentation has counted them apart, and they are added.
    pub fn cost(&self, usage: TokenUsage) -> Option<Cost> {
        let million = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        let output_cost = match usage.output_tokens {
            Some(tokens) => million(tokens, self.output),
            None if self.output == 0.0 => 0.0,
            None => return None,
        };
        let input = usage.input_tokens?;
        let read = usage.cache_read_input_tokens.unwrap_or(0);
        let written = usage.cache_creation_input_tokens.unwrap_or(0);
        let kept = usage.cache_creation_input_tokens_above_1hr.unwrap_or(0);
        let kept = kept.min(written);
        let cache_write = self.cache_write.unwrap_or(self.input);
        let plain = input
            .checked_sub(read.saturating_add(written))
            .unwrap_or(input);
        let input_cost = million(plain, self.input)
            + million(read, self.cache_read.unwrap_or(self.input))
            + million(written - kept, cache_write)
            + million(kept, self.cache_write_1h.unwrap_or(cache_write));
        Some(Cost {
            input_cost: Some(input_cost),
            output_cost: Some(output_cost),
            total_cost: Some(input_cost + output_cost),
        })
    }
}

impl PriceTable {
    /// The price that holds for a span: of its provider's model when it began, for so much input.
    pub fn price_of(&self, span: &Span) -> Option<&Price> {
        self.price_for(span, TokenUsage::of(span))
    }

    fn price_for(&self, span: &Span, usage: TokenUsage) -> Option<&Price> {
        self.find(
            span.provider(),
            span.model()?,
            span.start_time_unix_nano,
            usage.input_tokens.unwrap_or(0),
        )
    }

    /// The cost of a span by the table; nothing for an `AGENT`, whose counts are sums of what it
    /// called, and where the model, its price or the counts are unknown.
    pub fn cost_of(&self, span: &Span) -> Option<Cost> {
        if span.span_type == SpanType::Agent {
            return None;
        }
        let usage = TokenUsage::of(span);
        self.price_for(span, usage)?.cost(usage)
    }

    /// The cost of a span as [`PriceTable::apply_to`] and then [`Cost::of`] tell it.
    pub fn cost_that_holds(&self, span: &Span) -> Cost {
        let recorded = span.attributes.get(keys::MLFLOW_LLM_COST);
        self.choose_cost(&span.span_type, recorded.map(Cost::from_map), || {
            self.cost_of(span)
        })
    }

    /// The cost of a call of which one may be recorded: that one, unless the table
    /// [replaces](Self::replaces_recorded) it and knows another. Nothing for an `AGENT`.
    pub fn choose_cost(
        &self,
        span_type: &SpanType,
        recorded: Option<Cost>,
        by_table: impl FnOnce() -> Option<Cost>,
    ) -> Cost {
        if *span_type == SpanType::Agent {
            return Cost::default();
        }
        let by_table = if recorded.is_some() && !self.replaces_recorded() {
            None
        } else {
            by_table()
        };
        by_table.or(recorded).unwrap_or_default()
    }

    /// Puts the cost of each span into its attribute [`keys::SPANLITE_COST`], where
    /// [`Cost::of`] finds it. A cost that came with the span holds, unless the table
    /// [replaces](Self::replaces_recorded) it and knows the price.
    ///
    /// The trace in memory is changed, not what is stored.
    pub fn apply(&self, trace: &mut Trace) {
        for span in &mut trace.spans {
            self.apply_to(span);
        }
    }

    /// The same for one span.
    pub fn apply_to(&self, span: &mut Span) {
        span.attributes.remove(keys::SPANLITE_COST);
        let is_recorded = span.attributes.get(keys::MLFLOW_LLM_COST).is_some();
        if is_recorded && !self.replaces_recorded() {
            return;
        }
        let Some(cost) = self.cost_of(span) else {
            return;
        };
        let part =
            |name: &str, cost: Option<f64>| cost.map(|cost| (name.to_owned(), Value::Double(cost)));
        let parts = [
            part("input_cost", cost.input_cost),
            part("output_cost", cost.output_cost),
            part("total_cost", cost.total_cost),
        ];
        let map = Value::Map(parts.into_iter().flatten().collect());
        span.attributes.set(keys::SPANLITE_COST, map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanId, TraceId, trace_cost};

    const TABLE: &str = "\
# as of 2026-01-02
provider,model,from,above_tokens,input,output,cache_read,cache_write,cache_write_1h
openai,gpt-4o,,,2.5,10,1.25,,
openai,gpt-4o,2026-01-01,,2,8,1,,
anthropic,claude-sonnet-4-5,,,3,15,0.3,3.75,6
anthropic,claude-sonnet-4-5,,200000,6,22.5,0.6,7.5,
openai,text-embedding-3-small,,,0.02,0,,,
,house-model,,,1,1,,,
";

    fn table() -> PriceTable {
        PriceTable::from_csv(TABLE).unwrap()
    }

    fn usage(input: u64, output: u64, read: u64, written: u64) -> TokenUsage {
        TokenUsage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            total_tokens: None,
            cache_read_input_tokens: Some(read),
            cache_creation_input_tokens: Some(written),
            cache_creation_input_tokens_above_1hr: None,
        }
    }

    fn call(provider: Option<&str>, model: &str, input: i64, output: i64) -> Span {
        let mut span = Span::new(TraceId::default(), SpanId::from_bytes([1; 8]), "chat");
        span.span_type = SpanType::Llm;
        span.start_time_unix_nano = 1_767_225_600_000_000_000; // 2026-01-01T00:00:00Z
        if let Some(provider) = provider {
            span.attributes.set(keys::GEN_AI_PROVIDER_NAME, provider);
        }
        span.attributes.set(keys::GEN_AI_RESPONSE_MODEL, model);
        span.attributes.set("gen_ai.usage.input_tokens", input);
        span.attributes.set("gen_ai.usage.output_tokens", output);
        span
    }

    fn total(cost: Option<Cost>) -> Option<f64> {
        cost?.total_cost
    }

    #[test]
    fn cached_tokens_have_prices_of_their_own() {
        let table = table();
        let price = table.find(None, "claude-sonnet-4-5", 0, 0).unwrap();
        let cost = price
            .cost(usage(1_000_000, 100_000, 600_000, 100_000))
            .unwrap();
        // 300,000 at 3, 600,000 at 0.3, 100,000 at 3.75; 100,000 at 15.
        assert!((cost.input_cost.unwrap() - (0.9 + 0.18 + 0.375)).abs() < 1e-9);
        assert!((cost.output_cost.unwrap() - 1.5).abs() < 1e-9);
        // Half of what is put into the cache stays there for an hour: at 6, the other half at 3.75.
        let mut kept = usage(100_000, 0, 0, 100_000);
        kept.cache_creation_input_tokens_above_1hr = Some(50_000);
        let cost = price.cost(kept).unwrap();
        assert!((cost.input_cost.unwrap() - (0.3 + 0.1875)).abs() < 1e-9);
        // Counts that leave the cached tokens out of the input.
        let apart = price.cost(usage(1_000, 0, 600_000, 0)).unwrap();
        assert!((apart.input_cost.unwrap() - (0.003 + 0.18)).abs() < 1e-9);
    }

    #[test]
    fn a_price_holds_from_a_day_on_and_above_a_length() {
        let table = table();
        let new_year = 1_767_225_600_000_000_000;
        let input = |time, tokens| {
            let price = table.find(Some("openai"), "gpt-4o-2024-08-06", time, tokens);
            price.map(|price| price.input)
        };
        assert_eq!(input(new_year - 1, 0), Some(2.5));
        assert_eq!(input(new_year, 0), Some(2.0));
        let input = |tokens| {
            table
                .find(None, "claude-sonnet-4-5", 0, tokens)
                .unwrap()
                .input
        };
        assert_eq!(
            (input(200_000), input(200_001)),
            (3.0, 6.0),
            "above, not from"
        );
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let table = table();
        let mut span = call(Some("openai"), "gpt-4o", 1_000_000, 0);
        assert_eq!(total(table.cost_of(&span)), Some(2.0));
        span.span_type = SpanType::Agent;
        assert_eq!(table.cost_of(&span), None, "the sum of others");
        for (provider, model) in [
            (Some("openai"), "gpt-9"),
            (Some("ollama"), "gpt-4o"),
            (Some("anthropic"), "gpt-4o"),
            (None, "gpt-4"),
        ] {
            let span = call(provider, model, 10, 10);
            assert_eq!(table.cost_of(&span), None, "{provider:?} {model}");
        }
        // A row without a provider holds for all.
        let own = call(Some("ollama"), "house-model", 500_000, 500_000);
        assert_eq!(total(table.cost_of(&own)), Some(1.0));
        let price = table.find(None, "gpt-4o", 0, 0).unwrap();
        let only_total = TokenUsage {
            total_tokens: Some(7),
            ..TokenUsage::default()
        };
        assert_eq!(price.cost(only_total), None);
        let embedding = table.find(None, "text-embedding-3-small", 0, 0).unwrap();
        let cost = embedding.cost(TokenUsage {
            input_tokens: Some(1_000_000),
            ..TokenUsage::default()
        });
        assert_eq!(total(cost), Some(0.02));
    }

    #[test]
    fn a_recorded_cost_is_kept_unless_the_table_replaces_it() {
        let mut table = table();
        let mut recorded = call(Some("openai"), "gpt-4o", 1_000_000, 0);
        let map = vec![("total_cost".to_owned(), Value::Double(9.0))];
        recorded
            .attributes
            .set(keys::MLFLOW_LLM_COST, Value::Map(map));
        let mut nested = call(None, "gpt-4o", 1_000_000, 0);
        nested.span_id = SpanId::from_bytes([2; 8]);
        nested.parent_span_id = Some(recorded.span_id);
        let stored = Trace::new(TraceId::default(), vec![recorded, nested]);
        let mut trace = stored.clone();
        table.apply(&mut trace);
        assert_eq!(
            trace_cost(&trace).total_cost,
            Some(9.0),
            "the wrapper, counted once"
        );
        assert_eq!(Cost::of(&trace.spans[1]).total_cost, Some(2.0));
        table.set_replaces_recorded(true);
        let mut trace = stored;
        table.apply(&mut trace);
        assert_eq!(trace_cost(&trace).total_cost, Some(2.0));
    }
}
