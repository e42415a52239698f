use std::collections::BTreeSet;
use std::thread;

use spanlite_model::{Span, Trace, TraceChange, TraceUpdate};
use spanlite_store::record::Record;
use spanlite_store::{
    Access, Appended, FlushError, OpenError, OpenOptions, Overload, Retention, StateError, Store,
    TimeRange, WriteError,
};

use crate::support::{
    all, append, encoded, encoded_span, patient, service, span, span_id, tag, trace, trace_id,
};

#[test]
fn what_lanes_append_is_read_after_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        resource: (*service("mine")).clone(),
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    thread::scope(|scope| {
        for thread in 1..=4u64 {
            let store = &store;
            scope.spawn(move || {
                let lane = store.lane().unwrap();
                for number in 1..=50 {
                    let record = encoded_span(&span(thread, number));
                    assert_eq!(lane.append(&record), Appended::Stored);
                }
            });
        }
    });
    store.flush().unwrap();
    let traces = all(&store);
    let ids: Vec<_> = traces.iter().map(|trace| trace.trace_id).collect();
    assert_eq!(ids, [4, 3, 2, 1].map(trace_id), "newest first");
    for trace in &traces {
        assert_eq!(trace.spans.len(), 50);
        assert!(
            trace
                .spans
                .iter()
                .all(|span| span.service_name() == Some("mine"))
        );
    }
}

#[test]
fn a_store_opens_again_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let traces: Vec<Trace> = (1..=20).map(|number| trace(number, 5)).collect();
    let store = Store::open(&path, patient()).unwrap();
    store.write(&traces).unwrap();
    let lane = store.lane().unwrap();
    append(&lane, &span(7, 6));
    store.close().unwrap();
    assert!(matches!(store.flush(), Err(FlushError::Closed)));
    assert_eq!(lane.append(&encoded_span(&span(7, 7))), Appended::Dropped);
    drop((store, lane));

    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.trace(trace_id(3)).unwrap().unwrap(), traces[2]);
    assert_eq!(snapshot.trace(trace_id(7)).unwrap().unwrap().spans.len(), 6);
    assert_eq!(snapshot.trace(trace_id(99)).unwrap(), None);
    assert!(matches!(store.write(&traces), Err(WriteError::ReadOnly)));
    assert!(matches!(store.flush(), Err(FlushError::ReadOnly)));
    assert!(store.verify().unwrap().is_sound());
    let info = store.info().unwrap();
    assert_eq!((info.traces, info.spans, info.segments), (20, 101, 1));
}

#[test]
fn writing_the_same_traces_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let mut traces: Vec<Trace> = (1..=3).map(|number| trace(number, 4)).collect();
    traces[0]
        .info
        .tags
        .insert("env".to_owned(), "dev".to_owned());
    let first = store.write(&traces).unwrap();
    assert_eq!((first.written.len(), first.spans_written), (3, 12));
    let again = store.write(&traces).unwrap();
    assert_eq!((again.written.len(), again.spans_written), (0, 0));
    assert_eq!((again.traces, again.spans), (3, 12));
    assert_eq!(store.info().unwrap().spans, 12);

    traces[1].spans[2].name = "changed".to_owned();
    traces[1].spans.push(span(2, 5));
    let third = store.write(&traces).unwrap();
    assert_eq!((third.written.len(), third.spans_written), (1, 2));
    let stored = store.snapshot().unwrap().trace(trace_id(2)).unwrap();
    assert_eq!(stored.unwrap(), traces[1]);
}

#[test]
fn of_versions_of_one_span_in_one_call_the_best_is_stored_in_any_order() {
    let mut versions: Vec<Span> = (0..3).map(|_| span(1, 1)).collect();
    versions[1].end_time_unix_nano = versions[1].end_time_unix_nano.map(|end| end + 5);
    versions[2].end_time_unix_nano = None;
    for apart in [false, true] {
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 0, 1]] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().join("s"), patient()).unwrap();
            let spans = order.map(|version| versions[version].clone());
            let traces: Vec<Trace> = if apart {
                let alone = spans.map(|span| Trace::new(trace_id(1), vec![span]));
                alone.into()
            } else {
                vec![Trace::new(trace_id(1), spans.into())]
            };
            let first = store.write(&traces).unwrap();
            assert_eq!(first.written.len(), 1, "{apart} {order:?}");
            let again = store.write(&traces).unwrap();
            assert_eq!((again.written.len(), again.spans_written), (0, 0));
            let stored = store.snapshot().unwrap().trace(trace_id(1)).unwrap();
            assert_eq!(stored.unwrap().spans, [versions[1].clone()]);
        }
    }
}

#[test]
fn a_later_change_wins_over_an_import_that_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let mut imported = trace(1, 1);
    imported
        .info
        .tags
        .insert("env".to_owned(), "dev".to_owned());
    store.write(&[imported.clone()]).unwrap();
    let update = TraceUpdate {
        trace_id: trace_id(1),
        time_unix_nano: u64::MAX / 2,
        change: TraceChange::Tag {
            key: "env".to_owned(),
            value: "prod".to_owned(),
        },
    };
    store.update(&[update.clone(), update]).unwrap();
    store.write(&[imported]).unwrap();
    let stored = store
        .snapshot()
        .unwrap()
        .trace(trace_id(1))
        .unwrap()
        .unwrap();
    assert_eq!(stored.info.tags["env"], "prod");
}

#[test]
fn an_open_span_is_replaced_by_its_end_and_never_the_other_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let lane = store.lane().unwrap();
    let ended = span(1, 1);
    let mut open = ended.clone();
    open.end_time_unix_nano = None;
    for record in [&open, &ended, &open] {
        append(&lane, record);
        store.flush().unwrap();
    }
    assert_eq!(all(&store)[0].spans, [ended]);
}

#[test]
fn changes_that_travel_with_the_spans_are_applied_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let lane = store.lane().unwrap();
    for (time, name) in [(2, "later"), (1, "earlier")] {
        let update = TraceUpdate {
            trace_id: trace_id(1),
            time_unix_nano: time,
            change: TraceChange::Name(name.to_owned()),
        };
        let appended = lane.append(&encoded(&Record::Update(update)));
        assert_eq!(appended, Appended::Stored);
    }
    store.flush().unwrap();
    assert_eq!(all(&store)[0].name(), Some("later"));
}

#[test]
fn a_snapshot_stays_as_it_was_and_a_later_one_sees_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let writer = Store::open(&path, patient()).unwrap();
    let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
    writer.write(&[trace(1, 1)]).unwrap();
    let before = reader.snapshot().unwrap();
    writer.write(&[trace(2, 1)]).unwrap();
    assert!(before.trace(trace_id(2)).unwrap().is_none());
    assert!(before.trace(trace_id(1)).unwrap().is_some());
    assert!(
        reader
            .snapshot()
            .unwrap()
            .trace(trace_id(2))
            .unwrap()
            .is_some()
    );
}

#[test]
fn ids_are_found_by_their_beginning_and_traces_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let traces: Vec<Trace> = (1..=3).map(|number| trace(number, 1)).collect();
    store.write(&traces).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.find_prefix("tr-ABCD").unwrap().len(), 3);
    let whole = trace_id(2).to_string();
    assert_eq!(snapshot.find_prefix(&whole).unwrap(), [trace_id(2)]);
    assert_eq!(snapshot.find_prefix("abce").unwrap(), []);
    assert!(snapshot.find_prefix("xyz").is_err());
    let range = TimeRange {
        start_unix_nano: 2_000_000,
        end_unix_nano: 3_000_000,
    };
    let found: Vec<_> = snapshot
        .traces(range)
        .map(|trace| trace.unwrap().trace_id)
        .collect();
    assert_eq!(found, [trace_id(2)]);
}

#[test]
fn large_and_odd_spans_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let mut odd = trace(1, 3);
    odd.spans[0]
        .attributes
        .set("large", "x\0é".repeat(7_000_000));
    for number in 0..10_000 {
        odd.spans[1]
            .attributes
            .push(format!("key {number}"), number);
    }
    odd.spans[1].end_time_unix_nano = Some(0);
    odd.spans[2].start_time_unix_nano = u64::MAX;
    odd.spans[2].name = "\u{1b}[31m\0".to_owned();
    odd.spans[2].parent_span_id = Some(span_id(3));
    store.write(&[odd.clone()]).unwrap();
    assert_eq!(all(&store), [odd]);
}

#[test]
fn what_is_no_record_is_counted_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let lane = store.lane().unwrap();
    assert_eq!(lane.append(b"no record"), Appended::Stored);
    append(&lane, &span(1, 1));
    store.flush().unwrap();
    assert_eq!(all(&store).len(), 1);
    store.seal().unwrap();
    assert_eq!(store.info().unwrap().dropped, 1);
}

#[test]
fn a_record_that_decodes_only_at_its_head_is_damage_and_then_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let lane = store.lane().unwrap();
    // The last byte of a field is missing; a change is of a kind whose value is no text.
    let mut cut = encoded_span(&span(1, 2));
    cut.pop();
    let mut odd = encoded(&Record::Update(tag(1, "v", 5)));
    *odd.last_mut().unwrap() = 0xff;
    for record in [encoded_span(&span(1, 1)), cut, odd] {
        assert_eq!(lane.append(&record), Appended::Stored);
    }
    // Enough that it goes into a hot batch first, and is read out of it.
    store
        .gc(&Retention::default(), false, &BTreeSet::new())
        .unwrap();
    store.delete(&[trace_id(99)]).unwrap();
    let report = store.verify().unwrap();
    assert!(!report.is_sound(), "it is hot, and cannot be read");
    assert_eq!(store.info().unwrap().dropped, 0);

    assert!(store.seal().unwrap());
    assert!(store.verify().unwrap().is_sound());
    let info = store.info().unwrap();
    assert_eq!((info.spans, info.dropped), (1, 2));
    let failure = info.last_failure.unwrap();
    assert!(
        failure.message.contains("a record does not decode"),
        "{failure:?}"
    );
    store.close().unwrap();
    drop((lane, store));
    // Whoever looks later is told, too.
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert_eq!(store.info().unwrap().last_failure, Some(failure));
}

#[test]
fn memory_is_bounded_and_what_does_not_fit_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        memory_limit_bytes: 10_000,
        commit_bytes: 5_000,
        overload: Overload::Block,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    let lane = store.lane().unwrap();
    for number in 1..=1_000 {
        assert_eq!(
            lane.append(&encoded_span(&span(1, number))),
            Appended::Stored
        );
    }
    store.seal().unwrap();
    let info = store.info().unwrap();
    assert_eq!(
        (info.spans, info.dropped, info.pending_bytes),
        (1_000, 0, 0)
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let error = Store::open(&absent, OpenOptions::read_only()).unwrap_err();
    assert!(matches!(error, OpenError::NoStore { .. }), "{error}");
    let error = Store::open(
        folder.path().join("absent/deeper"),
        OpenOptions {
            create: false,
            ..OpenOptions::default()
        },
    );
    assert!(matches!(error, Err(OpenError::NoStore { .. })));
    assert!(!absent.try_exists().unwrap(), "nothing was made");
}

#[test]
fn state_values_are_versioned_and_change_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let state = store.state();
    assert_eq!(state.get("jobs", b"a").unwrap(), None);
    let mut change = state.change();
    change.put("jobs", b"a", b"one");
    change.put("jobs", b"ab", b"two");
    change.put("job", b"sa", b"other space");
    change.commit().unwrap();
    let a = state.get("jobs", b"a").unwrap().unwrap();
    assert_eq!(a.bytes, b"one");
    let listed = state.list("jobs", b"a").unwrap();
    let keys: Vec<&[u8]> = listed.iter().map(|(key, _)| key.as_slice()).collect();
    assert_eq!(keys, [&b"a"[..], b"ab"]);

    let mut change = state.change();
    change.remove("jobs", b"ab");
    change.put_if("jobs", b"a", None, b"lost");
    let error = change.commit().unwrap_err();
    assert!(
        matches!(&error, StateError::Conflict { found, .. } if *found == Some(a.version)),
        "{error}"
    );
    assert_eq!(
        state.list("jobs", b"").unwrap().len(),
        2,
        "nothing was removed"
    );

    let mut change = state.change();
    change.put_if("jobs", b"a", Some(a.version), b"new");
    change.remove("jobs", b"ab");
    change.commit().unwrap();
    store.close().unwrap();
    let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
    let new = reader.state().get("jobs", b"a").unwrap().unwrap();
    assert!(new.version > a.version);
    assert_eq!(new.bytes, b"new");
    let mut change = reader.state().change();
    change.put("jobs", b"x", b"");
    assert!(matches!(change.commit(), Err(StateError::ReadOnly)));
}

#[test]
fn one_path_is_one_store_in_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let first = Store::open(&path, patient()).unwrap();
    let second = Store::open(path.join("../s"), patient()).unwrap();
    let lane = first.lane().unwrap();
    append(&lane, &span(1, 1));
    second.flush().unwrap();
    assert_eq!(all(&first).len(), 1);
    first.close().unwrap();
    assert!(second.flush().is_err());
    let third = Store::open(&path, patient()).unwrap();
    third.write(&[trace(2, 1)]).unwrap();
    let reader = Store::open(
        &path,
        OpenOptions {
            access: Access::ReadOnly,
            ..patient()
        },
    )
    .unwrap();
    assert_eq!(all(&reader).len(), 2);
}

#[test]
fn a_snapshot_that_keeps_nothing_open_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    for block in 0..4 {
        let traces: Vec<_> = (1..=5).map(|n| trace(block * 5 + n, 3)).collect();
        store.write(&traces).unwrap();
        store.seal().unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.blocks().unwrap().len(), 4);
    let sparing = store.snapshot().unwrap().keeping_at_most(0);
    // Each is in another block than the one before, and comes twice.
    for number in (0..40).map(|n| 1 + n * 7 % 20) {
        let found = sparing.trace(trace_id(number)).unwrap();
        assert!(found.is_some());
        assert_eq!(found, snapshot.trace(trace_id(number)).unwrap());
    }
    assert!(sparing.damage().is_empty());
}
