//! Children that are really forked, from a process with a commit thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use spanlite_model::{Span, SpanId, Trace, TraceId};

use crate::record::{Origin, Record, encode_record};
use crate::{Appended, OpenOptions, Store};

fn trace(number: u8) -> Trace {
    let trace_id = TraceId::from_bytes([number; 16]);
    let mut span = Span::new(trace_id, SpanId::from_bytes([number; 8]), "span");
    span.end_time_unix_nano = Some(1);
    Trace::new(trace_id, vec![span])
}

fn encoded(number: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let span = trace(number).spans.remove(0);
    encode_record(
        &Record::Span(Box::new(span)),
        &Origin::default(),
        &mut bytes,
    );
    bytes
}

/// Forks; the child runs `work` and exits without running the test harness any further. Returns
/// whether the child did well.
#[expect(unsafe_code, reason = "fork has no safe form")]
fn in_child(work: impl FnOnce()) -> bool {
    // SAFETY: the child calls `work` and leaves by `_exit`; glibc makes allocation work after a
    // fork, and nothing else of the parent's threads is used: that is what is tested.
    unsafe {
        match libc::fork() {
            0 => {
                let well = catch_unwind(AssertUnwindSafe(work)).is_ok();
                libc::_exit(i32::from(!well));
            }
            child => {
                let mut status = 1;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                status == 0
            }
        }
    }
}

#[expect(clippy::unwrap_used, reason = "only tests call it")]
fn assert_holds(path: &Path, numbers: &[u8]) {
    let reader = Store::open(path, OpenOptions::read_only()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    for number in numbers {
        let stored = snapshot.trace(trace(*number).trace_id).unwrap();
        assert_eq!(stored, Some(trace(*number)), "trace {number}");
    }
    assert_eq!(snapshot.count_traces().unwrap(), numbers.len());
    assert!(reader.verify().unwrap().is_sound());
}

#[test]
fn a_child_that_drops_the_store_leaves_the_parents_files_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, OpenOptions::default()).unwrap();
    store.write(&[trace(1)]).unwrap();
    let lane = store.lane().unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut inherited = Some((store.clone(), lane, snapshot));
    drop(store);
    assert!(in_child(|| drop(inherited.take())));
    let (store, lane, snapshot) = inherited.unwrap();
    assert_eq!(snapshot.trace(trace(1).trace_id).unwrap(), Some(trace(1)));
    assert_eq!(lane.append(&encoded(2)), Appended::Stored);
    store.flush().unwrap();
    store.write(&[trace(3)]).unwrap();
    store.close().unwrap();
    assert_holds(&path, &[1, 2, 3]);
}

#[test]
fn a_child_traces_beside_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, OpenOptions::default()).unwrap();
    let lane = store.lane().unwrap();
    assert_eq!(lane.append(&encoded(1)), Appended::Stored);
    assert!(in_child(|| {
        assert_eq!(lane.append(&encoded(2)), Appended::Forked);
        let own = store.lane().unwrap();
        assert_eq!(own.append(&encoded(3)), Appended::Stored);
        store.flush().unwrap();
        store.write(&[trace(4)]).unwrap();
        // A child of the child starts afresh too.
        assert!(in_child(|| {
            assert_eq!(own.append(&encoded(5)), Appended::Forked);
            store.write(&[trace(6)]).unwrap();
            store.close().unwrap();
        }));
        assert_eq!(own.append(&encoded(7)), Appended::Stored);
        store.close().unwrap();
    }));
    assert_eq!(lane.append(&encoded(8)), Appended::Stored);
    store.close().unwrap();
    assert_holds(&path, &[1, 3, 4, 6, 7, 8]);
}
