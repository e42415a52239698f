use spanlite_model::{Forest, Trace};

/// A span's part in the critical path: what it did itself while nothing below it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The pre-order number of the span.
    pub(crate) number: usize,
    /// When its part began.
    pub(crate) start_time_unix_nano: u64,
    /// How long it was.
    pub(crate) nanos: u64,
}

enum Task {
    Visit {
        number: usize,
        from: u64,
        until: u64,
    },
    Own(Step),
}

/// The chain of work that made the trace take as long as it did, in order of time.
///
/// Walks back from the end of the root that ends last: of the children, the one that ended last
/// was waited for; before it began, the one that had ended last by then; and so on inside each.
/// What lies between is the span's own. Spans that are open do not count.
pub(crate) fn critical_path(trace: &Trace, forest: &Forest) -> Vec<Step> {
    let interval = |number: usize| {
        let span = &trace.spans[forest.node(number).span];
        let start = span.start_time_unix_nano;
        let end = span.end_time_unix_nano?;
        (end > start).then_some((start, end))
    };
    let Some((root, (from, until))) = forest
        .roots()
        .filter_map(|number| Some((number, interval(number)?)))
        .max_by_key(|(_, (_, end))| *end)
    else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    let mut stack = vec![Task::Visit {
        number: root,
        from,
        until,
    }];
    while let Some(task) = stack.pop() {
        let (number, from, until) = match task {
            Task::Own(step) => {
                steps.push(step);
                continue;
            }
            Task::Visit {
                number,
                from,
                until,
            } => (number, from, until),
        };
        let mut children: Vec<(usize, u64, u64)> = forest
            .children(number)
            .filter_map(|child| interval(child).map(|(start, end)| (child, start, end)))
            .collect();
        children.sort_by_key(|&(_, start, end)| (end, start));
        let mut tasks = Vec::new();
        let mut cursor = until;
        let own = |from: u64, until: u64| {
            (until > from).then_some(Task::Own(Step {
                number,
                start_time_unix_nano: from,
                nanos: until - from,
            }))
        };
        for &(child, start, end) in children.iter().rev() {
            let end = end.min(cursor);
            let start = start.max(from);
            if start >= end {
                continue;
            }
            tasks.extend(own(end, cursor));
            tasks.push(Task::Visit {
                number: child,
                from: start,
                until: end,
            });
            cursor = start;
        }
        tasks.extend(own(from, cursor));
        // Tasks run from the end of the trace to its begin, so the stack gets them reversed.
        stack.extend(tasks.into_iter().rev());
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlite_model::{Span, SpanId, TraceId};

    /// `(number, nanos)` of the path through spans given as `(id, parent, start, end)`.
    fn path(list: &[(u8, u8, u64, u64)]) -> Vec<(usize, u64)> {
        let spans = list.iter().map(|&(id, parent, start, end)| {
            let mut span = Span::new(TraceId::default(), SpanId::from_bytes([id; 8]), "");
            span.parent_span_id = (parent != 0).then(|| SpanId::from_bytes([parent; 8]));
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = Some(end);
            span
        });
        let trace = Trace::new(TraceId::default(), spans.collect());
        critical_path(&trace, &trace.forest())
            .iter()
            .map(|step| (step.number, step.nanos))
            .collect()
    }

    #[test]
    fn the_path_is_what_was_waited_for() {
        let list = [
            (1, 0, 0, 100),
            (2, 1, 10, 60),
            (3, 1, 20, 90),
            (4, 3, 30, 40),
        ];
        // Root alone 0-10, span 2 until span 3 begins, 3 around its child 4, root alone at the end.
        let expected = [(0, 10), (1, 10), (2, 10), (3, 10), (2, 50), (0, 10)];
        assert_eq!(path(&list), expected);
    }

    #[test]
    fn the_path_is_as_long_as_the_root() {
        let list = [(1, 0, 5, 50), (2, 1, 0, 99), (3, 1, 60, 70), (4, 2, 7, 7)];
        assert_eq!(path(&list).iter().map(|(_, nanos)| nanos).sum::<u64>(), 45);
        assert_eq!(path(&[]), []);
        assert_eq!(path(&[(1, 0, 9, 3)]), []);
    }
}
