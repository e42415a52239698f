//! Files whose bytes were changed: an answer or an error, never a panic, and nothing wrong
//! presented as complete.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use spanlite_model::Trace;
use spanlite_store::{OpenOptions, Store, TimeRange};

use crate::support::{patient, trace};

/// A few numbers that look random and are the same in every run.
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

fn copy(from: &Path, to: &Path) {
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
