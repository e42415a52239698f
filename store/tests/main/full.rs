//! A disk without space: the program goes on, is told the truth, and loses nothing that fits into
//! memory once there is space again.

use std::fs::{self, File};
use std::path::Path;

use spanlite_store::{FlushError, OpenOptions, StorageError, Store, recover};

use crate::small_disk::SmallDisk;
use crate::support::{all, append, patient, span, trace_id};

#[test]
fn a_full_disk_stops_nobody_and_space_that_comes_back_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        return;
    };
    let options = OpenOptions {
        memory_limit_bytes: 1 << 20,
        ..patient()
    };
    let store = Store::open(disk.0.join("s"), options).unwrap();
    let lane = store.lane().unwrap();
    append(&lane, &span(1, 1));
    store.seal().unwrap();

    disk.fill();
    let mut large = span(2, 1);
    large.attributes.set("noise", noise(300_000));
    append(&lane, &large);
    let error = store.flush().unwrap_err();
    let FlushError::Failed { records, source } = &error else {
        panic!("{error}");
    };
    assert_eq!(*records, 1);
    assert!(
        matches!(**source, StorageError::DiskFull { .. }),
        "{source}"
    );
    // The memory fills up, and the program is not stopped.
    for number in 1..=3_000 {
        let _appended = lane.append(&crate::support::encoded_span(&span(3, number)));
    }
    assert!(store.flush().is_err());
    let stored = all(&store);
    let committed = stored.iter().find(|one| one.trace_id == trace_id(1));
    assert!(
        committed.is_some(),
        "what is committed can be read meanwhile"
    );

    disk.make_room();
    store.flush().unwrap();
    let info = store.info().unwrap();
    let stored: usize = all(&store).iter().map(|trace| trace.spans.len()).sum();
    assert_eq!(
        stored as u64 + info.dropped,
        3_002,
        "each span is stored or counted"
    );
    assert!(stored >= 2, "what was in memory is stored");
    assert!(store.verify().unwrap().is_sound());
}

/// A text that does not compress.
fn noise(length: usize) -> String {
    let mut state = 7u64;
    let digit = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'!' + ((state >> 33) % 90) as u8)
    };
    (0..length).map(digit).collect()
}

/// What a copy that did not fit has left beside the store.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !["s", "filler"].contains(&&**name))
        .collect()
}

/// Fills a disk up to so many bytes.
fn leave(disk: &SmallDisk, bytes: u64) {
    disk.fill();
    let filler = File::options().write(true).open(disk.0.join("filler"));
    let filler = filler.unwrap();
    let length = filler.metadata().unwrap().len();
    filler.set_len(length.checked_sub(bytes).unwrap()).unwrap();
}

#[test]
fn copies_that_do_not_fit_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("disk")) else {
        return;
    };
    let path = disk.0.join("s");
    let store = Store::open(&path, patient()).unwrap();
    let mut large = span(1, 1);
    large.attributes.set("noise", noise(900_000));
    append(&store.lane().unwrap(), &large);
    store.seal().unwrap();
    store.close().unwrap();
    let store = Store::open(&path, OpenOptions::read_only()).unwrap();
    // From no room at all to nearly enough for the copy.
    for room in [0, 200_000, 500_000, 700_000] {
        leave(&disk, room);
        let (to, file) = (disk.0.join("copy"), disk.0.join("bundle"));
        assert!(store.backup(&to).is_err(), "{room}");
        assert!(!to.is_dir() || names(&to).is_empty(), "{room}");
        assert!(store.bundle(&file, [trace_id(1)]).is_err(), "{room}");
        assert!(recover(&path, disk.0.join("saved")).is_err(), "{room}");
        drop(fs::remove_dir(&to));
        assert_eq!(names(&disk.0), Vec::<String>::new(), "{room}");
    }
    disk.make_room();
    store.backup(disk.0.join("copy")).unwrap();
}
