use std::cell::OnceCell;
use std::collections::HashMap;

use spanlite_model::{
    Cost, Forest, Span, SpanId, TokenUsage, Trace, TraceState, trace_cost, trace_usage,
};

/// A trace with what queries need of it, worked out once: a condition on the trace is asked at
/// each of its spans.
pub(crate) struct View<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) now_unix_nano: u64,
    forest: Forest,
    /// For each pre-order number whether it hangs from a root; a span below a missing parent has
    /// no relations.
    attached: Vec<bool>,
    numbers: OnceCell<Vec<NestedSet>>,
    child_counts: OnceCell<HashMap<SpanId, i64>>,
    usage: OnceCell<TokenUsage>,
    cost: OnceCell<Cost>,
    /// The span without a parent that began first.
    root: OnceCell<Option<usize>>,
    /// First start and last end, in Unix nanoseconds.
    times: OnceCell<(Option<u64>, Option<u64>)>,
    state: OnceCell<TraceState>,
    n_errors: OnceCell<usize>,
}

/// TraceQL's numbers of a span; 0 where they are not known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NestedSet {
    pub(crate) left: i64,
    pub(crate) right: i64,
    /// -1 for a root.
    pub(crate) parent: i64,
}

impl<'a> View<'a> {
    pub(crate) fn new(trace: &'a Trace, now_unix_nano: u64) -> Self {
        let forest = Forest::of(&trace.spans);
        let mut attached = Vec::with_capacity(forest.len());
        for node in forest.nodes() {
            let whole = match node.parent {
                Some(parent) => attached.get(parent as usize).copied().unwrap_or(false),
                None => !node.parent_missing,
            };
            attached.push(whole);
        }
        Self {
            trace,
            now_unix_nano,
            forest,
            attached,
            numbers: OnceCell::new(),
            child_counts: OnceCell::new(),
            usage: OnceCell::new(),
            cost: OnceCell::new(),
            root: OnceCell::new(),
            times: OnceCell::new(),
            state: OnceCell::new(),
            n_errors: OnceCell::new(),
        }
    }

    pub(crate) fn forest(&self) -> &Forest {
        &self.forest
    }

    /// How many spans there are.
    pub(crate) fn len(&self) -> usize {
        self.forest.len()
    }

    /// The span with a pre-order number.
    pub(crate) fn span(&self, number: usize) -> &'a Span {
        &self.trace.spans[self.forest.node(number).span]
    }

    pub(crate) fn is_attached(&self, number: usize) -> bool {
        self.attached.get(number).copied().unwrap_or(false)
    }

    pub(crate) fn depth(&self, number: usize) -> i64 {
        i64::from(self.forest.node(number).depth)
    }

    pub(crate) fn nested_set(&self, number: usize) -> NestedSet {
        let numbers = self.numbers.get_or_init(|| self.nested_sets());
        numbers.get(number).copied().unwrap_or_default()
    }

    fn nested_sets(&self) -> Vec<NestedSet> {
        let mut numbers: Vec<NestedSet> = Vec::with_capacity(self.len());
        let mut before = 0;
        for (number, node) in self.forest.nodes().iter().enumerate() {
            if !self.is_attached(number) {
                numbers.push(NestedSet::default());
                continue;
            }
            // Numbers are given on entering and on leaving a span; of those before this one all
            // but its ancestors were left.
            let left = 1 + 2 * before - i64::from(node.depth);
            let size = i64::from(node.end) - number as i64;
            let parent = node
                .parent
                .and_then(|parent| numbers.get(parent as usize))
                .map_or(-1, |parent| parent.left);
            numbers.push(NestedSet {
                left,
                right: left + 2 * size - 1,
                parent,
            });
            before += 1;
        }
        numbers
    }

    /// How many spans name this one as their parent.
    pub(crate) fn child_count(&self, span_id: SpanId) -> i64 {
        let counts = self.child_counts.get_or_init(|| {
            let mut counts = HashMap::new();
            for parent in self
                .trace
                .spans
                .iter()
                .filter_map(|span| span.parent_span_id)
            {
                *counts.entry(parent).or_insert(0) += 1;
            }
            counts
        });
        counts.get(&span_id).copied().unwrap_or(0)
    }

    /// The earliest span without a parent.
    pub(crate) fn root(&self) -> Option<&'a Span> {
        let index = *self.root.get_or_init(|| {
            let spans = self.trace.spans.iter().enumerate();
            let roots = spans.filter(|(_, span)| span.parent_span_id.is_none());
            let first = roots.min_by_key(|(_, span)| (span.start_time_unix_nano, span.span_id));
            first.map(|(index, _)| index)
        });
        self.trace.spans.get(index?)
    }

    /// The name that was given to the trace, else that of the span its tree begins with.
    pub(crate) fn name(&self) -> Option<&'a str> {
        let of_root = || {
            let first = self.forest.roots().next();
            let span = |number| self.trace.spans.get(self.forest.node(number).span);
            let root = self.root().or_else(|| span(first?))?;
            Some(root.name.as_str())
        };
        self.trace.info.name.as_deref().or_else(of_root)
    }

    fn times(&self) -> (Option<u64>, Option<u64>) {
        let read = || {
            let trace = self.trace;
            (trace.start_time_unix_nano(), trace.end_time_unix_nano())
        };
        *self.times.get_or_init(read)
    }

    pub(crate) fn start_time_unix_nano(&self) -> Option<u64> {
        self.times().0
    }

    pub(crate) fn end_time_unix_nano(&self) -> Option<u64> {
        self.times().1
    }

    pub(crate) fn duration_nanos(&self) -> u64 {
        match self.times() {
            (Some(start), Some(end)) => end.saturating_sub(start),
            _ => self.trace.info.execution_duration_nanos.unwrap_or(0),
        }
    }

    pub(crate) fn state(&self) -> TraceState {
        *self.state.get_or_init(|| self.trace.state())
    }

    pub(crate) fn error_count(&self) -> usize {
        let count = || {
            self.trace
                .spans
                .iter()
                .filter(|span| span.is_error())
                .count()
        };
        *self.n_errors.get_or_init(count)
    }

    pub(crate) fn usage(&self) -> TokenUsage {
        *self.usage.get_or_init(|| trace_usage(self.trace))
    }

    pub(crate) fn cost(&self) -> Cost {
        *self.cost.get_or_init(|| trace_cost(self.trace))
    }

    /// The state as MLflow says it, which knows no interrupted traces.
    pub(crate) fn mlflow_state(&self) -> TraceState {
        match self.state() {
            TraceState::Interrupted => TraceState::InProgress,
            state => state,
        }
    }
}
