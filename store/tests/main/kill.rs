//! Processes that are killed at any moment: while they append, commit, make blocks, rotate, give
//! space back, merge, copy, replay a journal, or recover a damaged store.
//!
//! `SPANLITE_KILL_ROUNDS` sets how many kills there are over all tests of this module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use spanlite_model::{Trace, TraceId};
use spanlite_store::{JournalForm, OpenOptions, RecoverError, Store, recover};
use tempfile::TempDir;

use crate::child::{Player, folded};
use crate::support::{all, patient, sized_span, times, trace, trace_id};

/// This many kills, of a hundred.
fn rounds(percent: u64) -> u64 {
    (times("SPANLITE_KILL_ROUNDS", 200) * percent).div_ceil(100)
}

/// So many kills hit one store before what is in it is checked and the next one is begun.
const KILLS_A_STORE: u64 = 10;

/// Kills the players of a part, `KILLS_A_STORE` to a store, and has each store checked: with the
/// first number of each player, and the last that it said before it was killed.
fn kill(part: &str, percent: u64, check: impl Fn(&Path, &[(u64, u64)])) {
    kill_within(300, part, percent, check);
}

/// The same where a player says fewer numbers, because it does more for each, before it is killed.
fn kill_within(said: u64, part: &str, percent: u64, check: impl Fn(&Path, &[(u64, u64)])) {
    let (mut left, mut round) = (rounds(percent), 0);
    while left > 0 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut last = Vec::new();
        for _ in 0..left.min(KILLS_A_STORE) {
            let first = round * 1_000_000 + 1;
            last.push((first, kill_one(part, &path, first, round, said)));
            round += 1;
        }
        left -= last.len() as u64;
        check(&path, &last);
    }
}

/// The moment varies with what the player is at, and with a time that no step of its takes.
fn kill_one(part: &str, path: &Path, first: u64, round: u64, said: u64) -> u64 {
    let mut player = Player::start(part, path, first);
    let mut last = first;
    for _ in 0..=round * 37 % said {
        last = player.said().unwrap();
    }
    thread::sleep(Duration::from_micros(round * 397 % 7_000));
    player.kill().unwrap_or(last)
}

fn journals(path: &Path) -> usize {
    fs::read_dir(path.join("journal")).unwrap().count()
}

fn number(trace_id: TraceId) -> u64 {
    u64::from_be_bytes(*trace_id.as_bytes().last_chunk().unwrap())
}

fn numbers(store: &Store) -> BTreeSet<u64> {
    all(store)
        .iter()
        .map(|trace| number(trace.trace_id))
        .collect()
}

/// Every trace is the one span that was appended, stored once. Replaying is done before
/// anything else that the commit thread is asked for.
fn assert_stored_once(store: &Store) {
    store.seal().unwrap();
    let traces = all(store);
    for trace in &traces {
        assert_eq!(trace.spans, [sized_span(number(trace.trace_id))]);
    }
    assert_eq!(store.info().unwrap().spans, traces.len() as u64);
}

#[test]
fn what_was_appended_before_a_kill_is_there() {
    kill("append", 20, |path, said| {
        let store = Store::open(path, patient()).unwrap();
        let snapshot = store.snapshot().unwrap();
        for number in said.iter().flat_map(|(first, last)| *first..=*last) {
            let stored = snapshot.trace(trace_id(number)).unwrap();
            let stored = stored.unwrap_or_else(|| panic!("trace {number}"));
            assert_eq!(stored.spans.len(), 3, "trace {number}");
        }
        drop(snapshot);
        store.flush().unwrap();
        assert!(store.verify().unwrap().is_sound());
    });
}

/// Whether journals are mapped in this folder.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn is_mapped(path: &Path) -> bool {
    let store = Store::open(path, patient()).unwrap();
    let mapped = store.info().unwrap().journal == Some(JournalForm::Mapped);
    store.close().unwrap();
    if !mapped {
        println!("skipped: journals are not mapped on the file system of temporary files");
    }
    mapped
}

#[test]
fn no_span_that_ended_is_lost_at_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    if !is_mapped(&folder.path().join("s")) {
        return;
    }
    kill("end", 20, |path, said| {
        let store = Store::open(path, patient()).unwrap();
        let there = numbers(&store);
        for number in said.iter().flat_map(|(first, last)| *first..=*last) {
            assert!(there.contains(&number), "span {number}");
        }
        assert_stored_once(&store);
        assert_eq!(journals(path), 1, "only the one of this process");
    });
}

#[test]
fn the_written_form_loses_at_most_sixteen_spans_at_a_kill() {
    kill("end-written", 10, |path, said| {
        let store = Store::open(path, patient()).unwrap();
        assert_stored_once(&store);
        let there = numbers(&store);
        for (first, last) in said {
            for number in *first..=last.saturating_sub(16) {
                assert!(there.contains(&number), "span {number}");
            }
        }
    });
}

#[test]
fn a_recovery_that_is_killed_is_done_again_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    if !is_mapped(&path) {
        return;
    }
    let rounds = rounds(10);
    for round in 0..rounds {
        if round % 2 == 0 {
            let mut writer = Player::start("leave", &path, round * 1_000_000 + 1);
            writer.said().unwrap();
            writer.kill();
        }
        let mut recovery = Player::start("recover", &path, 0);
        recovery.said().unwrap();
        thread::sleep(Duration::from_micros(round * 1_103 % 9_000));
        recovery.kill();
    }
    let store = Store::open(&path, patient()).unwrap();
    assert_stored_once(&store);
    assert_eq!(all(&store).len() as u64, rounds.div_ceil(2) * 500);
}

#[test]
fn a_kill_while_blocks_are_made_space_is_given_back_or_segments_merge_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut pinned = trace(1, 3);
    pinned.info.pinned = true;
    let store = Store::open(&path, patient()).unwrap();
    store.write(std::slice::from_ref(&pinned)).unwrap();
    store.close().unwrap();
    let mut whole = 0;
    for round in 0..rounds(20) {
        let mut player = Player::start("care", &path, 100 + round * 1_000);
        let mut last = 0;
        for _ in 0..=round % 5 {
            last = player.said().unwrap();
        }
        thread::sleep(Duration::from_micros(round * 2_939 % 40_000));
        last = player.kill().unwrap_or(last);
        let store = Store::open(&path, OpenOptions::read_only()).unwrap();
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "round {round}: {:?}", report.damage);
        let traces = all(&store);
        let ids: BTreeSet<_> = traces.iter().map(|trace| trace.trace_id).collect();
        assert_eq!(ids.len(), traces.len(), "a trace comes twice");
        let stored = traces
            .iter()
            .find(|trace| trace.trace_id == pinned.trace_id);
        assert_eq!(stored, Some(&pinned), "round {round}");
        for one in 0..10 {
            let newest = trace_id(last * 10 + one);
            assert!(ids.contains(&newest), "trace {newest} of round {round}");
        }
        whole += whole_copies(&folder);
    }
    assert!(whole > 0, "no backup was ever finished");
}

/// What was changed later and what came late is there, in a block or beside it, and the traces are
/// as they would be without a kill.
#[test]
fn a_kill_while_changes_are_folded_into_blocks_loses_none_and_doubles_none() {
    kill_folding("fold", 10, |store| _ = store.seal().unwrap());
}

/// The same where the blocks are in segments that nobody writes to: each is written anew, or many
/// are merged.
#[test]
fn a_kill_while_changes_are_folded_into_sealed_segments_loses_none_and_doubles_none() {
    for part in ["fold-alone", "fold-merged"] {
        kill_folding(part, 5, |store| _ = store.merge().unwrap());
    }
}

fn kill_folding(part: &str, percent: u64, fold: impl Fn(&Store)) {
    kill_within(8, part, percent, |path, said| {
        let store = Store::open(path, patient()).unwrap();
        fold(&store);
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.damage);
        let traces = all(&store);
        let ids: BTreeSet<_> = traces.iter().map(|trace| trace.trace_id).collect();
        assert_eq!(ids.len(), traces.len(), "a trace comes twice");
        let by_number = |one: u64| traces.iter().find(|trace| number(trace.trace_id) == one);
        for round in said.iter().flat_map(|(first, last)| *first..=*last) {
            for one in round * 10..round * 10 + 10 {
                let stored = by_number(one);
                assert!(stored.is_some(), "trace {one}");
                let stored = stored.unwrap();
                let expected = folded(one);
                assert_eq!(stored.info, expected.info, "trace {one}");
                let ids = |trace: &Trace| -> BTreeSet<_> {
                    trace.spans.iter().map(|span| span.span_id).collect()
                };
                assert_eq!(ids(stored), ids(&expected), "trace {one}");
                assert_eq!(stored.spans.len(), expected.spans.len(), "trace {one}");
            }
        }
    });
}

/// Every backup that has its STORE file is whole; one that was interrupted has none. Counts the
/// whole ones, and removes them all.
fn whole_copies(folder: &TempDir) -> usize {
    let copies = folder.path().join("s.copies");
    let mut whole = 0;
    for entry in fs::read_dir(&copies).into_iter().flatten() {
        if let Ok(copy) = Store::open(entry.unwrap().path(), OpenOptions::read_only()) {
            assert!(copy.verify().unwrap().is_sound());
            whole += 1;
        }
    }
    drop(fs::remove_dir_all(copies));
    whole
}

fn bytes_of(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let mut found: Vec<_> = files
        .map(|entry| (entry.path(), fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn a_killed_recovery_into_a_new_store_leaves_no_half_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    let traces: Vec<_> = (1..=600).map(|number| trace(number, 3)).collect();
    store.write(&traces).unwrap();
    store.seal().unwrap();
    store.close().unwrap();
    drop(store);
    fs::remove_file(path.join("STORE")).unwrap();
    let before = bytes_of(&path);
    let out = path.with_extension("out");
    for round in 0..rounds(10) {
        let mut player = Player::start("recover-out", &path, 1);
        player.said().unwrap();
        thread::sleep(Duration::from_micros(round * 17_389 % 200_000));
        player.kill();
        match Store::open(&out, OpenOptions::read_only()) {
            Ok(recovered) => {
                assert_eq!(all(&recovered).len(), 600, "round {round}");
            }
            Err(error) => assert!(!out.try_exists().unwrap(), "round {round}: {error}"),
        }
        let draft = path.with_extension("out.new");
        if fs::read_dir(&draft).is_ok_and(|mut entries| entries.next().is_some()) {
            let error = recover(&path, &out).unwrap_err();
            assert!(matches!(error, RecoverError::Write(_)), "{error}");
        }
        drop(fs::remove_dir_all(&out));
        drop(fs::remove_dir_all(draft));
        assert!(bytes_of(&path) == before, "the damaged store was changed");
    }
    let report = recover(&path, &out).unwrap();
    assert_eq!((report.traces, report.spans), (600, 1_800));
}
