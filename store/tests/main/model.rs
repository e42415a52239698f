//! Random operations on a store and on a map in memory, which must agree after each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Json, SourceType, Span, SpanId, Trace,
    TraceChange, TraceId, TraceInfo, TraceUpdate,
};
use spanlite_store::record::Record;
use spanlite_store::{Appended, Lane, OpenOptions, Retention, Store};

use crate::child::Player;
use crate::support::{all, encoded, patient, span, times, trace_id};

#[derive(Debug, Clone)]
enum Step {
    /// A span of a trace ends; or only begins.
    Append {
        trace: u64,
        span: u64,
        open: bool,
    },
    /// A trace is imported with this many spans.
    Write {
        trace: u64,
        spans: u64,
    },
    /// Something that belongs to the whole trace changes, through a lane, or later on the stored
    /// trace.
    Change {
        trace: u64,
        value: u8,
        later: bool,
    },
    Seal,
    Reopen,
    /// The oldest segments go until no more traces are left.
    Gc {
        traces: u64,
    },
    Delete {
        trace: u64,
    },
    Reclaim,
    Merge,
    Backup,
    /// Another process writes a trace of three spans and is killed.
    Other {
        trace: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let trace = 1..9u64;
    let step = prop_oneof![
        20 => (trace.clone(), 1..8u64, any::<bool>()).prop_map(|(trace, span, open)| {
            Step::Append { trace, span, open: open && span > 5 }
        }),
        6 => (trace.clone(), 0..8u64).prop_map(|(trace, spans)| Step::Write { trace, spans }),
        8 => (trace.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(trace, value, later)| Step::Change { trace, value, later }),
        6 => Just(Step::Seal),
        3 => Just(Step::Reopen),
        3 => (0..6u64).prop_map(|traces| Step::Gc { traces }),
        1 => trace.clone().prop_map(|trace| Step::Delete { trace }),
        1 => Just(Step::Reclaim),
        2 => Just(Step::Merge),
        1 => Just(Step::Backup),
        1 => trace.prop_map(|trace| Step::Other { trace }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What is stored of a trace, in memory.
#[derive(Debug, Default)]
struct Stored {
    spans: BTreeMap<SpanId, Span>,
    info: TraceInfo,
    /// Changes made on the stored trace do not make one.
    is_there: bool,
}

/// What shows of a store: by trace what belongs to the whole, and the spans by their ids.
type Shown = BTreeMap<TraceId, (TraceInfo, Vec<Span>)>;

#[derive(Debug, Default)]
struct Model {
    traces: BTreeMap<TraceId, Stored>,
    deleted: BTreeSet<TraceId>,
    /// Changes are made one after the other.
    now: u64,
}

impl Model {
    fn put(&mut self, span: Span) {
        if self.deleted.contains(&span.trace_id) {
            return;
        }
        let stored = self.traces.entry(span.trace_id).or_default();
        stored.is_there = true;
        let old = stored.spans.get(&span.span_id);
        let old_ended = old.is_some_and(|old| old.end_time_unix_nano.is_some());
        if span.end_time_unix_nano.is_some() || !old_ended {
            stored.spans.insert(span.span_id, span);
        }
    }

    fn change(&mut self, trace: u64, value: u8, later: bool) -> TraceUpdate {
        self.now += 1;
        let change = match value % 8 {
            0..=2 => TraceChange::Tag {
                key: format!("key {}", value % 3),
                value: value.to_string(),
            },
            3 => TraceChange::RemoveTag {
                key: format!("key {}", value % 3),
            },
            4 if value > 200 => TraceChange::RemoveAssessment(assessment(value, 0).assessment_id),
            4..=5 => TraceChange::PutAssessment(Box::new(assessment(value, self.now))),
            6 => TraceChange::Session(value.to_string()),
            _ => TraceChange::Pinned(value > 100),
        };
        let update = TraceUpdate {
            trace_id: trace_id(trace),
            time_unix_nano: 1_000_000_000 + self.now,
            change,
        };
        if !self.deleted.contains(&update.trace_id) {
            let stored = self.traces.entry(update.trace_id).or_default();
            stored.is_there |= !later;
            stored.info.apply(update.change.clone());
        }
        update
    }

    fn shown(&self) -> Shown {
        let there = self.traces.iter().filter(|(_, stored)| stored.is_there);
        there
            .map(|(trace_id, stored)| {
                let spans = stored.spans.values().cloned().collect();
                (*trace_id, (stored.info.clone(), spans))
            })
            .collect()
    }

    /// Retention takes whole segments, which the model does not know: it looks whether what is
    /// left may be left, and goes on with that.
    fn take_over(&mut self, left: Shown) {
        let before = self.shown();
        for (trace_id, (info, spans)) in &left {
            let (known_info, known) = &before[trace_id];
            let is_known = |span: &Span| known.iter().any(|one| one.span_id == span.span_id);
            assert!(spans.iter().all(is_known), "what is left was there");
            assert_eq!(info, known_info, "what was said of a trace that is left");
        }
        for (trace_id, trace) in &before {
            let is_pinned = trace.0.pinned;
            assert!(
                !is_pinned || left.get(trace_id) == Some(trace),
                "it was pinned"
            );
        }
        self.traces
            .retain(|trace_id, stored| !stored.is_there || left.contains_key(trace_id));
        for (trace_id, (info, spans)) in left {
            let spans = spans.into_iter().map(|span| (span.span_id, span));
            let stored = Stored {
                spans: spans.collect(),
                info,
                is_there: true,
            };
            self.traces.insert(trace_id, stored);
        }
    }
}

fn assessment(value: u8, now: u64) -> Assessment {
    Assessment {
        assessment_id: format!("a-{}", value / 64).as_str().into(),
        name: "correct".to_owned(),
        value: AssessmentValue::Expectation {
            value: Json::string(&value.to_string()),
        },
        source: AssessmentSource {
            source_type: SourceType::Human,
            source_id: None,
        },
        span_id: None,
        rationale: None,
        metadata: BTreeMap::new(),
        create_time_unix_nano: now,
        update_time_unix_nano: now,
        valid: true,
        overrides: None,
    }
}

fn stored(store: &Store) -> Shown {
    let mut traces = BTreeMap::new();
    for mut trace in all(store) {
        trace.spans.sort_by_key(|span| span.span_id);
        // Whether an open span was interrupted depends on when its writer went.
        trace.info.state = None;
        let twice = traces.insert(trace.trace_id, (trace.info, trace.spans));
        assert!(twice.is_none(), "a trace comes twice");
    }
    traces
}

fn apply(step: &Step, model: &mut Model, store: &Store, lane: &Lane) {
    match *step {
        Step::Append {
            trace,
            span: number,
            open,
        } => {
            let mut span = span(trace, number);
            if open {
                span.end_time_unix_nano = None;
            }
            let record = encoded(&Record::Span(Box::new(span.clone())));
            assert_eq!(lane.append(&record), Appended::Stored);
            model.put(span);
        }
        Step::Write { trace, spans } => {
            let whole = crate::support::trace(trace, spans);
            store.write(std::slice::from_ref(&whole)).unwrap();
            whole.spans.into_iter().for_each(|span| model.put(span));
        }
        Step::Change {
            trace,
            value,
            later,
        } => {
            let update = model.change(trace, value, later);
            if later {
                store.update(std::slice::from_ref(&update)).unwrap();
            } else {
                let record = encoded(&Record::Update(update));
                assert_eq!(lane.append(&record), Appended::Stored);
            }
        }
        Step::Seal => {
            store.seal().unwrap();
        }
        Step::Gc { traces } => collect(traces, model, store),
        Step::Delete { trace } => {
            store.flush().unwrap();
            let there = model.traces.remove(&trace_id(trace));
            let there = there.is_some_and(|stored| stored.is_there);
            let gone = store.delete(&[trace_id(trace)]).unwrap();
            assert_eq!(gone, u64::from(there));
            model.deleted.insert(trace_id(trace));
        }
        Step::Reclaim => {
            store.reclaim().unwrap();
        }
        Step::Merge => {
            store.merge().unwrap();
        }
        Step::Backup => {
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("copy");
            store.backup(&copy).unwrap();
            let copy = Store::open(&copy, OpenOptions::read_only()).unwrap();
            assert_eq!(stored(&copy), model.shown(), "in a backup");
        }
        Step::Other { trace } => {
            let mut other = Player::start("hold", store.path(), trace);
            other.said().unwrap();
            other.kill();
            let whole = crate::support::trace(trace, 3);
            whole.spans.into_iter().for_each(|span| model.put(span));
        }
        Step::Reopen => unreachable!("the caller does it"),
    }
}

fn collect(traces: u64, model: &mut Model, store: &Store) {
    store.flush().unwrap();
    let retention = Retention {
        max_traces: Some(traces),
        ..Retention::default()
    };
    let keep = BTreeSet::new();
    let plan = store.gc(&retention, true, &keep).unwrap().removed;
    let done = store.gc(&retention, false, &keep).unwrap().removed;
    assert_eq!(plan, done);
    let left = stored(store);
    if done.is_empty() {
        assert_eq!(left, model.shown());
    }
    model.take_over(left);
}

fn run(path: &Path, steps: &[Step], seal_spans: u64) {
    let options = || OpenOptions {
        seal_spans,
        // So small that every commit begins a new segment in some runs.
        segment_bytes: if seal_spans.is_multiple_of(3) {
            1
        } else {
            256 << 20
        },
        // In others every commit does so too, and merging finds them all small.
        segment_age: if seal_spans % 3 == 1 {
            Duration::ZERO
        } else {
            OpenOptions::default().segment_age
        },
        ..patient()
    };
    let mut store = Store::open(path, options()).unwrap();
    let mut lane = store.lane().unwrap();
    let other = Store::open(path, OpenOptions::read_only()).unwrap();
    let mut model = Model::default();
    for step in steps {
        if matches!(step, Step::Reopen) {
            store.close().unwrap();
            store = Store::open(path, options()).unwrap();
            lane = store.lane().unwrap();
        } else {
            apply(step, &mut model, &store, &lane);
        }
        store.flush().unwrap();
        let expected = model.shown();
        assert_eq!(stored(&store), expected, "after {step:?}");
        assert_eq!(stored(&other), expected, "elsewhere, after {step:?}");
        assert_eq!(store.info().unwrap().traces, expected.len() as u64);
    }
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    let whole: Vec<Trace> = all(&store);
    let again = store.write(&whole).unwrap();
    assert_eq!(again.spans_written, 0);
    let found = store.snapshot().unwrap().find_prefix("").unwrap();
    assert_eq!(found.len(), whole.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(times("SPANLITE_MODEL_CASES", 24) as u32))]

    /// `SPANLITE_MODEL_CASES` for the long form.
    #[test]
    fn a_store_and_a_map_in_memory_agree(steps in steps(), seal_spans in 3..30u64) {
        let folder = tempfile::tempdir().unwrap();
        run(&folder.path().join("s"), &steps, seal_spans);
    }
}

#[test]
fn a_change_kept_apart_between_two_others_survives_their_seal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let lane = store.lane().unwrap();
    let mut model = Model::default();
    for (value, later) in [(8, false), (136, true), (9, false)] {
        let trace = 2;
        let step = Step::Change {
            trace,
            value,
            later,
        };
        apply(&step, &mut model, &store, &lane);
    }
    store.seal().unwrap();
    assert_eq!(stored(&store), model.shown());
}
