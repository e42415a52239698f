//! Peers that are stopped, that hold locks, or that may not do what they try.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use redb::StorageBackend as _;
use redb::backends::FileBackend;
use spanlite_model::Trace;
use spanlite_store::{
    OpenError, OpenOptions, Retention, StateError, StorageError, Store, TimeRange, WriteError,
};

use crate::child::Player;
use crate::support::{all, append, patient, span, tag, trace, trace_id};

/// Nothing may wait longer for a peer. Far more than the limits that the store keeps, so that a
/// slow machine does not fail, and far less than for ever.
const AT_MOST: Duration = Duration::from_secs(60);

fn signal(player: &Player, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(player.process.id().to_string())
        .status();
    assert!(status.unwrap().success());
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "redb")
        })
        .filter(|file| file.to_string_lossy().contains("seg-"))
        .collect();
    found.sort();
    found
}

/// Writes 30 traces, and makes, merges and removes segments.
fn work(store: &Store, first: u64) {
    for number in first..first + 30 {
        store.write(&[trace(number, 3)]).unwrap();
        if number % 10 == 0 {
            store.seal().unwrap();
            store.merge().unwrap();
        }
    }
}

fn busy() -> OpenOptions {
    OpenOptions {
        segment_bytes: 1,
        ..patient()
    }
}

#[test]
fn a_reader_that_is_stopped_stops_nobody_and_reads_on_what_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, busy()).unwrap();
    work(&store, 1);
    let begin = Instant::now();
    for is_killed in [false, true] {
        let before = store.snapshot().unwrap().count_traces().unwrap() as u64;
        let mut reader = Player::start("read", &path, 0);
        assert_eq!(reader.said(), Some(before), "it has a snapshot");
        signal(&reader, "STOP");
        work(&store, 1_000 + before * 100);
        let retention = Retention {
            max_traces: Some(5),
            ..Retention::default()
        };
        let report = store.gc(&retention, false, &BTreeSet::new()).unwrap();
        assert!(report.removed.len() > 2, "{report:?}");
        work(&store, 2_000 + before * 100);
        if is_killed {
            reader.kill();
        } else {
            signal(&reader, "CONT");
            assert_eq!(
                reader.said(),
                Some(before),
                "its files were removed under it"
            );
            reader.finish();
        }
        assert!(store.verify().unwrap().is_sound());
    }
    assert!(begin.elapsed() < AT_MOST);
}

#[test]
fn a_writer_that_is_stopped_in_a_transaction_stops_nobody_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    work(&store, 1);
    store.update(&[tag(1, "v", 1 << 60)]).unwrap();
    let mut stuck = Player::start("hold-transactions", &path, 1);
    stuck.said().unwrap();
    signal(&stuck, "STOP");
    let begin = Instant::now();
    append(&store.lane().unwrap(), &span(500, 1));
    store.seal().unwrap();
    assert_eq!(segments(&path).len(), 2, "a segment of its own");
    work(&store, 600);
    let error = store.update(&[tag(2, "v", 1 << 60)]).unwrap_err();
    let WriteError::Storage(source) = &error else {
        panic!("{error}");
    };
    assert!(matches!(**source, StorageError::Busy { .. }), "{source}");
    let mut change = store.state().change();
    change.put("s", b"k", b"v");
    let error = change.commit().unwrap_err();
    assert!(
        matches!(&error, StateError::Storage(StorageError::Busy { .. })),
        "{error}"
    );
    // Another program that comes while it hangs writes, reads and ends.
    let other = Player::start("write", &path, 9);
    other.finish();
    let traces = all(&store);
    assert_eq!(traces.len(), 30 + 1 + 30 + 200);
    store.backup(folder.path().join("copy")).unwrap();
    assert!(begin.elapsed() < AT_MOST, "{:?}", begin.elapsed());
    stuck.kill();
    store.update(&[tag(2, "v", 1 << 60)]).unwrap();
    store.seal().unwrap();
    assert!(store.verify().unwrap().is_sound());
    let copy = Store::open(folder.path().join("copy"), OpenOptions::read_only()).unwrap();
    assert_eq!(all(&copy).len(), 261);
    assert!(path.join("journal").read_dir().unwrap().count() == 1);
}

#[test]
fn a_peer_stopped_while_it_holds_the_header_is_told_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1, 3)]).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&segments(&path)[0])
        .unwrap();
    let peer = FileBackend::new(file).unwrap();
    // As redb does around each look at the header.
    let header = (Bound::Included(0), Bound::Excluded(320));
    peer.lock_range(header.0, header.1).unwrap();
    let begin = Instant::now();
    append(&store.lane().unwrap(), &span(2, 1));
    store.seal().unwrap();
    let error = store.snapshot().unwrap_err();
    assert!(
        matches!(
            error,
            spanlite_store::ReadError::Storage(StorageError::Busy { .. })
        ),
        "{error}"
    );
    assert!(begin.elapsed() < AT_MOST, "{:?}", begin.elapsed());
    peer.unlock_range(header.0, header.1).unwrap();
    assert_eq!(all(&store).len(), 2);
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn an_unclean_store_that_is_read_while_a_writer_comes_gives_the_truth_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    for round in 0..6 {
        drop(fs::remove_dir_all(&path));
        let mut player = Player::start("hold", &path, 40);
        assert_eq!(player.said(), Some(40));
        player.kill();
        let reader = Store::open(&path, OpenOptions::read_only()).unwrap();
        let snapshot = reader.snapshot().unwrap();
        if round % 2 == 0 {
            // Some of it is known by then.
            snapshot.trace(trace_id(40)).unwrap();
        }
        let store = Store::open(&path, patient()).unwrap();
        for number in 50..60 {
            store.write(&[trace(number, 40)]).unwrap();
        }
        store.seal().unwrap();
        let traces: Result<Vec<Trace>, _> = snapshot.traces(TimeRange::default()).collect();
        match traces {
            Ok(traces) => {
                assert_eq!(traces, [trace(40, 3)]);
            }
            Err(error) => {
                let source = std::error::Error::source(&error).unwrap();
                let source: &StorageError = source.downcast_ref().unwrap();
                assert!(matches!(source, StorageError::Changed { .. }), "{source}");
            }
        }
        assert_eq!(all(&reader).len(), 11, "the next snapshot sees everything");
    }
}

/// Everything is there to be read, and nothing to be written: the player says how many traces it
/// reads, and whether opening for writing was refused for want of permission.
fn assert_readable_only(mut player: Player, traces: u64) {
    assert_eq!(player.said(), Some(traces));
    assert_eq!(player.said(), Some(1), "writing was refused, and told why");
    player.finish();
}

/// Two stores of three traces: one closed well, one whose writer was killed.
fn clean_and_unclean(folder: &Path) -> [PathBuf; 2] {
    let paths = ["clean", "unclean"].map(|name| folder.join(name));
    let store = Store::open(&paths[0], patient()).unwrap();
    store
        .write(&[trace(1, 3), trace(2, 3), trace(3, 3)])
        .unwrap();
    store.update(&[tag(1, "v", 1 << 60)]).unwrap();
    store.close().unwrap();
    let mut player = Player::start("hold", &paths[1], 7);
    player.said().unwrap();
    player.kill();
    paths
}

fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for entry in path.read_dir().into_iter().flatten() {
        open_to_all(&entry.unwrap().path());
    }
}

#[test]
fn a_user_who_may_not_write_reads() {
    let folder = tempfile::tempdir().unwrap();
    let paths = clean_and_unclean(folder.path());
    open_to_all(folder.path());
    let as_nobody = |command: &mut Command| {
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
        ]);
    };
    let mut probe = Command::new("setpriv");
    as_nobody(&mut probe);
    let program = std::env::current_exe().unwrap();
    let can_run = probe.arg(program).arg("--list").output();
    if !can_run.is_ok_and(|output| output.status.success()) {
        println!("skipped: this user cannot become another one who can run this test");
        return;
    }
    for (path, traces) in paths.iter().zip([3, 1]) {
        let player = Player::start_in("setpriv", as_nobody, "look", path, 0);
        assert_readable_only(player, traces);
    }
}

#[test]
fn a_store_on_read_only_media_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = clean_and_unclean(folder.path());
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let script = r#"mount -t tmpfs tmpfs "$1" && cp -r "$2" "$1/s" && mount -o remount,ro "$1" && shift 2 && exec "$@""#;
    for (path, traces) in paths.iter().zip([3, 1]) {
        let own = |command: &mut Command| {
            command
                .args(["-rm", "sh", "-c", script, "sh"])
                .arg(&media)
                .arg(path);
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
        let player = Player::start_in("unshare", own, "look", &media.join("s"), 0);
        assert_readable_only(player, traces);
    }
}

/// What a player that only looks says, see [`assert_readable_only`].
pub(crate) fn look(path: &Path) {
    let store = Store::open(path, OpenOptions::read_only()).unwrap();
    crate::child::say(all(&store).len() as u64);
    assert!(store.verify().unwrap().is_sound());
    let refused = match Store::open(path, patient()) {
        Err(OpenError::Writer(error)) => matches!(*error, StorageError::NoPermission { .. }),
        Err(OpenError::Storage(error)) => matches!(error, StorageError::NoPermission { .. }),
        _ => false,
    };
    crate::child::say(u64::from(refused));
}

/// Holds write transactions on the newest segment and on the state until it is killed.
pub(crate) fn hold_transactions(path: &Path, number: u64) {
    let mut builder = redb::Builder::new();
    builder.set_concurrency_mode(redb::ConcurrencyMode::MultiWriter);
    let files = [segments(path).pop().unwrap(), path.join("state.redb")];
    let databases = files.map(|file| builder.open(file).unwrap());
    let transactions = databases.each_ref().map(|one| one.begin_write().unwrap());
    crate::child::say(number);
    std::thread::sleep(Duration::from_secs(600));
    drop(transactions);
}

/// Takes a snapshot, says how many traces it has, and reads them all once it is asked to go on.
pub(crate) fn read_twice(path: &Path) {
    let store = Store::open(path, OpenOptions::read_only()).unwrap();
    let snapshot = store.snapshot().unwrap();
    crate::child::say(snapshot.count_traces().unwrap() as u64);
    // It is stopped somewhere in here, and the files it reads from are removed.
    std::thread::sleep(Duration::from_millis(300));
    let traces: Result<Vec<Trace>, _> = snapshot.traces(TimeRange::default()).collect();
    assert!(snapshot.damage().is_empty(), "{:?}", snapshot.damage());
    crate::child::say(traces.unwrap().len() as u64);
}
