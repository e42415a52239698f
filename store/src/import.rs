use spanlite_model::{Span, Trace, TraceId, TraceUpdate};

use crate::error::WriteError;
use crate::record::{Origin, Record, encode_record};
use crate::segment::hot;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// How many bytes of records are handed to the commit thread at once.
const CHUNK_BYTES: usize = 8 << 20;

/// What [`Store::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Traces that were given.
    pub traces: u64,
    /// Spans that were given.
    pub spans: u64,
    /// Traces of which something was stored.
    pub traces_written: u64,
    /// Spans that were stored: new ones, and ones that differ from what was there.
    pub spans_written: u64,
}

impl Store {
    /// Stores whole traces, as an import does. Spans and changes that are there already and equal
    /// are skipped, so that writing the same traces twice changes nothing. Durable on return.
    ///
    /// A call is not one transaction: after an error or a kill, some of the traces may be stored.
    pub fn write(&self, traces: &[Trace]) -> Result<WriteReport, WriteError> {
        self.check_writable()?;
        let snapshot = self.snapshot()?;
        let mut report = WriteReport::default();
        let mut records = Vec::new();
        let origin = Origin::default();
        for trace in traces {
            report.traces += 1;
            report.spans += trace.spans.len() as u64;
            let (spans, updates) = news(&snapshot, trace)?;
            report.traces_written += u64::from(!spans.is_empty() || !updates.is_empty());
            report.spans_written += spans.len() as u64;
            for span in spans {
                put(&mut records, &Record::Span(Box::new(span.clone())), &origin);
            }
            for update in updates {
                put(&mut records, &Record::Update(update), &origin);
            }
            if records.len() >= CHUNK_BYTES {
                self.store_records(std::mem::take(&mut records), hot::origin_to_bytes(&origin))?;
            }
        }
        if !records.is_empty() {
            self.store_records(records, hot::origin_to_bytes(&origin))?;
        }
        Ok(report)
    }
}

impl Store {
    /// Stores what a snapshot has of a trace once more, into the active segment.
    pub(crate) fn store_again(
        &self,
        snapshot: &Snapshot,
        trace_id: TraceId,
    ) -> Result<(), WriteError> {
        let (spans, updates) = snapshot.stored(trace_id)?;
        let origin = Origin::default();
        let mut records = Vec::new();
        for span in spans {
            put(&mut records, &Record::Span(Box::new(span)), &origin);
        }
        for update in updates {
            put(&mut records, &Record::Update(update), &origin);
        }
        self.store_records(records, hot::origin_to_bytes(&origin))
    }
}

fn put(records: &mut Vec<u8>, record: &Record, origin: &Origin) {
    let start = records.len();
    records.extend_from_slice(&[0; 4]);
    encode_record(record, origin, records);
    let length = (records.len() - start - 4) as u32;
    records[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// What of a trace is not stored yet.
fn news<'a>(
    snapshot: &Snapshot,
    trace: &'a Trace,
) -> Result<(Vec<&'a Span>, Vec<TraceUpdate>), WriteError> {
    let (stored_spans, stored_updates) = snapshot.stored(trace.trace_id)?;
    let spans = trace
        .spans
        .iter()
        .filter(|span| !stored_spans.contains(span))
        .collect();
    let updates = changes(trace)
        .filter(|update| !stored_updates.contains(update))
        .collect();
    Ok((spans, updates))
}

/// What belongs to the whole trace, as changes made when it began: later changes win over them.
fn changes(trace: &Trace) -> impl Iterator<Item = TraceUpdate> {
    let trace_id = trace.trace_id;
    let time_unix_nano = trace.start_time_unix_nano().unwrap_or(0);
    let changes = trace.info.to_changes();
    changes.into_iter().map(move |change| TraceUpdate {
        trace_id,
        time_unix_nano,
        change,
    })
}
