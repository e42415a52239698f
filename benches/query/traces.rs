//! The traces that are searched.

use std::sync::Arc;

use spanlite_benches::workload::{Random, Words};
use spanlite_model::{Json, Resource, Span, SpanId, SpanType, Status, StatusCode, Trace, TraceId};

const BEGIN_UNIX_NANO: u64 = 1_760_000_000_000_000_000;
const NAMES: [&str; 6] = [
    "tool.call",
    "llm.generate",
    "retrieve",
    "rerank",
    "http.get",
    "db.query",
];
/// Which of the two sets of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An input of about 220 and an output of about 160 bytes.
    Small,
    /// An input of about 1,536 and an output of about 512 bytes.
    Texts,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Texts => "texts",
        }
    }

    fn lengths(self) -> (usize, usize) {
        match self {
            Self::Small => (220, 160),
            Self::Texts => (1_536, 512),
        }
    }
}

fn service(number: u64) -> Arc<Resource> {
    let mut resource = Resource::default();
    resource
        .attributes
        .push("service.name", format!("svc-{number}"));
    resource
        .attributes
        .push("env", ["prod", "stage", "dev"][(number % 3) as usize]);
    Arc::new(resource)
}

/// One of 10 spans: an agent, and under it tools, model calls and what they call; 1 span in 100
/// failed; 6 attributes each.
pub(crate) fn trace(kind: Kind, number: u64, words: &Words) -> Trace {
    let (input_length, output_length) = kind.lengths();
    let mut random = Random::new(number + 1);
    let start = BEGIN_UNIX_NANO + number * 50_000_000;
    let mut id = [0; 16];
    id[..6].copy_from_slice(&(start / 1_000_000).to_be_bytes()[2..]);
    id[6..14].copy_from_slice(&number.to_be_bytes());
    let trace_id = TraceId::from_bytes(id);
    let resource = service(random.below(20));
    let mut spans: Vec<Span> = Vec::new();
    for index in 0..10_u64 {
        let name = match index {
            0 => "agent.run",
            _ => NAMES[random.below(NAMES.len() as u64) as usize],
        };
        let mut span = Span::new(
            trace_id,
            SpanId::from_bytes((index + 1).to_be_bytes()),
            name,
        );
        span.parent_span_id = (index > 0).then(|| spans[random.below(index) as usize].span_id);
        span.start_time_unix_nano = start + index * 5_000_000;
        span.end_time_unix_nano = Some(span.start_time_unix_nano + random.lognormal(2e8));
        span.resource = Arc::clone(&resource);
        span.status = match random.below(100) {
            0 => Status::error("deadline exceeded"),
            _ => Status {
                code: StatusCode::Ok,
                message: String::new(),
            },
        };
        let attributes = &mut span.attributes;
        if name == "llm.generate" {
            span.span_type = SpanType::Llm;
            attributes.push("gen_ai.request.model", format!("model-{}", random.below(8)));
            attributes.push("gen_ai.usage.input_tokens", random.below(4_000) as i64);
            attributes.push("gen_ai.usage.output_tokens", random.below(800) as i64);
        } else {
            span.span_type = SpanType::Tool;
            attributes.push("tool.name", format!("tool{}", random.below(20)));
            attributes.push("retries", random.zipf(4) as i64);
        }
        attributes.push("user.id", format!("u-{}", random.below(10_000)));
        attributes.push("temperature", random.below(10) as f64 / 10.0);
        attributes.push("stream", random.below(2) == 0);
        attributes.push("shard", random.below(64) as i64);
        let mut input = words.text(&mut random, input_length);
        if random.below(400) == 0 {
            input.push_str(" refund policy order");
        }
        span.inputs = Some(Json::string(&input));
        span.outputs = Some(Json::string(&words.text(&mut random, output_length)));
        spans.push(span);
    }
    Trace::new(trace_id, spans)
}
