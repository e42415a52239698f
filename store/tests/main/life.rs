//! Backup, recovery, merging, bundles.

use std::fs;
use std::path::{Path, PathBuf};

use spanlite_model::{Trace, TraceChange, TraceUpdate};
use spanlite_store::{OpenError, OpenOptions, Store, recover};

use crate::child::Player;
use crate::support::{all, patient, span, trace, trace_id};

/// A store with three segments of ten traces each; trace 5 is pinned, trace 6 tagged.
pub(crate) fn three_segments(path: &Path) -> Store {
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(path, options).unwrap();
    for segment in 0..3 {
        let traces: Vec<Trace> = (1..=10)
            .map(|number| trace(segment * 10 + number, 3))
            .collect();
        store.write(&traces).unwrap();
    }
    let update = |number, change| TraceUpdate {
        trace_id: trace_id(number),
        time_unix_nano: 1 << 60,
        change,
    };
    let tag = TraceChange::Tag {
        key: "k".to_owned(),
        value: "v".to_owned(),
    };
    store
        .update(&[update(5, TraceChange::Pinned(true)), update(6, tag)])
        .unwrap();
    assert_eq!(store.info().unwrap().segments, 3);
    store
}

pub(crate) fn numbers(store: &Store) -> Vec<u64> {
    let mut found: Vec<u64> = (1..=30)
        .filter(|number| {
            let snapshot = store.snapshot().unwrap();
            snapshot.trace(trace_id(*number)).unwrap().is_some()
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_backup_is_the_store_at_one_moment_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut player = Player::start("append", &path, 1000);
    let store = three_segments_beside(&path);
    let value = store.state();
    let mut change = value.change();
    change.put("jobs", b"nightly", b"{}");
    change.commit().unwrap();
    let mut said = 0;
    while said < 1200 {
        said = player.said().unwrap();
    }
    let copy = folder.path().join("copy");
    let report = store.backup(&copy).unwrap();
    assert!(report.segments >= 1 && report.bytes > 0);
    player.kill();
    let before = files(&copy).len();
    assert!(
        store.backup(&copy).is_err(),
        "the folder is not empty any more"
    );
    assert_eq!(files(&copy).len(), before);

    let restored = Store::open(&copy, patient()).unwrap();
    assert!(restored.verify().unwrap().is_sound());
    let traces = all(&restored);
    let own = traces
        .iter()
        .find(|one| one.trace_id == trace_id(3))
        .unwrap();
    assert_eq!(own.spans, trace(3, 3).spans);
    let flushed = traces.iter().filter(|one| one.spans.len() == 3).count();
    assert!(flushed > 150, "{flushed}");
    assert_eq!(
        restored
            .state()
            .get("jobs", b"nightly")
            .unwrap()
            .unwrap()
            .bytes,
        b"{}"
    );
    restored.write(&[trace(77, 1)]).unwrap();
    let ids = (
        restored.info().unwrap().store_id,
        store.info().unwrap().store_id,
    );
    assert_eq!(ids.0, ids.1);
}

fn three_segments_beside(path: &Path) -> Store {
    let store = Store::open(path, patient()).unwrap();
    let traces: Vec<Trace> = (1..=10).map(|number| trace(number, 3)).collect();
    store.write(&traces).unwrap();
    store
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

#[test]
fn recovery_saves_what_can_be_read_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = three_segments(&path);
    let mut change = store.state().change();
    change.put("queries", b"slow", b"duration > 1s");
    change.commit().unwrap();
    store.close().unwrap();
    drop(store);
    // The second segment loses its middle, and the folder its STORE file.
    let segment = &files(&path)
        .into_iter()
        .filter(|file| file.to_string_lossy().contains("seg-"))
        .nth(1)
        .unwrap();
    let mut bytes = fs::read(segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[4096..=used].fill(0x55);
    fs::write(segment, bytes).unwrap();
    fs::remove_file(path.join("STORE")).unwrap();
    let before: Vec<_> = files(&path)
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();

    let fixed = folder.path().join("fixed");
    let report = recover(&path, &fixed).unwrap();
    assert_eq!((report.traces, report.spans, report.values), (20, 60, 1));
    assert!(!report.damage.is_empty());
    let after: Vec<_> = files(&path)
        .iter()
        .map(|file| fs::read(file).unwrap())
        .collect();
    assert!(before == after, "the damaged store was changed");
    let restored = Store::open(&fixed, OpenOptions::read_only()).unwrap();
    assert!(restored.verify().unwrap().is_sound());
    let mut left: Vec<u64> = (1..=10).collect();
    left.extend(21..=30);
    assert_eq!(numbers(&restored), left);
    let snapshot = restored.snapshot().unwrap();
    let tagged = snapshot.trace(trace_id(6)).unwrap().unwrap();
    assert_eq!(tagged.info.tags["k"], "v");
    let value = restored.state().get("queries", b"slow").unwrap().unwrap();
    assert_eq!(value.bytes, b"duration > 1s");
    assert!(
        recover(&path, &fixed).is_err(),
        "the target is not empty any more"
    );
    assert!(recover(folder.path(), folder.path().join("other")).is_err());
}

/// Segments of one trace each, which cannot be shared because each fills its segment.
fn many_segments(path: &Path, count: u64) {
    for number in 1..=count {
        let options = OpenOptions {
            segment_bytes: 1,
            seal_spans: 5,
            ..patient()
        };
        let store = Store::open(path, options).unwrap();
        store
            .write(&[trace(number, 3), trace(1000 + number, 2)])
            .unwrap();
        store.close().unwrap();
    }
}

#[test]
fn small_segments_are_merged_and_nothing_changes_for_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    many_segments(&path, 8);
    let store = Store::open(&path, patient()).unwrap();
    let before = all(&store);
    assert_eq!(before.len(), 16);
    assert_eq!(store.info().unwrap().segments, 8);
    let old: Vec<PathBuf> = files(&path);
    let open_before = store.snapshot().unwrap();
    assert_eq!(store.merge().unwrap(), 6, "all but the newest become one");
    assert_eq!(store.info().unwrap().segments, 2);
    assert_eq!(all(&store), before);
    assert_eq!(
        open_before
            .traces(spanlite_store::TimeRange::default())
            .count(),
        16
    );
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(store.merge().unwrap(), 0);
    // As after a kill between the new name and the removal of the old files.
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let again = folder.path().join("again");
    many_segments(&again, 3);
    for file in files(&again) {
        fs::copy(&file, copies.join(file.file_name().unwrap())).unwrap();
    }
    let merged = Store::open(&again, patient()).unwrap();
    assert_eq!(merged.merge().unwrap(), 1);
    let expected = all(&merged);
    merged.close().unwrap();
    for file in files(&copies) {
        let target = again.join(file.file_name().unwrap());
        if !target.try_exists().unwrap() {
            fs::copy(&file, target).unwrap();
        }
    }
    let reader = Store::open(&again, OpenOptions::read_only()).unwrap();
    assert_eq!(all(&reader), expected);
    assert!(old.len() > files(&path).len());
}

#[test]
fn many_short_programs_leave_a_handful_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    many_segments(&path, 70);
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    assert!(store.info().unwrap().segments < 35, "{:?}", store.info());
    assert_eq!(all(&store).len(), 140);
    assert!(store.verify().unwrap().is_sound());
    // Where they can share a segment, they do.
    let shared = folder.path().join("shared");
    for number in 1..=20 {
        let store = Store::open(&shared, patient()).unwrap();
        store.write(&[trace(number, 1)]).unwrap();
        store.close().unwrap();
    }
    let store = Store::open(&shared, OpenOptions::read_only()).unwrap();
    assert_eq!(store.info().unwrap().segments, 1);
}

#[test]
fn a_bundle_is_one_file_that_is_read_like_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = three_segments(&folder.path().join("s"));
    let file = folder.path().join("some.spans");
    let wanted = [trace_id(5), trace_id(25), trace_id(99)];
    let report = store.bundle(&file, wanted).unwrap();
    assert_eq!((report.traces, report.spans), (2, 6));
    assert_eq!(report.bytes, fs::metadata(&file).unwrap().len());
    assert!(report.bytes < 200 << 10, "{report:?}");
    assert_eq!(store.bundle(&file, wanted).unwrap(), report, "it gave way");
    assert_eq!(files(folder.path()).len(), 1, "no draft is left");

    let bundle = Store::open(&file, OpenOptions::read_only()).unwrap();
    assert_eq!(numbers(&bundle), [5, 25]);
    let pinned = bundle
        .snapshot()
        .unwrap()
        .trace(trace_id(5))
        .unwrap()
        .unwrap();
    assert!(pinned.info.pinned);
    assert!(bundle.verify().unwrap().is_sound());
    let info = bundle.info().unwrap();
    assert_eq!((info.traces, info.spans, info.segments), (2, 6, 1));
    assert_eq!(info.store_id, store.info().unwrap().store_id);
    assert_eq!(bundle.state().get("jobs", b"x").unwrap(), None);
    let error = Store::open(&file, patient()).unwrap_err();
    assert!(matches!(error, OpenError::Bundle { .. }), "{error}");
    fs::write(folder.path().join("text"), "no bundle").unwrap();
    let error = Store::open(folder.path().join("text"), OpenOptions::read_only()).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    let other = Store::open(folder.path().join("other"), patient()).unwrap();
    let imported = other.write(&all(&bundle)).unwrap();
    assert_eq!(imported.spans_written, 6);
}

#[test]
fn the_parts_of_a_trace_in_several_segments_are_one_whatever_the_clocks_said() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 1,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    // Roots, each in a segment of its own, of a trace that began far in the future.
    for number in 1..=3 {
        let mut root = span(1, number);
        root.parent_span_id = None;
        root.start_time_unix_nano = (1 << 62) + number;
        root.end_time_unix_nano = Some((1 << 62) + 100);
        store
            .write(&[Trace::new(root.trace_id, vec![root])])
            .unwrap();
        store.seal().unwrap();
    }
    assert_eq!(store.info().unwrap().segments, 3);
    let traces = all(&store);
    assert_eq!((traces.len(), traces[0].spans.len()), (1, 3));
    assert_eq!(store.info().unwrap().traces, 1);
}

#[test]
fn a_large_import_is_in_blocks_at_once_and_parts_of_it_again_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        seal_spans: 100,
        ..patient()
    };
    let store = Store::open(folder.path().join("s"), options).unwrap();
    let whole: Vec<_> = (1..=700).map(|number| trace(number, 3)).collect();
    let mut early = whole[..400].to_vec();
    // The last span of one trace comes later, and one trace comes twice.
    let late = early[9].spans.pop().unwrap();
    early.push(whole[20].clone());
    let report = store.write(&early).unwrap();
    assert_eq!((report.traces, report.spans), (401, 1_202));
    assert_eq!(report.spans_written, 1_199);
    let snapshot = store.snapshot().unwrap();
    assert!(!snapshot.blocks().unwrap().is_empty());
    assert_eq!(snapshot.loose().unwrap().count(), 0, "nothing is hot");
    let report = store.write(&whole).unwrap();
    assert_eq!(report.spans_written, 1 + 300 * 3);
    let found = store.snapshot().unwrap().trace(whole[9].trace_id).unwrap();
    assert!(found.unwrap().spans.contains(&late));
    assert_eq!(all(&store).len(), 700);
    assert_eq!(store.write(&whole).unwrap().spans_written, 0);
    assert!(store.verify().unwrap().is_sound());
}
