use spanlite_model::{Span, Trace};

use crate::cell::Cell;
use crate::eval::{self, At, View};
use crate::resolve::{Node, Set, Stage};

/// A trace that fits a query.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceMatch {
    /// The whole trace.
    pub trace: Trace,
    /// What of it fits: one set, or one for each group of the last `by`.
    pub span_sets: Vec<SpanSet>,
    /// Where texts the query looks for came into the trace: later spans often only repeat them.
    pub entered: Vec<Entered>,
}

/// Where a text came into a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The words or the piece that was looked for.
    pub text: String,
    /// The earliest span that has it, by its place in [`Trace::spans`].
    pub index: usize,
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

/// For each text the stages look for, the earliest span that has it.
pub(crate) fn entered(stages: &[Stage], view: &View<'_>) -> Vec<Entered> {
    let mut wanted: Vec<(String, &Node)> = Vec::new();
    each_condition(stages, &mut |condition| {
        condition.each_text(&mut |text, node| {
            if !wanted.iter().any(|(known, _)| *known == text) {
                wanted.push((text, node));
            }
        });
    });
    let earliest = |node: &Node| {
        let has = |number: &usize| node.is_true(At::span_of(view, *number));
        let start = |number: &usize| (view.span(*number).start_time_unix_nano, *number);
        (0..view.len()).filter(has).min_by_key(start)
    };
    let found = wanted.into_iter().filter_map(|(text, node)| {
        let number = earliest(node)?;
        let index = view.forest().node(number).span;
        Some(Entered { text, index })
    });
    found.collect()
}

fn each_condition<'s>(stages: &'s [Stage], visit: &mut dyn FnMut(&'s Node)) {
    for stage in stages {
        match stage {
            Stage::Spans(set) => each_condition_of(set, visit),
            Stage::Filter { condition, .. } => visit(condition),
            _ => {}
        }
    }
}

fn each_condition_of<'s>(set: &'s Set, visit: &mut dyn FnMut(&'s Node)) {
    match set {
        Set::Braces(condition) => visit(condition),
        Set::Pipeline(stages) => each_condition(stages, visit),
        Set::Binary { left, right, .. } => {
            each_condition_of(left, visit);
            each_condition_of(right, visit);
        }
        // What must not be there did not enter.
        Set::Absent(_) => {}
    }
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
