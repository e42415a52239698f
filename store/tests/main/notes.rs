//! What is said later of traces in segments that nobody writes to any more: it is kept apart.

use std::collections::BTreeSet;
use std::time::Instant;

use spanlite_model::Trace;
use spanlite_store::{OpenOptions, Retention, Store, TimeRange};

use crate::support::{patient, tag, times, trace, trace_id};

/// `SPANLITE_NOTES=1000000` for the long form, which prints what the answers took.
#[test]
fn changes_of_sealed_segments_are_found_alone_and_in_order_and_go_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let n_traces = times("SPANLITE_NOTES", 3_000);
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(&path, options).unwrap();
    for segment in 0..3 {
        let numbers = (0..n_traces).filter(|number| number % 3 == segment);
        let traces: Vec<Trace> = numbers.map(|number| trace(number, 1)).collect();
        store.write(&traces).unwrap();
        store.seal().unwrap();
    }
    let tags: Vec<_> = (0..n_traces)
        .map(|n| tag(n, &n.to_string(), 1 << 60))
        .collect();
    for some in tags.chunks(50_000) {
        store.update(some).unwrap();
    }
    // The active segment takes its own; the others are sealed.
    while store.seal().unwrap() {}
    store.close().unwrap();
    drop(store);

    let began = Instant::now();
    let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    for number in [0, 1, n_traces / 2, n_traces - 1] {
        let found = snapshot.trace(trace_id(number)).unwrap().unwrap();
        assert_eq!(found.info.tags["k"], number.to_string());
    }
    println!("opened, and four traces by id: {:?}", began.elapsed());
    let began = Instant::now();
    let newest = snapshot.traces(TimeRange::default()).take(20);
    let newest: Result<Vec<_>, _> = newest.collect();
    assert_eq!(newest.unwrap()[0].trace_id, trace_id(n_traces - 1));
    println!("the newest 20: {:?}", began.elapsed());
    let began = Instant::now();
    let info = reader.info().unwrap();
    assert_eq!(info.traces, n_traces);
    println!("info: {:?}, {} loose", began.elapsed(), info.loose_traces);
    assert!(reader.verify().unwrap().is_sound());
    drop((snapshot, reader));

    let store = Store::open(&path, patient()).unwrap();
    let retention = Retention {
        max_traces: Some(n_traces / 2),
        ..Retention::default()
    };
    let report = store.gc(&retention, false, &BTreeSet::new()).unwrap();
    let gone: u64 = report.removed.iter().map(|segment| segment.traces).sum();
    assert!(gone > 0, "{report:?}");
    assert_eq!(report.removed_notes, gone, "they go with their traces");
    let snapshot = store.snapshot().unwrap();
    let kept = snapshot.ids().unwrap();
    assert_eq!(kept.len() as u64, n_traces - gone);
    let found = snapshot.trace(kept[0]).unwrap().unwrap();
    assert_eq!(found.info.tags.len(), 1);
}
