//! Random work on a store, and what each step promised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use spanlite_model::{Json, Span, SpanId, Trace, TraceChange, TraceId, TraceUpdate};

use super::disk::Disk;
use crate::record::{Origin, Record, encode_record};
use crate::{Appended, Durability, Lane, OpenOptions, Retention, Store, TimeRange};

/// Numbers that look random and follow from a seed.
#[derive(Debug, Clone)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// How often something happens, of 256 times: never, always or in between.
    pub(super) fn chance(&mut self) -> u64 {
        [0, 20, 128, 236, 256][self.below(5) as usize]
    }

    pub(super) fn happens(&mut self, chance: u64) -> bool {
        self.below(256) < chance
    }
}

/// Something that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    Span(TraceId, SpanId),
    Tag(TraceId, String),
    Value(Vec<u8>),
    Backup(PathBuf),
}

/// A promise: kept by every cut after `from` events and before `until`.
#[derive(Debug, Clone)]
pub(super) struct Promise {
    pub(super) fact: Fact,
    from: usize,
    until: usize,
}

impl Promise {
    pub(super) fn holds(&self, at: usize) -> bool {
        self.from <= at && at < self.until
    }

    /// What holds after a cut holds from the beginning of what comes then.
    pub(super) fn carried(&self) -> Self {
        Self {
            fact: self.fact.clone(),
            from: 0,
            until: usize::MAX,
        }
    }
}

/// Spans by trace and span.
pub(super) type Spans = BTreeMap<(TraceId, SpanId), Span>;

/// A store that is worked on.
pub(super) struct Workload {
    path: PathBuf,
    disk: Arc<Disk>,
    options: OpenOptions,
    store: Store,
    lane: Lane,
    numbers: Numbers,
    next_trace: u64,
    next_tag: u64,
    /// Appended and not flushed.
    waiting: Vec<Fact>,
    promises: Vec<Promise>,
    /// Everything that was ever handed to the store.
    spans: Spans,
}

pub(super) fn options(numbers: &mut Numbers) -> OpenOptions {
    OpenOptions {
        commit_interval: Duration::from_secs(3600),
        memory_limit_bytes: 2 << 20,
        map_journal: numbers.below(4) > 0,
        durability: match numbers.below(3) {
            0 => Durability::EverySpan,
            _ => Durability::Journal,
        },
        segment_bytes: if numbers.below(3) == 0 { 1 } else { 256 << 20 },
        seal_spans: 5 + numbers.below(60),
        ..OpenOptions::default()
    }
}

impl Workload {
    pub(super) fn begin(root: &Path, disk: Arc<Disk>, numbers: Numbers, first_trace: u64) -> Self {
        let mut numbers = numbers;
        let options = options(&mut numbers);
        let path = root.join("s");
        let store = Store::open(&path, options.clone()).unwrap();
        let lane = store.lane().unwrap();
        Self {
            path,
            disk,
            options,
            store,
            lane,
            numbers,
            next_trace: first_trace,
            next_tag: first_trace,
            waiting: Vec::new(),
            promises: Vec::new(),
            spans: BTreeMap::new(),
        }
    }

    /// Goes on where another workload was cut.
    pub(super) fn after(mut self, promises: Vec<Promise>, spans: Spans) -> Self {
        (self.promises, self.spans) = (promises, spans);
        self
    }

    pub(super) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.numbers.below(20) {
                0..=5 => self.append(),
                6..=8 => self.flush(),
                9..=10 => self.write(),
                11..=12 => self.update(),
                13 => self.put_value(),
                14..=15 => {
                    self.store.seal().unwrap();
                    self.flushed();
                }
                16 => {
                    self.store.merge().unwrap();
                }
                17 => self.gc(),
                18 => self.backup(),
                _ => self.reopen(),
            }
            self.disk.step();
        }
    }

    /// Closes the store, and gives what was promised and everything that was ever in it.
    pub(super) fn end(mut self) -> (Vec<Promise>, Spans) {
        if self.numbers.below(2) == 0 {
            self.store.close().unwrap();
            self.flushed();
        }
        (self.promises, self.spans)
    }

    fn promise(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let from = self.disk.step();
        let facts = facts.into_iter();
        self.promises.extend(facts.map(|fact| Promise {
            fact,
            from,
            until: usize::MAX,
        }));
    }

    fn span(&mut self, trace: u64, number: u64) -> Span {
        let mut span = span(trace, number);
        let length = [0, 0, 20, 2_000, 5_000, 70_000][self.numbers.below(6) as usize];
        if length > 0 {
            let text = format!("\"{}\"", "text ".repeat(length / 5));
            span.inputs = Some(Json::from_text(text).unwrap());
        }
        let key = (span.trace_id, span.span_id);
        self.spans.insert(key, span.clone());
        span
    }

    fn append(&mut self) {
        let trace = self.next_trace;
        // A later call goes on with the same trace.
        self.next_trace += self.numbers.below(2);
        for _ in 0..=self.numbers.below(8) {
            let number = 1 + self.spans.len() as u64;
            let span = self.span(trace, number);
            let fact = Fact::Span(span.trace_id, span.span_id);
            assert_eq!(self.lane.append(&encoded(&span)), Appended::Stored);
            if self.options.durability == Durability::EverySpan {
                self.promise([fact]);
            } else {
                self.waiting.push(fact);
            }
        }
    }

    fn flush(&mut self) {
        self.store.flush().unwrap();
        self.flushed();
    }

    fn flushed(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.promise(waiting);
    }

    fn write(&mut self) {
        self.next_trace += 1;
        let trace = self.next_trace;
        let count = 1 + self.numbers.below(12);
        let spans: Vec<Span> = (1..=count).map(|one| self.span(trace, one << 32)).collect();
        let facts: Vec<Fact> = spans
            .iter()
            .map(|span| Fact::Span(span.trace_id, span.span_id))
            .collect();
        let trace_id = spans[0].trace_id;
        self.store.write(&[Trace::new(trace_id, spans)]).unwrap();
        self.next_trace += 1;
        self.promise(facts);
    }

    fn update(&mut self) {
        let Some((trace_id, _)) = self.spans.keys().nth_back(0) else {
            return;
        };
        let trace_id = *trace_id;
        self.next_tag += 1;
        let tag = self.next_tag.to_string();
        let update = TraceUpdate {
            trace_id,
            time_unix_nano: self.next_tag,
            change: TraceChange::Tag {
                key: tag.clone(),
                value: tag.clone(),
            },
        };
        self.store.update(&[update]).unwrap();
        self.promise([Fact::Tag(trace_id, tag)]);
    }

    fn put_value(&mut self) {
        self.next_tag += 1;
        let key = self.next_tag.to_string().into_bytes();
        let mut change = self.store.state().change();
        change.put("space", &key, &key);
        change.commit().unwrap();
        self.promise([Fact::Value(key)]);
    }

    fn gc(&mut self) {
        let before = self.disk.step();
        let retention = Retention {
            max_traces: Some(5 + self.numbers.below(10)),
            ..Retention::default()
        };
        self.store.gc(&retention, false, &BTreeSet::new()).unwrap();
        let left: BTreeSet<(TraceId, SpanId)> = read(&self.store)
            .into_iter()
            .flat_map(|trace| trace.spans)
            .map(|span| (span.trace_id, span.span_id))
            .collect();
        let traces: BTreeSet<TraceId> = left.iter().map(|(trace_id, _)| *trace_id).collect();
        for promise in &mut self.promises {
            let is_gone = match &promise.fact {
                Fact::Span(trace_id, span_id) => !left.contains(&(*trace_id, *span_id)),
                Fact::Tag(trace_id, _) => !traces.contains(trace_id),
                Fact::Value(_) | Fact::Backup(_) => false,
            };
            if is_gone {
                promise.until = promise.until.min(before);
            }
        }
    }

    fn backup(&mut self) {
        let name = PathBuf::from(format!("backup-{}", self.promises.len()));
        let to = self.path.with_file_name(&name);
        if self.store.backup(&to).is_ok() {
            self.flushed();
            self.promise([Fact::Backup(name)]);
        }
    }

    fn reopen(&mut self) {
        self.store.close().unwrap();
        self.flushed();
        self.store = Store::open(&self.path, self.options.clone()).unwrap();
        self.lane = self.store.lane().unwrap();
    }
}

pub(super) fn trace_id(number: u64) -> TraceId {
    TraceId::from_bytes((0xabcd_u128 << 112 | u128::from(number)).to_be_bytes())
}

pub(super) fn span(trace: u64, number: u64) -> Span {
    let span_id = SpanId::from_bytes(number.to_be_bytes());
    let mut span = Span::new(trace_id(trace), span_id, format!("span {number}"));
    span.parent_span_id = (number > 1).then(|| SpanId::from_bytes(1u64.to_be_bytes()));
    span.start_time_unix_nano = 1_000 * trace + number;
    span.end_time_unix_nano = Some(1_000 * trace + number + 9);
    span
}

pub(super) fn trace(number: u64, spans: u64) -> Trace {
    let spans = (1..=spans).map(|one| span(number, one)).collect();
    Trace::new(trace_id(number), spans)
}

pub(super) fn encoded(span: &Span) -> Vec<u8> {
    let mut bytes = Vec::new();
    let record = Record::Span(Box::new(span.clone()));
    encode_record(&record, &Origin::default(), &mut bytes);
    bytes
}

/// Every trace; nothing of it is damaged.
pub(super) fn read(store: &Store) -> Vec<Trace> {
    let snapshot = store.snapshot().unwrap();
    let traces: Result<Vec<Trace>, _> = snapshot.traces(TimeRange::default()).collect();
    traces.unwrap()
}
