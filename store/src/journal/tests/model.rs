//! The three forms against a plain list, with kills in between.

use proptest::prelude::*;

use super::super::recover::{Recovery, recover};
use super::super::{JournalForm, Lane, OpenSpan, peek};
use super::{Segments, append, copy_file, journal, options, put_behind, record, take};

/// The written form may lose this many records of each living lane.
const UNWRITTEN: usize = 15;
/// Small enough that a commit has several batches.
const BATCH_BYTES: usize = 70_000;

#[derive(Debug, Clone)]
enum Step {
    Append {
        lane: usize,
        len: usize,
        times: usize,
    },
    Open {
        lane: usize,
        len: usize,
    },
    End {
        open: usize,
    },
    /// Takes and stores what waits; `stored` false: the commit fails and is tried again later.
    Commit {
        stored: bool,
    },
    /// The thread of a lane ends, another begins.
    Replace {
        lane: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![
        6 => 8..400_usize,
        2 => 1_000..5_000_usize,
        1 => 60_000..66_000_usize,
        1 => 100_000..300_000_usize,
    ];
    prop_oneof![
        8 => (0..3_usize, len, 1..40_usize).prop_map(|(lane, len, times)| {
            Step::Append { lane, len, times: times.min(1 + 200_000 / len) }
        }),
        2 => (0..3_usize, 8..1_008_usize).prop_map(|(lane, len)| Step::Open { lane, len }),
        1 => (0..9_usize).prop_map(|open| Step::End { open }),
        3 => prop::bool::weighted(0.8).prop_map(|stored| Step::Commit { stored }),
        1 => (0..3_usize).prop_map(|lane| Step::Replace { lane }),
    ]
}

struct Lanes {
    lanes: Vec<(u32, Lane)>,
    next: u32,
}

fn run(form: JournalForm, steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let (journal, signal) = journal(form, &live, &options(16 << 20));
    if form == JournalForm::Mapped && journal.form() != form {
        return; // no file system for it here
    }
    assert_eq!(journal.form(), form);
    let mut segments = Segments::default();
    let mut waiting = super::Batch::default();
    let mut appended: Vec<Vec<u8>> = Vec::new();
    let mut lanes = Lanes {
        lanes: (0..3).map(|number| (number, journal.lane())).collect(),
        next: 3,
    };
    let mut open: Vec<(Vec<u8>, OpenSpan)> = Vec::new();
    for step in steps {
        match *step {
            Step::Append { lane, len, times } => {
                for _ in 0..times {
                    let (number, lane) = &lanes.lanes[lane];
                    let record = record(*number, appended.len() as u32, len);
                    append(lane, &record);
                    appended.push(record);
                }
            }
            Step::Open { lane, len } => {
                let (number, lane) = &lanes.lanes[lane];
                let record = record(*number, 1_000_000 + open.len() as u32, len);
                let slot = lane.open(&record).unwrap();
                open.push((record, slot));
            }
            Step::End { open: at } if at < open.len() => drop(open.swap_remove(at)),
            Step::End { .. } => {}
            Step::Commit { stored: false } => put_behind(&mut waiting, take(&journal)),
            Step::Commit { stored: true } => {
                let mut taking = journal.begin_take();
                loop {
                    let mut batch = std::mem::take(&mut waiting);
                    put_behind(&mut batch, journal.take(&mut taking, BATCH_BYTES));
                    if batch.count == 0 {
                        break;
                    }
                    segments.commit(journal.id(), &batch);
                    journal.release(&batch);
                }
            }
            Step::Replace { lane } => {
                lanes.lanes[lane] = (lanes.next, journal.lane());
                lanes.next += 1;
            }
        }
    }
    assert_eq!(signal.dropped(), 0);

    let mut shown: Vec<_> = segments.records.clone();
    let stored = segments
        .positions
        .get(&journal.id())
        .cloned()
        .unwrap_or_default();
    let view = journal.view();
    let unstored = view.records.into_iter();
    let unstored = unstored.filter(|waiting| waiting.reached > stored.get(waiting.region));
    shown.extend(unstored.map(|waiting| waiting.record));
    shown.sort();
    appended.sort();
    assert_eq!(shown, appended, "the process itself sees everything once");
    let mut open_records: Vec<_> = open.iter().map(|(record, _)| record.clone()).collect();
    open_records.sort();
    assert_eq!(sorted(view.open), open_records);

    let dead = folder.path().join("dead");
    if form == JournalForm::Written {
        // Open spans get there with a commit interval.
        put_behind(&mut waiting, take(&journal));
    }
    copy_file(&live, &dead);
    check_dead(form, &dead, &mut segments, &appended, &open_records);

    journal.end();
    journal.close();
    assert_eq!(std::fs::read_dir(&live).unwrap().count(), 0);
}

fn sorted(mut records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    records.sort();
    records
}

/// Recovers what a kill would have left, with a failure and a second kill in between.
fn check_dead(
    form: JournalForm,
    dead: &std::path::Path,
    segments: &mut Segments,
    appended: &[Vec<u8>],
    open: &[Vec<u8>],
) {
    for view in peek(dead, None).unwrap() {
        assert!(!view.alive);
        assert_eq!(sorted(view.open), open);
        assert_eq!(view.damage, None);
    }
    let files = std::fs::read_dir(dead).unwrap().count();
    segments.refuse_after = Some(0);
    let refused = recover(dead, segments);
    let nothing_left = refused.is_ok();
    segments.refuse_after = None;
    let again = dead.join("again");
    if !nothing_left {
        copy_file(dead, &again);
        assert_eq!(recover(dead, segments).unwrap().replayed, files);
        assert_eq!(
            std::fs::read_dir(dead).unwrap().count(),
            1,
            "`again` is left"
        );
        // Killed between the transaction and the removal: nothing is replayed twice.
        recover(&again, segments).unwrap();
    }
    assert_eq!(recover(dead, segments).unwrap(), Recovery::default());
    let (open_found, found): (Vec<_>, Vec<_>) = segments
        .sorted()
        .into_iter()
        .partition(|record| is_open(record));
    assert_eq!(open_found, open);
    match form {
        JournalForm::Mapped => assert_eq!(found, appended),
        JournalForm::Memory => assert!(found.iter().all(|record| appended.contains(record))),
        JournalForm::Written => {
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "each once");
            let mut lost = std::collections::BTreeMap::<[u8; 4], usize>::new();
            for record in appended
                .iter()
                .filter(|record| found.binary_search(record).is_err())
            {
                *lost.entry(*record.first_chunk().unwrap()).or_default() += 1;
            }
            assert!(lost.values().all(|lost| *lost <= UNWRITTEN), "{lost:?}");
        }
    }
}

fn is_open(record: &[u8]) -> bool {
    u32::from_le_bytes(*record[4..].first_chunk().unwrap()) >= 1_000_000
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_form_holds_what_a_list_holds(steps in prop::collection::vec(step(), 1..40)) {
        run(JournalForm::Mapped, &steps);
        run(JournalForm::Written, &steps);
    }
}

#[test]
fn plain_memory_holds_what_a_list_holds_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = journal(JournalForm::Memory, folder.path(), &options(16 << 20));
    let lane = journal.lane();
    let appended: Vec<_> = (0..5_000).map(|number| record(0, number, 100)).collect();
    let mut segments = Segments::default();
    for (number, record) in appended.iter().enumerate() {
        append(&lane, record);
        if number % 700 == 0 {
            let batch = take(&journal);
            segments.commit(journal.id(), &batch);
            journal.release(&batch);
        }
    }
    segments.commit(journal.id(), &take(&journal));
    assert_eq!(segments.records, appended);
}
