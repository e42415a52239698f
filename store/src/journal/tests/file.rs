//! What is left of a journal's file after power cuts, flipped bits and odd contents, and what
//! flush and the durabilities promise.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::layout::HeaderError;
use super::super::recover::{Recovery, recover};
use super::super::scan::JournalDamage;
use super::super::{JournalForm, peek};
use super::{Segments, append, copy_file, journal, options, record, take};
use crate::options::{Durability, OpenOptions};

fn file_of(folder: &Path) -> std::path::PathBuf {
    fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

fn every_span() -> OpenOptions {
    OpenOptions {
        durability: Durability::EverySpan,
        ..options(4 << 20)
    }
}

/// Puts blocks of 512 bytes of `after` over `before`, those whose bit is set: what a disk may hold
/// that was cut off between two syncs.
fn power_cut(before: &[u8], after: &[u8], kept: &[bool]) -> Vec<u8> {
    let mut disk = after.to_vec();
    let mut keep = kept.iter().cycle();
    for (number, block) in disk.chunks_mut(512).enumerate() {
        let old = before.get(number * 512..).unwrap_or_default();
        let old = &old[..old.len().min(block.len())];
        if *block != *old && !keep.next().unwrap() {
            block.fill(0);
            block[..old.len()].copy_from_slice(old);
        }
    }
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_power_cut_leaves_what_was_synced_and_nothing_torn(
        synced in 1..200_u32,
        unsynced in 0..200_u32,
        len in prop_oneof![8..300_usize, 1_000..4_000_usize, Just(70_000_usize)],
        kept in prop::collection::vec(any::<bool>(), 1..64),
        written in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        let form = if written { JournalForm::Written } else { JournalForm::Mapped };
        let (journal, _) = journal(form, &live, &every_span());
        let lane = journal.lane();
        let count = |wanted: u32| wanted.min(1 + (1_000_000 / len) as u32);
        let synced: Vec<_> = (0..count(synced)).map(|number| record(0, number, len)).collect();
        for record in &synced {
            append(&lane, record);
        }
        let before = fs::read(file_of(&live)).unwrap();
        let unsynced: Vec<_> = (0..count(unsynced)).map(|number| record(1, number, len)).collect();
        let other = journal.lane();
        for record in &unsynced {
            append(&other, record);
        }
        let after = fs::read(file_of(&live)).unwrap();
        let dead = folder.path().join("dead");
        fs::create_dir(&dead).unwrap();
        let disk = power_cut(&before, &after, &kept);
        fs::write(dead.join(file_of(&live).file_name().unwrap()), disk).unwrap();
        let mut segments = Segments::default();
        recover(&dead, &mut segments).unwrap();
        let found = segments.sorted();
        for record in &synced {
            prop_assert!(found.binary_search(record).is_ok(), "a synced record is gone");
        }
        for record in &found {
            prop_assert!(synced.contains(record) || unsynced.contains(record), "a torn record");
        }
        prop_assert!(found.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn flipped_bits_cost_their_records_and_are_told(
        bits in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        let (journal, _) = journal(JournalForm::Mapped, &live, &options(4 << 20));
        let lane = journal.lane();
        let records: Vec<_> = (0..2_000).map(|number| record(0, number, 90)).collect();
        for record in &records {
            append(&lane, record);
        }
        let dead = folder.path().join("dead");
        copy_file(&live, &dead);
        let path = file_of(&dead);
        let mut bytes = fs::read(&path).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for bit in &bits {
            let bit = bit.index(used.len() * 8);
            bytes[used[bit / 8]] ^= 1 << (bit % 8);
        }
        fs::write(&path, &bytes).unwrap();
        let told = peek(&dead, None).unwrap().iter().any(|view| view.damage.is_some());
        let mut segments = Segments::default();
        let recovery = recover(&dead, &mut segments).unwrap();
        let found = segments.sorted();
        prop_assert!(found.iter().all(|record| records.contains(record)));
        prop_assert!(found.windows(2).all(|pair| pair[0] != pair[1]));
        prop_assert_eq!(told, !recovery.damaged.is_empty());
        prop_assert_eq!(told, path.try_exists().unwrap(), "a damaged journal stays");
        // The last record of a region may be taken for one that was never finished.
        prop_assert!(told || found.len() + bits.len() >= records.len());
    }
}

#[test]
fn odd_files_are_told_or_removed_and_never_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let (journal, _) = journal(JournalForm::Mapped, &live, &options(4 << 20));
    append(&journal.lane(), &record(0, 0, 50));
    let whole = fs::read(file_of(&live)).unwrap();
    let mut newer = whole.clone();
    newer[8] = 9;
    let name = |number: u128| uuid::Uuid::from_u128(number).to_string();
    let dead = folder.path().join("dead");
    fs::create_dir(&dead).unwrap();
    let files: [(&str, &[u8]); 5] = [
        (&name(1), b""),
        (&name(2), &[0; 10_000]),
        (
            &name(3),
            b"something else that lies here and is long enough to be a header",
        ),
        (&name(4), &whole),
        (&name(5), &newer),
    ];
    for (name, bytes) in files {
        fs::write(dead.join(name), bytes).unwrap();
    }
    fs::write(dead.join("notes.txt"), "not ours").unwrap();
    let damages: Vec<_> = peek(&dead, None)
        .unwrap()
        .into_iter()
        .map(|view| (view.id.as_u128(), view.damage))
        .collect();
    let damaged = Some(JournalDamage::Header(HeaderError::Damaged));
    let is_newer = Some(JournalDamage::Header(HeaderError::Newer { found: 9 }));
    // The fourth is whole, but its name is not its own: a copy that somebody renamed.
    assert_eq!(damages, [(3, damaged), (4, damaged), (5, is_newer)]);
    let mut segments = Segments::default();
    let recovery = recover(&dead, &mut segments).unwrap();
    let left = Recovery {
        replayed: 0,
        damaged: vec![dead.join(name(3)), dead.join(name(4))],
    };
    assert_eq!(recovery, left);
    assert_eq!(segments.records.len(), 0);
    assert_eq!(fs::read_dir(&dead).unwrap().count(), 4, "1 and 2 are gone");
}

#[test]
fn a_living_journal_is_read_while_it_is_written_and_never_seems_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = journal(JournalForm::Mapped, folder.path(), &options(32 << 20));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lane = journal.lane();
            for number in 0..60_000 {
                append(&lane, &record(0, number, 8 + number as usize % 300));
                if number % 5_000 == 0 {
                    journal.release(&take(&journal));
                }
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            for view in peek(folder.path(), None).unwrap() {
                assert!(view.alive);
                assert_eq!(view.damage, None);
                let numbers = view
                    .records
                    .iter()
                    .map(|waiting| u32::from_le_bytes(*waiting.record[4..].first_chunk().unwrap()));
                let numbers: Vec<_> = numbers.collect();
                assert!(numbers.is_sorted(), "of one lane in order");
            }
        }
    });
}

#[test]
fn a_take_reaches_idle_and_ended_threads_and_gives_their_regions_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = journal(JournalForm::Mapped, folder.path(), &options(2 << 20));
    let idle: Vec<_> = (0..20).map(|_| journal.lane()).collect();
    for (number, lane) in (0..).zip(&idle) {
        append(lane, &record(number, 0, 40));
        let ended = journal.lane();
        append(&ended, &record(number, 1, 40));
        drop(ended);
        if number % 10 == 9 {
            // 32 regions are not enough for all of them at once.
            let batch = take(&journal);
            assert_eq!(batch.count, 20);
            journal.release(&batch);
        }
    }
    journal.release(&take(&journal));
    for number in 0..32 {
        append(&journal.lane(), &record(99, number, 40));
    }
    assert_eq!(take(&journal).count, 32, "every region was free again");
    for (number, lane) in (0..).zip(&idle) {
        if number == 0 {
            journal.release(&take(&journal));
        }
        append(lane, &record(number, 2, 40));
    }
}
