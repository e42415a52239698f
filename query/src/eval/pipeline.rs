use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write as _;

use super::datum::Datum;
use super::node::At;
use super::sets::{Numbers, related, union};
use super::view::View;
use crate::resolve::{Aggregated, Node, Set, Stage};
use crate::syntax::ast::{AggregateFn, SpansOp};

/// A set of spans that flows through a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) spans: Numbers,
    /// What `by` grouped it under, outermost first.
    pub(crate) group: Vec<(String, Datum<'static>)>,
    /// What aggregates found.
    pub(crate) aggregates: Vec<(String, Datum<'static>)>,
}

/// Runs the stages over all spans of a trace. An empty result means that the trace does not fit.
pub(crate) fn run(stages: &[Stage], view: &View<'_>) -> Vec<State> {
    let all = State {
        spans: (0..view.len() as u32).collect(),
        group: Vec::new(),
        aggregates: Vec::new(),
    };
    run_on(stages, view, vec![all])
}

fn run_on(stages: &[Stage], view: &View<'_>, states: Vec<State>) -> Vec<State> {
    let mut states = states;
    for stage in stages {
        if states.is_empty() {
            break;
        }
        states = step(stage, view, states);
    }
    states
}

fn step(stage: &Stage, view: &View<'_>, states: Vec<State>) -> Vec<State> {
    match stage {
        Stage::Spans(set) => keep(states, |state| {
            let spans = spans(set, view, &state.spans)?;
            Some(if spans.is_empty() {
                roots_of(view, &state.spans)
            } else {
                spans
            })
        }),
        Stage::Filter {
            condition,
            needs_span,
        } => {
            let whole = condition_on_trace(condition, *needs_span, view);
            keep(states, |state| match whole {
                Some(true) => Some(state.spans.clone()),
                Some(false) => None,
                None => {
                    let spans = filtered(condition, view, &state.spans);
                    (!spans.is_empty()).then_some(spans)
                }
            })
        }
        Stage::Aggregated {
            aggregate,
            op,
            limit,
        } => states
            .into_iter()
            .filter_map(|mut state| {
                let value = aggregate_of(aggregate, view, &state.spans)?;
                let fits = value.compare(*op, limit);
                state
                    .aggregates
                    .retain(|(label, _)| *label != aggregate.label);
                state.aggregates.push((aggregate.label.clone(), value));
                fits.then_some(state)
            })
            .collect(),
        Stage::By { of, label } => states
            .into_iter()
            .flat_map(|state| split(of, label, view, &state))
            .collect(),
        Stage::Coalesce => {
            let spans = states
                .iter()
                .fold(Vec::new(), |all, state| union(&all, &state.spans));
            vec![State {
                spans,
                group: Vec::new(),
                aggregates: Vec::new(),
            }]
        }
        Stage::Select(_) => states,
        Stage::Since(bound) | Stage::Until(bound) => {
            let bound = bound.unix_nano(view.now_unix_nano);
            let start = view.trace.start_time_unix_nano();
            let start = start.map(|start| i64::try_from(start).unwrap_or(i64::MAX));
            let fits = match (stage, start) {
                (_, None) => false,
                (Stage::Since(_), Some(start)) => start >= bound,
                (_, Some(start)) => start < bound,
            };
            if fits { states } else { Vec::new() }
        }
    }
}

/// The truth of a condition that no single span decides.
fn condition_on_trace(condition: &Node, needs_span: bool, view: &View<'_>) -> Option<bool> {
    (!needs_span).then(|| condition.is_true(At::whole(view)))
}

fn keep(states: Vec<State>, spans: impl Fn(&State) -> Option<Numbers>) -> Vec<State> {
    let kept = states.into_iter().filter_map(|state| {
        let spans = spans(&state)?;
        Some(State { spans, ..state })
    });
    kept.collect()
}

fn filtered(condition: &Node, view: &View<'_>, spans: &[u32]) -> Numbers {
    let fits = |number: &u32| condition.is_true(At::span_of(view, *number as usize));
    spans.iter().copied().filter(fits).collect()
}

fn roots_of(view: &View<'_>, spans: &[u32]) -> Numbers {
    let is_root = |number: &u32| view.forest().node(*number as usize).parent.is_none();
    spans.iter().copied().filter(is_root).collect()
}

/// The spans an expression yields; nothing if it does not hold. An absence holds without
/// yielding any.
fn spans(set: &Set, view: &View<'_>, input: &[u32]) -> Option<Numbers> {
    match set {
        Set::Braces(condition) => {
            let spans = filtered(condition, view, input);
            (!spans.is_empty()).then_some(spans)
        }
        Set::Pipeline(stages) => {
            let state = State {
                spans: input.to_vec(),
                group: Vec::new(),
                aggregates: Vec::new(),
            };
            let states = run_on(stages, view, vec![state]);
            let all = states
                .iter()
                .fold(Vec::new(), |all, state| union(&all, &state.spans));
            (!states.is_empty()).then_some(all)
        }
        Set::Absent(inner) => spans(inner, view, input).is_none().then(Vec::new),
        Set::Binary {
            op: SpansOp::And,
            left,
            right,
        } => {
            let left = spans(left, view, input)?;
            Some(union(&left, &spans(right, view, input)?))
        }
        Set::Binary {
            op: SpansOp::Or,
            left,
            right,
        } => match (spans(left, view, input), spans(right, view, input)) {
            (Some(left), Some(right)) => Some(union(&left, &right)),
            (left, right) => left.or(right),
        },
        Set::Binary {
            op: SpansOp::Related { relation, mode },
            left,
            right,
        } => {
            let right = spans(right, view, input)?;
            let left = spans(left, view, input).unwrap_or_default();
            let spans = related(view, *relation, *mode, &left, &right);
            (!spans.is_empty()).then_some(spans)
        }
    }
}

/// The value of an aggregate over some spans; nothing if no span has a number.
pub(crate) fn aggregate_of(
    aggregate: &Aggregated,
    view: &View<'_>,
    spans: &[u32],
) -> Option<Datum<'static>> {
    let Some(argument) = &aggregate.argument else {
        return Some(Datum::Int(spans.len() as i64));
    };
    let mut values = spans
        .iter()
        .map(|&number| argument.value(At::span_of(view, number as usize)));
    fold(aggregate.function, &mut values)
}

/// The value of an aggregate over some values, of which those that are no numbers do not count;
/// nothing if no number is left.
pub(crate) fn fold(
    function: AggregateFn,
    values: &mut dyn Iterator<Item = Datum<'_>>,
) -> Option<Datum<'static>> {
    let mut numbers = values
        .filter(|value| value.number().is_some())
        .map(Datum::into_owned);
    let first = numbers.next()?;
    let pick = |best: Datum<'static>, one: Datum<'static>, wanted: Ordering| {
        if one.order(&best) == Some(wanted) {
            one
        } else {
            best
        }
    };
    match function {
        AggregateFn::Min => Some(numbers.fold(first, |best, one| pick(best, one, Ordering::Less))),
        AggregateFn::Max => {
            Some(numbers.fold(first, |best, one| pick(best, one, Ordering::Greater)))
        }
        AggregateFn::Sum | AggregateFn::Count => {
            Some(numbers.fold(first, |sum, one| add(&sum, &one)))
        }
        AggregateFn::Avg => {
            let mut count = 1_i64;
            let sum = numbers.fold(first, |sum, one| {
                count += 1;
                add(&sum, &one)
            });
            Some(match sum {
                Datum::Duration(nanos) => Datum::Duration(nanos / count),
                sum => Datum::Float(sum.number()? / count as f64),
            })
        }
    }
}

/// Whole numbers and durations stay what they are; anything mixed becomes a float.
fn add(left: &Datum<'_>, right: &Datum<'_>) -> Datum<'static> {
    match (left, right) {
        (Datum::Int(left), Datum::Int(right)) => Datum::Int(left.saturating_add(*right)),
        (Datum::Duration(left), Datum::Duration(right)) => {
            Datum::Duration(left.saturating_add(*right))
        }
        _ => Datum::Float(left.number().unwrap_or(0.0) + right.number().unwrap_or(0.0)),
    }
}

/// One set for each value of the expression, in the order of their first spans. Spans where it is
/// nil are a group of their own.
fn split(of: &Node, label: &str, view: &View<'_>, state: &State) -> Vec<State> {
    let mut groups: Vec<State> = Vec::new();
    let mut by_key: HashMap<String, usize> = HashMap::new();
    for &number in &state.spans {
        let value = of.value(At::span_of(view, number as usize));
        let index = *by_key.entry(group_key(&value)).or_insert_with(|| {
            let mut group = state.group.clone();
            group.push((label.to_owned(), value.into_owned()));
            groups.push(State {
                spans: Vec::new(),
                group,
                aggregates: state.aggregates.clone(),
            });
            groups.len() - 1
        });
        groups[index].spans.push(number);
    }
    groups
}

/// Whether `by` puts two values into one group: whether their keys are equal.
pub(crate) fn is_one_group(left: &Datum<'_>, right: &Datum<'_>) -> bool {
    match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => left == right,
        (Datum::Nil, Datum::Nil) => true,
        (Datum::Int(left), Datum::Int(right)) => left == right,
        (left, right) => group_key(left) == group_key(right),
    }
}

/// A text that is equal for equal values; 3 and 3.0 are one group.
pub(crate) fn group_key(value: &Datum<'_>) -> String {
    let mut key = String::new();
    push_group_key(&mut key, value);
    key
}

/// What a group is called: of 3 and 3.0 the whole number, whichever came first.
pub(crate) fn group_name(value: Datum<'_>) -> Datum<'_> {
    match value {
        Datum::Float(number) if is_whole(number) => Datum::Int(number as i64),
        value => value,
    }
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9e15
}

/// Appends the key of a value. Keys one after another are equal where their values are.
pub(crate) fn push_group_key(out: &mut String, value: &Datum<'_>) {
    let text = |out: &mut String, text: &str| {
        let written = write!(out, "t{}:", text.len());
        debug_assert!(written.is_ok(), "a string takes any text");
        out.push_str(text);
    };
    let written = match value {
        Datum::Text(value) => return text(out, value),
        Datum::Json(json) => return text(out, &json.to_display_text()),
        Datum::Nil => write!(out, "n"),
        Datum::Int(number) => write!(out, "i{number};"),
        Datum::Float(number) if is_whole(*number) => write!(out, "i{};", *number as i64),
        Datum::Array(_) => write!(out, "{:?};", value.clone().into_owned()),
        value => write!(out, "{value:?};"),
    };
    debug_assert!(written.is_ok(), "a string takes any text");
}
