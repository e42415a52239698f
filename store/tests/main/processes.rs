//! Several processes, and processes that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use spanlite_store::{OpenOptions, Store};

use crate::child::Player;
use crate::support::{all, patient, trace, trace_id};

#[test]
fn eight_processes_write_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let players: Vec<Player> = (1..=8)
        .map(|process| Player::start("write", &path, process))
        .collect();
    for player in players {
        player.finish();
    }
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert!(store.verify().unwrap().is_sound());
    let traces = all(&store);
    assert_eq!(traces.len(), 1600);
    let by_id: BTreeMap<_, _> = traces
        .into_iter()
        .map(|trace| (trace.trace_id, trace))
        .collect();
    for process in 1..=8 {
        for number in process * 1000..process * 1000 + 200 {
            let mut stored = by_id[&trace_id(number)].clone();
            stored.spans.sort_by_key(|span| span.span_id);
            assert_eq!(stored, trace(number, 3));
        }
    }
}

/// How often a writer is killed; `SPANLITE_KILL_ROUNDS` sets more.
pub(crate) fn kill_rounds() -> u64 {
    let set = std::env::var_os("SPANLITE_KILL_ROUNDS");
    set.and_then(|rounds| rounds.to_str()?.parse().ok())
        .unwrap_or(12)
}

#[test]
fn what_was_appended_before_a_kill_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut expected = Vec::new();
    for round in 0..kill_rounds() {
        let first = round * 1_000_000 + 1;
        let mut player = Player::start("append", &path, first);
        // The moment of the kill varies with what the writer is at, not with a clock.
        for _ in 0..=round * 37 % 400 {
            player.said().unwrap();
        }
        thread::sleep(Duration::from_micros(round * 397 % 5_000));
        let last = player.kill().unwrap_or(first);
        expected.push(first..=last);
        let store = Store::open(&path, patient()).unwrap();
        let snapshot = store.snapshot().unwrap();
        for range in &expected {
            for number in range.clone() {
                let stored = snapshot.trace(trace_id(number)).unwrap();
                let stored = stored.unwrap_or_else(|| panic!("trace {number} of round {round}"));
                assert_eq!(stored.spans.len(), 3, "trace {number} of round {round}");
            }
        }
        assert_eq!(snapshot.damage().len(), 0);
        drop(snapshot);
        store.close().unwrap();
    }
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert!(store.verify().unwrap().is_sound());
}

/// The bytes of every file.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().into_string().unwrap();
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn a_store_whose_writer_was_killed_is_read_without_changing_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("hold", &path, 7);
    assert_eq!(player.said(), Some(7));
    player.kill();
    let before = files(&path);
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert_eq!(all(&store), [trace(7, 3)]);
    assert!(store.verify().unwrap().is_sound());
    drop(store);
    assert!(files(&path) == before, "reading changed a file");
}

#[test]
fn a_reader_follows_a_writer_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("append", &path, 1);
    player.said().unwrap();
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    let mut seen = 0;
    for _ in 0..5 {
        let said = player.said().unwrap();
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.trace(trace_id(said)).unwrap().is_some());
        let traces = snapshot
            .traces(spanlite_store::TimeRange::default())
            .count();
        assert!(traces as u64 >= said && traces >= seen);
        seen = traces;
        assert_eq!(snapshot.damage().len(), 0);
    }
    player.kill();
}

#[test]
fn a_kill_while_blocks_are_made_space_is_given_back_or_segments_merge_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let pinned = {
        let store = Store::open(&path, patient()).unwrap();
        let mut pinned = trace(1, 3);
        pinned.info.pinned = true;
        store.write(std::slice::from_ref(&pinned)).unwrap();
        pinned
    };
    for round in 0..kill_rounds() {
        let first = 100 + round * 1_000;
        let mut player = Player::start("care", &path, first);
        let mut last = first;
        for _ in 0..3 + round % 4 {
            last = player.said().unwrap();
        }
        thread::sleep(Duration::from_micros(round * 2_939 % 40_000));
        last = player.kill().unwrap_or(last);
        let store = Store::open(&path, OpenOptions::read_only()).unwrap();
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "round {round}: {:?}", report.damage);
        let traces = all(&store);
        let ids: BTreeSet<_> = traces.iter().map(|trace| trace.trace_id).collect();
        assert_eq!(
            ids.len(),
            traces.len(),
            "a trace comes twice in round {round}"
        );
        let stored = traces
            .iter()
            .find(|trace| trace.trace_id == pinned.trace_id);
        assert_eq!(stored, Some(&pinned), "round {round}");
        for one in 0..10 {
            let newest = trace_id(last * 10 + one);
            assert!(ids.contains(&newest), "trace {newest} of round {round}");
        }
    }
    // Every backup that has its STORE file is whole; one that was interrupted has none.
    let mut whole = 0;
    for entry in fs::read_dir(folder.path().join("s.copies"))
        .into_iter()
        .flatten()
    {
        if let Ok(copy) = Store::open(entry.unwrap().path(), OpenOptions::read_only()) {
            assert!(copy.verify().unwrap().is_sound());
            whole += 1;
        }
    }
    assert!(whole > 0);
}
