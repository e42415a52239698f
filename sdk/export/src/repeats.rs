use std::collections::HashMap;

use spanlite_model::Trace;

/// Gives spans whose name comes more than once in the trace the suffixes `_1`, `_2`, … in the
/// order of their start, as MLflow's tracing guide shows them. A name that comes once stays.
pub(crate) fn number_repeats(trace: &mut Trace) {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for span in &trace.spans {
        *counts.entry(&span.name).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    let mut seen: HashMap<String, u32> = counts
        .into_keys()
        .map(|name| (name.to_owned(), 0))
        .collect();
    if seen.is_empty() {
        return;
    }
    let mut order: Vec<usize> = (0..trace.spans.len()).collect();
    order.sort_by_key(|&index| {
        let span = &trace.spans[index];
        (span.start_time_unix_nano, span.span_id)
    });
    for index in order {
        let span = &mut trace.spans[index];
        if let Some(number) = seen.get_mut(&span.name) {
            *number += 1;
            span.name = format!("{}_{number}", span.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{Span, SpanId, TraceId};

    use super::*;

    #[test]
    fn repeats_are_numbered_by_start() {
        let span = |id: u8, name: &str, start| {
            let mut span = Span::new(TraceId::default(), SpanId::from_bytes([id; 8]), name);
            span.start_time_unix_nano = start;
            span
        };
        let spans = vec![
            span(1, "call", 30),
            span(2, "root", 10),
            span(3, "call", 20),
            span(4, "call_1", 25),
        ];
        let mut trace = Trace::new(TraceId::default(), spans);
        number_repeats(&mut trace);
        let names: Vec<&str> = trace.spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["call_2", "root", "call_1", "call_1"]);
    }
}
