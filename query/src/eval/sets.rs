//! Sets of spans of one trace, as sorted pre-order numbers, and what joins them. Each relation is
//! one pass over the trace.

use super::view::View;
use crate::syntax::ast::{Mode, Relation};

/// Pre-order numbers of spans, sorted, each once.
pub(crate) type Numbers = Vec<u32>;

/// Everything in one or the other.
pub(crate) fn union(left: &[u32], right: &[u32]) -> Numbers {
    let mut all = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(&a), Some(&b)) = (left.get(i), right.get(j)) {
        all.push(a.min(b));
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    all.extend_from_slice(left.get(i..).unwrap_or_default());
    all.extend_from_slice(right.get(j..).unwrap_or_default());
    all
}

/// The spans that `left relation right` returns.
pub(crate) fn related(
    view: &View<'_>,
    relation: Relation,
    mode: Mode,
    left: &[u32],
    right: &[u32],
) -> Numbers {
    match mode {
        Mode::Plain => partners(view, relation, left, right),
        Mode::Negated => {
            let fitting = partners(view, relation, left, right);
            let mut fitting = fitting.iter().peekable();
            let kept = right
                .iter()
                .filter(|number| fitting.next_if_eq(number).is_none());
            kept.copied().collect()
        }
        Mode::Union => {
            let fitting = partners(view, relation, left, right);
            let partners = partners(view, turned(relation), right, left);
            union(&fitting, &partners)
        }
    }
}

fn turned(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

/// Those of `right` that stand in the relation to one of `left`. Spans whose parent is unknown
/// have no relations.
fn partners(view: &View<'_>, relation: Relation, left: &[u32], right: &[u32]) -> Numbers {
    let nodes = view.forest().nodes();
    let attached = |number: &&u32| view.is_attached(**number as usize);
    let left: Vec<usize> = left
        .iter()
        .filter(attached)
        .map(|&number| number as usize)
        .collect();
    let right = right.iter().filter(attached).copied();
    if left.is_empty() {
        return Vec::new();
    }
    match relation {
        Relation::Descendant => {
            let mut reach = 0;
            let mut next = left.iter().peekable();
            right
                .filter(|&number| {
                    while let Some(&&ancestor) = next.peek()
                        && ancestor < number as usize
                    {
                        reach = reach.max(nodes[ancestor].end);
                        next.next();
                    }
                    number < reach
                })
                .collect()
        }
        Relation::Ancestor => {
            // The first of `left` behind each span is the one that could lie inside it.
            let mut next = left.iter().peekable();
            right
                .filter(|&number| {
                    while next.next_if(|&&below| below <= number as usize).is_some() {}
                    next.peek()
                        .is_some_and(|&&below| below < nodes[number as usize].end as usize)
                })
                .collect()
        }
        Relation::Child => {
            let mut is_left = vec![false; nodes.len()];
            for &number in &left {
                is_left[number] = true;
            }
            let parent = |number: u32| nodes[number as usize].parent;
            right
                .filter(|&number| parent(number).is_some_and(|parent| is_left[parent as usize]))
                .collect()
        }
        Relation::Parent => {
            let mut has_child = vec![false; nodes.len()];
            for &number in &left {
                if let Some(parent) = nodes[number].parent {
                    has_child[parent as usize] = true;
                }
            }
            right.filter(|&number| has_child[number as usize]).collect()
        }
        Relation::Sibling => {
            // Roots are children of place 0, the others of their parent's number and one.
            let family =
                |number: usize| nodes[number].parent.map_or(0, |parent| parent as usize + 1);
            let mut members = vec![0_u32; nodes.len() + 1];
            let mut is_left = vec![false; nodes.len()];
            for &number in &left {
                members[family(number)] += 1;
                is_left[number] = true;
            }
            right
                .filter(|&number| {
                    let number = number as usize;
                    members[family(number)] > u32::from(is_left[number])
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use spanlite_model::{Span, SpanId, Trace, TraceId};

    fn trace(parents: &[Option<usize>]) -> Trace {
        let id = |index: usize| SpanId::from_bytes((index as u64 + 1).to_be_bytes());
        let spans = parents.iter().enumerate().map(|(index, parent)| {
            let mut span = Span::new(TraceId::default(), id(index), "");
            span.parent_span_id = parent.map(&id);
            span.start_time_unix_nano = index as u64;
            span
        });
        Trace::new(TraceId::default(), spans.collect())
    }

    /// Whether `right` stands in the relation to `left`, by walking up.
    fn stands(view: &View<'_>, relation: Relation, left: usize, right: usize) -> bool {
        let node = |number: usize| view.forest().node(number);
        let parent = |number: usize| node(number).parent.map(|parent| parent as usize);
        let above = |number| std::iter::successors(parent(number), |&at| parent(at));
        if !view.is_attached(left) || !view.is_attached(right) {
            return false;
        }
        match relation {
            Relation::Child => parent(right) == Some(left),
            Relation::Parent => parent(left) == Some(right),
            Relation::Descendant => above(right).any(|at| at == left),
            Relation::Ancestor => above(left).any(|at| at == right),
            Relation::Sibling => left != right && parent(left) == parent(right),
        }
    }

    proptest! {
        #[test]
        fn relations_are_those_found_by_walking_the_tree(
            shape in prop::collection::vec((prop::option::weighted(0.8, any::<prop::sample::Index>()), any::<bool>(), any::<bool>()), 1..40),
        ) {
            // A parent behind the end is one that is missing.
            let parents: Vec<_> = shape.iter().enumerate().map(|(at, (parent, ..))| {
                parent.map(|index| match index.index(at + 2) { p if p < at => p, _ => 1_000 })
            }).collect();
            let trace = trace(&parents);
            let view = View::new(&trace, 0);
            let pick = |which: fn(&(Option<prop::sample::Index>, bool, bool)) -> bool| -> Numbers {
                (0..shape.len() as u32).filter(|&n| which(&shape[n as usize])).collect()
            };
            let (left, right) = (pick(|one| one.1), pick(|one| one.2));
            for relation in [Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling] {
                let has = |l: u32, r: u32| stands(&view, relation, l as usize, r as usize);
                let plain: Numbers = right.iter().copied().filter(|&r| left.iter().any(|&l| has(l, r))).collect();
                let negated: Numbers = right.iter().copied().filter(|&r| !left.iter().any(|&l| has(l, r))).collect();
                let with: Numbers = left.iter().copied().filter(|&l| right.iter().any(|&r| has(l, r))).collect();
                prop_assert_eq!(&related(&view, relation, Mode::Plain, &left, &right), &plain);
                prop_assert_eq!(&related(&view, relation, Mode::Negated, &left, &right), &negated);
                prop_assert_eq!(&related(&view, relation, Mode::Union, &left, &right), &union(&plain, &with));
            }
        }
    }
}
