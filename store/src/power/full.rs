//! A disk that gets full at any change that redb makes, and gets room again.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spanlite_model::{SpanId, TraceChange, TraceId, TraceUpdate};

use super::disk::Disk;
use super::workload::{Numbers, encoded, read, span, trace};
use crate::{Appended, Lane, OpenOptions, Retention, StorageError, Store};

struct Filling {
    disk: Arc<Disk>,
    options: OpenOptions,
    store: Store,
    lane: Lane,
    numbers: Numbers,
    next: u64,
    /// Spans that were appended, or whose writing returned well.
    stored: BTreeSet<(TraceId, SpanId)>,
    tags: Vec<(TraceId, String)>,
    failures: u64,
}

/// Whether a step went well. It may fail, but only because the disk is full.
fn went_well<T, E: Error + 'static>(result: Result<T, E>, failures: &mut u64) -> bool {
    let Err(error) = result else {
        return true;
    };
    *failures += 1;
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        let storage = cause
            .downcast_ref::<StorageError>()
            .or_else(|| Some(&**cause.downcast_ref::<Arc<StorageError>>()?));
        if matches!(storage, Some(StorageError::DiskFull { .. })) {
            return false;
        }
        source = cause.source();
    }
    panic!("another error than a full disk: {error:?}");
}

impl Filling {
    fn step(&mut self, folder: &Path) {
        self.disk.set_room(self.numbers.below(50));
        match self.numbers.below(8) {
            0..=2 => _ = went_well(self.store.flush(), &mut self.failures),
            3 => {
                self.next += 1;
                let trace = trace(self.next, 5);
                if went_well(
                    self.store.write(std::slice::from_ref(&trace)),
                    &mut self.failures,
                ) {
                    let spans = trace.spans.iter();
                    self.stored
                        .extend(spans.map(|span| (span.trace_id, span.span_id)));
                }
            }
            4 => {
                let Some((trace_id, _)) = self.stored.last() else {
                    return;
                };
                let (trace_id, tag) = (*trace_id, self.next.to_string());
                let update = TraceUpdate {
                    trace_id,
                    time_unix_nano: self.next,
                    change: TraceChange::Tag {
                        key: tag.clone(),
                        value: tag.clone(),
                    },
                };
                if went_well(self.store.update(&[update]), &mut self.failures) {
                    self.tags.push((trace_id, tag));
                }
            }
            5 => _ = went_well(self.store.seal(), &mut self.failures),
            6 => {
                let backup = folder.join(self.next.to_string());
                _ = went_well(self.store.backup(backup), &mut self.failures);
                let nothing = Retention::default();
                _ = went_well(
                    self.store.gc(&nothing, false, &BTreeSet::new()),
                    &mut self.failures,
                );
                _ = went_well(self.store.merge(), &mut self.failures);
            }
            _ => {
                _ = went_well(self.store.close(), &mut self.failures);
                self.disk.set_room(u64::MAX);
                let path = self.store.path().to_owned();
                self.store = Store::open(path, self.options.clone()).unwrap();
                self.lane = self.store.lane().unwrap();
            }
        }
        self.disk.set_room(u64::MAX);
    }

    fn append(&mut self) {
        for _ in 0..=self.numbers.below(6) {
            self.next += 1;
            let span = span(self.next, 1);
            assert_eq!(self.lane.append(&encoded(&span)), Appended::Stored);
            self.stored.insert((span.trace_id, span.span_id));
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_change_costs_nothing_that_was_stored() {
    let mut failures = 0;
    for seed in 0..super::tests::rounds(3) {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        std::fs::create_dir(&live).unwrap();
        let disk = Disk::watch(&live);
        let mut numbers = Numbers::new(seed);
        let options = OpenOptions {
            commit_interval: Duration::from_secs(3600),
            segment_bytes: if seed % 2 == 0 { 1 } else { 256 << 20 },
            seal_spans: 20,
            ..OpenOptions::default()
        };
        let store = Store::open(live.join("s"), options.clone()).unwrap();
        let mut filling = Filling {
            lane: store.lane().unwrap(),
            disk,
            options,
            store,
            next: 1,
            stored: BTreeSet::new(),
            tags: Vec::new(),
            failures: 0,
            numbers: Numbers::new(numbers.below(1 << 30)),
        };
        for step in 0..60 {
            filling.append();
            filling.step(&live);
            filling.store.flush().unwrap();
            let traces = read(&filling.store);
            let found: BTreeSet<_> = traces
                .iter()
                .flat_map(|trace| &trace.spans)
                .map(|span| (span.trace_id, span.span_id))
                .collect();
            let missing: Vec<_> = filling.stored.difference(&found).collect();
            assert!(missing.is_empty(), "seed {seed}, step {step}: {missing:?}");
            for (trace_id, tag) in &filling.tags {
                let trace = traces.iter().find(|trace| trace.trace_id == *trace_id);
                assert!(trace.is_some_and(|trace| trace.info.tags.contains_key(tag)));
            }
        }
        let report = filling.store.verify().unwrap();
        assert!(report.is_sound(), "seed {seed}: {:?}", report.damage);
        assert_eq!(filling.store.info().unwrap().dropped, 0);
        failures += filling.failures;
    }
    assert!(
        failures > 10,
        "the disk was full at some changes: {failures}"
    );
}
