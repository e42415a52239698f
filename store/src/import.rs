use std::collections::HashMap;

use spanlite_model::{Span, SpanId, Trace, TraceId, TraceUpdate};

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
    /// Of two versions of one span, an ended one is kept before an open one, then the one with the
    /// later end, then the one that says more.
    ///
    /// A call is not one transaction: after an error or a kill, some of the traces may be stored.
    pub fn write(&self, traces: &[Trace]) -> Result<WriteReport, WriteError> {
        self.check_writable()?;
        let snapshot = self.snapshot()?;
        // What the snapshot does not show, because this call writes it.
        let mut under_way: HashMap<(TraceId, SpanId), &Span> = HashMap::new();
        let mut report = WriteReport::default();
        let mut records = Vec::new();
        let origin = Origin::default();
        for trace in traces {
            report.traces += 1;
            report.spans += trace.spans.len() as u64;
            let (spans, updates) = news(&snapshot, &under_way, trace)?;
            under_way.extend(
                spans
                    .iter()
                    .map(|span| ((span.trace_id, span.span_id), *span)),
            );
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
    under_way: &HashMap<(TraceId, SpanId), &Span>,
    trace: &'a Trace,
) -> Result<(Vec<&'a Span>, Vec<TraceUpdate>), WriteError> {
    let (stored_spans, stored_updates) = snapshot.stored(trace.trace_id)?;
    let stored_spans: HashMap<SpanId, &Span> = stored_spans
        .iter()
        .map(|span| (span.span_id, span))
        .collect();
    let is_news = |span: &&Span| {
        let written = under_way.get(&(span.trace_id, span.span_id));
        let known = written.or_else(|| stored_spans.get(&span.span_id));
        known.is_none_or(|known| known != span && rank(span) > rank(known))
    };
    let spans = trace.spans.iter().filter(is_news).collect();
    let updates = changes(trace)
        .filter(|update| !stored_updates.contains(update))
        .collect();
    Ok((spans, updates))
}

/// Of two versions of one span the one that ranks higher is kept: an ended one before an open one,
/// then the later end, then the one that says more. Files that disagree thus come to one result
/// in any order and any number of times.
fn rank(span: &Span) -> (Option<u64>, Vec<u8>) {
    let mut bytes = vec![0; 8];
    encode_record(
        &Record::Span(Box::new(span.clone())),
        &Origin::default(),
        &mut bytes,
    );
    let length = (bytes.len() as u64).to_be_bytes();
    bytes[..8].copy_from_slice(&length);
    (span.end_time_unix_nano, bytes)
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
