//! Single traces that are deleted, for good.

use std::fs;
use std::path::Path;

use spanlite_model::{Span, Trace, TraceChange, TraceId, TraceUpdate};
use spanlite_store::{OpenOptions, Store, TimeRange, recover};

use crate::child::Player;
use crate::support::{all, append, patient, span, trace, trace_id};

/// A trace with bytes that no compression changes, so that they are found in whatever holds it.
fn secret(number: u64) -> Trace {
    let mut secret = trace(number, 3);
    secret.spans[1].attributes.set("noise", noise(number));
    secret
}

fn noise(number: u64) -> Vec<u8> {
    let mut state = number;
    let mut byte = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..4_000).map(&mut byte).collect()
}

fn ids(store: &Store) -> Vec<TraceId> {
    let mut ids: Vec<TraceId> = all(store).iter().map(|trace| trace.trace_id).collect();
    ids.sort_unstable();
    ids
}

/// Every way of reading agrees that only these traces are there.
fn assert_only(store: &Store, numbers: &[u64]) {
    let expected: Vec<TraceId> = numbers.iter().map(|number| trace_id(*number)).collect();
    assert_eq!(ids(store), expected);
    let snapshot = store.snapshot().unwrap();
    let mut listed = snapshot.trace_ids(TimeRange::default()).unwrap();
    listed.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(snapshot.find_prefix("").unwrap(), expected);
    assert_eq!(snapshot.ids().unwrap(), expected);
    assert_eq!(snapshot.count_traces().unwrap(), expected.len());
    let loose: Vec<TraceId> = snapshot.loose().unwrap().map(|(id, _)| id).collect();
    assert!(loose.iter().all(|id| expected.contains(id)));
    for block in snapshot.blocks().unwrap() {
        for (trace_id, _) in block.traces().unwrap() {
            // Whoever looks at columns leaves loose traces to `Snapshot::loose`.
            assert!(expected.contains(&trace_id) || snapshot.is_loose(trace_id).unwrap());
        }
    }
    assert!(store.verify().unwrap().is_sound());
}

/// Traces 1 to 20 in a sealed segment, as blocks; 21 to 30 in hot batches of the active one.
fn filled(path: &Path) -> Store {
    let store = Store::open(path, patient()).unwrap();
    let sealed: Vec<Trace> = (1..=20).map(secret).collect();
    store.write(&sealed).unwrap();
    assert!(store.seal().unwrap());
    let hot: Vec<Trace> = (21..=30).map(secret).collect();
    store.write(&hot).unwrap();
    store
}

/// Whether a file of the store has the bytes of a trace.
fn holds_bytes(path: &Path, number: u64) -> bool {
    holds(path, &noise(number)[..64])
}

fn holds(path: &Path, wanted: &[u8]) -> bool {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files = files.filter(|entry| entry.file_type().unwrap().is_file());
    files.any(|entry| {
        let bytes = fs::read(entry.path()).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// Blocks that are made between the deletion and the reclaiming, and changes that were folded into
/// blocks before, leave bytes behind in the files that they were in.
#[test]
fn what_was_moved_before_it_is_reclaimed_leaves_no_bytes_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = filled(&path);
    let said = |number: u64| format!("said later of {number}");
    let updates = (5..=9).map(|number| TraceUpdate {
        trace_id: trace_id(number),
        time_unix_nano: 1 << 60,
        change: TraceChange::Session(said(number)),
    });
    store.update(&updates.collect::<Vec<_>>()).unwrap();
    assert!(store.seal().unwrap());
    assert_eq!(store.snapshot().unwrap().loose().unwrap().count(), 0);
    store
        .write(&(31..=34).map(secret).collect::<Vec<_>>())
        .unwrap();
    store.delete(&[5, 32].map(trace_id)).unwrap();
    store.seal().unwrap();
    assert!(holds_bytes(&path, 5) && holds_bytes(&path, 32));
    assert!(holds(&path, said(5).as_bytes()));
    assert!(store.reclaim().unwrap().segments > 0);
    assert!(!holds_bytes(&path, 5) && !holds_bytes(&path, 32));
    assert!(!holds(&path, said(5).as_bytes()));
    assert!(holds_bytes(&path, 6) && holds_bytes(&path, 31));
    assert_eq!(store.reclaim().unwrap().segments, 0);
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn a_deleted_trace_is_gone_at_once_and_its_bytes_when_space_is_reclaimed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = filled(&path);
    let other = Store::open(&path, OpenOptions::read_only()).unwrap();
    let before = store.snapshot().unwrap();
    let wanted = [5, 5, 6, 25, 99].map(trace_id);
    assert_eq!(store.delete(&wanted).unwrap(), 3, "99 is not there");
    let left: Vec<u64> = (1..=30).filter(|n| ![5, 6, 25].contains(n)).collect();
    assert_only(&store, &left);
    assert_only(&other, &left);
    assert!(
        before.trace(trace_id(5)).unwrap().is_some(),
        "an earlier snapshot"
    );
    drop(before);

    let report = store.reclaim().unwrap();
    assert_eq!((report.segments, report.damaged), (1, 0));
    assert_only(&store, &left);
    assert_only(&other, &left);
    assert_eq!(
        store.info().unwrap().spans,
        27 * 3,
        "nothing of them is stored"
    );
    assert_eq!(store.reclaim().unwrap().segments, 0);
    for number in [1, 7, 26] {
        let stored = store.snapshot().unwrap().trace(trace_id(number)).unwrap();
        assert_eq!(stored, Some(secret(number)));
    }
    store.close().unwrap();
    drop((store, other));
    let store = Store::open(&path, patient()).unwrap();
    assert_only(&store, &left);
}

#[test]
fn a_whole_segment_may_be_deleted_and_no_byte_of_it_is_left_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[secret(1)]).unwrap();
    store.write(&[secret(2)]).unwrap();
    assert!(holds_bytes(&path, 1) && holds_bytes(&path, 2));
    store.delete(&[trace_id(1)]).unwrap();
    store.reclaim().unwrap();
    assert!(!holds_bytes(&path, 1), "its bytes are gone");
    assert!(holds_bytes(&path, 2));
    store.delete(&[trace_id(2)]).unwrap();
    store.reclaim().unwrap();
    assert!(!holds_bytes(&path, 2));
    assert_only(&store, &[]);
    store.write(&[secret(3)]).unwrap();
    assert_only(&store, &[3]);
}

#[test]
fn what_comes_late_of_a_deleted_trace_does_not_bring_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = filled(&path);
    let tag = TraceUpdate {
        trace_id: trace_id(5),
        time_unix_nano: 1 << 60,
        change: TraceChange::Pinned(true),
    };
    store.update(std::slice::from_ref(&tag)).unwrap();
    store.delete(&[trace_id(5), trace_id(77)]).unwrap();
    let left: Vec<u64> = (1..=30).filter(|number| *number != 5).collect();
    // Spans out of a lane, of another process, a change, an import.
    let lane = store.lane().unwrap();
    append(&lane, &span(5, 9));
    append(&lane, &span(77, 1));
    assert_only(&store, &left);
    store.flush().unwrap();
    store.update(&[tag]).unwrap();
    let mut player = Player::start("hold", &path, 77);
    player.said().unwrap();
    player.kill();
    let report = store.write(&[secret(5), secret(77), secret(1)]).unwrap();
    assert_eq!((report.traces_deleted, report.spans_written), (2, 0));
    assert_only(&store, &left);
    assert!(store.seal().unwrap());
    assert_only(&store, &left);
    store.reclaim().unwrap();
    assert_only(&store, &left);
    assert_eq!(store.info().unwrap().spans, 29 * 3);

    // A copy, a recovered store and a bundle have it neither, and it stays away there, too.
    store.backup(folder.path().join("copy")).unwrap();
    recover(&path, folder.path().join("recovered")).unwrap();
    for name in ["copy", "recovered"] {
        let copy = Store::open(folder.path().join(name), patient()).unwrap();
        copy.write(&[secret(5)]).unwrap();
        assert_only(&copy, &left);
    }
    let bundle = folder.path().join("some.spans");
    let report = store.bundle(&bundle, [1, 5].map(trace_id)).unwrap();
    assert_eq!(report.traces, 1);
}

#[test]
fn interrupted_and_open_spans_survive_the_deletion_of_their_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("open", &path, 7);
    player.said().unwrap();
    player.kill();
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[secret(1), secret(2)]).unwrap();
    assert!(store.seal().unwrap());
    let one = |number| store.snapshot().unwrap().trace(trace_id(number)).unwrap();
    let before: Option<Trace> = one(7);
    assert!(before.as_ref().is_some_and(|trace| {
        let is_open = |span: &Span| span.end_time_unix_nano.is_none();
        trace.spans.iter().any(is_open) && trace.info.state.is_some()
    }));
    store.delete(&[trace_id(1)]).unwrap();
    assert_eq!(store.reclaim().unwrap().segments, 1);
    assert_eq!(one(7), before);
    assert_only(&store, &[2, 7]);
}

#[test]
fn a_large_import_leaves_out_what_was_deleted_before() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        seal_spans: 50,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    store.delete(&[trace_id(30)]).unwrap();
    let whole: Vec<Trace> = (1..=100).map(|number| trace(number, 3)).collect();
    let report = store.write(&whole).unwrap();
    assert_eq!((report.traces_deleted, report.written.len()), (1, 99));
    let left: Vec<u64> = (1..=100).filter(|number| *number != 30).collect();
    assert_only(&store, &left);
    assert_eq!(store.info().unwrap().spans, 99 * 3);
}
