use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use spanlite_model::{Span, SpanId, Trace, TraceChange, TraceId, TraceUpdate};

use crate::commit::Request;
use crate::error::{CloseError, FlushError, WriteError};
use crate::record::{Origin, Record, encode_record};
use crate::{Appended, OpenOptions, StateError, Store};

fn patient() -> OpenOptions {
    OpenOptions {
        commit_interval: Duration::from_secs(3_600),
        ..OpenOptions::default()
    }
}

fn trace(byte: u8) -> Trace {
    let trace_id = TraceId::from_bytes([byte; 16]);
    let span = Span::new(trace_id, SpanId::from_bytes([byte; 8]), "a");
    Trace::new(trace_id, vec![span])
}

fn pin() -> TraceUpdate {
    TraceUpdate {
        trace_id: TraceId::from_bytes([1; 16]),
        time_unix_nano: 1,
        change: TraceChange::Pinned(true),
    }
}

/// Keeps the commit thread busy until the barrier is met, and lets it panic then.
fn panic_later<'s>(
    store: &'s Store,
    barrier: &'s Barrier,
    scope: &'s thread::Scope<'s, '_>,
) -> thread::ScopedJoinHandle<'s, Result<(), FlushError>> {
    let (entered, busy) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let waiting = scope.spawn(move || {
        store.on_commit_thread(move |_state| {
            entered.send(()).unwrap();
            gone.recv().unwrap();
            panic!("an injected panic");
        })
    });
    busy.recv().unwrap();
    scope.spawn(move || {
        barrier.wait();
        go.send(()).unwrap();
    });
    waiting
}

#[test]
fn a_panic_of_the_commit_thread_is_told_to_all_who_wait_and_to_those_who_come_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1)]).unwrap();
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        let panicked = panic_later(&store, &barrier, scope);
        let flush = scope.spawn(|| {
            barrier.wait();
            store.commit()
        });
        let close = scope.spawn(|| {
            barrier.wait();
            store.close()
        });
        assert!(matches!(
            panicked.join().unwrap(),
            Err(FlushError::Panicked)
        ));
        assert!(matches!(flush.join().unwrap(), Err(FlushError::Panicked)));
        let closed = close.join().unwrap();
        assert!(matches!(
            closed,
            Err(CloseError::Flush(FlushError::Panicked))
        ));
    });
    assert!(matches!(store.flush(), Err(FlushError::Panicked)));
    assert!(matches!(store.update(&[pin()]), Err(WriteError::Panicked)));
    assert!(matches!(
        store.write(&[trace(2)]),
        Err(WriteError::Panicked)
    ));
    assert!(matches!(store.seal(), Err(WriteError::Panicked)));
    let mut change = store.state().change();
    change.put("a", b"b", b"c");
    assert!(matches!(change.commit(), Err(StateError::Panicked)));
    assert!(
        store
            .snapshot()
            .unwrap()
            .trace(trace(1).trace_id)
            .unwrap()
            .is_some()
    );

    // Opened again, it has another writer.
    let again = Store::open(&path, patient()).unwrap();
    again.write(&[trace(2)]).unwrap();
    assert_eq!(again.info().unwrap().traces, 2);
    again.close().unwrap();
}

#[test]
fn a_flush_beside_a_close_is_answered_by_the_commit_that_covers_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let record = Record::Span(trace(1).spans.remove(0).into());
    let mut bytes = Vec::new();
    encode_record(&record, &Origin::default(), &mut bytes);
    let (entered, is_busy) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let (reply, answer) = std::sync::mpsc::channel();
    let writer = store.writer().unwrap();
    let request = |task| writer.signal.request(Request::State(task)).unwrap();
    // What is asked for while this runs is served together, after one commit.
    request(Box::new(move |_state| {
        entered.send(()).unwrap();
        may_go.recv().unwrap();
    }));
    is_busy.recv().unwrap();
    let (lane, signal, gone) = (store.lane().unwrap(), Arc::clone(&writer.signal), path);
    request(Box::new(move |_state| {
        assert_eq!(lane.append(&bytes), Appended::Stored);
        signal.request(Request::Flush(reply)).unwrap();
        // The next commit cannot begin a segment.
        std::fs::remove_dir_all(&gone).unwrap();
        std::fs::write(&gone, "").unwrap();
    }));
    let (closing, closed) = std::sync::mpsc::channel();
    writer.signal.request(Request::Close(closing)).unwrap();
    go.send(()).unwrap();
    let failed = |outcome| matches!(outcome, Err(FlushError::Failed { records: 1, .. }));
    assert!(
        failed(answer.recv().unwrap()),
        "it said that a span is on disk"
    );
    assert!(failed(closed.recv().unwrap()));
}

#[test]
fn all_who_close_wait_for_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1)]).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                store.close().unwrap();
                assert!(store.is_ended(), "it came back while the thread ran");
            });
        }
    });
    assert!(matches!(store.flush(), Err(FlushError::Closed)));
}

#[test]
fn a_writer_that_could_not_start_says_why_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.close().unwrap();
    let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert!(matches!(reader.update(&[pin()]), Err(WriteError::ReadOnly)));
    drop((store, reader));
    // A file where the folder of journals should be.
    std::fs::remove_dir_all(path.join("journal")).unwrap();
    std::fs::write(path.join("journal"), "").unwrap();
    let store = Store::not_started(&path, patient());
    for _ in 0..2 {
        assert!(matches!(
            store.update(&[pin()]),
            Err(WriteError::Storage(_))
        ));
        let mut change = store.state().change();
        change.put("a", b"b", b"c");
        assert!(matches!(change.commit(), Err(StateError::Writer(_))));
        assert!(matches!(store.flush(), Err(FlushError::Failed { .. })));
    }
}

impl Store {
    fn is_ended(&self) -> bool {
        let writer = self.inner.live.get().and_then(super::Live::existing);
        matches!(writer, Some(Ok(writer)) if super::lock(&writer.thread).is_none())
    }

    /// As a forked child has it, whose writer starts when it is needed.
    fn not_started(path: &std::path::Path, options: OpenOptions) -> Self {
        let inner = super::Inner {
            directory: super::Directory::open(path, false).unwrap(),
            options,
            live: super::PerProcess::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

#[test]
fn some_spans_of_a_trace_are_those_of_the_whole_wherever_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("s"), patient()).unwrap();
    let trace_id = TraceId::from_bytes([1; 16]);
    let spans = |numbers: std::ops::Range<u64>, end: Option<u64>| {
        let spans = numbers.map(|number| Span {
            end_time_unix_nano: end,
            ..Span::new(trace_id, SpanId::from_bytes(number.to_be_bytes()), "a")
        });
        Trace::new(trace_id, spans.collect())
    };
    // In a block of whole traces, in one of records, hot; later forms of some spans in each.
    store.write(&[spans(1..1_500, Some(5))]).unwrap();
    store.update(&[pin()]).unwrap();
    store.write(&[spans(1_400..1_450, Some(6))]).unwrap();
    store.write(&[spans(1_600..1_700, None)]).unwrap();
    store.seal().unwrap();
    store.write(&[spans(1_440..1_620, Some(7))]).unwrap();
    let tag = TraceChange::Tag {
        key: "k".to_owned(),
        value: "v".to_owned(),
    };
    let tag = TraceUpdate {
        change: tag,
        ..pin()
    };
    store.update(&[tag]).unwrap();

    let snapshot = store.snapshot().unwrap();
    let (all, changes) = snapshot.stored(trace_id).unwrap();
    assert_eq!((all.len(), changes.len()), (1_699, 2));
    for wanted in [0..0, 3..4, 1_399..1_460, 1_590..1_720, 5_000..5_010] {
        let ids = wanted.clone();
        let ids = ids.map(|number: u64| SpanId::from_bytes(number.to_be_bytes()));
        let ids: HashSet<SpanId> = ids.collect();
        let (some, again) = snapshot.stored_of(trace_id, ids.clone()).unwrap();
        let mut expected = all.clone();
        expected.retain(|span| ids.contains(&span.span_id));
        assert_eq!((some, again), (expected, changes.clone()), "{wanted:?}");
    }
    assert!(snapshot.holds(trace_id).unwrap());
    assert!(!snapshot.holds(TraceId::from_bytes([2; 16])).unwrap());
}
