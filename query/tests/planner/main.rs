//! The planner against the fool: over random stores, sealed and not, every random query finds by
//! columns what looking at every whole trace finds.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod queries;
mod stores;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use queries::{metric, query};
use spanlite_model::{Trace, TraceChange, TraceId, TraceUpdate};
use spanlite_query::{MetricOptions, MetricTable, Query, RunOptions, SpanSet, TraceHeader};
use spanlite_store::{OpenOptions, Snapshot, Store, TimeRange};
use stores::{Dice, MILLI, NOW, span, trace};

fn options(use_indexes: bool) -> RunOptions {
    let mut options = RunOptions::default();
    options.now_unix_nano = NOW;
    options.use_indexes = use_indexes;
    options
}

type Found = BTreeMap<TraceId, Vec<SpanSet>>;

fn by_rows(query: &Query, snapshot: &Snapshot, use_indexes: bool) -> Found {
    let rows = query.run(snapshot, options(use_indexes)).unwrap();
    rows.map(|row| row.unwrap())
        .map(|row| (row.trace.trace_id, row.span_sets))
        .collect()
}

fn by_looking(query: &Query, snapshot: &Snapshot) -> Found {
    let traces = snapshot
        .traces(TimeRange::default())
        .map(|trace| trace.unwrap());
    traces
        .map(|trace| (trace.trace_id, query.evaluate(&trace, NOW).unwrap()))
        .filter(|(_, sets)| !sets.is_empty())
        .collect()
}

/// What the planner finds of a random query is what looking at every trace finds; returns whether
/// the query told traces apart.
fn check_query(dice: &mut Dice, snapshot: &Snapshot, told: &str) -> bool {
    let text = query(dice);
    let query = Query::parse(&text).unwrap();
    let looked = by_looking(&query, snapshot);
    let planned = by_rows(&query, snapshot, true);
    // Texts, because NaN is not equal to itself.
    let shown = |found: &Found| -> BTreeMap<TraceId, String> {
        let sets = found.iter();
        sets.map(|(trace_id, sets)| (*trace_id, format!("{sets:?}")))
            .collect()
    };
    assert_eq!(shown(&planned), shown(&looked), "{told}: {text}");
    let read = by_rows(&query, snapshot, false);
    assert_eq!(shown(&read), shown(&looked), "{told}: {text}");
    let mut ids = Vec::new();
    query
        .find_ids(snapshot, &options(true), |trace_id, _| ids.push(trace_id))
        .unwrap();
    ids.sort();
    assert!(ids.iter().eq(looked.keys()), "{told}: {text}");

    let headers = query.headers(snapshot, options(true)).unwrap();
    let headers: Vec<TraceHeader> = headers.map(|header| header.unwrap()).collect();
    let whole = snapshot.traces(TimeRange::default());
    let whole = whole.map(|trace| trace.unwrap());
    let whole = whole.filter(|trace| looked.contains_key(&trace.trace_id));
    let whole: Vec<TraceHeader> = whole.map(|trace| TraceHeader::from(&trace)).collect();
    assert_eq!(headers, whole, "{told}: {text}");

    let key = *dice.pick(&[
        &"duration",
        &"span.a",
        &"trace:duration",
        &"count()",
        &"sum(.b)",
        &"rootName",
        &"name",
    ]);
    let direction = *dice.pick(&[&"asc", &"desc"]);
    let limit = 1 + dice.roll(6);
    let ordered = format!("{text} | order by {key} {direction} | limit {limit}");
    let query = Query::parse(&ordered).unwrap();
    let in_order = |use_indexes| -> Vec<TraceId> {
        let rows = query.run(snapshot, options(use_indexes)).unwrap();
        rows.map(|row| row.unwrap().trace.trace_id).collect()
    };
    assert_eq!(in_order(true), in_order(false), "{told}: {ordered}");
    !looked.is_empty() && looked.len() < snapshot.count_traces().unwrap()
}

/// A table of numbers is the same with columns and without.
fn check_metric(dice: &mut Dice, snapshot: &Snapshot, told: &str) {
    let text = metric(dice);
    let query = Query::parse(&text).unwrap();
    let step_nanos = dice.one_in(2).then_some(5_000 * MILLI);
    let table = |use_indexes| {
        let options = MetricOptions {
            run: options(use_indexes),
            step_nanos,
            ..MetricOptions::default()
        };
        query.measure(snapshot, &options).unwrap()
    };
    let (columns, looked) = (table(true), table(false));
    let labels = |table: &MetricTable| -> Vec<String> {
        let all = table.series.iter();
        all.map(|series| format!("{:?}", series.labels)).collect()
    };
    assert_eq!(labels(&columns), labels(&looked), "{told}: {text}");
    let points = |table: &MetricTable| -> Vec<f64> {
        let all = table.series.iter();
        all.flat_map(|series| series.points.clone()).collect()
    };
    for (one, other) in points(&columns).into_iter().zip(points(&looked)) {
        // Sums are added up in another order.
        let near = (one - other).abs() <= 1e-9 * one.abs().max(other.abs());
        assert!(
            near || one.is_nan() && other.is_nan(),
            "{told}: {text}: {one} {other}"
        );
    }
}

fn check_store(seed: u64, n_queries: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    let traces: Vec<Trace> = (1..=40).map(|number| trace(&mut dice, number)).collect();
    let (sealed, loose) = traces.split_at(30);
    for part in sealed.chunks(15) {
        store.write(part).unwrap();
        store.seal().unwrap();
    }
    store.write(loose).unwrap();
    for number in [3, 12, 35] {
        let tag = TraceChange::Tag {
            key: "env".to_owned(),
            value: "x".to_owned(),
        };
        let update = TraceUpdate {
            trace_id: TraceId::from_bytes([number; 16]),
            time_unix_nano: NOW,
            change: tag,
        };
        store.update(&[update]).unwrap();
    }
    // A span that comes late to a trace that stands in a block.
    let late = span(&mut dice, TraceId::from_bytes([5; 16]), 77, NOW);
    store
        .write(&[Trace::new(late.trace_id, vec![late])])
        .unwrap();

    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.blocks().unwrap().len() >= 2, "nothing was sealed");
    let mut matched = 0;
    let told = format!("seed {seed}");
    for number in 0..n_queries {
        matched += usize::from(check_query(&mut dice, &snapshot, &told));
        if number % 3 == 0 {
            check_metric(&mut dice, &snapshot, &told);
        }
    }
    assert!(
        matched * 5 > n_queries,
        "only {matched} of {n_queries} queries told traces apart"
    );
    store.close().unwrap();
}

/// A writer adds traces, parts of traces and notes, and seals, while queries run over snapshots.
fn check_while_written(seed: u64, n_snapshots: usize, n_queries: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(seed.wrapping_mul(77) | 1);
            let mut number = 0_u8;
            while !ended.load(Ordering::Relaxed) && number < 200 {
                number += 1;
                let mut whole = trace(&mut dice, number);
                let late = whole.spans.split_off(whole.spans.len() / 2);
                store.write(&[whole]).unwrap();
                if dice.one_in(3) {
                    store.seal().unwrap();
                }
                let trace_id = TraceId::from_bytes([number; 16]);
                store.write(&[Trace::new(trace_id, late)]).unwrap();
                if dice.one_in(4) {
                    let change = TraceChange::Tag {
                        key: "env".to_owned(),
                        value: "x".to_owned(),
                    };
                    let update = TraceUpdate {
                        trace_id,
                        time_unix_nano: NOW,
                        change,
                    };
                    store.update(&[update]).unwrap();
                }
            }
        });
        for number in 0..n_snapshots {
            let snapshot = store.snapshot().unwrap();
            let told = format!("seed {seed}, snapshot {number}");
            for _ in 0..n_queries {
                check_query(&mut dice, &snapshot, &told);
                check_metric(&mut dice, &snapshot, &told);
            }
            assert!(snapshot.damage().is_empty());
        }
        ended.store(true, Ordering::Relaxed);
    });
    store.close().unwrap();
}

/// The seeds: more by `SPANLITE_QUERY_ROUNDS=100`, others by `SPANLITE_QUERY_SEED=5000`, with
/// `cargo test --release -p spanlite-query --test planner`.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs a test sets its environment"
)]
fn seeds() -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok()?.parse().ok();
    let first = asked("SPANLITE_QUERY_SEED").unwrap_or(1);
    first..first + asked("SPANLITE_QUERY_ROUNDS").unwrap_or(1)
}

#[test]
fn columns_find_what_looking_at_every_trace_finds() {
    for seed in seeds() {
        check_store(2 * seed - 1, 50);
        check_store(2 * seed, 50);
    }
}

#[test]
fn columns_find_what_is_there_while_a_writer_writes() {
    for seed in seeds() {
        check_while_written(seed, 8, 5);
    }
}
