use std::sync::Arc;

use spanlite_model::{
    Attributes, Event, Json, Resource, Scope, Span, SpanId, SpanKind, SpanType, Status, StatusCode,
    Trace, TraceId, keys,
};

use crate::random::Random;
use crate::text::{name, text};

pub(crate) const MILLISECOND: f64 = 1e6;
pub(crate) const SECOND: f64 = 1e9;

/// 2026-01-05, a Monday, in Unix nanoseconds: when workloads begin.
const BEGIN: u64 = 1_767_571_200_000_000_000;

/// A trace being made, with its clock.
pub(crate) struct Draft {
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    /// The time that the next span begins, in Unix nanoseconds.
    pub(crate) now: u64,
    resource: Arc<Resource>,
    scope: Arc<Scope>,
}

impl Draft {
    /// Trace number `index` of a workload with this seed; traces begin 2 s apart on average.
    pub(crate) fn new(seed: u64, index: u64, service: &str, scope: &str) -> Self {
        let mut random = Random::new(seed, index);
        let now = BEGIN + index * 2_000_000_000 + random.below(2_000_000_000);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&((now / 1_000_000) << 16).to_be_bytes());
        id[6..8].copy_from_slice(&(random.next() as u16).to_be_bytes());
        id[8..].copy_from_slice(&random.next().to_be_bytes());
        let resource = Resource {
            attributes: [
                (keys::SERVICE_NAME, service),
                ("deployment.environment.name", "prod"),
                ("telemetry.sdk.language", "rust"),
            ]
            .into_iter()
            .collect(),
            ..Resource::default()
        };
        let scope = Scope {
            name: scope.to_owned(),
            version: "1.0.0".to_owned(),
            ..Scope::default()
        };
        Self {
            random,
            trace: Trace::new(TraceId::from_bytes(id), Vec::new()),
            now,
            resource: Arc::new(resource),
            scope: Arc::new(scope),
        }
    }

    /// Begins a span at the present time and returns its place.
    pub(crate) fn open(
        &mut self,
        parent: Option<usize>,
        name: impl Into<String>,
        span_type: SpanType,
    ) -> usize {
        let id = SpanId::from_bytes((self.random.next() | 1).to_be_bytes());
        let mut span = Span::new(self.trace.trace_id, id, name);
        span.parent_span_id = parent.map(|place| self.trace.spans[place].span_id);
        span.kind = SpanKind::Internal;
        span.span_type = span_type;
        span.start_time_unix_nano = self.now;
        span.resource = Arc::clone(&self.resource);
        span.scope = Arc::clone(&self.scope);
        self.trace.spans.push(span);
        self.trace.spans.len() - 1
    }

    pub(crate) fn span(&mut self, place: usize) -> &mut Span {
        &mut self.trace.spans[place]
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, nanos: f64) {
        self.now += nanos.max(0.0) as u64;
    }

    /// Ends a span at the present time.
    pub(crate) fn close(&mut self, place: usize) {
        let now = self.now;
        self.span(place).end_time_unix_nano = Some(now);
    }

    /// Ends a span with an exception.
    pub(crate) fn fail(&mut self, place: usize, class: &str, message: &str) {
        let now = self.now;
        let span = self.span(place);
        span.status = Status::error(message);
        span.events.push(Event {
            name: keys::EXCEPTION.to_owned(),
            time_unix_nano: now,
            attributes: [
                (keys::EXCEPTION_TYPE, class),
                (keys::EXCEPTION_MESSAGE, message),
            ]
            .into_iter()
            .collect(),
            dropped_attributes_count: 0,
        });
        self.close(place);
    }

    /// Attributes of the breadth that real spans show: 13 in the middle, 28 at the 90th
    /// percentile, of 600 keys of which 20 make up 80 %.
    pub(crate) fn decorate(&mut self, place: usize) {
        let count = self.random.log_normal(9.0, 22.0).min(130.0) as usize;
        let mut attributes = Attributes::new();
        for _ in 0..count {
            let key = if self.random.chance(0.8) {
                self.random.below(20)
            } else {
                self.random.between(20, 599)
            };
            match key % 4 {
                0 => attributes.set(name("app", key), self.random.below(10_000) as i64),
                1 => attributes.set(name("app", key), self.random.chance(0.5)),
                _ => {
                    let bytes = self.random.log_normal(14.0, 44.0).min(37_000.0) as usize;
                    let value = if key < 20 {
                        name("value", self.random.zipf(50))
                    } else {
                        text(&mut self.random, bytes)
                    };
                    attributes.set(name("app", key), value);
                }
            }
        }
        for (key, value) in attributes {
            self.span(place).attributes.push(key, value);
        }
    }

    /// Gives a span inputs and outputs, and in half of the cases copies under the keys of one or
    /// two dialects, as instrumentations leave them.
    pub(crate) fn payload(&mut self, place: usize, inputs: Json, outputs: Json) {
        let copies = match self.random.unit() {
            share if share < 0.5 => 0,
            share if share < 0.9 => 1,
            _ => 2,
        };
        let dialects = [
            ("gen_ai.input.messages", "gen_ai.output.messages"),
            ("input.value", "output.value"),
        ];
        let span = self.span(place);
        for (input_key, output_key) in dialects.into_iter().take(copies) {
            span.attributes.push(input_key, inputs.as_text());
            span.attributes.push(output_key, outputs.as_text());
        }
        span.inputs = Some(inputs);
        span.outputs = Some(outputs);
    }

    /// Returns whether a span failed.
    pub(crate) fn failed(&self, place: usize) -> bool {
        self.trace.spans[place].status.code == StatusCode::Error
    }

    /// Leaves the trace as a killed process would: what began in the last third of it is gone,
    /// what was running then has no end.
    pub(crate) fn kill(&mut self) {
        let starts = self
            .trace
            .spans
            .iter()
            .map(|span| span.start_time_unix_nano);
        let (first, last) = (starts.clone().min(), starts.max());
        let (Some(first), Some(last)) = (first, last) else {
            return;
        };
        let moment = first + (last - first) / 3 * 2;
        self.trace
            .spans
            .retain(|span| span.start_time_unix_nano <= moment);
        for span in &mut self.trace.spans {
            if span.end_time_unix_nano.is_some_and(|end| end > moment) {
                span.end_time_unix_nano = None;
                span.outputs = None;
            }
        }
    }
}
