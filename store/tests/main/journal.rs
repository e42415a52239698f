//! Spans that wait in a journal, and files that change underneath.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use spanlite_model::TraceState;
use spanlite_store::{JournalForm, OpenOptions, Store};

use crate::child::Player;
use crate::support::{all, append, encoded_span, patient, sized_span, span, trace_id};

fn journals(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Whether journals are mapped in this folder.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn is_mapped(path: &Path) -> bool {
    let store = Store::open(path, patient()).unwrap();
    let mapped = store.info().unwrap().journal == Some(JournalForm::Mapped);
    store.close().unwrap();
    if !mapped {
        println!(
            "skipped: journals are not mapped on the file system of {}",
            path.display()
        );
    }
    mapped
}

/// Every trace has its one span, and was stored once. Replaying is done before anything else that
/// the commit thread is asked for.
fn assert_stored_once(store: &Store) {
    store.seal().unwrap();
    let traces = all(store);
    for trace in &traces {
        let number = u64::from_be_bytes(*trace.trace_id.as_bytes().last_chunk().unwrap());
        assert_eq!(trace.spans, [sized_span(number)]);
    }
    assert_eq!(store.info().unwrap().spans, traces.len() as u64);
}

#[test]
fn running_spans_are_seen_and_stay_as_interrupted_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    if !is_mapped(&path) {
        return;
    }
    let mut writer = Player::start("open", &path, 7);
    writer.said().unwrap();
    let check = |store: &Store, state: Option<TraceState>| {
        let trace = store
            .snapshot()
            .unwrap()
            .trace(trace_id(7))
            .unwrap()
            .unwrap();
        let mut spans: Vec<_> = trace
            .spans
            .iter()
            .map(|span| (span.span_id, span.end_time_unix_nano.is_some()))
            .collect();
        spans.sort_unstable();
        let ids = [1, 2, 3].map(crate::support::span_id);
        assert_eq!(spans, [(ids[0], false), (ids[1], true), (ids[2], false)]);
        assert_eq!(trace.info.state, state);
    };
    let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
    check(&reader, None);
    let forms = reader.info().unwrap().live_journals;
    assert_eq!(forms, [JournalForm::Mapped], "told from outside");
    writer.kill();
    check(&reader, Some(TraceState::Interrupted));
    let store = Store::open(&path, patient()).unwrap();
    store.seal().unwrap();
    assert_eq!(journals(&path).len(), 1);
    check(&store, Some(TraceState::Interrupted));
    check(&reader, Some(TraceState::Interrupted));
}

#[test]
fn spans_that_are_open_at_the_close_are_stored_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let lane = store.lane().unwrap();
    let mut open = span(1, 1);
    open.end_time_unix_nano = None;
    let _slot = lane.open(&encoded_span(&open)).unwrap();
    append(&lane, &span(1, 2));
    store.close().unwrap();
    assert_eq!(
        lane.append(&encoded_span(&span(1, 3))),
        spanlite_store::Appended::Dropped
    );
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    let trace = store
        .snapshot()
        .unwrap()
        .trace(trace_id(1))
        .unwrap()
        .unwrap();
    assert_eq!(trace.spans, [span(1, 2), open]);
    assert_eq!(trace.info.state, Some(TraceState::Interrupted));
    assert_eq!(journals(&path).len(), 0);
}

#[test]
fn a_journal_truncated_underneath_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    if !is_mapped(&path) {
        return;
    }
    let store = Store::open(&path, patient()).unwrap();
    let lane = store.lane().unwrap();
    for number in 1..=100 {
        append(&lane, &sized_span(number));
    }
    fs::File::options()
        .write(true)
        .open(&journals(&path)[0])
        .unwrap()
        .set_len(0)
        .unwrap();
    for number in 101..=2_000 {
        append(&lane, &sized_span(number));
    }
    store.flush().unwrap();
    let info = store.info().unwrap();
    assert_eq!(
        info.journal,
        Some(JournalForm::Memory),
        "told where it is looked for"
    );
    assert!(
        info.dropped >= 90,
        "what was in the file is counted: {}",
        info.dropped
    );
    let found = all(&store);
    assert_eq!(found.len() as u64 + info.dropped, 2_000);
    assert!(found.iter().any(|trace| trace.trace_id == trace_id(2_000)));
    for number in 3_001..=3_100 {
        append(&lane, &sized_span(number));
    }
    store.close().unwrap();
    let store = Store::open(&path, patient()).unwrap();
    assert_eq!(all(&store).len(), found.len() + 100);
}

#[test]
fn a_journal_copied_while_it_is_written_replays_whole_spans_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let other = folder.path().join("other");
    Store::open(&other, patient()).unwrap().close().unwrap();
    fs::create_dir_all(other.join("journal")).unwrap();
    let lane = store.lane().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=20_000 {
                append(&lane, &sized_span(number));
                if number % 5_000 == 0 {
                    store.flush().unwrap();
                }
            }
        });
        for _ in 0..10 {
            let from = &journals(&path)[0];
            fs::copy(from, other.join("journal").join(from.file_name().unwrap())).unwrap();
            let copied = Store::open(&other, patient()).unwrap();
            copied.flush().unwrap();
            for trace in all(&copied) {
                let number = u64::from_be_bytes(*trace.trace_id.as_bytes().last_chunk().unwrap());
                assert_eq!(trace.spans, [sized_span(number)]);
            }
            copied.close().unwrap();
        }
    });
    store.flush().unwrap();
    assert_eq!(all(&store).len(), 20_000);
}

#[test]
fn a_full_disk_stops_nothing_and_drops_what_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A file system of its own, in a name space of its own, so that nobody else needs a right.
    let script = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@""#;
    for appended_before in [0, 1] {
        let own = |command: &mut Command| {
            command
                .args(["-rm", "sh", "-c", script, "sh", "16m"])
                .arg(&disk);
        };
        let mut probe = Command::new("unshare");
        own(&mut probe);
        if !probe
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            println!("skipped: this user cannot mount a file system of its own");
            return;
        }
        let mut player = Player::start_in("unshare", own, "fill", &disk.join("s"), appended_before);
        let said = player.said();
        let status = player.process.wait().unwrap();
        assert!(
            status.success() && said.is_some(),
            "{status}, said {said:?}"
        );
    }
}

#[test]
fn a_forked_child_forgets_the_journal_and_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("fork", &path, 10);
    assert_eq!(player.said(), Some(10), "the parent has closed");
    player.finish();
    let store = Store::open(&path, patient()).unwrap();
    assert_stored_once(&store);
    let mut numbers: Vec<_> = all(&store).iter().map(|trace| trace.trace_id).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [10, 11, 12, 13].map(trace_id));
}

#[test]
fn a_child_that_lives_on_does_not_keep_the_journal_of_a_killed_parent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    if !is_mapped(&path) {
        return;
    }
    let mut player = Player::start("fork", &path, 0);
    let child = player.said().unwrap();
    player.process.kill().unwrap();
    player.process.wait().unwrap();
    let store = Store::open(&path, patient()).unwrap();
    store.seal().unwrap();
    assert_eq!(journals(&path).len(), 1, "the parent's was replayed");
    assert_eq!(all(&store).len(), 1);
    crate::fork::end(child);
}
