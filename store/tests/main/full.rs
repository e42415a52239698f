//! A disk without space: the program goes on, is told the truth, and loses nothing that fits into
//! memory once there is space again.

use spanlite_store::{FlushError, OpenOptions, StorageError, Store};

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
