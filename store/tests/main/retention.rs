//! What retention removes, and what it says of the rest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use spanlite_model::{Trace, TraceChange, TraceUpdate};
use spanlite_store::{Held, OpenOptions, Retention, Store};

use crate::support::{patient, span, trace, trace_id};

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
