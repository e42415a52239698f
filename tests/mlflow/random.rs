//! Random traces, pushed and read back: `SPANLITE_RANDOM_TRACES=300` for more than the usual,
//! `SPANLITE_RANDOM_SEED=2` for others.

use std::collections::BTreeMap;

use spanlite_export::{RunEnd, RunOptions, run};
use spanlite_model::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Attributes, Event, Json, Link,
    Span, SpanId, Status, StatusCode, Trace, TraceId, Value,
};
use spanlite_tests::mlflow::{MlflowServer, differences};

use super::rate::number;
use super::replicate::{job_to, python_sees, store_of};

const START_UNIX_NANO: u64 = 1_760_000_000_000_000_000;

/// A linear congruential generator with the constants of Knuth's MMIX; the high bits are used.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\t", "\u{1}", "é", "漢", "🦀", "\u{202e}",
            "%", "_", "'", "{", "}", "[", "]", ":", ",", "null", "true", "1e5", "mlflow.", "<b>",
            "\u{feff}", "\u{7f}",
        ];
        let n = self.below(7);
        (0..n).map(|_| self.pick(PIECES)).collect()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Bool(self.one_in(2)),
            1 => Value::Int(self.next() as i64 - (1 << 46)),
            2 => {
                Value::Int([i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1, 0][self.below(5) as usize])
            }
            3 => Value::Double([0.0, -1.5, 1e300, 1e-300, 0.1, 3.0][self.below(6) as usize]),
            4 | 5 => Value::String(self.text()),
            6 => {
                let n = self.below(4);
                Value::Array((0..n).map(|_| self.value(depth - 1)).collect())
            }
            _ => {
                let n = self.below(4);
                Value::Map(
                    (0..n)
                        .map(|i| (format!("{}{i}", self.text()), self.value(depth - 1)))
                        .collect(),
                )
            }
        }
    }

    fn attributes(&mut self) -> Attributes {
        let n = self.below(5);
        let entries: Vec<(String, Value)> = (0..n)
            .map(|i| (format!("k{i}{}", self.text()), self.value(3)))
            .collect();
        Attributes::from(entries)
    }

    fn json(&mut self) -> Json {
        Json::from_text(self.value(3).to_json_text()).unwrap()
    }

    fn trace(&mut self, number: u64) -> Trace {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next().to_be_bytes());
        id[8..].copy_from_slice(&number.to_be_bytes());
        let id = TraceId::from_bytes(id);
        let start = START_UNIX_NANO + number * 1_000_000_000;
        let mut spans: Vec<Span> = Vec::new();
        for place in 0..=self.below(5) {
            let parent = (place > 0).then(|| spans[self.below(place) as usize].span_id);
            let mut span = self.span(start);
            (span.trace_id, span.span_id) = (id, SpanId::from_bytes((place + 1).to_be_bytes()));
            span.parent_span_id = parent;
            spans.push(span);
        }
        let root = spans[0].span_id;
        let mut trace = Trace::new(id, spans);
        let info = &mut trace.info;
        for place in 0..self.below(4) {
            info.tags.insert(format!("t{place}"), self.text());
            info.metadata.insert(format!("m{place}"), self.text());
        }
        info.session = self.one_in(2).then(|| format!("s{}", self.text()));
        info.user = self.one_in(3).then(|| format!("u{}", self.text()));
        info.client_request_id = self.one_in(3).then(|| format!("c{number}{}", self.text()));
        info.request_preview = self.one_in(3).then(|| format!("p{}", self.text()));
        info.assessments = (0..self.below(4))
            .map(|place| self.assessment(number * 10 + place, root))
            .collect();
        trace
    }

    fn span(&mut self, start_time_unix_nano: u64) -> Span {
        let name = format!("n{}", self.text());
        let mut span = Span::new(TraceId::default(), SpanId::default(), name);
        span.start_time_unix_nano = start_time_unix_nano + self.below(1_000_000);
        span.end_time_unix_nano = Some(span.start_time_unix_nano + self.below(5_000_000_000));
        span.status = match self.below(4) {
            0 => Status::default(),
            1 => Status::error(self.text()),
            _ => Status {
                code: StatusCode::Ok,
                message: String::new(),
            },
        };
        if self.one_in(2) {
            let types = ["LLM", "TOOL", "AGENT", "My Type", "größe"];
            span.span_type = self.pick(&types).into();
        }
        span.attributes = self.attributes();
        span.inputs = (!self.one_in(3)).then(|| self.json());
        span.outputs = (!self.one_in(3)).then(|| self.json());
        for _ in 0..self.below(3) {
            span.events.push(Event {
                name: format!("e{}", self.text()),
                time_unix_nano: span.start_time_unix_nano + self.below(1_000),
                attributes: self.attributes(),
                dropped_attributes_count: 0,
            });
        }
        if self.one_in(3) {
            span.links.push(Link {
                trace_id: TraceId::from_bytes([9; 16]),
                span_id: SpanId::from_bytes([7; 8]),
                trace_state: String::new(),
                attributes: self.attributes(),
                dropped_attributes_count: 0,
                flags: 0,
            });
        }
        span
    }

    fn assessment(&mut self, number: u64, root: SpanId) -> Assessment {
        let value = match self.below(4) {
            0 => AssessmentValue::Expectation { value: self.json() },
            1 => AssessmentValue::Feedback {
                value: None,
                error: Some(AssessmentError {
                    code: "Judge".to_owned(),
                    message: Some(self.text()),
                    stack_trace: None,
                }),
            },
            _ => AssessmentValue::Feedback {
                value: Some(self.json()),
                error: None,
            },
        };
        Assessment {
            assessment_id: format!("a-{number:032x}").as_str().into(),
            name: format!("n{}", self.text()),
            value,
            source: AssessmentSource {
                source_type: self.pick(&["HUMAN", "CODE", "LLM_JUDGE"]).into(),
                source_id: Some(format!("i{}", self.text())),
            },
            span_id: self.one_in(2).then_some(root),
            rationale: self.one_in(2).then(|| self.text()),
            metadata: BTreeMap::from([("k".to_owned(), self.text())]),
            create_time_unix_nano: START_UNIX_NANO,
            update_time_unix_nano: START_UNIX_NANO + 1_000_000,
            valid: true,
            overrides: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_traces_arrive_whole() {
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let mut random = Random(number("SPANLITE_RANDOM_SEED", 1) as u64);
    let traces: Vec<Trace> = (1..=number("SPANLITE_RANDOM_TRACES", 40) as u64)
        .map(|number| random.trace(number))
        .collect();
    let (_folder, store) = store_of(&traces);
    let job = job_to(server.url(), "random");
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(report.end, RunEnd::Complete, "{report:?}");
    let problems = job.problems(&store).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let snapshot = store.snapshot().unwrap();
    let mut wrong = Vec::new();
    for trace in &traces {
        let id = trace.trace_id.to_string();
        let mut stored = snapshot.trace(trace.trace_id).unwrap().unwrap();
        stored.spans.sort_by_key(|span| span.span_id);
        assert_eq!(stored.spans, trace.spans);
        for difference in differences(trace, &server.api().spans(&id)) {
            wrong.push(format!("{id}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences: {wrong:#?}", wrong.len());
    python_sees(&server, "random", &traces, &BTreeMap::new());
}
