use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use spanlite_model::{Span, SpanId, Trace, TraceId, TraceUpdate};

use crate::commit::{BLOCK_BYTES, BLOCK_SPANS, BLOCK_TRACES};
use crate::error::WriteError;
use crate::record::{Origin, Record, encode_record, encode_span};
use crate::segment::sealed::NewBlock;
use crate::segment::{SegmentName, hot};
use crate::snapshot::{Snapshot, span_weight};
use crate::store::{Store, StoredBlocks};

/// Spans of traces that come together and are worth a block: fewer than of those that have to be
/// read and written once more for it.
const ENOUGH_SPANS: u64 = 1_000;
/// Bytes of traces that are worth a block.
const ENOUGH_BYTES: usize = 3 << 20;
/// How many bytes of records are handed to the commit thread at once.
const CHUNK_BYTES: usize = 8 << 20;

/// What [`Store::write`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WriteReport {
    /// Traces that were given. Parts of one trace count each.
    pub traces: u64,
    /// Spans that were given.
    pub spans: u64,
    /// The traces of which something was stored.
    pub written: HashSet<TraceId>,
    /// Traces that were not stored, because they were deleted.
    pub traces_deleted: u64,
    /// Spans that were stored: new ones, and ones that differ from what was there.
    pub spans_written: u64,
}

impl Store {
    /// Stores whole traces, as an import does. Spans and changes that are there already and equal
    /// are skipped, so that writing the same traces twice changes nothing. Durable on return.
    ///
    /// Of two versions of one span, among what is given or against what is stored, an ended one is
    /// kept before an open one, then the one with the later end, then the one that says more.
    ///
    /// A call is not one transaction: after an error or a kill, some of the traces may be stored.
    pub fn write(&self, traces: &[Trace]) -> Result<WriteReport, WriteError> {
        self.check_writable()?;
        let snapshot = self.snapshot()?;
        // What the snapshot does not show, because this call writes it.
        let mut under_way: HashMap<TraceId, UnderWay<'_>> = HashMap::new();
        let mut report = WriteReport::default();
        let mut records = Vec::new();
        let mut blocks = BlockWriter::new(self, &snapshot);
        let origin = origin_of(traces);
        let mut rest = traces;
        while let Some((trace, behind)) = rest.split_first() {
            let new = blocks.leading(rest, &snapshot, &under_way)?;
            if new.is_empty() {
                rest = behind;
                report.add_given(trace);
                if snapshot.is_deleted(trace.trace_id)? {
                    report.traces_deleted += 1;
                    continue;
                }
                let under_way = under_way.entry(trace.trace_id).or_default();
                let (spans, updates) = news(&snapshot, under_way, trace)?;
                if !spans.is_empty() || !updates.is_empty() {
                    report.written.insert(trace.trace_id);
                }
                report.spans_written += spans.len() as u64;
                for span in &spans {
                    put(&mut records, |out| encode_span(span, &origin, out));
                }
                for update in &updates {
                    put_update(&mut records, update);
                }
                under_way.spans.extend(spans);
                under_way.updates.extend(updates);
                if records.len() >= CHUNK_BYTES {
                    self.store_records(
                        std::mem::take(&mut records),
                        hot::origin_to_bytes(&origin),
                    )?;
                }
                continue;
            }
            rest = rest.get(new.len()..).unwrap_or_default();
            blocks.store(new)?;
            for trace in new {
                report.add_given(trace);
                report.written.insert(trace.trace_id);
                report.spans_written += trace.spans.len() as u64;
                let spans = trace.spans.iter().collect();
                let updates = changes(trace).collect();
                under_way.insert(trace.trace_id, UnderWay { spans, updates });
            }
        }
        blocks.finish()?;
        if !records.is_empty() {
            self.store_records(records, hot::origin_to_bytes(&origin))?;
        }
        Ok(report)
    }
}

/// The resource and scope that most of the traces have, as far as the first span tells: they stand
/// with the records once.
fn origin_of(traces: &[Trace]) -> Origin {
    let first = traces.iter().find_map(|trace| trace.spans.first());
    first.map_or_else(Origin::default, |span| Origin {
        resource: Arc::clone(&span.resource),
        scope: Arc::clone(&span.scope),
    })
}

impl WriteReport {
    fn add_given(&mut self, trace: &Trace) {
        self.traces += 1;
        self.spans += trace.spans.len() as u64;
    }
}

/// Stores traces that are all new as blocks, made on the thread of the caller while the commit
/// thread stores the ones before.
struct BlockWriter<'s> {
    store: &'s Store,
    /// For each segment, the first block that nobody has looked at for the traces of this call.
    looked_at: HashMap<SegmentName, u32>,
    pending: Option<StoredBlocks>,
    /// Up to here the traces are known to be too few for a block.
    too_few: usize,
}

impl<'s> BlockWriter<'s> {
    fn new(store: &'s Store, snapshot: &Snapshot) -> Self {
        Self {
            store,
            looked_at: snapshot.next_blocks(),
            pending: None,
            too_few: 0,
        }
    }

    /// The traces at the beginning of `traces` that make a block: all of them new and in order.
    /// None if there are too few.
    fn leading<'t>(
        &mut self,
        traces: &'t [Trace],
        snapshot: &Snapshot,
        under_way: &HashMap<TraceId, UnderWay<'_>>,
    ) -> Result<&'t [Trace], WriteError> {
        if self.too_few > 0 {
            self.too_few -= 1;
            return Ok(&[]);
        }
        let (mut spans, mut bytes) = (0usize, 0usize);
        let mut seen = HashSet::new();
        let mut count = 0usize;
        for trace in traces.iter().take(BLOCK_TRACES) {
            let heavier = bytes + weight(trace);
            let is_full = spans + trace.spans.len() > BLOCK_SPANS || heavier > BLOCK_BYTES;
            let is_new = seen.insert(trace.trace_id)
                && !under_way.contains_key(&trace.trace_id)
                && is_plain(trace)
                && !snapshot.is_deleted(trace.trace_id)?
                && !snapshot.holds(trace.trace_id)?;
            if !is_new || (is_full && count > 0) {
                break;
            }
            (spans, bytes) = (spans + trace.spans.len(), heavier);
            count += 1;
        }
        let wanted = self.store.options().seal_spans.min(ENOUGH_SPANS);
        if (spans as u64) < wanted && bytes < ENOUGH_BYTES {
            // Each of them would be looked at again otherwise.
            self.too_few = count.saturating_sub(1);
            return Ok(&[]);
        }
        Ok(traces.get(..count).unwrap_or_default())
    }

    fn store(&mut self, traces: &[Trace]) -> Result<(), WriteError> {
        let block = NewBlock::of_whole(traces)?;
        self.finish()?;
        let looked_at = self.looked_at.clone();
        self.pending = Some(self.store.store_blocks(vec![block], looked_at)?);
        Ok(())
    }

    /// Waits until everything is durable.
    fn finish(&mut self) -> Result<(), WriteError> {
        if let Some(pending) = self.pending.take() {
            let stored = Store::stored_blocks(&pending)?;
            self.looked_at.insert(stored.0, stored.1);
        }
        Ok(())
    }
}

/// About how many bytes a trace has.
fn weight(trace: &Trace) -> usize {
    trace.spans.iter().map(span_weight).sum()
}

/// Whether a trace has every span once, and no span of another.
fn is_plain(trace: &Trace) -> bool {
    let mut ids: Vec<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
    ids.sort_unstable();
    !trace.spans.is_empty()
        && ids.windows(2).all(|two| two[0] != two[1])
        && trace
            .spans
            .iter()
            .all(|span| span.trace_id == trace.trace_id)
}

impl Store {
    /// Stores what a snapshot has of some traces once more, into the active segment.
    pub(crate) fn store_again(
        &self,
        snapshot: &Snapshot,
        traces: impl IntoIterator<Item = TraceId>,
    ) -> Result<(), WriteError> {
        let mut records = Vec::new();
        for trace_id in traces {
            let (spans, updates) = snapshot.stored(trace_id)?;
            put_trace(&mut records, &spans, &updates);
            if records.len() >= hot::BATCH_BYTES {
                self.store_as_they_are(std::mem::take(&mut records))?;
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        self.store_as_they_are(records)
    }

    /// Stores spans and changes as they are, whatever is there.
    pub(crate) fn store_trace(
        &self,
        spans: &[Span],
        updates: &[TraceUpdate],
    ) -> Result<(), WriteError> {
        let mut records = Vec::new();
        put_trace(&mut records, spans, updates);
        self.store_as_they_are(records)
    }

    fn store_as_they_are(&self, records: Vec<u8>) -> Result<(), WriteError> {
        self.store_records(records, hot::origin_to_bytes(&Origin::default()))
    }
}

fn put_trace(records: &mut Vec<u8>, spans: &[Span], updates: &[TraceUpdate]) {
    let origin = Origin::default();
    for span in spans {
        put(records, |out| encode_span(span, &origin, out));
    }
    for update in updates {
        put_update(records, update);
    }
}

fn put_update(records: &mut Vec<u8>, update: &TraceUpdate) {
    put(records, |out| {
        encode_record(&Record::Update(update.clone()), &Origin::default(), out);
    });
}

/// Appends what `encode` writes, behind its length.
fn put(records: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = records.len();
    records.extend_from_slice(&[0; 4]);
    encode(records);
    let length = (records.len() - start - 4) as u32;
    records[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// What a call has stored of a trace so far, which its snapshot does not show.
#[derive(Default)]
struct UnderWay<'a> {
    spans: Vec<&'a Span>,
    updates: Vec<TraceUpdate>,
}

/// What of a trace is not stored yet.
fn news<'a>(
    snapshot: &Snapshot,
    under_way: &UnderWay<'_>,
    trace: &'a Trace,
) -> Result<(Vec<&'a Span>, Vec<TraceUpdate>), WriteError> {
    let given = trace.spans.iter().map(|span| span.span_id).collect();
    let (stored_spans, stored_updates) = snapshot.stored_of(trace.trace_id, given)?;
    // Of a span that is among both, what this call has written is the better one.
    let known: HashMap<SpanId, &Span> = stored_spans
        .iter()
        .chain(under_way.spans.iter().copied())
        .map(|span| (span.span_id, span))
        .collect();
    let is_better = |span: &Span, than: &Span| than != span && rank(span) > rank(than);
    let mut spans: Vec<&Span> = Vec::new();
    let mut places: HashMap<SpanId, usize> = HashMap::new();
    for span in &trace.spans {
        let known = known.get(&span.span_id);
        if known.is_some_and(|known| !is_better(span, known)) {
            continue;
        }
        match places.get(&span.span_id) {
            Some(&place) if is_better(span, spans[place]) => spans[place] = span,
            Some(_) => {}
            None => {
                places.insert(span.span_id, spans.len());
                spans.push(span);
            }
        }
    }
    let is_settled = |update: &TraceUpdate| {
        let known = stored_updates.iter().chain(&under_way.updates);
        let mut known = known.filter(|known| known.change.subject() == update.change.subject());
        known.any(|known| update_rank(known) >= update_rank(update))
    };
    let updates = changes(trace).filter(|update| !is_settled(update));
    Ok((spans, updates.collect()))
}

/// Of two versions of one span the one that ranks higher is kept: an ended one before an open one,
/// then the later end, then the one that says more. Files that disagree thus come to one result
/// in any order and any number of times.
fn rank(span: &Span) -> (Option<u64>, usize, Vec<u8>) {
    let mut bytes = Vec::new();
    encode_span(span, &Origin::default(), &mut bytes);
    (span.end_time_unix_nano, bytes.len(), bytes)
}

/// The same for two changes of one thing: the later, then the one that says more.
fn update_rank(update: &TraceUpdate) -> (u64, usize, Vec<u8>) {
    let mut bytes = Vec::new();
    let record = Record::Update(update.clone());
    encode_record(&record, &Origin::default(), &mut bytes);
    (update.time_unix_nano, bytes.len(), bytes)
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
