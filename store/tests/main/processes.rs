//! Several processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use spanlite_store::{OpenOptions, Store};

use crate::child::Player;
use crate::support::{all, trace, trace_id};

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
