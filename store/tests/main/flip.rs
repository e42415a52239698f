//! Single bytes that are changed in redb files, one after another over the whole file: what is
//! read is what was written, or damage is told. Also what is looked up by its key.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use spanlite_model::{Trace, TraceId};
use spanlite_store::{OpenOptions, Store, TimeRange};

use crate::damage::copy;
use crate::support::{patient, tag, times, trace, trace_id};

const TRACES: u64 = 24;
/// redb's header, our checksum of it, and a little of what follows.
const HEADER: usize = 340;

struct Known {
    folder: PathBuf,
    traces: Vec<Trace>,
    deleted: TraceId,
}

/// A store of which both files have trees of more than one page.
fn store(folder: &Path) -> Known {
    let path = folder.join("s");
    let store = Store::open(&path, patient()).unwrap();
    for first in [1, 13] {
        let traces: Vec<Trace> = (first..first + 12).map(|number| trace(number, 2)).collect();
        store.write(&traces).unwrap();
        if first == 1 {
            assert!(store.seal().unwrap());
        }
    }
    // Several leaves of notes, which a branch names.
    let tags = (0..TRACES * 5).map(|n| tag(1 + n % TRACES, &format!("{n} {}", "t".repeat(300)), n));
    store.update(&tags.collect::<Vec<_>>()).unwrap();
    store.delete(&[trace_id(TRACES)]).unwrap();
    // What was committed before must not come back.
    let tags: Vec<_> = (1..TRACES).map(|n| tag(n, "last", 1 << 60)).collect();
    store.update(&tags).unwrap();
    for number in 0..60u8 {
        let mut change = store.state().change();
        change.put("queries", &[number], &[number; 200]);
        change.commit().unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    let snapshot = store.snapshot().unwrap();
    let traces: Vec<_> = (1..TRACES)
        .map(|number| snapshot.trace(trace_id(number)).unwrap().unwrap())
        .collect();
    assert!(traces.iter().all(|trace| trace.info.tags["k"] == "last"));
    Known {
        folder: path,
        traces,
        deleted: trace_id(TRACES),
    }
}

impl Known {
    /// Looks everything up by its key; true if damage was told.
    fn look_up(&self) -> bool {
        let Ok(store) = Store::open(&self.folder, OpenOptions::read_only()) else {
            return true;
        };
        let Ok(snapshot) = store.snapshot() else {
            return true;
        };
        let is_told = |found: bool| found || !snapshot.damage().is_empty();
        for known in &self.traces {
            let Ok(found) = snapshot.trace(known.trace_id) else {
                return true;
            };
            assert!(is_told(found.as_ref() == Some(known)), "{found:?}");
        }
        let Ok(found) = snapshot.trace(self.deleted) else {
            return true;
        };
        assert!(is_told(found.is_none()), "a deleted trace came back");
        let mut is_damaged = !snapshot.damage().is_empty();
        for number in 0..60u8 {
            match store.state().get("queries", &[number]) {
                Ok(found) => {
                    let bytes = found.map(|found| found.bytes);
                    assert!(bytes.as_deref() == Some(&[number; 200]) || is_damaged);
                }
                Err(_) => is_damaged = true,
            }
        }
        is_damaged
    }

    /// Reads everything from one end to the other; true if damage was told.
    fn read(&self) -> bool {
        let Ok(store) = Store::open(&self.folder, OpenOptions::read_only()) else {
            return true;
        };
        let (Ok(report), Ok(info)) = (store.verify(), store.info()) else {
            return true;
        };
        let snapshot = store.snapshot().unwrap();
        let Ok(mut found) = snapshot
            .traces(TimeRange::default())
            .collect::<Result<Vec<_>, _>>()
        else {
            return true;
        };
        found.sort_by_key(|trace| trace.trace_id);
        let is_damaged = !report.is_sound();
        assert!(is_damaged || !snapshot.damage().is_empty() || found == self.traces);
        assert!(is_damaged || info.damaged > 0 || info.traces == TRACES - 1);
        is_damaged
    }

    /// Changes the store, as far as it lets itself be changed, in ways that leave what is known.
    fn change(&self) {
        let Ok(store) = Store::open(&self.folder, patient()) else {
            return;
        };
        drop(store.update(&[tag(7, "last", 1 << 60)]));
        let mut change = store.state().change();
        change.put("queries", &[7], &[7; 200]);
        drop(change.commit());
        drop(store.write(&[trace(900, 2)]));
        drop(store.seal());
        drop(store.close());
    }
}

fn file_of(folder: &Path, kind: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let is_kind = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(kind)
    };
    files.find(is_kind).unwrap()
}

/// Writes a byte of a file.
fn put(file: &Path, at: usize, byte: u8) {
    let mut file = fs::File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}

/// The bytes to change: all bits of the header, and each `stride`th of the others that are used.
fn flips(bytes: &[u8], stride: usize) -> Vec<(usize, u8)> {
    let in_header = (0..HEADER).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit)));
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let patterns: &[u8] = &[0x01, 0x80, 0xff];
    let others = (HEADER..used).flat_map(|at| patterns.iter().map(move |flip| (at, *flip)));
    let in_header = in_header.step_by(stride.div_ceil(200));
    in_header.chain(others.step_by(stride)).collect()
}

/// `SPANLITE_FLIP_STRIDE=1` changes every byte, in three ways; else every so many.
fn every_flip(kind: &str, mut look: impl FnMut(&Known) -> bool) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let known = store(folder.path());
    let file = file_of(&known.folder, kind);
    let bytes = fs::read(&file).unwrap();
    assert!(!look(&known), "it is sound");
    let flips = flips(&bytes, times("SPANLITE_FLIP_STRIDE", 1_009) as usize);
    let mut told = 0;
    for (at, flip) in &flips {
        put(&file, *at, bytes[*at] ^ flip);
        let looked = catch_unwind(AssertUnwindSafe(|| look(&known)));
        assert!(looked.is_ok(), "byte {at} of {kind} ^ {flip:#x}");
        told += usize::from(looked.unwrap());
        put(&file, *at, bytes[*at]);
    }
    (told, flips.len())
}

#[test]
fn a_changed_byte_of_the_state_hides_nothing_that_is_looked_up() {
    let (told, all) = every_flip("state", Known::look_up);
    assert!(told * 20 > all, "{told} of {all}");
}

#[test]
fn a_changed_byte_of_the_state_hides_nothing_that_is_read_in_order() {
    let (told, all) = every_flip("state", Known::read);
    assert!(told * 20 > all, "{told} of {all}");
}

#[test]
fn a_changed_byte_of_a_segment_hides_nothing() {
    let (told, all) = every_flip("seg-", |known| known.look_up() | known.read());
    assert!(told * 20 > all, "{told} of {all}");
}

/// What redb writes anew has a checksum of its own: damage must not get into it.
#[test]
fn a_change_takes_no_damage_over() {
    let folder = tempfile::tempdir().unwrap();
    let whole = store(folder.path());
    let broken = Known {
        folder: folder.path().join("broken"),
        traces: whole.traces.clone(),
        deleted: whole.deleted,
    };
    for kind in ["state", "seg-"] {
        let file = file_of(&whole.folder, kind);
        let bytes = fs::read(&file).unwrap();
        let stride = times("SPANLITE_FLIP_STRIDE", 20_011) as usize;
        for (at, flip) in flips(&bytes, stride) {
            copy(&whole.folder, &broken.folder);
            put(&file_of(&broken.folder, kind), at, bytes[at] ^ flip);
            let looked = catch_unwind(AssertUnwindSafe(|| {
                broken.change();
                broken.look_up()
            }));
            assert!(looked.is_ok(), "byte {at} of {kind} ^ {flip:#x}");
        }
    }
}
