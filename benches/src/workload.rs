//! The spans that the store is measured with: ten a trace, six attributes each in two shapes, 200
//! names, 12 models, one failed span in 200, four tags a trace, of which `incident` is rare.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spanlite_model::{
    Attributes, Json, Resource, Span, SpanId, SpanType, Status, StatusCode, Trace, TraceId,
    TraceInfo,
};

use crate::measure;

/// Spans of every trace.
pub const SPANS_PER_TRACE: usize = 10;
const BEGIN_UNIX_NANO: u64 = 1_760_000_000_000_000_000;

/// 2⁶⁴ by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut mixed: u64) -> u64 {
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Random numbers that are the same in every run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for every seed. The seed is mixed: else that of the next seed would be
    /// the same one step further, and the texts of a workload would repeat from trace to trace.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// The next number, `SplitMix64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// A number below `end` of which small ones are far more frequent: rank by Zipf's law.
    pub fn zipf(&mut self, end: u64) -> u64 {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        ((end as f64 + 1.0).powf(unit) - 1.0) as u64
    }

    /// A number around `median`, spread over powers of ten as durations are.
    pub fn lognormal(&mut self, median: f64) -> u64 {
        let sum: f64 = (0..12).map(|_| self.below(1_000_000) as f64 / 1e6).sum();
        (median * (sum - 6.0).exp()) as u64
    }
}

/// Words by Zipf's law, of which each is likely to be followed by a few others, so that they
/// compress about as English does.
#[derive(Debug)]
pub struct Words {
    words: Vec<String>,
}

impl Default for Words {
    fn default() -> Self {
        let mut random = Random::new(7);
        let syllables = [
            "re", "con", "ta", "mi", "ser", "ver", "lo", "ca", "ti", "on", "pre", "st", "al", "is",
            "ment", "er", "in", "de", "ra", "to", "ble", "ing", "a", "the", "qu", "o",
        ];
        let word = |_| {
            let n = 1 + random.below(4);
            let syllable = |_| syllables[random.below(syllables.len() as u64) as usize];
            (0..n).map(syllable).collect()
        };
        Self {
            words: (0..20_000).map(word).collect(),
        }
    }
}

impl Words {
    /// A text of about `length` bytes.
    pub fn text(&self, random: &mut Random, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        let mut last = random.zipf(self.words.len() as u64);
        while text.len() < length {
            // Half of the time one of the few words that follow the last one.
            last = if random.below(2) == 0 {
                Random::new(last * 4 + random.zipf(4)).below(self.words.len() as u64)
            } else {
                random.zipf(self.words.len() as u64)
            };
            text += &self.words[last as usize];
            text.push(if random.below(12) == 0 { '.' } else { ' ' });
        }
        text
    }
}

/// The workload: small spans, or spans with about 1 KiB of inputs and 1 KiB of outputs each.
#[derive(Debug)]
pub struct Workload {
    words: Words,
    prompts: Vec<String>,
    resource: Arc<Resource>,
    with_texts: bool,
    n_traces: u64,
    /// What making traces has cost.
    making: Cell<Duration>,
}

impl Workload {
    /// A workload of `n_traces`.
    pub fn new(n_traces: u64, with_texts: bool) -> Self {
        let words = Words::default();
        let mut random = Random::new(3);
        let attributes: Attributes = [("service.name", "bench"), ("host.name", "box")]
            .into_iter()
            .collect();
        Self {
            prompts: (0..20).map(|_| words.text(&mut random, 300)).collect(),
            words,
            resource: Arc::new(Resource {
                attributes,
                ..Resource::default()
            }),
            with_texts,
            n_traces,
            making: Cell::default(),
        }
    }

    /// The trace with a number; the same one at every call.
    pub fn trace(&self, number: u64) -> Trace {
        let (trace, cost) = measure(|| self.make(number));
        self.making.set(self.making.get() + cost.thread_cpu);
        trace
    }

    /// The CPU time of making what was made since the last call.
    pub fn take_making(&self) -> Duration {
        self.making.take()
    }

    fn make(&self, number: u64) -> Trace {
        let mut random = Random::new(number + 1_000);
        let mut id = [0; 16];
        let start = BEGIN_UNIX_NANO + number * 50_000_000 + random.below(40_000_000);
        id[..6].copy_from_slice(&(start / 1_000_000).to_be_bytes()[2..]);
        id[6..14].copy_from_slice(&random.next_u64().to_be_bytes());
        let trace_id = TraceId::from_bytes(id);
        let mut spans: Vec<Span> = Vec::new();
        let mut last_output = String::new();
        for index in 0..SPANS_PER_TRACE {
            let parent = (index > 0).then(|| spans[random.below(index as u64) as usize].span_id);
            let mut span = self.span(trace_id, start, index as u64, &mut random);
            span.parent_span_id = parent;
            if self.with_texts {
                self.fill_texts(&mut span, &mut last_output, &mut random);
            }
            spans.push(span);
        }
        let mut tags = BTreeMap::new();
        tags.insert(
            "env".to_owned(),
            ["prod", "stage", "dev"][(number % 3) as usize].to_owned(),
        );
        tags.insert("experiment".to_owned(), format!("exp-{}", number % 10));
        tags.insert(
            "user.id".to_owned(),
            format!("u-{}", random.below(self.n_traces / 10 + 1)),
        );
        if number % (self.n_traces / 10).max(1) == 5 {
            tags.insert("incident".to_owned(), "INC-77".to_owned());
        }
        Trace {
            trace_id,
            info: TraceInfo {
                tags,
                ..TraceInfo::default()
            },
            spans,
        }
    }

    fn span(&self, trace_id: TraceId, start: u64, index: u64, random: &mut Random) -> Span {
        let span_id = SpanId::from_bytes(random.next_u64().to_be_bytes());
        let mut span = Span::new(trace_id, span_id, format!("step.{}", random.zipf(200)));
        span.start_time_unix_nano = start + index * 5_000_000 + random.below(5_000_000);
        span.end_time_unix_nano = Some(span.start_time_unix_nano + random.lognormal(2e7));
        span.resource = Arc::clone(&self.resource);
        if random.below(200) == 0 {
            span.status = Status::error("deadline exceeded");
        } else {
            span.status.code = StatusCode::Ok;
        }
        let attributes = &mut span.attributes;
        if index.is_multiple_of(2) {
            span.span_type = SpanType::Llm;
            attributes.push("gen_ai.request.model", format!("model-{}", random.zipf(12)));
            attributes.push("gen_ai.usage.input_tokens", random.below(4_000) as i64);
            attributes.push("gen_ai.usage.output_tokens", random.below(1_000) as i64);
            attributes.push("temperature", [0.0, 0.7, 1.0][random.below(3) as usize]);
            attributes.push("stream", random.below(2) == 0);
            attributes.push(
                "finish",
                ["stop", "length", "tool_calls"][random.zipf(3) as usize],
            );
        } else {
            span.span_type = SpanType::Tool;
            attributes.push("tool.name", format!("tool-{}", random.zipf(30)));
            attributes.push("retries", random.zipf(4) as i64);
            attributes.push("cached", random.below(4) == 0);
            attributes.push("bytes", random.lognormal(4_000.0) as i64);
            attributes.push("region", ["eu", "us", "ap"][random.below(3) as usize]);
            attributes.push("shard", random.below(64) as i64);
        }
        span
    }

    fn fill_texts(&self, span: &mut Span, last_output: &mut String, random: &mut Random) {
        let prompt = &self.prompts[random.below(20) as usize];
        let kept: String = last_output.chars().take(300).collect();
        let new = self.words.text(random, 400);
        let output = self.words.text(random, 1_000);
        let inputs = format!(
            r#"{{"messages":[{{"role":"system","content":"{prompt}"}},{{"role":"user","content":"{kept}{new}"}}]}}"#
        );
        span.inputs = Some(Json::from_trusted_text(inputs));
        span.outputs = Some(Json::string(&output));
        *last_output = output;
    }
}
