//! Requests through services, without any model: what Zipkin and Jaeger hold.

use std::sync::Arc;

use spanlite_model::{Resource, SpanKind, SpanType, Trace, keys};

use crate::draft::{Draft, MILLISECOND};

/// A request: a tree of calls, mostly shallow, sometimes a thousand spans and 32 levels.
pub(crate) fn request(seed: u64, index: u64) -> Trace {
    let mut draft = Draft::new(seed, index, "edge", "http");
    let large = draft.random.chance(0.02);
    let spans = if large {
        draft.random.between(900, 1_100)
    } else {
        draft.random.log_normal(28.0, 60.0).clamp(2.0, 300.0) as u64
    };
    let deepest = if large { 32 } else { 5 };
    let root = draft.open(None, "GET /", SpanType::Unknown);
    draft.span(root).kind = SpanKind::Server;
    let mut path = vec![root];
    for _ in 1..spans {
        while path.len() > 1 && (path.len() >= deepest || draft.random.chance(0.45)) {
            path.pop().into_iter().for_each(|place| draft.close(place));
        }
        let place = call(&mut draft, path.last().copied());
        let took = draft.random.log_normal(6.0, 146.0).min(30_000.0);
        draft.pass(took * MILLISECOND / spans as f64);
        if draft.random.chance(0.006) {
            draft.fail(
                place,
                "java.lang.IllegalStateException",
                "503 from upstream",
            );
        } else {
            path.push(place);
        }
    }
    while let Some(place) = path.pop() {
        draft.close(place);
    }
    let failed = (0..draft.trace.spans.len()).any(|place| draft.failed(place));
    if failed && draft.random.chance(0.2) {
        draft.fail(root, "UpstreamError", "502 bad gateway");
    }
    draft.trace
}

fn call(draft: &mut Draft, parent: Option<usize>) -> usize {
    let which = draft.random.zipf(300);
    let name = crate::text::name("op", which);
    let place = draft.open(parent, name, SpanType::Unknown);
    let service = crate::text::name("svc", which % 40);
    let count = draft.random.between(2, 8);
    let kind = draft
        .random
        .pick(&[SpanKind::Server, SpanKind::Client, SpanKind::Internal]);
    let values: Vec<(u64, u64)> = (0..count)
        .map(|_| (draft.random.zipf(100), draft.random.zipf(500)))
        .collect();
    let span = draft.span(place);
    span.kind = kind;
    span.resource = Arc::new(Resource {
        attributes: [(keys::SERVICE_NAME, service)].into_iter().collect(),
        ..Resource::default()
    });
    for (key, value) in values {
        span.attributes.set(
            crate::text::name("http", key),
            crate::text::name("v", value),
        );
    }
    place
}
