//! The header of a block: what is decided without reading the block itself.
//!
//! ```text
//! byte version, byte flags,
//! varint traces, spans, error spans, traces with an error span,
//! varint first start, last start - first start, last end - first start, shortest duration,
//!   longest duration - shortest duration (ns),
//! 16 bytes smallest trace id, 16 bytes largest,
//! varint zones, each: 8 bytes field hash, double min, double max,
//! varint sections, each: byte kind, varint length, 8 bytes xxh3-64,
//! varint overflowed fields, each: 8 bytes field hash,
//! varint length, bits of the Bloom filter,
//! 8 bytes xxh3-64 of all before
//! ```

use std::ops::RangeInclusive;

use spanlite_model::TraceId;
use xxhash_rust::xxh3::xxh3_64;

use super::BlockError;
use super::bytes::{Cursor, put_bytes, put_varint};
use super::terms::{Term, TermField, may_have};
use super::words::STRETCH_SPANS;

/// The version of blocks that is written. In blocks of version 1 the word index is one of spans,
/// and each section is stored by itself.
pub(super) const VERSION: u8 = 2;
const FLAG_FRAGMENTS: u8 = 1;
const FLAG_MORE_KEYS: u8 = 2;
/// No block has more spans or traces; what a damaged count may make a reader do is bounded by it.
pub(super) const MAX_ROWS: u64 = 1 << 24;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SectionKind {
    /// Which column is where; always section 0.
    Directory = 0,
    /// Columns.
    Columns = 1,
    /// A part of the word index.
    Words = 2,
    /// A chunk of texts.
    Texts = 3,
}

impl SectionKind {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Directory, Self::Columns, Self::Words, Self::Texts]
            .get(usize::from(number))
            .copied()
    }
}

/// One section of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub kind: SectionKind,
    /// Where it begins among the bytes of all sections, one behind another.
    pub start: u64,
    /// Its length in bytes.
    pub length: u32,
    /// The xxh3-64 of its bytes.
    pub checksum: u64,
}

impl Section {
    fn end(&self) -> u64 {
        self.start + u64::from(self.length)
    }
}

/// The smallest and the largest value of a numeric attribute in a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zone {
    pub(super) field: u64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// What a block says of a numeric attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberRange {
    /// No span has it as a number.
    Absent,
    /// All numbers lie between these two, both included; NaN is not counted.
    Between(f64, f64),
    /// It is not known.
    Unknown,
}

/// What the header of a block says about all of its traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSummary {
    /// How many traces there are, fragments included.
    pub n_traces: u32,
    /// How many spans there are.
    pub n_spans: u32,
    /// How many spans failed.
    pub n_error_spans: u32,
    /// How many traces have a failed span.
    pub n_error_traces: u32,
    /// Whether a trace has no root span here: its other spans came or come elsewhere.
    pub has_fragments: bool,
    /// The first start of a span in Unix nanoseconds; 0 if there are no spans.
    pub first_start_unix_nano: u64,
    /// The last start of a span in Unix nanoseconds.
    pub last_start_unix_nano: u64,
    /// The last start or end of a span in Unix nanoseconds.
    pub last_end_unix_nano: u64,
    /// The shortest and the longest duration of an ended span, in nanoseconds.
    pub duration_nanos: RangeInclusive<u64>,
}

/// The header of a block, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockHeader {
    pub(super) version: u8,
    pub(super) summary: BlockSummary,
    /// The smallest and the largest id. Most ids begin with a time, so that the ranges of blocks
    /// hardly overlap and tell more quickly than the filter what is not there.
    pub(super) trace_ids: RangeInclusive<TraceId>,
    /// Whether attributes had more keys than a block has columns.
    pub(super) has_more_keys: bool,
    pub(super) zones: Vec<Zone>,
    pub(super) sections: Vec<Section>,
    pub(super) overflowed: Vec<u64>,
    pub(super) bloom: Vec<u8>,
}

impl BlockHeader {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let summary = &self.summary;
        let flags = u8::from(summary.has_fragments) * FLAG_FRAGMENTS
            + u8::from(self.has_more_keys) * FLAG_MORE_KEYS;
        let mut out = vec![self.version, flags];
        let (shortest, longest) = (summary.duration_nanos.start(), summary.duration_nanos.end());
        for number in [
            u64::from(summary.n_traces),
            u64::from(summary.n_spans),
            u64::from(summary.n_error_spans),
            u64::from(summary.n_error_traces),
            summary.first_start_unix_nano,
            summary
                .last_start_unix_nano
                .wrapping_sub(summary.first_start_unix_nano),
            summary
                .last_end_unix_nano
                .wrapping_sub(summary.first_start_unix_nano),
            *shortest,
            longest.wrapping_sub(*shortest),
        ] {
            put_varint(&mut out, number);
        }
        out.extend_from_slice(self.trace_ids.start().as_bytes());
        out.extend_from_slice(self.trace_ids.end().as_bytes());
        put_varint(&mut out, self.zones.len() as u64);
        for zone in &self.zones {
            out.extend_from_slice(&zone.field.to_le_bytes());
            out.extend_from_slice(&zone.min.to_bits().to_le_bytes());
            out.extend_from_slice(&zone.max.to_bits().to_le_bytes());
        }
        put_varint(&mut out, self.sections.len() as u64);
        for section in &self.sections {
            out.push(section.kind as u8);
            put_varint(&mut out, u64::from(section.length));
            out.extend_from_slice(&section.checksum.to_le_bytes());
        }
        put_varint(&mut out, self.overflowed.len() as u64);
        for field in &self.overflowed {
            out.extend_from_slice(&field.to_le_bytes());
        }
        put_bytes(&mut out, &self.bloom);
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads a header and checks its checksum.
    pub fn read(bytes: &[u8]) -> Result<Self, BlockError> {
        let Some((checked, checksum)) = bytes.split_last_chunk::<8>() else {
            return Err(BlockError::malformed("the header is too short"));
        };
        if xxh3_64(checked) != u64::from_le_bytes(*checksum) {
            return Err(BlockError::HeaderChecksum);
        }
        let mut cursor = Cursor::new(checked);
        let version = cursor.byte()?;
        if version > VERSION {
            return Err(BlockError::NewerVersion {
                found: version,
                supported: VERSION,
            });
        }
        let flags = cursor.byte()?;
        let mut rows = || match cursor.varint()? {
            rows if rows <= MAX_ROWS => Ok(rows as u32),
            _ => Err(BlockError::malformed("the header counts too many rows")),
        };
        let (n_traces, n_spans) = (rows()?, rows()?);
        let (n_error_spans, n_error_traces) = (rows()?, rows()?);
        let first_start_unix_nano = cursor.varint()?;
        let last_start_unix_nano = first_start_unix_nano.wrapping_add(cursor.varint()?);
        let last_end_unix_nano = first_start_unix_nano.wrapping_add(cursor.varint()?);
        let shortest = cursor.varint()?;
        let longest = shortest.wrapping_add(cursor.varint()?);
        let first_id = TraceId::from_bytes(cursor.array()?);
        let last_id = TraceId::from_bytes(cursor.array()?);
        let mut zones = Vec::new();
        for _ in 0..cursor.count()? {
            zones.push(Zone {
                field: u64::from_le_bytes(cursor.array()?),
                min: f64::from_bits(u64::from_le_bytes(cursor.array()?)),
                max: f64::from_bits(u64::from_le_bytes(cursor.array()?)),
            });
        }
        let mut sections = Vec::new();
        let mut start = 0;
        for _ in 0..cursor.count()? {
            let kind = SectionKind::from_number(cursor.byte()?);
            let length = cursor.count()? as u32;
            sections.push(Section {
                kind: kind.ok_or(BlockError::malformed("a section has an unknown kind"))?,
                start,
                length,
                checksum: u64::from_le_bytes(cursor.array()?),
            });
            start += u64::from(length);
        }
        let mut overflowed = Vec::new();
        for _ in 0..cursor.count()? {
            overflowed.push(u64::from_le_bytes(cursor.array()?));
        }
        Ok(Self {
            version,
            summary: BlockSummary {
                n_traces,
                n_spans,
                n_error_spans,
                n_error_traces,
                has_fragments: flags & FLAG_FRAGMENTS != 0,
                first_start_unix_nano,
                last_start_unix_nano,
                last_end_unix_nano,
                duration_nanos: shortest..=longest,
            },
            trace_ids: first_id..=last_id,
            has_more_keys: flags & FLAG_MORE_KEYS != 0,
            zones,
            sections,
            overflowed,
            bloom: cursor.bytes()?.to_vec(),
        })
    }

    /// What it says about all traces.
    pub fn summary(&self) -> &BlockSummary {
        &self.summary
    }

    /// Returns whether a trace of the block may have the term. Without a doubt it has not if this
    /// says no; 0.3 % of other terms give a yes.
    pub fn may_have(&self, term: Term) -> bool {
        may_have(&self.bloom, term.hash)
            || self.overflowed.contains(&term.field)
            || (self.has_more_keys && term.field != 0)
    }

    /// Returns whether every value of the field is a term or a number of its own: without that,
    /// there are lists, or more values than are indexed.
    pub fn is_indexed(&self, field: TermField<'_>) -> bool {
        !self.has_more_keys && !self.overflowed.contains(&field.hash())
    }

    /// Returns whether the block may have spans of the trace.
    pub fn may_have_trace(&self, trace_id: TraceId) -> bool {
        self.trace_ids.contains(&trace_id) && self.may_have(Term::trace_id(trace_id))
    }

    /// The range of the numbers a span attribute has in this block.
    pub fn number_range(&self, key: &str) -> NumberRange {
        if self.has_more_keys {
            return NumberRange::Unknown;
        }
        let field = TermField::Attribute(key).hash();
        match self.zones.iter().find(|zone| zone.field == field) {
            Some(zone) if zone.min <= zone.max => NumberRange::Between(zone.min, zone.max),
            Some(_) => NumberRange::Absent,
            None if self.zones.len() < MAX_ZONES => NumberRange::Absent,
            None => NumberRange::Unknown,
        }
    }

    /// The smallest and the largest id of a trace.
    pub(crate) fn trace_ids(&self) -> RangeInclusive<TraceId> {
        self.trace_ids.clone()
    }

    /// The sections of the block, by their numbers.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// How many spans of a trace are one place in the word index.
    pub(super) fn stretch_spans(&self) -> usize {
        if self.version >= 2 { STRETCH_SPANS } else { 1 }
    }

    /// How many bytes all sections have, if they are stored as one run, one behind another.
    pub(crate) fn run_bytes(&self) -> Option<u64> {
        let end = self.sections.last().map_or(0, Section::end);
        (self.version >= 2).then_some(end)
    }
}

/// How many numeric attributes of a block have their range in the header.
pub(super) const MAX_ZONES: usize = 64;
