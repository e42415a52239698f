use spanlite_model::{Cost, Span, SpanType, TokenUsage, Trace, trace_cost, trace_usage};

/// What is said of a trace in one line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceSummary {
    pub(crate) n_spans: u64,
    pub(crate) n_errors: u64,
    pub(crate) n_model_calls: u64,
    pub(crate) usage: TokenUsage,
    pub(crate) cost: Cost,
    /// Time in model calls, added up.
    pub(crate) model_nanos: u64,
    /// Time in tools, added up.
    pub(crate) tool_nanos: u64,
    /// The services that took part, sorted.
    pub(crate) services: Vec<String>,
}

impl TraceSummary {
    pub(crate) fn of(trace: &Trace) -> Self {
        let spans = &trace.spans;
        let nanos = |is: fn(&Span) -> bool| {
            let spans = spans.iter().filter(|span| is(span));
            spans
                .filter_map(Span::duration_nanos)
                .fold(0, u64::saturating_add)
        };
        let mut services: Vec<String> = spans
            .iter()
            .filter_map(|span| span.service_name().map(ToOwned::to_owned))
            .collect();
        services.sort_unstable();
        services.dedup();
        Self {
            n_spans: spans.len() as u64,
            n_errors: spans.iter().filter(|span| span.is_error()).count() as u64,
            n_model_calls: spans
                .iter()
                .filter(|span| span.span_type.is_model_call())
                .count() as u64,
            usage: trace_usage(trace),
            cost: trace_cost(trace),
            model_nanos: nanos(|span| span.span_type.is_model_call()),
            tool_nanos: nanos(|span| span.span_type == SpanType::Tool),
            services,
        }
    }
}
