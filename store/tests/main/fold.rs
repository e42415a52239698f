//! What comes later of traces in blocks is folded into them by a seal, where it is enough.

use std::collections::BTreeSet;
use std::time::Duration;

use spanlite_model::{TraceChange, TraceInfo, TraceUpdate};
use spanlite_store::record::Record;
use spanlite_store::{OpenOptions, Retention, SealedBlock, Store, TimeRange};

use crate::support::{all, append, encoded, patient, span, tag, trace, trace_id};

fn change(trace: u64, time_unix_nano: u64, change: TraceChange) -> TraceUpdate {
    TraceUpdate {
        trace_id: trace_id(trace),
        time_unix_nano,
        change,
    }
}

/// A store with a block of this many traces of two spans each.
fn sealed(path: &std::path::Path, traces: u64) -> Store {
    let store = Store::open(path, patient()).unwrap();
    let whole: Vec<_> = (1..=traces).map(|number| trace(number, 2)).collect();
    store.write(&whole).unwrap();
    store.seal().unwrap();
    assert_eq!(n_loose(&store), 0);
    store
}

fn n_loose(store: &Store) -> usize {
    store.snapshot().unwrap().loose().unwrap().count()
}

fn stamps(store: &Store) -> BTreeSet<u64> {
    let snapshot = store.snapshot().unwrap();
    let blocks = snapshot.blocks().unwrap();
    blocks.iter().map(SealedBlock::stamp).collect()
}

fn info(store: &Store, number: u64) -> TraceInfo {
    let snapshot = store.snapshot().unwrap();
    snapshot.trace(trace_id(number)).unwrap().unwrap().info
}

#[test]
fn changes_kept_apart_of_an_eighth_of_the_traces_go_into_their_block() {
    let folder = tempfile::tempdir().unwrap();
    let store = sealed(&folder.path().join("s"), 16);
    store.update(&[tag(3, "one", 7_000_000)]).unwrap();
    assert!(!store.seal().unwrap(), "one of sixteen is too little");
    assert_eq!(n_loose(&store), 1);

    store.update(&[tag(4, "two", 8_000_000)]).unwrap();
    let before = all(&store);
    let old = store.snapshot().unwrap();
    assert!(store.seal().unwrap());
    assert_eq!(n_loose(&store), 0);
    assert_eq!(stamps(&store).len(), 1);
    assert_eq!(all(&store), before);
    let read: Result<Vec<_>, _> = old.traces(TimeRange::default()).collect();
    let read = read.unwrap();
    assert_eq!(read, before, "a snapshot from before goes on");
    assert!(store.verify().unwrap().is_sound());

    // What was folded keeps its time: an earlier change does not win over it, a later one does.
    store.update(&[tag(3, "early", 6_000_000)]).unwrap();
    store.update(&[tag(4, "late", 9_000_000)]).unwrap();
    for _ in 0..2 {
        assert_eq!(info(&store, 3).tags["k"], "one");
        assert_eq!(info(&store, 4).tags["k"], "late");
        store.seal().unwrap();
    }
    assert!(!store.seal().unwrap(), "there is an end to it");
}

#[test]
fn late_spans_of_an_eighth_of_the_traces_go_into_their_block() {
    let folder = tempfile::tempdir().unwrap();
    let store = sealed(&folder.path().join("s"), 12);
    let lane = store.lane().unwrap();
    for number in [2, 9] {
        append(&lane, &span(number, 5));
    }
    assert!(store.seal().unwrap());
    assert_eq!(n_loose(&store), 0);
    assert_eq!(stamps(&store).len(), 1);
    let spans = |number| {
        let snapshot = store.snapshot().unwrap();
        snapshot
            .trace(trace_id(number))
            .unwrap()
            .unwrap()
            .spans
            .len()
    };
    assert_eq!([1, 2, 9].map(spans), [2, 3, 3]);
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn parts_in_several_blocks_become_one_and_the_later_form_of_a_span_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = sealed(&folder.path().join("s"), 17);
    let renamed = |number: u64, name: &str| {
        let mut whole = trace(number, 2);
        let later = whole.spans[0].end_time_unix_nano.map(|end| end + 1_000);
        whole.spans[0].end_time_unix_nano = later;
        name.clone_into(&mut whole.spans[0].name);
        whole
    };
    // One of 17 is too little, so that it becomes a block of its own; then another.
    store.write(&[renamed(3, "second")]).unwrap();
    store.seal().unwrap();
    assert_eq!(stamps(&store).len(), 2);
    let before = all(&store);
    store.update(&[tag(5, "x", 1), tag(6, "y", 1)]).unwrap();
    store.seal().unwrap();
    assert_eq!((stamps(&store).len(), n_loose(&store)), (1, 0));
    let after = all(&store);
    assert_eq!(after.len(), before.len());
    let third = after.iter().find(|one| one.trace_id == trace_id(3));
    assert!(
        third
            .unwrap()
            .spans
            .iter()
            .any(|span| span.name == "second")
    );
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn who_follows_sees_no_span_again_that_was_folded() {
    let folder = tempfile::tempdir().unwrap();
    let store = sealed(&folder.path().join("s"), 8);
    let mut follow = store.follow();
    assert_eq!(follow.poll().unwrap().len(), 0);
    let lane = store.lane().unwrap();
    store.update(&[tag(3, "one", 7_000_000)]).unwrap();
    append(&lane, &span(20, 1));
    assert!(store.seal().unwrap());
    let seen: Vec<_> = follow.poll().unwrap();
    let ids: Vec<_> = seen.iter().map(|span| span.trace_id).collect();
    assert_eq!(ids, [trace_id(20)]);
    // A late span that came and went into a block between two looks is seen.
    append(&lane, &span(2, 5));
    assert!(store.seal().unwrap());
    let seen: Vec<_> = follow.poll().unwrap();
    assert!(seen.iter().any(|one| one.span_id == span(2, 5).span_id));
    assert!(seen.iter().all(|one| one.trace_id == trace_id(2)));
}

/// A store of this many sealed segments with a block of 16 traces each, and one that is written to.
fn rotated(path: &std::path::Path, segments: u64, segment_bytes: u64) -> Store {
    let options = OpenOptions {
        segment_bytes,
        segment_age: Duration::ZERO,
        seal_spans: 1,
        ..patient()
    };
    let store = Store::open(path, options).unwrap();
    for segment in 0..=segments {
        let numbers = segment * 16 + 1..segment * 16 + 17;
        let whole: Vec<_> = numbers.map(|number| trace(number, 2)).collect();
        store.write(&whole).unwrap();
    }
    assert_eq!(store.info().unwrap().segments, segments + 1);
    assert_eq!(n_loose(&store), 0);
    store
}

#[test]
fn changes_of_a_sealed_segment_go_into_it_where_they_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = rotated(&path, 2, 1);
    let mut follow = store.follow();
    follow.poll().unwrap();
    // Two of the first sixteen, one of the second, and one that is nowhere.
    store.update(&[tag(3, "one", 7_000_000)]).unwrap();
    store
        .update(&[tag(4, "two", 8_000_000), tag(20, "x", 1)])
        .unwrap();
    store.update(&[tag(99, "nowhere", 1)]).unwrap();
    let before = all(&store);
    let old = store.snapshot().unwrap();
    assert_eq!(store.merge().unwrap(), 0, "a merge of one saves no file");
    assert_eq!(n_loose(&store), 1, "what is left is one of sixteen");
    assert_eq!(all(&store), before);
    let read: Result<Vec<_>, _> = old.traces(TimeRange::default()).collect();
    assert_eq!(read.unwrap(), before, "a snapshot from before goes on");
    drop(old);
    assert_eq!(follow.poll().unwrap().len(), 0);
    assert!(store.verify().unwrap().is_sound());

    // What was folded keeps its time, also when it is written anew once more, by gc.
    store.update(&[tag(3, "early", 6_000_000)]).unwrap();
    store.update(&[tag(4, "late", 9_000_000)]).unwrap();
    for _ in 0..2 {
        assert_eq!(info(&store, 3).tags["k"], "one");
        assert_eq!(info(&store, 4).tags["k"], "late");
        store
            .gc(&Retention::default(), false, &BTreeSet::new())
            .unwrap();
    }
    assert_eq!(n_loose(&store), 1);
    let files = stamps(&store);
    store.merge().unwrap();
    assert_eq!(stamps(&store), files, "there is an end to it");
}

#[test]
fn changes_go_into_the_segment_that_others_are_merged_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = rotated(&path, 3, 256 << 20);
    let lane = store.lane().unwrap();
    // A trace with a part in a segment that stays is left alone.
    append(&lane, &span(40, 5));
    store.seal().unwrap();
    let pinned = change(35, 4_000_000, TraceChange::Pinned(true));
    let said = [tag(3, "one", 1), tag(4, "two", 1), pinned, tag(36, "y", 1)];
    store.update(&said).unwrap();
    store
        .update(&[tag(40, "both", 1), tag(41, "z", 1)])
        .unwrap();
    let before = all(&store);
    assert!(store.merge().unwrap() > 0);
    assert_eq!(all(&store), before);
    assert!(store.verify().unwrap().is_sound());
    let snapshot = store.snapshot().unwrap();
    let loose: Vec<_> = snapshot.loose().unwrap().map(|(id, _)| id).collect();
    assert_eq!(loose, [trace_id(40)], "all others are whole in a block");
    // The pin counts where it is.
    let retention = Retention {
        max_traces: Some(0),
        ..Retention::default()
    };
    drop(snapshot);
    store.gc(&retention, false, &BTreeSet::new()).unwrap();
    assert!(info(&store, 35).pinned);
}

/// Whether the change that is taken away is kept apart or folded, and the removal is hot, in a
/// block, or was copied.
#[test]
fn a_removal_through_a_lane_undoes_an_earlier_change_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = sealed(&folder.path().join("s"), 40);
    let pinned = TraceChange::Pinned(true);
    store
        .update(&[tag(2, "one", 5_000_000), change(3, 5_000_000, pinned)])
        .unwrap();
    let lane = store.lane().unwrap();
    let remove = TraceChange::RemoveTag {
        key: "k".to_owned(),
    };
    for removal in [
        change(2, 6_000_000, remove),
        change(3, 6_000_000, TraceChange::Pinned(false)),
    ] {
        let record = encoded(&Record::Update(removal));
        assert_eq!(lane.append(&record), spanlite_store::Appended::Stored);
    }
    let check = |store: &Store| {
        assert!(info(store, 2).tags.is_empty());
        assert!(!info(store, 3).pinned);
    };
    store.flush().unwrap();
    check(&store);
    store.seal().unwrap();
    check(&store);
    // An earlier change that comes only now loses too.
    store.update(&[tag(2, "early", 5_500_000)]).unwrap();
    check(&store);
    let copy = folder.path().join("copy");
    store.backup(&copy).unwrap();
    check(&Store::open(&copy, OpenOptions::read_only()).unwrap());
    // A later one wins.
    store.update(&[tag(2, "late", 7_000_000)]).unwrap();
    for _ in 0..2 {
        assert_eq!(info(&store, 2).tags["k"], "late");
        store.seal().unwrap();
    }
}
