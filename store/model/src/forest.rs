use std::collections::HashMap;

use crate::{Span, SpanId};

/// The spans of a trace as trees, numbered in pre-order.
///
/// A span whose parent is not in the trace is a root and marked as such; a cycle of parents is
/// cut at its earliest span, which becomes a root. Brothers and roots stand by start time, then
/// id. Built and read without recursion, so depth is limited by memory only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forest {
    nodes: Vec<Node>,
}

/// One span of a [`Forest`]; its index is its pre-order number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Where the span stands in the slice the forest was made of.
    pub span: usize,
    /// The pre-order number of the parent; a root has none.
    pub parent: Option<u32>,
    /// One past the pre-order number of the last descendant.
    pub end: u32,
    /// How many ancestors it has.
    pub depth: u32,
    /// Whether it names a parent that is not there, or that it is an ancestor of.
    pub parent_missing: bool,
}

impl Forest {
    /// Lays the spans out. Of two spans with one id the first is the one children hang from.
    pub fn of(spans: &[Span]) -> Self {
        Self::lay_out(spans.len(), |index| {
            let span = &spans[index];
            (span.span_id, span.parent_span_id, span.start_time_unix_nano)
        })
    }

    /// The same of `n_spans` spans, of each its id, its parent and its start.
    pub fn lay_out(n_spans: usize, span: impl Fn(usize) -> (SpanId, Option<SpanId>, u64)) -> Self {
        let mut parents = parents(n_spans, |index| {
            let (span_id, parent, _) = span(index);
            (span_id, parent)
        });
        let mut order: Vec<usize> = (0..n_spans).collect();
        order.sort_by_key(|&index| {
            let (span_id, _, start) = span(index);
            (start, span_id, index)
        });
        cut_cycles(&order, &mut parents);

        // Children of one parent as a linked list over two arrays, last child first, so that the
        // stack below pops them in order.
        let mut last_child = vec![None; n_spans];
        let mut previous = vec![None; n_spans];
        let mut roots = Vec::new();
        for &index in &order {
            match parents[index] {
                Some(parent) => {
                    previous[index] = last_child[parent];
                    last_child[parent] = Some(index);
                }
                None => roots.push(index),
            }
        }
        let mut stack: Vec<(usize, Option<u32>, u32)> = roots
            .into_iter()
            .rev()
            .map(|root| (root, None, 0))
            .collect();
        let mut nodes: Vec<Node> = Vec::with_capacity(n_spans);
        while let Some((place, parent, depth)) = stack.pop() {
            let number = nodes.len() as u32;
            let parent_missing = parent.is_none() && span(place).1.is_some();
            nodes.push(Node {
                span: place,
                parent,
                end: number + 1,
                depth,
                parent_missing,
            });
            let mut child = last_child[place];
            while let Some(index) = child {
                stack.push((index, Some(number), depth + 1));
                child = previous[index];
            }
        }
        for number in (0..nodes.len()).rev() {
            if let Some(parent) = nodes[number].parent {
                let end = nodes[number].end;
                let parent = &mut nodes[parent as usize];
                parent.end = parent.end.max(end);
            }
        }
        Self { nodes }
    }

    /// The nodes in pre-order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with a pre-order number.
    pub fn node(&self, number: usize) -> Node {
        self.nodes[number]
    }

    /// The numbers of the roots, in order.
    pub fn roots(&self) -> impl Iterator<Item = usize> {
        self.siblings(0, self.nodes.len())
    }

    /// The numbers of a node's children, in order.
    pub fn children(&self, number: usize) -> impl Iterator<Item = usize> {
        self.siblings(number + 1, self.nodes[number].end as usize)
    }

    fn siblings(&self, first: usize, end: usize) -> impl Iterator<Item = usize> {
        let mut at = first;
        std::iter::from_fn(move || {
            let number = at;
            at = self.nodes.get(number).filter(|_| number < end)?.end as usize;
            Some(number)
        })
    }

    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether there are no spans.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Traces of so many spans are searched from end to end: that is quicker than to make a map.
const FEW_SPANS: usize = 16;

/// Where the parent of each span stands.
fn parents(n_spans: usize, span: impl Fn(usize) -> (SpanId, Option<SpanId>)) -> Vec<Option<usize>> {
    let of = |find: &dyn Fn(SpanId) -> Option<usize>| {
        let spans = 0..n_spans;
        spans.map(|index| span(index).1.and_then(find)).collect()
    };
    if n_spans <= FEW_SPANS {
        return of(&|id| (0..n_spans).find(|&index| span(index).0 == id));
    }
    let mut by_id: HashMap<SpanId, usize> = HashMap::with_capacity(n_spans);
    for index in 0..n_spans {
        by_id.entry(span(index).0).or_insert(index);
    }
    of(&|id| by_id.get(&id).copied())
}

/// Makes the first span, in `order`, of every cycle of parents a root.
fn cut_cycles(order: &[usize], parents: &mut [Option<usize>]) {
    const UNSEEN: u32 = 0;
    let mut rank = vec![0; parents.len()];
    for (place, &index) in order.iter().enumerate() {
        rank[index] = place;
    }
    let mut walk_of = vec![UNSEEN; parents.len()];
    for (walk, &start) in (1..).zip(order) {
        let mut at = start;
        while walk_of[at] == UNSEEN {
            walk_of[at] = walk;
            match parents[at] {
                Some(parent) if walk_of[parent] == walk => {
                    let earliest = cycle_through(parent, parents).min_by_key(|&index| rank[index]);
                    parents[earliest.unwrap_or(parent)] = None;
                    break;
                }
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

/// The spans of the cycle of parents that `member` is part of.
fn cycle_through(member: usize, parents: &[Option<usize>]) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(member), move |&at| {
        parents[at].filter(|&next| next != member)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TraceId;

    /// Spans from `(id, parent, start)`.
    fn spans(list: &[(u8, u8, u64)]) -> Vec<Span> {
        list.iter()
            .map(|&(id, parent, start)| {
                let mut span = Span::new(TraceId::default(), SpanId::from_bytes([id; 8]), "");
                span.parent_span_id = (parent != 0).then(|| SpanId::from_bytes([parent; 8]));
                span.start_time_unix_nano = start;
                span
            })
            .collect()
    }

    /// `(index, depth, end, parent missing)` in pre-order.
    fn shape(list: &[(u8, u8, u64)]) -> Vec<(usize, u32, u32, bool)> {
        let forest = Forest::of(&spans(list));
        forest
            .nodes()
            .iter()
            .map(|n| (n.span, n.depth, n.end, n.parent_missing))
            .collect()
    }

    #[test]
    fn children_stand_by_start_time() {
        let list = [(1, 0, 0), (2, 1, 9), (3, 1, 5), (4, 3, 6)];
        assert_eq!(
            shape(&list),
            [
                (0, 0, 4, false),
                (2, 1, 3, false),
                (3, 2, 3, false),
                (1, 1, 4, false)
            ]
        );
        let forest = Forest::of(&spans(&list));
        assert_eq!(forest.children(0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(forest.roots().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn orphans_are_roots_and_say_so() {
        assert_eq!(
            shape(&[(2, 9, 3), (1, 0, 1)]),
            [(1, 0, 1, false), (0, 0, 2, true)]
        );
    }

    #[test]
    fn cycles_are_cut_at_their_earliest_span() {
        let list = [(1, 3, 5), (2, 1, 2), (3, 2, 9), (4, 1, 7)];
        assert_eq!(
            shape(&list),
            [
                (1, 0, 4, true),
                (2, 1, 4, false),
                (0, 2, 4, false),
                (3, 3, 4, false)
            ]
        );
        assert_eq!(shape(&[(1, 1, 0)]), [(0, 0, 1, true)]);
    }

    #[test]
    fn a_chain_of_fifty_thousand_is_laid_out() {
        let mut chain = spans(&[(1, 0, 0)]);
        for depth in 1..50_000u64 {
            let mut span = chain[0].clone();
            span.span_id = SpanId::from_bytes((1 << 32 | depth).to_be_bytes());
            span.parent_span_id = chain.last().map(|parent| parent.span_id);
            chain.push(span);
        }
        assert_eq!(
            Forest::of(&chain).nodes().last().map(|node| node.depth),
            Some(49_999)
        );
    }
}
