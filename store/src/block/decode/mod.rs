mod attributes;
mod info;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use attributes::AttributesDecoder;
use info::InfoDecoder;
use spanlite_model::{
    Derived, Event, Json, Link, Resource, Scope, Span, SpanId, SpanKind, SpanType, Status,
    StatusCode, Trace, TraceId, TraceInfo,
};

use super::BlockError;
use super::directory::{Column, EVENT_ATTRIBUTES, LINK_ATTRIBUTES, SPAN_ATTRIBUTES};
use super::ints::Ints;
use super::reader::{BlockReader, LoadSection};
use super::shared::{read_resource, read_scope};
use super::strings::Strings;
use super::texts::TraceTexts;

/// Gives the traces of a block back, one by one. Opens a column when a trace needs it.
pub struct TraceDecoder<'b, L> {
    block: &'b BlockReader<L>,
    span_starts: &'b [u32],
    trace_ids: &'b [[u8; 16]],
    span_ids: &'b [[u8; 8]],
    depths: Ints<'b>,
    foreign_parents: Vec<i64>,
    foreign_parent_ids: &'b [[u8; 8]],
    names: Strings<'b>,
    types: Strings<'b>,
    kinds: Ints<'b>,
    status_codes: Ints<'b>,
    status_messages: Strings<'b>,
    status_message_texts: Ints<'b>,
    trace_starts: Ints<'b>,
    starts: Ints<'b>,
    durations: Ints<'b>,
    open_rows: Vec<i64>,
    inputs: Ints<'b>,
    outputs: Ints<'b>,
    derived: Ints<'b>,
    resources: Strings<'b>,
    scopes: Strings<'b>,
    event_counts: Ints<'b>,
    link_counts: Ints<'b>,
    trace_states: Strings<'b>,
    flags: Ints<'b>,
    dropped: [Ints<'b>; 3],
    attributes: AttributesDecoder<'b, L>,
    info: OnceCell<InfoDecoder<'b, L>>,
    events: OnceCell<EventDecoder<'b, L>>,
    links: OnceCell<LinkDecoder<'b, L>>,
    shared_resources: RefCell<BTreeMap<u32, Arc<Resource>>>,
    shared_scopes: RefCell<BTreeMap<u32, Arc<Scope>>>,
}

struct EventDecoder<'b, L> {
    names: Strings<'b>,
    times: Ints<'b>,
    dropped: Ints<'b>,
    attributes: AttributesDecoder<'b, L>,
}

struct LinkDecoder<'b, L> {
    trace_ids: &'b [[u8; 16]],
    span_ids: &'b [[u8; 8]],
    trace_states: Strings<'b>,
    dropped: Ints<'b>,
    flags: Ints<'b>,
    attributes: AttributesDecoder<'b, L>,
}

/// The value of a cell that is filled on first use.
fn once<T>(
    cell: &OnceCell<T>,
    fill: impl FnOnce() -> Result<T, BlockError>,
) -> Result<&T, BlockError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = fill()?;
    Ok(cell.get_or_init(|| value))
}

impl<'b, L: LoadSection> TraceDecoder<'b, L> {
    pub(super) fn new(block: &'b BlockReader<L>) -> Result<Self, BlockError> {
        let (n_traces, n_spans) = (block.n_traces(), block.n_spans());
        let ints = |column| block.ints(column, n_spans);
        let strings = |column| block.strings(column, n_spans);
        let foreign_parents = block.list(Column::ForeignParentRows)?;
        Ok(Self {
            span_starts: block.span_starts()?,
            trace_ids: block.trace_ids()?,
            span_ids: block.fixed(Column::SpanIds, n_spans)?,
            depths: ints(Column::Depths)?,
            foreign_parent_ids: block.fixed(Column::ForeignParentIds, foreign_parents.len())?,
            foreign_parents: foreign_parents.to_vec(),
            names: strings(Column::Names)?,
            types: strings(Column::Types)?,
            kinds: ints(Column::Kinds)?,
            status_codes: ints(Column::StatusCodes)?,
            status_messages: strings(Column::StatusMessages)?,
            status_message_texts: ints(Column::StatusMessageTexts)?,
            trace_starts: block.ints(Column::TraceStarts, n_traces)?,
            starts: ints(Column::Starts)?,
            durations: ints(Column::Durations)?,
            open_rows: block.list(Column::OpenRows)?.to_vec(),
            inputs: ints(Column::Inputs)?,
            outputs: ints(Column::Outputs)?,
            derived: ints(Column::Derived)?,
            resources: strings(Column::Resources)?,
            scopes: strings(Column::Scopes)?,
            event_counts: ints(Column::EventCounts)?,
            link_counts: ints(Column::LinkCounts)?,
            trace_states: strings(Column::SpanTraceStates)?,
            flags: ints(Column::Flags)?,
            dropped: [
                ints(Column::DroppedAttributes)?,
                ints(Column::DroppedEvents)?,
                ints(Column::DroppedLinks)?,
            ],
            attributes: AttributesDecoder::open(block, SPAN_ATTRIBUTES, n_spans)?,
            info: OnceCell::new(),
            events: OnceCell::new(),
            links: OnceCell::new(),
            shared_resources: RefCell::default(),
            shared_scopes: RefCell::default(),
            block,
        })
    }

    /// The trace at a place of the block, with its spans in pre-order. Panics beyond the last
    /// place, as a slice does.
    pub fn trace(&self, place: usize) -> Result<Trace, BlockError> {
        self.trace_with(place, |_| true)
    }

    /// The same with some of its spans only. Of the others no more is read than where they stand.
    pub(crate) fn trace_with(
        &self,
        place: usize,
        is_wanted: impl Fn(SpanId) -> bool,
    ) -> Result<Trace, BlockError> {
        let trace_id = TraceId::from_bytes(self.trace_ids[place]);
        let texts = self.block.trace_texts(place)?;
        let info = self.info_with(place, &texts)?;
        let (first, end) = (
            self.span_starts[place] as usize,
            self.span_starts[place + 1] as usize,
        );
        let mut spans: Vec<Span> = Vec::new();
        // The last span of every depth so far: the ancestors of the next one.
        let mut line: Vec<SpanId> = Vec::new();
        let mut event = self.event_counts.sum(0, first) as usize;
        let mut link = self.link_counts.sum(0, first) as usize;
        let trace_start = self.trace_starts.get(place) as u64;
        for row in first..end {
            let depth = self.depths.get(row) as usize;
            if depth > line.len() {
                return Err(BlockError::malformed("a span has no parent above it"));
            }
            line.truncate(depth);
            let span_id = SpanId::from_bytes(self.span_ids[row]);
            let n_events = self.event_counts.get(row) as usize;
            let n_links = self.link_counts.get(row) as usize;
            let (its_event, its_link) = (event, link);
            event = event.saturating_add(n_events);
            link = link.saturating_add(n_links);
            if !is_wanted(span_id) {
                line.push(span_id);
                continue;
            }
            let mut span = Span::new(trace_id, span_id, self.names.get(row)?.unwrap_or_default());
            span.parent_span_id = match line.last() {
                Some(parent) => Some(*parent),
                None => self.foreign_parent(row),
            };
            line.push(span_id);
            span.start_time_unix_nano = trace_start.wrapping_add(self.starts.get(row) as u64);
            self.fill_columns(&mut span, row)?;
            self.fill_texts(&mut span, row, &texts)?;
            span.attributes = self.attributes.row(row, &texts)?;
            self.fill_events(&mut span, its_event, n_events, &texts)?;
            self.fill_links(&mut span, its_link, n_links, &texts)?;
            spans.push(span);
        }
        Ok(Trace {
            trace_id,
            info,
            spans,
        })
    }

    fn foreign_parent(&self, row: usize) -> Option<SpanId> {
        let place = self.foreign_parents.binary_search(&(row as i64 + 1)).ok()?;
        self.foreign_parent_ids
            .get(place)
            .copied()
            .map(SpanId::from_bytes)
    }

    fn fill_columns(&self, span: &mut Span, row: usize) -> Result<(), BlockError> {
        span.span_type = self.types.get(row)?.map(SpanType::from).unwrap_or_default();
        let kind = SpanKind::from_number(self.kinds.get(row) as u8);
        span.kind = kind.ok_or(BlockError::malformed("a span has an unknown kind"))?;
        let code = StatusCode::from_number(self.status_codes.get(row) as u8);
        let code = code.ok_or(BlockError::malformed("a span has an unknown status"))?;
        let message = self
            .status_messages
            .get(row)?
            .unwrap_or_default()
            .to_owned();
        span.status = Status { code, message };
        if self.open_rows.binary_search(&(row as i64 + 1)).is_err() {
            let duration = self.durations.get(row) as u64;
            span.end_time_unix_nano = Some(span.start_time_unix_nano.wrapping_add(duration));
        }
        let derived = self.derived.get(row);
        span.derived = Derived {
            span_type: derived & 1 != 0,
            inputs: derived & 2 != 0,
            outputs: derived & 4 != 0,
        };
        if let Some(trace_state) = self.trace_states.get(row)? {
            trace_state.clone_into(&mut span.trace_state);
        }
        span.flags = self.flags.get(row) as u32;
        let [attributes, events, links] = &self.dropped;
        span.dropped_attributes_count = attributes.get(row) as u32;
        span.dropped_events_count = events.get(row) as u32;
        span.dropped_links_count = links.get(row) as u32;
        span.resource = shared(&self.shared_resources, &self.resources, row, read_resource)?;
        span.scope = shared(&self.shared_scopes, &self.scopes, row, read_scope)?;
        Ok(())
    }

    fn fill_texts(
        &self,
        span: &mut Span,
        row: usize,
        texts: &TraceTexts,
    ) -> Result<(), BlockError> {
        let json = |column: &Ints<'_>| {
            let value = self.block.text(texts, column.get(row))?;
            Ok::<_, BlockError>(value.map(Json::from_trusted_text))
        };
        span.inputs = json(&self.inputs)?;
        span.outputs = json(&self.outputs)?;
        if let Some(message) = self.block.text(texts, self.status_message_texts.get(row))? {
            span.status.message = message;
        }
        Ok(())
    }

    fn fill_events(
        &self,
        span: &mut Span,
        first: usize,
        count: usize,
        texts: &TraceTexts,
    ) -> Result<(), BlockError> {
        if count == 0 {
            return Ok(());
        }
        let events = once(&self.events, || EventDecoder::open(self.block))?;
        if first
            .checked_add(count)
            .is_none_or(|end| end > events.names.len())
        {
            return Err(BlockError::malformed("events are missing"));
        }
        for row in first..first + count {
            let time = events.times.get(row) as u64;
            span.events.push(Event {
                name: events.names.get(row)?.unwrap_or_default().to_owned(),
                time_unix_nano: span.start_time_unix_nano.wrapping_add(time),
                attributes: events.attributes.row(row, texts)?,
                dropped_attributes_count: events.dropped.get(row) as u32,
            });
        }
        Ok(())
    }

    fn fill_links(
        &self,
        span: &mut Span,
        first: usize,
        count: usize,
        texts: &TraceTexts,
    ) -> Result<(), BlockError> {
        if count == 0 {
            return Ok(());
        }
        let links = once(&self.links, || LinkDecoder::open(self.block))?;
        if first
            .checked_add(count)
            .is_none_or(|end| end > links.trace_ids.len())
        {
            return Err(BlockError::malformed("links are missing"));
        }
        for row in first..first + count {
            span.links.push(Link {
                trace_id: TraceId::from_bytes(links.trace_ids[row]),
                span_id: SpanId::from_bytes(links.span_ids[row]),
                trace_state: links.trace_states.get(row)?.unwrap_or_default().to_owned(),
                attributes: links.attributes.row(row, texts)?,
                dropped_attributes_count: links.dropped.get(row) as u32,
                flags: links.flags.get(row) as u32,
            });
        }
        Ok(())
    }

    /// What belongs to the whole of the trace at a place of the block.
    pub fn info(&self, place: usize) -> Result<TraceInfo, BlockError> {
        self.info_with(place, &self.block.trace_texts(place)?)
    }

    fn info_with(&self, place: usize, texts: &TraceTexts) -> Result<TraceInfo, BlockError> {
        once(&self.info, || InfoDecoder::open(self.block))?.info(place, texts)
    }
}

/// The shared part of a row, decoded once.
fn shared<T: Default>(
    decoded: &RefCell<BTreeMap<u32, Arc<T>>>,
    column: &Strings<'_>,
    row: usize,
    read: impl FnOnce(&[u8]) -> Result<T, BlockError>,
) -> Result<Arc<T>, BlockError> {
    let code = column.code(row);
    if let Some(part) = decoded.borrow().get(&code) {
        return Ok(Arc::clone(part));
    }
    let part = Arc::new(match column.get_bytes(row)? {
        Some(bytes) => read(bytes)?,
        None => T::default(),
    });
    decoded.borrow_mut().insert(code, Arc::clone(&part));
    Ok(part)
}

impl<'b, L: LoadSection> EventDecoder<'b, L> {
    fn open(block: &'b BlockReader<L>) -> Result<Self, BlockError> {
        let n_events = block.directory().n_events;
        Ok(Self {
            names: block.strings(Column::EventNames, n_events)?,
            times: block.ints(Column::EventTimes, n_events)?,
            dropped: block.ints(Column::EventDropped, n_events)?,
            attributes: AttributesDecoder::open(block, EVENT_ATTRIBUTES, n_events)?,
        })
    }
}

impl<'b, L: LoadSection> LinkDecoder<'b, L> {
    fn open(block: &'b BlockReader<L>) -> Result<Self, BlockError> {
        let n_links = block.directory().n_links;
        Ok(Self {
            trace_ids: block.fixed(Column::LinkTraceIds, n_links)?,
            span_ids: block.fixed(Column::LinkSpanIds, n_links)?,
            trace_states: block.strings(Column::LinkTraceStates, n_links)?,
            dropped: block.ints(Column::LinkDropped, n_links)?,
            flags: block.ints(Column::LinkFlags, n_links)?,
            attributes: AttributesDecoder::open(block, LINK_ATTRIBUTES, n_links)?,
        })
    }
}

fn into_text(bytes: Vec<u8>) -> Result<String, BlockError> {
    String::from_utf8(bytes).map_err(|_| BlockError::malformed("a text is not UTF-8"))
}

impl<L: LoadSection> BlockReader<L> {
    /// Opens the columns that whole traces are made of.
    pub fn decoder(&self) -> Result<TraceDecoder<'_, L>, BlockError> {
        TraceDecoder::new(self)
    }

    /// The long value with a number counted from 1; nothing for 0.
    fn text_bytes(&self, texts: &TraceTexts, number: i64) -> Result<Option<Vec<u8>>, BlockError> {
        const MAX_RESERVED: u64 = 1 << 24;
        if number == 0 {
            return Ok(None);
        }
        let value = number.wrapping_sub(1) as usize;
        let length = texts.value_length(value);
        let length = length.ok_or(BlockError::malformed("a text is missing"))?;
        let mut bytes = Vec::with_capacity(length.min(MAX_RESERVED) as usize);
        self.read_text(texts, value, 0..length, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn text(&self, texts: &TraceTexts, number: i64) -> Result<Option<String>, BlockError> {
        self.text_bytes(texts, number)?.map(into_text).transpose()
    }
}
