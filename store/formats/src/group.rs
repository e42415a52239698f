use std::collections::HashMap;

use spanlite_model::{Span, Trace, TraceId};

/// Puts spans together by trace, both in the order they came.
pub(crate) fn by_trace(spans: impl IntoIterator<Item = Span>) -> Vec<Trace> {
    let mut traces: Vec<Trace> = Vec::new();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    for span in spans {
        let place = *places.entry(span.trace_id).or_insert_with(|| {
            traces.push(Trace::new(span.trace_id, Vec::new()));
            traces.len() - 1
        });
        traces[place].spans.push(span);
    }
    traces
}
