use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use spanlite_model::{Forest, Span, SpanId, SpanType, Trace, Value};

/// A pause between brothers is shown from this part of the trace on.
const IDLE_SHARE: u64 = 20;
/// And never when it is shorter than this, because no one calls that idle.
const IDLE_MIN_NANOS: u64 = 100_000_000;
/// A child lasts as long as its parent when it misses less than one part in this many.
const SAME_LENGTH_SHARE: u64 = 100;

/// How much of a tree is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fold {
    /// Whether pass-through chains and repeats become one row.
    pub(crate) fold: bool,
    /// How many levels are shown.
    pub(crate) depth: Option<u32>,
    /// Whether repeated names get `_1`, `_2`, as MLflow's guide shows them. Repeats then stand
    /// alone.
    pub(crate) number_repeats: bool,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            fold: true,
            depth: None,
            number_repeats: false,
        }
    }
}

/// What was folded and unfolded row by row.
#[derive(Debug, Default)]
pub(crate) struct ByHand {
    /// Spans below which nothing is shown.
    pub(crate) closed: HashSet<SpanId>,
    /// Spans whose pass-through chain is shown, and spans of repeats that stand alone.
    pub(crate) opened: HashSet<SpanId>,
}

/// The rows of a trace's tree, from top to bottom. Built without recursion.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) trace: Arc<Trace>,
    pub(crate) forest: Forest,
    pub(crate) rows: Vec<Row>,
    /// The shortest pause that is shown.
    idle_min_nanos: u64,
    /// The suffixes of repeated names by pre-order number; empty unless asked for.
    suffixes: Vec<u32>,
}

/// One row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) guides: Guides,
    pub(crate) kind: RowKind,
}

/// What a row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// A span.
    Span {
        /// Its pre-order number.
        number: u32,
        /// How many pass-through spans below it are left out.
        hidden: u32,
        /// How many spans below it the depth limit leaves out.
        below: u32,
    },
    /// Brothers of one name and type, one after the other, none of them failed.
    Repeat {
        /// Their pre-order numbers.
        numbers: Vec<u32>,
    },
    /// Why the span above failed, or how it was cut short.
    Message {
        /// The pre-order number of the span.
        number: u32,
    },
    /// A pause in which no brother ran.
    Idle {
        /// When it began.
        start_time_unix_nano: u64,
        /// How long it took.
        nanos: u64,
    },
    /// A parent that spans name and that is not there.
    MissingParent {
        /// Its id.
        span_id: SpanId,
        /// Whether it is there, but below its own child.
        cycle: bool,
    },
}

/// The lines in front of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guides {
    /// How many levels there are above.
    pub(crate) depth: u32,
    /// Whether brothers follow, for the row (bit 0) and the levels above it; beyond 64 levels
    /// nobody can see them.
    pub(crate) more: u64,
    /// Whether the row hangs from a branch; a message does not.
    pub(crate) branch: bool,
}

impl Guides {
    const ROOT: Self = Self {
        depth: 0,
        more: 0,
        branch: true,
    };

    fn child(self, last: bool) -> Self {
        Self {
            depth: self.depth + 1,
            more: self.more << 1 | u64::from(!last),
            branch: true,
        }
    }
}

/// How a span ended before its work was done, though nothing failed: its future or its stream was
/// dropped. The attributes are those that the SDK writes.
pub(crate) fn cut_short(span: &Span) -> Option<&'static str> {
    let is = |key, value| span.attributes.get(key) == Some(&Value::Bool(value));
    if is("cancelled", true) {
        Some("cancelled")
    } else {
        is("stream.completed", false).then_some("not read to its end")
    }
}

/// What still has to be shown.
enum Visit {
    Span(u32, Guides),
    Row(Row),
    Orphans(SpanId, Vec<u32>, bool),
}

/// Children of a span, before they have their place.
enum Child {
    Span(u32),
    Repeat(Vec<u32>),
    Idle { start: u64, nanos: u64 },
}

impl Outline {
    /// Lays a trace out.
    pub(crate) fn of(trace: Arc<Trace>, fold: Fold) -> Self {
        Self::by_hand(trace, fold, &ByHand::default())
    }

    /// Lays a trace out, some of its rows as they were folded by hand.
    pub(crate) fn by_hand(trace: Arc<Trace>, fold: Fold, by_hand: &ByHand) -> Self {
        let forest = trace.forest();
        let suffixes = if fold.number_repeats {
            repeat_numbers(&trace, &forest)
        } else {
            Vec::new()
        };
        let mut outline = Self {
            idle_min_nanos: (trace.duration_nanos() / IDLE_SHARE).max(IDLE_MIN_NANOS),
            trace,
            forest,
            rows: Vec::new(),
            suffixes,
        };
        outline.fill(fold, by_hand);
        outline
    }

    /// The span with a pre-order number.
    pub(crate) fn span(&self, number: u32) -> &Span {
        &self.trace.spans[self.forest.node(number as usize).span]
    }

    /// The number a repeated name ends in, if names are numbered and this one comes twice.
    pub(crate) fn suffix(&self, number: u32) -> Option<u32> {
        self.suffixes
            .get(number as usize)
            .copied()
            .filter(|&suffix| suffix > 0)
    }

    fn fill(&mut self, fold: Fold, by_hand: &ByHand) {
        let mut stack = self.top();
        stack.reverse();
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Row(row) => self.rows.push(row),
                Visit::Orphans(span_id, numbers, cycle) => {
                    self.rows.push(Row {
                        guides: Guides::ROOT,
                        kind: RowKind::MissingParent { span_id, cycle },
                    });
                    let last = numbers.len() - 1;
                    let visits = numbers.iter().enumerate().map(|(index, &number)| {
                        Visit::Span(number, Guides::ROOT.child(index == last))
                    });
                    stack.extend(visits.rev());
                }
                Visit::Span(number, guides) => {
                    let below = self.visit(number, guides, fold, by_hand);
                    stack.extend(below.into_iter().rev());
                }
            }
        }
    }

    /// The roots, and in front of orphans the parent they miss.
    fn top(&self) -> Vec<Visit> {
        let mut visits: Vec<Visit> = Vec::new();
        let mut place: HashMap<SpanId, usize> = HashMap::new();
        let present: HashSet<SpanId> = self.trace.spans.iter().map(|span| span.span_id).collect();
        for number in self.forest.roots() {
            let node = self.forest.node(number);
            let span = &self.trace.spans[node.span];
            let number = number as u32;
            match span.parent_span_id {
                Some(parent) if node.parent_missing => {
                    let at = *place.entry(parent).or_insert(visits.len());
                    if let Some(Visit::Orphans(_, numbers, _)) = visits.get_mut(at) {
                        numbers.push(number);
                    } else {
                        let cycle = present.contains(&parent);
                        visits.push(Visit::Orphans(parent, vec![number], cycle));
                    }
                }
                _ => visits.push(Visit::Span(number, Guides::ROOT)),
            }
        }
        visits
    }

    /// Adds the rows of one span and returns what comes below it.
    fn visit(&mut self, number: u32, guides: Guides, fold: Fold, by_hand: &ByHand) -> Vec<Visit> {
        let mut parent = number;
        let mut hidden = 0;
        if fold.fold && !by_hand.opened.contains(&self.span(number).span_id) {
            while let Some(child) = self.pass_through(parent) {
                parent = child;
                hidden += 1;
            }
        }
        let node = self.forest.node(number as usize);
        let cut = fold.depth.is_some_and(|limit| guides.depth + 1 >= limit)
            || by_hand.closed.contains(&self.span(number).span_id);
        let below = if cut { node.end - number - 1 } else { 0 };
        self.rows.push(Row {
            guides,
            kind: RowKind::Span {
                number,
                hidden: if cut { 0 } else { hidden },
                below,
            },
        });
        let children = if cut {
            Vec::new()
        } else {
            self.children(parent, fold, &by_hand.opened)
        };
        let span = self.span(number);
        if span.is_error() || cut_short(span).is_some() {
            // The trunk of the children runs beside the message.
            let mut guides = guides.child(children.is_empty());
            guides.branch = false;
            self.rows.push(Row {
                guides,
                kind: RowKind::Message { number },
            });
        }
        let count = children.len();
        children
            .into_iter()
            .enumerate()
            .map(|(index, child)| {
                let guides = guides.child(index + 1 == count);
                match child {
                    Child::Span(number) => Visit::Span(number, guides),
                    Child::Repeat(numbers) => Visit::Row(Row {
                        guides,
                        kind: RowKind::Repeat { numbers },
                    }),
                    Child::Idle { start, nanos } => Visit::Row(Row {
                        guides,
                        kind: RowKind::Idle {
                            start_time_unix_nano: start,
                            nanos,
                        },
                    }),
                }
            })
            .collect()
    }

    /// The only child of a span, if it adds nothing: a plain step as long as its parent that went
    /// well and has children of its own.
    fn pass_through(&self, parent: u32) -> Option<u32> {
        let mut children = self.forest.children(parent as usize);
        let child = children.next()?;
        if children.next().is_some() || self.forest.node(child).end as usize == child + 1 {
            return None;
        }
        let (above, span) = (self.span(parent), self.span(child as u32));
        let plain = matches!(
            span.span_type,
            SpanType::Chain | SpanType::Unknown | SpanType::Workflow | SpanType::Task
        );
        let length = above.duration_nanos()?;
        let missing = length.saturating_sub(span.duration_nanos()?);
        (plain
            && !span.is_error()
            && cut_short(span).is_none()
            && missing <= length / SAME_LENGTH_SHARE)
            .then_some(child as u32)
    }

    fn children(&self, parent: u32, fold: Fold, opened: &HashSet<SpanId>) -> Vec<Child> {
        let mut children: Vec<Child> = Vec::new();
        // The end of what ran so far; an open span runs for ever.
        let mut busy_until: Option<u64> = None;
        for number in self.forest.children(parent as usize) {
            let number = number as u32;
            let span = self.span(number);
            if let Some(until) = busy_until {
                let nanos = span.start_time_unix_nano.saturating_sub(until);
                if nanos > self.idle_min_nanos {
                    children.push(Child::Idle {
                        start: until,
                        nanos,
                    });
                }
            }
            let end = span.end_time_unix_nano.unwrap_or(u64::MAX);
            busy_until = Some(busy_until.map_or(end, |until| until.max(end)));
            let folds = fold.fold
                && !fold.number_repeats
                && self.is_quiet_leaf(number)
                && !opened.contains(&span.span_id);
            match children.last_mut() {
                Some(Child::Repeat(numbers)) if folds && self.is_like(numbers[0], number) => {
                    numbers.push(number);
                }
                _ if folds => children.push(Child::Repeat(vec![number])),
                _ => children.push(Child::Span(number)),
            }
        }
        for child in &mut children {
            if let Child::Repeat(numbers) = child
                && let &[single] = numbers.as_slice()
            {
                *child = Child::Span(single);
            }
        }
        children
    }

    fn is_quiet_leaf(&self, number: u32) -> bool {
        let span = self.span(number);
        let leaf = self.forest.node(number as usize).end == number + 1;
        leaf && !span.is_error() && cut_short(span).is_none() && span.end_time_unix_nano.is_some()
    }

    fn is_like(&self, a: u32, b: u32) -> bool {
        let (a, b) = (self.span(a), self.span(b));
        a.name == b.name && a.span_type == b.span_type
    }
}

/// For each span, in pre-order: its number among those of its name by start time, 0 for a name
/// that comes once.
fn repeat_numbers(trace: &Trace, forest: &Forest) -> Vec<u32> {
    let mut order: Vec<u32> = (0..forest.len() as u32).collect();
    let span = |number: &u32| &trace.spans[forest.node(*number as usize).span];
    order.sort_by_key(|number| (span(number).start_time_unix_nano, *number));
    let mut times: HashMap<&str, u32> = HashMap::new();
    for number in &order {
        *times.entry(&span(number).name).or_default() += 1;
    }
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut suffixes = vec![0; forest.len()];
    for number in &order {
        let name = span(number).name.as_str();
        if times.get(name).is_some_and(|&times| times > 1) {
            let next = seen.entry(name).or_default();
            *next += 1;
            suffixes[*number as usize] = *next;
        }
    }
    suffixes
}
