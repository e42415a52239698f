//! Files whose bytes were changed: an answer or an error, never a panic, and nothing wrong
//! presented as complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use spanlite_model::{Trace, TraceChange, TraceId, TraceUpdate};
use spanlite_store::{OpenOptions, Retention, Store, TimeRange, recover};

use crate::child::Player;
use crate::support::{append, patient, span, times, trace, trace_id};

/// A few numbers that look random and follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn segment(path: &Path) -> PathBuf {
    let mut names = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .find(|name| name.to_string_lossy().contains("seg-"))
        .unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Reads everything; `Err` stands for an error that was returned.
fn read(path: &Path, options: OpenOptions) -> Result<(Vec<Trace>, usize), ()> {
    let store = Store::open(path, options).map_err(drop)?;
    let snapshot = store.snapshot().map_err(drop)?;
    let traces: Result<Vec<_>, _> = snapshot.traces(TimeRange::default()).collect();
    let report = store.verify().map_err(drop)?;
    let damage = snapshot.damage().len() + report.damage.len();
    Ok((traces.map_err(drop)?, damage))
}

#[test]
fn flipped_bits_never_give_a_wrong_answer_that_looks_complete() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let store = Store::open(&whole, patient()).unwrap();
    for batch in 0..12 {
        let traces: Vec<Trace> = (1..=30)
            .map(|number| trace(batch * 100 + number, 4))
            .collect();
        store.write(&traces).unwrap();
        if batch % 4 == 2 {
            // The last batches stay as they are, so that both forms are hit.
            assert!(store.seal().unwrap());
        }
    }
    store.close().unwrap();
    drop(store);
    let (expected, damage) = read(&whole, OpenOptions::read_only()).unwrap();
    assert_eq!((expected.len(), damage), (360, 0));

    let mut numbers = Numbers(1);
    let broken = folder.path().join("broken");
    let mut seen = 0;
    for round in 0..150 {
        copy(&whole, &broken);
        let file = segment(&broken);
        let mut bytes = fs::read(&file).unwrap();
        // The file is grown ahead of its use; what is used lies in front.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        for _ in 0..=numbers.below(8) {
            bytes[numbers.below(used) as usize] ^= 1 << numbers.below(8);
        }
        if round % 10 == 0 {
            bytes.truncate(numbers.below(used) as usize);
        }
        fs::write(&file, &bytes).unwrap();
        let options = if round % 2 == 0 {
            OpenOptions::read_only()
        } else {
            patient()
        };
        let result = catch_unwind(|| read(&broken, options));
        let result = result.unwrap_or_else(|_| panic!("a panic in round {round}"));
        match result {
            Ok((traces, 0)) => assert_eq!(traces, expected, "round {round}"),
            Ok((traces, _)) => {
                seen += 1;
                for trace in &traces {
                    assert!(expected.contains(trace), "a wrong trace in round {round}");
                }
            }
            Err(()) => seen += 1,
        }
    }
    assert!(seen > 20, "the flips hit something: {seen}");
}

#[test]
fn an_empty_or_foreign_segment_file_is_reported_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = Store::open(&path, patient()).unwrap();
    store.write(&[trace(1, 1)]).unwrap();
    store.close().unwrap();
    for content in ["", "a text"] {
        let foreign = path.join("seg-0000000000001-00000000000000aa.redb");
        fs::write(foreign, content).unwrap();
        let (traces, damage) = read(&path, OpenOptions::read_only()).unwrap();
        assert_eq!(
            (traces.len(), damage),
            (1, 2),
            "snapshot and verify report it"
        );
    }
}

/// Every kind of file that a store has.
const KINDS: [&str; 5] = ["STORE", "state.redb", "journal", "seg-", "bundle"];

/// What a store holds, by trace.
type Held = BTreeMap<TraceId, Trace>;

/// A store whose writer was killed, with something in every kind of file, and a bundle of it.
fn every_kind(folder: &Path) -> (PathBuf, PathBuf) {
    let whole = folder.join("whole");
    let store = Store::open(&whole, patient()).unwrap();
    let traces: Vec<Trace> = (1..=40).map(|number| trace(number, 4)).collect();
    store.write(&traces).unwrap();
    assert!(store.seal().unwrap());
    // A late span, hot batches, changes kept apart, a deletion, values of others.
    append(&store.lane().unwrap(), &span(7, 9));
    let hot: Vec<Trace> = (41..=50).map(|number| trace(number, 3)).collect();
    store.write(&hot).unwrap();
    let tags = (1..=30).map(|number| TraceUpdate {
        trace_id: trace_id(number),
        time_unix_nano: 1 << 60,
        change: TraceChange::Tag {
            key: "tag".to_owned(),
            value: number.to_string(),
        },
    });
    store.update(&tags.collect::<Vec<_>>()).unwrap();
    store.delete(&[trace_id(40)]).unwrap();
    let mut change = store.state().change();
    for number in 0..20u8 {
        change.put("queries", &[number], &[number; 100]);
    }
    change.commit().unwrap();
    let bundle = folder.join("some.spans");
    store.bundle(&bundle, (1..=40).map(trace_id)).unwrap();
    store.close().unwrap();
    let mut player = Player::start("leave-few", &whole, 1_000);
    player.said().unwrap();
    player.kill();
    (whole, bundle)
}

/// Copies a store with its journals.
fn copy_whole(from: &Path, to: &Path) {
    copy(from, to);
    copy(&from.join("journal"), &to.join("journal"));
}

/// The file of a kind that is to be damaged.
fn file_of(kind: &str, store: &Path) -> PathBuf {
    match kind {
        "journal" => {
            let mut journals = fs::read_dir(store.join("journal")).unwrap();
            journals.next().unwrap().unwrap().path()
        }
        "seg-" => segment(store),
        name => store.join(name),
    }
}

/// Flips bits, and now and then cuts the end off or writes over a stretch.
fn damage(file: &Path, numbers: &mut Numbers) {
    let mut bytes = fs::read(file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    // The journal is mostly empty; what is in use lies in stretches.
    let in_use: Vec<usize> = (0..used as usize).filter(|at| bytes[*at] != 0).collect();
    for _ in 0..=numbers.below(6) {
        let at = in_use[numbers.below(in_use.len() as u64) as usize];
        bytes[at] ^= 1 << numbers.below(8);
    }
    match numbers.below(8) {
        0 => bytes.truncate(numbers.below(used) as usize),
        1 => {
            let from = numbers.below(used) as usize;
            let until = bytes.len().min(from + 1 + numbers.below(5_000) as usize);
            bytes[from..until].fill(numbers.below(2) as u8 * 0xff);
        }
        _ => {}
    }
    fs::write(file, &bytes).unwrap();
}

/// Whether all of a trace is in another one.
fn is_part(part: &Trace, whole: &Trace) -> bool {
    let spans = part.spans.iter().all(|span| whole.spans.contains(span));
    let tags = part.info.tags.iter();
    spans
        && tags
            .into_iter()
            .all(|(key, value)| whole.info.tags.get(key) == Some(value))
}

/// Looks at a store in every way there is; what it holds, and how much is said to be damaged.
fn look(path: &Path) -> Result<(Held, usize), ()> {
    let store = Store::open(path, OpenOptions::read_only()).map_err(drop)?;
    drop(store.info());
    drop(store.needs_repair());
    let mut damage = 0;
    let values = store.state().list("queries", b"");
    if values.as_ref().map_or(0, Vec::len) != 20 && !path.is_file() {
        damage += usize::from(values.is_err());
    }
    let snapshot = store.snapshot().map_err(drop)?;
    let traces: Result<Vec<_>, _> = snapshot.traces(TimeRange::default()).collect();
    let traces = traces.map_err(drop)?;
    drop(snapshot.find_prefix(""));
    drop(snapshot.trace_ids(TimeRange::default()));
    for block in snapshot.blocks().map_err(drop)? {
        drop(block.traces());
        drop(block.reader().map(|reader| reader.span_starts().is_ok()));
    }
    let mut alone = Vec::new();
    for trace in &traces {
        alone.extend(snapshot.trace(trace.trace_id).map_err(drop)?);
    }
    damage += snapshot.damage().len() + store.verify().map_err(drop)?.damage.len();
    assert!(damage > 0 || alone == traces, "one by one they are others");
    let held = traces.into_iter().map(|trace| (trace.trace_id, trace));
    Ok((held.collect(), damage))
}

/// Of these a damaged journal cannot tell whether their append was cut by the kill: the last of a
/// region, and one that has a region of its own.
fn may_be_torn(kind: &str) -> Vec<TraceId> {
    let numbers: &[u64] = if kind == "journal" {
        &[1_050, 1_059]
    } else {
        &[]
    };
    numbers.iter().copied().map(trace_id).collect()
}

/// What was read is what is there, or part of it and said to be damaged.
fn check(found: Result<(Held, usize), ()>, expected: &Held, gone: &Held, at: &str) -> bool {
    let Ok((held, damage)) = found else {
        return true;
    };
    if damage == 0 {
        let torn = may_be_torn(at.rsplit(' ').next().unwrap_or_default());
        let missing = expected.keys().filter(|id| !held.contains_key(id));
        let missing: Vec<_> = missing.filter(|id| !torn.contains(id)).collect();
        assert!(missing.is_empty(), "{at}: {missing:?} are missing");
    }
    for (trace_id, trace) in &held {
        let whole = expected.get(trace_id);
        // With its tombstone gone a deleted trace may show, and the damage too.
        let whole = whole.or_else(|| gone.get(trace_id).filter(|_| damage > 0));
        assert!(whole.is_some(), "{at}: nobody wrote {trace_id}");
        let whole = whole.unwrap();
        if damage == 0 {
            assert_eq!(trace, whole, "{at}");
        } else {
            assert!(is_part(trace, whole), "{at}: {trace:?}, not {whole:?}");
        }
    }
    damage > 0
}

/// Writes to a damaged store, makes blocks, merges, gives space back. Returns what it says was
/// stored.
fn work(path: &Path) -> Vec<Trace> {
    let mut stored = Vec::new();
    let Ok(store) = Store::open(path, patient()) else {
        return stored;
    };
    let one = trace(9_001, 3);
    if store.write(std::slice::from_ref(&one)).is_ok() {
        stored.push(one);
    }
    if let Ok(lane) = store.lane() {
        append(&lane, &span(9_002, 1));
        if store.flush().is_ok() {
            stored.push(trace(9_002, 1));
        }
    }
    drop(store.seal());
    drop(store.gc(&Retention::default(), false, &BTreeSet::new()));
    drop(store.merge());
    drop(store.reclaim());
    let copy = path.with_extension("copy");
    drop(store.backup(&copy));
    drop(fs::remove_dir_all(&copy));
    drop(store.close());
    stored
}

/// `SPANLITE_DAMAGE_ROUNDS` for the long form.
#[test]
fn no_flipped_byte_of_any_file_gives_a_wrong_answer_that_looks_complete() {
    let rounds = times("SPANLITE_DAMAGE_ROUNDS", 25);
    let first = times("SPANLITE_DAMAGE_FIRST", 0);
    let folder = tempfile::tempdir().unwrap();
    let (whole, bundle) = every_kind(folder.path());
    let (expected, sound) = look(&whole).unwrap();
    assert_eq!((expected.len(), sound), (49 + 60, 0));
    let (bundled, sound) = look(&bundle).unwrap();
    assert_eq!((bundled.len(), sound), (39, 0));
    let gone = Held::from([(trace_id(40), trace(40, 4))]);
    let broken = folder.path().join("broken");
    let mut seen = 0;
    for round in first..first + rounds {
        let kind = KINDS[(round % 5) as usize];
        let mut numbers = Numbers(round + 1);
        let at = format!("round {round}, {kind}");
        if kind == "bundle" {
            let copied = folder.path().join("broken.spans");
            fs::copy(&bundle, &copied).unwrap();
            damage(&copied, &mut numbers);
            let found = catch_unwind(|| look(&copied));
            let found = found.unwrap_or_else(|_| panic!("a panic in {at}"));
            seen += u64::from(check(found, &bundled, &gone, &at));
            continue;
        }
        copy_whole(&whole, &broken);
        damage(&file_of(kind, &broken), &mut numbers);
        let found = catch_unwind(|| look(&broken));
        let found = found.unwrap_or_else(|_| panic!("a panic in {at}"));
        seen += u64::from(check(found, &expected, &gone, &at));

        let out = folder.path().join(format!("recovered {round}"));
        let recovered = catch_unwind(|| recover(&broken, &out).map_err(drop));
        let recovered = recovered.unwrap_or_else(|_| panic!("a panic in recover, {at}"));
        if let Ok(report) = recovered {
            let found = look(&out).map(|(held, damage)| (held, damage + report.damage.len()));
            check(found, &expected, &gone, &format!("recovered, {at}"));
            fs::remove_dir_all(&out).unwrap();
        }

        let stored = catch_unwind(|| work(&broken));
        let stored = stored.unwrap_or_else(|_| panic!("a panic while writing, {at}"));
        let mut after = expected.clone();
        if kind == "journal" {
            // What cannot be read of it is put aside with it, as after a power cut.
            let left = Store::open(&broken, OpenOptions::read_only()).unwrap();
            let left = left.snapshot().unwrap().trace_ids(TimeRange::default());
            let left = left.unwrap();
            let waited = |id: &TraceId| *id >= trace_id(1_000) && *id < trace_id(2_000);
            after.retain(|id, _| !waited(id) || left.contains(id));
        }
        after.extend(stored.into_iter().map(|one| (one.trace_id, one)));
        let found = catch_unwind(|| look(&broken));
        let found = found.unwrap_or_else(|_| panic!("a panic after writing, {at}"));
        let written = |held: &Held| {
            let mut new = after.keys().filter(|id| !expected.contains_key(*id));
            new.all(|id| held.contains_key(id))
        };
        if let Ok((held, damage)) = &found {
            assert!(
                *damage > 0 || written(held),
                "what was written is gone, {at}"
            );
        }
        check(found, &after, &gone, &format!("after writing, {at}"));
    }
    assert!(seen * 3 > rounds, "the flips hit something: {seen}");
}
