mod input;
mod rows;

use std::collections::BTreeSet;

pub(crate) use input::BlockInput;
use input::{SpanInput, TraceInput};
use rows::Rows;
use spanlite_model::{StatusCode, Trace, TraceChange, TraceUpdate, Value, keys};
use xxhash_rust::xxh3::xxh3_64;

use super::attributes::Values;
use super::bytes::put_bytes;
use super::directory::{Column, ColumnsWriter};
use super::header::{
    BlockHeader, BlockSummary, MAX_ROWS, MAX_ZONES, Section, SectionKind, VERSION, Zone,
};
use super::strings::StringsBuilder;
use super::terms::{TermField, TermsBuilder};
use super::{BlockError, ValueType};
use crate::record::{Origin, Record, encode_record};

/// A block as bytes: a header to search by, and sections that are read one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedBlock {
    /// The header, with its own checksum.
    pub header: Vec<u8>,
    /// The sections, by their numbers; the header has their checksums.
    pub sections: Vec<Vec<u8>>,
}

/// Encodes traces, each whole or a part of a trace, as one block.
///
/// Everything comes back from [`BlockReader`](super::BlockReader) as it was, the spans of a trace
/// in pre-order. Two spans of one trace with the same id both come back. A span counts for the
/// trace it stands in, whatever its own `trace_id` says.
pub fn encode_block(traces: &[Trace]) -> Result<EncodedBlock, BlockError> {
    encode_input(&BlockInput::of(traces))
}

/// As [`encode_block`].
pub(crate) fn encode_input(input: &BlockInput<'_>) -> Result<EncodedBlock, BlockError> {
    if input.traces.len() as u64 > MAX_ROWS || input.spans.len() as u64 > MAX_ROWS {
        return Err(BlockError::TooLarge { what: "the rows" });
    }
    let updates: Vec<Vec<u8>> = input.traces.iter().map(updates).collect();
    let mut rows = Rows::default();
    for (trace, updates) in input.traces.iter().zip(&updates) {
        rows.push_trace(input, trace, updates);
    }
    rows.finish(input)
}

/// What few traces have, as records of the updates that would make it.
fn updates(trace: &TraceInput<'_>) -> Vec<u8> {
    let info = &trace.info;
    let assessments = info
        .assessments
        .iter()
        .map(|one| TraceChange::PutAssessment(Box::new(one.clone())));
    let extra = info.extra.iter().map(|(key, value)| TraceChange::Extra {
        key: key.clone(),
        value: value.clone(),
    });
    let (mut out, mut record) = (Vec::new(), Vec::new());
    for change in assessments.chain(extra) {
        record.clear();
        let update = TraceUpdate {
            trace_id: trace.trace_id,
            time_unix_nano: 0,
            change,
        };
        encode_record(&Record::Update(update), &Origin::default(), &mut record);
        put_bytes(&mut out, &record);
    }
    out
}

impl Rows<'_> {
    fn finish(mut self, input: &BlockInput<'_>) -> Result<EncodedBlock, BlockError> {
        let mut writer = ColumnsWriter::new();
        self.traces.put(&mut writer);
        self.spans.put(&mut writer);
        self.events.put(&mut writer);
        self.links.put(&mut writer);
        let chunks = self.texts.take_chunks();
        writer.ints(Column::TextValues, &self.texts.n_values);
        writer.ints(Column::TextValueBytes, &self.texts.n_value_bytes);
        writer.ints(Column::TextNewBytes, &self.texts.n_new_bytes);
        let lengths: Vec<i64> = chunks.iter().map(|chunk| chunk.raw_length as i64).collect();
        writer.ints(Column::ChunkLengths, &lengths);
        writer.blob(Column::TextTable, &self.texts.values);
        let n_chunks = chunks.len();
        for section in self.words.sections() {
            writer.section(SectionKind::Words, section);
        }
        for chunk in chunks {
            writer.section(SectionKind::Texts, chunk.stored);
        }
        let (n_events, n_links) = (self.events.times.len(), self.links.flags.len());
        let sections = writer.finish(n_events, n_links, n_chunks);
        let header = self.header(input, &sections)?;
        Ok(EncodedBlock {
            header: header.to_bytes(),
            sections: sections.into_iter().map(|(_, bytes)| bytes).collect(),
        })
    }

    fn header(
        &self,
        input: &BlockInput<'_>,
        sections: &[(SectionKind, Vec<u8>)],
    ) -> Result<BlockHeader, BlockError> {
        let spans = || input.spans.iter();
        let starts = || spans().map(|span| span.start_time_unix_nano);
        let ends = spans().map(|span| span.end_time_unix_nano.unwrap_or(0));
        let durations = || spans().filter_map(SpanInput::duration_nanos);
        let errors = self
            .spans
            .status_codes
            .iter()
            .filter(|code| **code == StatusCode::Error as i64);
        let last_start = starts().max().unwrap_or(0);
        let mut start = 0;
        let sections = sections.iter().map(|(kind, bytes)| {
            let length = u32::try_from(bytes.len());
            let section = Section {
                kind: *kind,
                start,
                length: length.map_err(|_| BlockError::TooLarge {
                    what: "the bytes of a section",
                })?,
                checksum: xxh3_64(bytes),
            };
            start += u64::from(section.length);
            Ok(section)
        });
        let terms = self.terms(input);
        let summary = BlockSummary {
            n_traces: input.traces.len() as u32,
            n_spans: self.spans.kinds.len() as u32,
            n_error_spans: errors.count() as u32,
            n_error_traces: self.n_error_traces,
            has_fragments: self.has_fragments,
            first_start_unix_nano: starts().min().unwrap_or(0),
            last_start_unix_nano: last_start,
            last_end_unix_nano: ends.max().unwrap_or(0).max(last_start),
            duration_nanos: durations().min().unwrap_or(0)..=durations().max().unwrap_or(0),
        };
        let ids = || input.trace_ids();
        let (first, last) = (ids().min(), ids().max());
        Ok(BlockHeader {
            version: VERSION,
            summary,
            trace_ids: first.unwrap_or_default()..=last.unwrap_or_default(),
            has_more_keys: [
                &self.traces.tags,
                &self.traces.metadata,
                &self.spans.attributes,
                &self.events.attributes,
            ]
            .iter()
            .any(|one| one.overflows()),
            zones: self.zones(),
            sections: sections.collect::<Result<_, _>>()?,
            overflowed: terms.overflowed().to_vec(),
            bloom: terms.to_bits(),
        })
    }

    /// The ranges of numeric span attributes, one for each key.
    fn zones(&self) -> Vec<Zone> {
        let mut zones: Vec<Zone> = Vec::new();
        for column in &self.spans.attributes.columns {
            let (min, max) = match &column.values {
                Values::Ints(rows) if column.value_type == ValueType::Int => {
                    let (min, max) = (rows.iter().min(), rows.iter().max());
                    (
                        min.map_or(0.0, |min| *min as f64),
                        max.map_or(0.0, |max| *max as f64),
                    )
                }
                Values::Doubles(rows) => (
                    rows.iter().copied().fold(f64::INFINITY, f64::min),
                    rows.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                ),
                _ => continue,
            };
            let field = TermField::Attribute(column.key).hash();
            if let Some(zone) = zones.iter_mut().find(|zone| zone.field == field) {
                zone.min = zone.min.min(min);
                zone.max = zone.max.max(max);
            } else if zones.len() < MAX_ZONES {
                zones.push(Zone { field, min, max });
            }
        }
        zones
    }

    fn terms(&self, input: &BlockInput<'_>) -> TermsBuilder {
        let mut terms = TermsBuilder::default();
        for trace_id in input.trace_ids() {
            terms.add_trace(trace_id);
        }
        let mut add = |field, rows: &StringsBuilder<'_>| {
            terms.add_field(field, rows.entries().iter().copied());
        };
        add(TermField::RootName, &self.root_names);
        add(TermField::SpanType, &self.spans.types);
        add(TermField::Session, &self.traces.sessions);
        add(TermField::User, &self.traces.users);
        add(TermField::Name, &self.spans.names);
        add(TermField::EventName, &self.events.names);
        self.traces.tags.add_terms(TermField::Tag, &mut terms);
        self.traces
            .metadata
            .add_terms(TermField::Metadata, &mut terms);
        resource_terms(input, &mut terms);
        self.spans
            .attributes
            .add_terms(TermField::Attribute, &mut terms);
        self.events
            .attributes
            .add_terms(TermField::EventAttribute, &mut terms);
        terms
    }
}

/// Adds the texts of resources, of which most blocks have one or two.
fn resource_terms(input: &BlockInput<'_>, terms: &mut TermsBuilder) {
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (key, value) in input
        .resources
        .iter()
        .flat_map(|resource| resource.attributes.iter())
    {
        if matches!(value, Value::Array(_)) {
            terms.add_unindexed(TermField::Resource(key));
            continue;
        }
        let value = value.as_str().unwrap_or_default();
        if seen.insert((key, value)) {
            if key == keys::SERVICE_NAME {
                terms.add_field(TermField::Service, std::iter::once(value));
            }
            terms.add_field(TermField::Resource(key), std::iter::once(value));
        }
    }
}
