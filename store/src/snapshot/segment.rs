use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use redb::{ReadOnlyTable, ReadTransaction};
use spanlite_model::TraceId;
use uuid::Uuid;

use super::assembly::Assembly;
use super::damage::Damage;
use super::index::Index;
use crate::codec::ValueError;
use crate::error::StorageError;
use crate::journal::Positions;
use crate::record::Record;
use crate::segment::hot::{self, HotBatch, HotDirectory};
use crate::segment::{Counts, HOT, SegmentReader, counts, positions, protected, table};

/// How many bytes of decoded batches a segment of a snapshot keeps.
const KEPT_BYTES: usize = 32 << 20;

/// One segment as a snapshot sees it.
pub(super) struct SegmentView {
    reader: Arc<SegmentReader>,
    txn: ReadTransaction,
    positions: HashMap<Uuid, Positions>,
    counts: Counts,
    hot: OnceLock<Hot>,
    kept: Mutex<Kept>,
}

/// The hot batches of a segment.
struct Hot {
    table: Option<ReadOnlyTable<u64, &'static [u8]>>,
    directories: Vec<(u64, HotDirectory)>,
    /// The batches that hold something of a trace, as places in `directories`.
    batches: HashMap<TraceId, Vec<u32>>,
}

/// Batches that were decoded last.
#[derive(Default)]
struct Kept {
    batches: VecDeque<(u64, Arc<HotBatch>)>,
    bytes: usize,
}

impl std::fmt::Debug for SegmentView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SegmentView").field(&self.reader).finish()
    }
}

impl SegmentView {
    pub(super) fn begin(reader: Arc<SegmentReader>) -> Result<Self, StorageError> {
        let (txn, positions, counts) = protected(reader.path(), || {
            let txn = reader.begin()?;
            let positions = positions(&txn, reader.path())?;
            let counts = counts(&txn, reader.path())?;
            Ok((txn, positions, counts))
        })?;
        Ok(Self {
            positions,
            counts,
            txn,
            reader,
            hot: OnceLock::new(),
            kept: Mutex::default(),
        })
    }

    /// How far each journal is stored here.
    pub(super) fn positions(&self) -> &HashMap<Uuid, Positions> {
        &self.positions
    }

    fn hot(&self, report: &dyn Fn(Damage)) -> Result<&Hot, StorageError> {
        if let Some(hot) = self.hot.get() {
            return Ok(hot);
        }
        let path = self.reader.path();
        let table = table(&self.txn, path, HOT)?;
        let mut damaged = 0;
        let directories = match &table {
            Some(table) => hot::directories(table, path, |batch, source| {
                damaged += 1;
                let key = (batch << 16).to_le_bytes();
                report(Damage::value(path, "hot", &key, source));
            })?,
            None => Vec::new(),
        };
        let expected = self.counts.hot_batches;
        if (directories.len() + damaged) as u64 != expected {
            let reason = "the segment names another number of batches";
            report(Damage::value(path, "hot", &[], ValueError::Body { reason }));
        }
        let mut batches: HashMap<TraceId, Vec<u32>> = HashMap::new();
        for (number, (_, directory)) in directories.iter().enumerate() {
            for trace in &directory.traces {
                batches
                    .entry(trace.trace_id())
                    .or_default()
                    .push(number as u32);
            }
        }
        Ok(self.hot.get_or_init(|| Hot {
            table,
            directories,
            batches,
        }))
    }

    /// Adds every trace to the index.
    pub(super) fn enumerate(
        &self,
        index: &mut Index,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        for (_, directory) in &self.hot(report)?.directories {
            for trace in &directory.traces {
                let has_spans = trace.n_spans > 0;
                index.add(trace.trace_id(), trace.start_time_unix_nano, has_spans);
            }
        }
        Ok(())
    }

    /// How many records of spans the segment holds.
    pub(super) fn count_spans(&self) -> u64 {
        self.counts.hot_spans + self.counts.block_spans
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.reader.path()
    }

    /// Reads every batch.
    pub(super) fn check_values(&self, report: &dyn Fn(Damage)) -> Result<(), StorageError> {
        let hot = self.hot(report)?;
        for (number, directory) in &hot.directories {
            let Some(batch) = self.batch(hot, *number, directory, report)? else {
                continue;
            };
            for trace in &directory.traces {
                let spans = batch.records(trace.trace_id());
                let spans = spans.filter(|record| matches!(record, Ok(Record::Span(_))));
                if spans.count() as u64 != u64::from(trace.n_spans) {
                    let reason = "the directory names other spans than the body holds";
                    report(self.damaged_batch(*number, ValueError::Body { reason }));
                }
            }
        }
        Ok(())
    }

    /// Adds what the segment holds of a trace.
    pub(super) fn collect(
        &self,
        trace_id: TraceId,
        assembly: &mut Assembly,
        report: &dyn Fn(Damage),
    ) -> Result<(), StorageError> {
        let hot = self.hot(report)?;
        for &number in hot.batches.get(&trace_id).map_or(&[][..], Vec::as_slice) {
            let Some((number, directory)) = hot.directories.get(number as usize) else {
                continue;
            };
            let Some(batch) = self.batch(hot, *number, directory, report)? else {
                continue;
            };
            for record in batch.records(trace_id) {
                match record {
                    Ok(record) => assembly.add(record, directory.journal()),
                    Err(source) => report(self.damaged_batch(*number, source)),
                }
            }
        }
        Ok(())
    }

    fn damaged_batch(&self, batch: u64, source: ValueError) -> Damage {
        let key = (batch << 16 | 1).to_le_bytes();
        Damage::value(self.reader.path(), "hot", &key, source)
    }

    fn batch(
        &self,
        hot: &Hot,
        number: u64,
        directory: &HotDirectory,
        report: &dyn Fn(Damage),
    ) -> Result<Option<Arc<HotBatch>>, StorageError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, batch)) = kept.batches.iter().find(|(known, _)| *known == number) {
            return Ok(Some(Arc::clone(batch)));
        }
        let Some(table) = &hot.table else {
            return Ok(None);
        };
        match HotBatch::read(table, self.reader.path(), number, directory)? {
            Ok(batch) => {
                let batch = Arc::new(batch);
                kept.bytes += batch.bytes();
                kept.batches.push_back((number, Arc::clone(&batch)));
                while kept.bytes > KEPT_BYTES
                    && kept.batches.len() > 1
                    && let Some((_, old)) = kept.batches.pop_front()
                {
                    kept.bytes -= old.bytes();
                }
                Ok(Some(batch))
            }
            Err(source) => {
                report(self.damaged_batch(number, source));
                Ok(None)
            }
        }
    }
}
