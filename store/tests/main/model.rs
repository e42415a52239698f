//! Random operations on a store and on a map in memory, which must agree after each of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spanlite_model::{Span, SpanId, Trace, TraceChange, TraceId, TraceInfo, TraceUpdate};
use spanlite_store::record::Record;
use spanlite_store::{Appended, Lane, OpenOptions, Store};

use crate::support::{all, encoded, patient, span, trace_id};

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
    /// A tag is set through a lane, or later on the stored trace.
    Tag {
        trace: u64,
        value: u8,
        later: bool,
    },
    Seal,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let trace = 1..6u64;
    let step = prop_oneof![
        8 => (trace.clone(), 1..8u64, any::<bool>()).prop_map(|(trace, span, open)| {
            Step::Append { trace, span, open: open && span > 5 }
        }),
        2 => (trace.clone(), 0..8u64).prop_map(|(trace, spans)| Step::Write { trace, spans }),
        2 => (trace, any::<u8>(), any::<bool>())
            .prop_map(|(trace, value, later)| Step::Tag { trace, value, later }),
        2 => Just(Step::Seal),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What is stored of a trace, in memory.
#[derive(Debug, Default)]
struct Stored {
    spans: BTreeMap<SpanId, Span>,
    updates: Vec<TraceUpdate>,
    /// Changes made on the stored trace do not make one.
    is_there: bool,
}

#[derive(Debug, Default)]
struct Model {
    traces: BTreeMap<TraceId, Stored>,
    /// Changes are made one after the other.
    now: u64,
}

impl Model {
    fn put(&mut self, span: Span) {
        let stored = self.traces.entry(span.trace_id).or_default();
        stored.is_there = true;
        let old = stored.spans.get(&span.span_id);
        let old_ended = old.is_some_and(|old| old.end_time_unix_nano.is_some());
        if span.end_time_unix_nano.is_some() || !old_ended {
            stored.spans.insert(span.span_id, span);
        }
    }

    fn tag(&mut self, trace: u64, value: u8) -> TraceUpdate {
        self.now += 1;
        TraceUpdate {
            trace_id: trace_id(trace),
            time_unix_nano: 1_000_000_000 + self.now,
            change: TraceChange::Tag {
                key: format!("key {}", value % 3),
                value: value.to_string(),
            },
        }
    }

    fn traces(&self) -> BTreeMap<TraceId, (TraceInfo, Vec<Span>)> {
        let there = self.traces.iter().filter(|(_, stored)| stored.is_there);
        there
            .map(|(trace_id, stored)| {
                let mut info = TraceInfo::default();
                for update in &stored.updates {
                    info.apply(update.change.clone());
                }
                (*trace_id, (info, stored.spans.values().cloned().collect()))
            })
            .collect()
    }
}

fn stored(store: &Store) -> BTreeMap<TraceId, (TraceInfo, Vec<Span>)> {
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
        Step::Tag {
            trace,
            value,
            later,
        } => {
            let update = model.tag(trace, value);
            if later {
                store.update(std::slice::from_ref(&update)).unwrap();
            } else {
                let record = encoded(&Record::Update(update.clone()));
                assert_eq!(lane.append(&record), Appended::Stored);
            }
            let stored = model.traces.entry(update.trace_id).or_default();
            stored.is_there |= !later;
            stored.updates.push(update);
        }
        Step::Seal => {
            store.seal().unwrap();
        }
        Step::Reopen => unreachable!("the caller does it"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_and_a_map_in_memory_agree(steps in steps(), seal_spans in 3..30u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let options = || OpenOptions {
            seal_spans,
            // So small that every commit begins a new segment in some runs.
            segment_bytes: if seal_spans % 5 == 0 { 1 } else { 256 << 20 },
            ..patient()
        };
        let mut store = Store::open(&path, options()).unwrap();
        let mut lane = store.lane().unwrap();
        let other = Store::open(&path, OpenOptions::read_only()).unwrap();
        let mut model = Model::default();
        for step in &steps {
            if matches!(step, Step::Reopen) {
                store.close().unwrap();
                store = Store::open(&path, options()).unwrap();
                lane = store.lane().unwrap();
            } else {
                apply(step, &mut model, &store, &lane);
            }
            store.flush().unwrap();
            let expected = model.traces();
            prop_assert_eq!(&stored(&store), &expected, "after {:?}", step);
            prop_assert_eq!(&stored(&other), &expected, "elsewhere, after {:?}", step);
            prop_assert_eq!(store.info().unwrap().traces, expected.len() as u64);
        }
        let report = store.verify().unwrap();
        prop_assert!(report.is_sound(), "{:?}", report.damage);
        let whole: Vec<Trace> = all(&store);
        let again = store.write(&whole).unwrap();
        prop_assert_eq!(again.spans_written, 0);
        prop_assert_eq!(store.snapshot().unwrap().find_prefix("").unwrap().len(), whole.len());
    }
}

#[test]
fn a_change_kept_apart_between_two_others_survives_their_seal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let lane = store.lane().unwrap();
    let mut model = Model::default();
    for (value, later) in [(8, false), (134, true), (9, false)] {
        let trace = 2;
        let step = Step::Tag {
            trace,
            value,
            later,
        };
        apply(&step, &mut model, &store, &lane);
    }
    store.seal().unwrap();
    assert_eq!(stored(&store), model.traces());
}
