//! What retention removes, and what it says of the rest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use spanlite_model::{Trace, TraceChange, TraceUpdate};
use spanlite_store::{GcReport, Held, OpenOptions, Retention, Store};

use crate::child::Player;
use crate::life::{numbers, three_segments};
use crate::support::{all, append, patient, span, trace, trace_id};

#[test]
fn a_time_that_cannot_be_keeps_no_segment_and_the_newest_says_why_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(&path, options).unwrap();
    let mut late = trace(1, 3);
    late.spans[2].start_time_unix_nano = u64::MAX - 1;
    late.spans[2].end_time_unix_nano = Some(u64::MAX);
    store.write(&[late]).unwrap();
    store.write(&[trace(2, 3), trace(3, 3)]).unwrap();
    let mut segments: Vec<PathBuf> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("seg-"))
        .collect();
    segments.sort();
    assert_eq!(segments.len(), 2);

    let few = Retention {
        max_traces: Some(1),
        ..Retention::default()
    };
    let plan = store.gc(&few, true, &BTreeSet::new()).unwrap();
    assert_eq!(plan.removed.len(), 1);
    assert_eq!(plan.held.len(), 1);
    assert_eq!((plan.held[0].0.traces, plan.held[0].1), (2, Held::Newest));

    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    let old = Retention {
        max_age: Some(days(30)),
        ..Retention::default()
    };
    let plan = store.gc(&old, true, &BTreeSet::new()).unwrap();
    assert!(plan.removed.iter().all(|one| one.path != segments[0]));
    let file = File::options().write(true).open(&segments[0]).unwrap();
    file.set_modified(SystemTime::now() - days(40)).unwrap();
    let done = store.gc(&old, false, &BTreeSet::new()).unwrap();
    assert!(done.removed.iter().any(|one| one.path == segments[0]));
    assert_eq!(store.snapshot().unwrap().trace(trace_id(1)).unwrap(), None);
}

#[test]
fn what_was_said_of_a_trace_that_goes_on_stays_when_the_segment_that_says_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    let mut first = trace(1, 2);
    first.info.tags.insert("at once".to_owned(), "a".to_owned());
    store.write(std::slice::from_ref(&first)).unwrap();
    let tag = TraceChange::Tag {
        key: "later".to_owned(),
        value: "b".to_owned(),
    };
    let update = TraceUpdate {
        trace_id: trace_id(1),
        time_unix_nano: 1 << 60,
        change: tag,
    };
    store.update(&[update]).unwrap();
    assert!(store.seal().unwrap());
    let rest = Trace::new(trace_id(1), vec![span(1, 3)]);
    store.write(&[rest, trace(2, 2)]).unwrap();
    let two = Retention {
        max_traces: Some(2),
        ..Retention::default()
    };
    let done = store.gc(&two, false, &BTreeSet::new()).unwrap();
    assert_eq!(done.removed.len(), 1);
    let left = store.snapshot().unwrap().trace(trace_id(1)).unwrap();
    let left = left.unwrap();
    assert_eq!(left.spans, [span(1, 3)]);
    let tags: Vec<&str> = left.info.tags.keys().map(String::as_str).collect();
    assert_eq!(tags, ["at once", "later"]);
}

#[test]
fn gc_removes_the_oldest_segments_and_moves_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let store = three_segments(&folder.path().join("s"));
    let retention = Retention {
        max_traces: Some(20),
        ..Retention::default()
    };
    let plan = store.gc(&retention, true, &BTreeSet::new()).unwrap();
    assert_eq!((plan.removed.len(), plan.moved_traces), (1, 1));
    assert_eq!(plan.removed[0].traces, 10);
    assert_eq!(numbers(&store).len(), 30, "a dry run changes nothing");

    let done = store.gc(&retention, false, &BTreeSet::new()).unwrap();
    assert_eq!((done.removed.len(), done.moved_traces), (1, 1));
    assert!(!done.removed[0].path.try_exists().unwrap());
    let mut left = vec![5];
    left.extend(11..=30);
    assert_eq!(numbers(&store), left);
    let pinned = store
        .snapshot()
        .unwrap()
        .trace(trace_id(5))
        .unwrap()
        .unwrap();
    assert_eq!(pinned.spans, trace(5, 3).spans);
    assert!(pinned.info.pinned);
    assert_eq!(done.removed_notes, 1, "the tag of trace 6");
    let again = store.gc(&retention, false, &BTreeSet::new()).unwrap();
    assert_eq!(again.removed_notes, 0);
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn gc_holds_back_what_the_caller_still_needs() {
    let folder = tempfile::tempdir().unwrap();
    let store = three_segments(&folder.path().join("s"));
    let retention = Retention {
        max_bytes: Some(0),
        ..Retention::default()
    };
    let report = store
        .gc(&retention, false, &BTreeSet::from([trace_id(13)]))
        .unwrap();
    let held: Vec<Held> = report.held.iter().map(|(_, held)| *held).collect();
    assert_eq!(held, [Held::Traces { count: 1 }, Held::Newest]);
    assert_eq!(report.removed.len(), 1, "the newest segment stays");
    let mut left = vec![5];
    left.extend(11..=30);
    assert_eq!(numbers(&store), left);
}

#[test]
fn gc_by_age_takes_the_active_segment_too_and_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = three_segments(&folder.path().join("s"));
    let lane = store.lane().unwrap();
    let retention = Retention {
        max_age: Some(Duration::from_secs(1)),
        ..Retention::default()
    };
    let report = store.gc(&retention, false, &BTreeSet::new()).unwrap();
    assert!(report.removed.len() >= 3, "{report:?}");
    assert_eq!(numbers(&store), [5]);
    append(&lane, &span(9, 1));
    store.flush().unwrap();
    assert_eq!(numbers(&store), [5, 9]);
}

/// The files of segments that were removed and that this process still has open.
#[cfg(target_os = "linux")]
fn open_and_gone(path: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let prefix = path.join("seg-").to_string_lossy().into_owned();
    let gone = open.filter(|target| {
        let target = target.to_string_lossy();
        target.starts_with(&prefix) && target.ends_with("(deleted)")
    });
    gone.count()
}

#[test]
fn gc_knows_pins_and_what_is_kept_in_blocks_and_its_plan_is_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let options = OpenOptions {
        seal_spans: 5,
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(&path, options).unwrap();
    for segment in 0..4 {
        let mut traces: Vec<Trace> = (1..=10)
            .map(|number| trace(segment * 10 + number, 3))
            .collect();
        // Pinned when it was sealed, and taken back later; and the other way round.
        traces[1].info.pinned = true;
        traces[2].info.pinned = true;
        store.write(&traces).unwrap();
        let pin = |number, pinned| TraceUpdate {
            trace_id: trace_id(segment * 10 + number),
            time_unix_nano: 1 << 60,
            change: TraceChange::Pinned(pinned),
        };
        store.update(&[pin(3, false), pin(4, true)]).unwrap();
    }
    let blocks = store.snapshot().unwrap().blocks().unwrap().len();
    assert_eq!(blocks, 4, "each in a block of its own segment");
    let retention = Retention {
        max_traces: Some(10),
        ..Retention::default()
    };
    // Trace 12 is pinned anyway; 15 keeps its segment.
    let keep = BTreeSet::from([12, 15, 77].map(trace_id));
    let plan = store.gc(&retention, true, &keep).unwrap();
    let done = store.gc(&retention, false, &keep).unwrap();
    let paths = |report: &GcReport| -> Vec<PathBuf> {
        report.removed.iter().map(|one| one.path.clone()).collect()
    };
    assert_eq!(paths(&plan), paths(&done));
    assert_eq!((plan.moved_traces, done.moved_traces), (4, 4));
    assert_eq!(done.held.len(), 1);
    assert_eq!(done.held[0].1, Held::Traces { count: 1 });
    let mut left = vec![2, 4, 22, 24];
    left.extend(11..=20);
    left.extend(31..=40);
    left.sort_unstable();
    let snapshot = store.snapshot().unwrap();
    let held = (1..=40).filter(|number| snapshot.trace(trace_id(*number)).unwrap().is_some());
    assert_eq!(held.collect::<Vec<u64>>(), left);
    drop(snapshot);
    #[cfg(target_os = "linux")]
    assert_eq!(open_and_gone(&path), 0, "their space is free");
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn what_gc_removed_does_not_come_back_from_the_journal_of_a_killed_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("append", &path, 1);
    while player.said().unwrap() < 20 {}
    // Positions of the writer that runs are copied into a segment that comes after.
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(&path, options).unwrap();
    store.write(&[trace(5_000, 1)]).unwrap();
    player.kill();
    let age = Retention {
        max_age: Some(Duration::from_secs(1)),
        ..Retention::default()
    };
    let report = store.gc(&age, false, &BTreeSet::new()).unwrap();
    let left = all(&store).len();
    store.close().unwrap();
    drop(store);
    // Whatever the journal still has is stored, and nothing of what was removed.
    let store = Store::open(&path, patient()).unwrap();
    store.flush().unwrap();
    assert_eq!(all(&store).len(), left, "{report:?}");
}

#[test]
fn a_pinned_trace_that_is_moved_again_and_again_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    let mut pinned = trace(1, 3);
    pinned.info.pinned = true;
    pinned.info.tags.insert("k".to_owned(), "v".to_owned());
    store.write(std::slice::from_ref(&pinned)).unwrap();
    let retention = Retention {
        max_traces: Some(2),
        ..Retention::default()
    };
    for number in 2..=20 {
        store.write(&[trace(number, 1)]).unwrap();
        store.gc(&retention, false, &BTreeSet::new()).unwrap();
    }
    assert_eq!(all(&store).last(), Some(&pinned));
    let file = folder.path().join("all.spans");
    store.bundle(&file, [pinned.trace_id]).unwrap();
    assert!(store.info().unwrap().bytes < 12 << 20, "{:?}", store.info());
}

#[test]
fn empty_segments_and_what_killed_makers_left_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = three_segments(&path);
    let drafts = [
        "seg-0000000000001-00000000000000aa.redb.new",
        "state.redb.0123",
        "STORE.0123",
    ];
    for name in drafts {
        let file = File::create(path.join(name)).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(7_200);
        file.set_modified(long_ago).unwrap();
    }
    let young = path.join("seg-0000000000001-00000000000000bb.redb.new");
    fs::write(&young, "somebody is at it").unwrap();
    let first: Vec<_> = (1..=10).map(trace_id).collect();
    store.delete(&first).unwrap();
    store.reclaim().unwrap();
    assert_eq!(store.info().unwrap().segments, 3);
    store
        .gc(&Retention::default(), false, &BTreeSet::new())
        .unwrap();
    assert_eq!(store.info().unwrap().segments, 2, "the empty one is gone");
    assert_eq!(numbers(&store), (11..=30).collect::<Vec<u64>>());
    for name in drafts {
        assert!(!path.join(name).try_exists().unwrap(), "{name}");
    }
    assert!(young.try_exists().unwrap());
}

#[test]
fn a_newest_segment_that_is_too_much_alone_goes_once_there_is_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let few = Retention {
        max_traces: Some(5),
        ..Retention::default()
    };
    let ten: Vec<_> = (1..=10).map(|number| trace(number, 1)).collect();
    store.write(&ten).unwrap();
    for _ in 0..2 {
        let report = store.gc(&few, false, &BTreeSet::new()).unwrap();
        assert_eq!((report.removed.len(), report.held.len()), (0, 1));
        assert_eq!(report.held[0].1, Held::Newest);
    }
    assert_eq!(numbers(&store), (1..=10).collect::<Vec<u64>>());
    store.write(&[trace(11, 1)]).unwrap();
    let report = store.gc(&few, false, &BTreeSet::new()).unwrap();
    assert_eq!((report.removed.len(), report.held.len()), (1, 0));
    assert_eq!(numbers(&store), [11]);
}
