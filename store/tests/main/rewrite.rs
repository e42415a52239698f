//! Stored traces that are changed for good.

use std::collections::HashSet;
use std::fs::File;

use spanlite_store::{StateError, StorageError, Store, WriteError};

use crate::support::{all, patient, tag, trace, trace_id};

#[test]
fn what_is_said_of_a_trace_while_it_is_rewritten_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let traces: Vec<_> = (1..=8).map(|number| trace(number, 3)).collect();
    store.write(&traces).unwrap();
    store.seal().unwrap();
    store.update(&[tag(3, "before", 5_000_000)]).unwrap();
    let before = all(&store);
    let report = store
        .rewrite(&HashSet::from([trace_id(3)]), |trace| {
            assert_eq!(trace.info.tags.get("k").map(String::as_str), Some("before"));
            store.update(&[tag(3, "meanwhile", 6_000_000)]).unwrap();
            "changed".clone_into(&mut trace.spans[0].name);
        })
        .unwrap();
    assert_eq!((report.traces, report.removed.len()), (1, 1));
    let after = all(&store);
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        if before.trace_id == trace_id(3) {
            assert_eq!(
                after.info.tags.get("k").map(String::as_str),
                Some("meanwhile")
            );
            assert!(after.spans.iter().any(|span| span.name == "changed"));
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn nothing_is_rewritten_beside_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1, 3)]).unwrap();
    let lock = File::create(path.join("merge.lock")).unwrap();
    lock.lock().unwrap();
    let refused = store.rewrite(&HashSet::from([trace_id(1)]), |_| {});
    let Err(WriteError::Storage(source)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(**source, StorageError::Busy { .. }), "{source}");
    drop(lock);
    let done = store.rewrite(&HashSet::from([trace_id(1)]), |_| {});
    assert_eq!(done.unwrap().traces, 1);
}

#[test]
fn a_space_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    for wrong in ["", "a\0b"] {
        let mut change = store.state().change();
        change.put("jobs", b"one", b"1");
        change.put(wrong, b"version", b"x");
        let refused = change.commit();
        assert!(
            matches!(refused, Err(StateError::Space { .. })),
            "{refused:?}"
        );
    }
    assert!(
        store.state().get("jobs", b"one").unwrap().is_none(),
        "all or nothing"
    );
}

#[test]
fn who_follows_sees_what_is_stored_as_blocks_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1, 3)]).unwrap();
    let mut follow = store.follow();
    follow.poll().unwrap();
    let traces: Vec<_> = (100..1_600).map(|number| trace(number, 3)).collect();
    store.write(&traces).unwrap();
    assert!(store.info().unwrap().column_bytes > 0, "blocks were made");
    let seen: HashSet<_> = follow
        .poll()
        .unwrap()
        .iter()
        .map(|span| span.trace_id)
        .collect();
    assert_eq!(seen.len(), traces.len());
    assert_eq!(follow.poll().unwrap().len(), 0);
    // A second program begins a segment of its own.
    let other = Store::open(&path, patient()).unwrap();
    other.write(&[trace(2, 3)]).unwrap();
    let seen = follow.poll().unwrap();
    assert!(seen.iter().all(|span| span.trace_id == trace_id(2)));
    assert_eq!(seen.len(), 3);
}
