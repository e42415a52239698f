use spanlite_model::{Span, Trace};

use crate::cell::Cell;
use crate::eval::{self, At, View};
use crate::resolve::{Node, Stage};

/// A trace that fits a query.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceMatch {
    /// The whole trace.
    pub trace: Trace,
    /// What of it fits: one set, or one for each group of the last `by`.
    pub span_sets: Vec<SpanSet>,
}

/// Spans that fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSet {
    /// The spans in pre-order. None when the query asked only about the trace as a whole and the
    /// trace has no spans.
    pub spans: Vec<SpanMatch>,
    /// What `by` grouped the set under, outermost first.
    pub group: Vec<(String, Cell)>,
    /// What the aggregates of the query found.
    pub aggregates: Vec<(String, Cell)>,
}

/// A span that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanMatch {
    /// Where it stands in [`Trace::spans`].
    pub index: usize,
    /// What `select` asked for.
    pub selected: Vec<(String, Cell)>,
}

impl TraceMatch {
    /// The spans that fit, of all sets, each once, by their place in the trace.
    pub fn matched_spans(&self) -> impl Iterator<Item = &Span> {
        let mut indices: Vec<usize> = self
            .span_sets
            .iter()
            .flat_map(|set| set.spans.iter().map(|span| span.index))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices
            .into_iter()
            .filter_map(|index| self.trace.spans.get(index))
    }
}

/// The columns that `select` stages ask for.
pub(crate) fn columns(stages: &[Stage]) -> Vec<(String, Node)> {
    let selects = stages.iter().filter_map(|stage| match stage {
        Stage::Select(columns) => Some(columns),
        _ => None,
    });
    selects.flatten().cloned().collect()
}

/// Whether a trace passes the stages.
pub(crate) fn fits(stages: &[Stage], view: &View<'_>) -> bool {
    !eval::run(stages, view).is_empty()
}

/// Runs the stages over one trace.
pub(crate) fn span_sets(stages: &[Stage], view: &View<'_>) -> Vec<SpanSet> {
    let columns = columns(stages);
    let named = |values: Vec<(String, eval::Datum<'static>)>| {
        values
            .into_iter()
            .map(|(label, value)| (label, Cell::from(value)))
            .collect()
    };
    let sets = eval::run(stages, view).into_iter().map(|state| SpanSet {
        spans: state
            .spans
            .iter()
            .map(|&number| {
                let at = At::span_of(view, number as usize);
                SpanMatch {
                    index: view.forest().node(number as usize).span,
                    selected: columns
                        .iter()
                        .map(|(label, node)| (label.clone(), Cell::from(node.value(at))))
                        .collect(),
                }
            })
            .collect(),
        group: named(state.group),
        aggregates: named(state.aggregates),
    });
    sets.collect()
}
