//! Which columns a block has and where they are.
//!
//! Section 0 is one blob:
//!
//! ```text
//! varint events, varint links, varint chunks of texts,
//! varint columns, each:
//!   byte column, byte value type (attribute columns only, else 0), text key (the same),
//!   varint rows, varint section, varint length
//! ```
//!
//! Columns stand in their sections in the order of the directory, without gaps. A column that is
//! not there has its default in every row: 0, or no text. Readers skip columns they do not know.

use std::ops::Range;

use super::BlockError;
use super::attributes::{AttributesBuilder, ValueType};
use super::bytes::{Cursor, put_blob, put_bytes, put_varint};
use super::header::{MAX_ROWS, SectionKind};
use super::ints::put_ints;
use super::strings::StringsBuilder;

/// Columns share a section up to this length, so that a reader of one column reads little else.
const SECTION_BYTES: usize = 16 << 10;

/// The columns of a block. The numbers are the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Column {
    // One row a trace.
    TraceIds = 1,
    SpanCounts = 2,
    TraceStarts = 3,
    TraceNames = 4,
    Sessions = 5,
    Users = 6,
    ClientRequestIds = 7,
    RequestPreviews = 8,
    RequestPreviewTexts = 9,
    ResponsePreviews = 10,
    ResponsePreviewTexts = 11,
    States = 12,
    Pinned = 13,
    HasRequestTimes = 14,
    RequestTimes = 15,
    HasExecutionDurations = 16,
    ExecutionDurations = 17,
    /// Assessments and extra fields, as records of updates.
    Updates = 18,
    TextValues = 19,
    TextValueBytes = 20,
    TextNewBytes = 21,
    /// The encoded values of all traces: a blob.
    TextTable = 22,
    /// One row a chunk.
    ChunkLengths = 23,
    TagShapes = 24,
    TagRows = 25,
    MetadataShapes = 26,
    MetadataRows = 27,
    // One row a span.
    SpanIds = 40,
    Depths = 41,
    /// The spans whose parent is not in the trace, counted from 1.
    ForeignParentRows = 42,
    ForeignParentIds = 43,
    Names = 44,
    Types = 45,
    Kinds = 46,
    StatusCodes = 47,
    StatusMessages = 48,
    StatusMessageTexts = 49,
    Starts = 50,
    Durations = 51,
    /// The spans without an end, counted from 1.
    OpenRows = 52,
    Inputs = 53,
    Outputs = 54,
    Derived = 55,
    Resources = 56,
    Scopes = 57,
    EventCounts = 58,
    LinkCounts = 59,
    SpanTraceStates = 60,
    Flags = 61,
    DroppedAttributes = 62,
    DroppedEvents = 63,
    DroppedLinks = 64,
    AttributeShapes = 65,
    AttributeRows = 66,
    // One row an event.
    EventNames = 80,
    EventTimes = 81,
    EventDropped = 82,
    EventShapes = 83,
    EventRows = 84,
    // One row a link.
    LinkTraceIds = 90,
    LinkSpanIds = 91,
    LinkTraceStates = 92,
    LinkDropped = 93,
    LinkFlags = 94,
    LinkShapes = 95,
    LinkRows = 96,
    // One row for every row of its kind that has the attribute.
    TagValues = 120,
    MetadataValues = 121,
    AttributeValues = 122,
    EventAttributeValues = 123,
    LinkAttributeValues = 124,
}

impl Column {
    fn has_key(number: u8) -> bool {
        (Self::TagValues as u8..=Self::LinkAttributeValues as u8).contains(&number)
    }
}

/// The columns that hold one kind of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttributeColumns {
    pub(super) shapes: Column,
    pub(super) rows: Column,
    pub(super) values: Column,
}

pub(super) const TAGS: AttributeColumns = AttributeColumns {
    shapes: Column::TagShapes,
    rows: Column::TagRows,
    values: Column::TagValues,
};
pub(super) const METADATA: AttributeColumns = AttributeColumns {
    shapes: Column::MetadataShapes,
    rows: Column::MetadataRows,
    values: Column::MetadataValues,
};
pub(super) const SPAN_ATTRIBUTES: AttributeColumns = AttributeColumns {
    shapes: Column::AttributeShapes,
    rows: Column::AttributeRows,
    values: Column::AttributeValues,
};
pub(super) const EVENT_ATTRIBUTES: AttributeColumns = AttributeColumns {
    shapes: Column::EventShapes,
    rows: Column::EventRows,
    values: Column::EventAttributeValues,
};
pub(super) const LINK_ATTRIBUTES: AttributeColumns = AttributeColumns {
    shapes: Column::LinkShapes,
    rows: Column::LinkRows,
    values: Column::LinkAttributeValues,
};

/// Writes columns into sections and keeps the directory of them.
#[derive(Debug)]
pub(super) struct ColumnsWriter {
    /// Finished sections; the first is the directory's place.
    sections: Vec<(SectionKind, Vec<u8>)>,
    current: Vec<u8>,
    entries: Vec<u8>,
    n_entries: u64,
}

impl ColumnsWriter {
    pub(super) fn new() -> Self {
        Self {
            sections: vec![(SectionKind::Directory, Vec::new())],
            current: Vec::new(),
            entries: Vec::new(),
            n_entries: 0,
        }
    }

    /// Adds an entry for what was written to the current section since `start`.
    fn end_column(
        &mut self,
        column: Column,
        kind: Option<(&str, ValueType)>,
        rows: usize,
        start: usize,
    ) {
        self.entries.push(column as u8);
        self.entries
            .push(kind.map_or(0, |(_, value_type)| value_type as u8));
        if let Some((key, _)) = kind {
            put_bytes(&mut self.entries, key.as_bytes());
        }
        put_varint(&mut self.entries, rows as u64);
        put_varint(&mut self.entries, self.sections.len() as u64);
        put_varint(&mut self.entries, (self.current.len() - start) as u64);
        self.n_entries += 1;
        if self.current.len() >= SECTION_BYTES {
            self.end_section();
        }
    }

    fn end_section(&mut self) {
        if !self.current.is_empty() {
            let section = std::mem::take(&mut self.current);
            self.sections.push((SectionKind::Columns, section));
        }
    }

    pub(super) fn ints(&mut self, column: Column, rows: &[i64]) {
        if rows.iter().any(|row| *row != 0) {
            let start = self.current.len();
            put_ints(&mut self.current, rows);
            self.end_column(column, None, rows.len(), start);
        }
    }

    pub(super) fn strings(&mut self, column: Column, rows: &StringsBuilder<'_>) {
        if !rows.entries().is_empty() {
            let start = self.current.len();
            rows.put(&mut self.current);
            self.end_column(column, None, rows.rows(), start);
        }
    }

    /// Writes bytes as they are: ids.
    pub(super) fn fixed(&mut self, column: Column, rows: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            let start = self.current.len();
            self.current.extend_from_slice(bytes);
            self.end_column(column, None, rows, start);
        }
    }

    pub(super) fn blob(&mut self, column: Column, bytes: &[u8]) {
        if !bytes.is_empty() {
            let start = self.current.len();
            put_blob(&mut self.current, bytes);
            self.end_column(column, None, 1, start);
        }
    }

    pub(super) fn attributes(&mut self, columns: AttributeColumns, rows: &AttributesBuilder<'_>) {
        if rows.is_empty() {
            return;
        }
        let mut shapes = Vec::new();
        rows.put_shapes(&mut shapes);
        self.blob(columns.shapes, &shapes);
        self.ints(columns.rows, &rows.rows);
        for column in &rows.columns {
            let start = self.current.len();
            column.values.put(&mut self.current);
            let kind = Some((column.key, column.value_type));
            self.end_column(columns.values, kind, column.values.rows(), start);
        }
    }

    /// Adds a section that holds no columns.
    pub(super) fn section(&mut self, kind: SectionKind, bytes: Vec<u8>) {
        self.end_section();
        self.sections.push((kind, bytes));
    }

    /// Writes the directory and returns all sections.
    pub(super) fn finish(
        mut self,
        n_events: usize,
        n_links: usize,
        n_chunks: usize,
    ) -> Vec<(SectionKind, Vec<u8>)> {
        self.end_section();
        let mut directory = Vec::with_capacity(self.entries.len() + 16);
        for count in [n_events, n_links, n_chunks] {
            put_varint(&mut directory, count as u64);
        }
        put_varint(&mut directory, self.n_entries);
        directory.append(&mut self.entries);
        if let Some((_, first)) = self.sections.first_mut() {
            put_blob(first, &directory);
        }
        self.sections
    }
}

/// Where one column is.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) column: u8,
    pub(super) value_type: u8,
    key: Range<u32>,
    pub(super) rows: usize,
    pub(super) section: u32,
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// The directory of a block, decoded.
#[derive(Debug)]
pub(super) struct Directory {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The entries of every column by its number: the first, and how many follow each other.
    places: Vec<(u32, u32)>,
    pub(super) n_events: usize,
    pub(super) n_links: usize,
    pub(super) n_chunks: usize,
}

impl Directory {
    pub(super) fn read(section: &[u8]) -> Result<Self, BlockError> {
        let bytes = Cursor::new(section).owned_blob()?;
        let mut cursor = Cursor::new(&bytes);
        let rows = |cursor: &mut Cursor<'_>| match cursor.varint()? {
            rows if rows <= MAX_ROWS => Ok(rows as usize),
            _ => Err(BlockError::malformed("the directory counts too many rows")),
        };
        let (n_events, n_links) = (rows(&mut cursor)?, rows(&mut cursor)?);
        let (n_chunks, n_entries) = (rows(&mut cursor)?, rows(&mut cursor)?);
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..n_entries {
            let column = cursor.byte()?;
            let value_type = cursor.byte()?;
            let key = if Column::has_key(column) {
                let key = cursor.text()?.len() as u32;
                let end = (bytes.len() - cursor.len()) as u32;
                end - key..end
            } else {
                0..0
            };
            let (rows, section) = (rows(&mut cursor)?, cursor.count()? as u32);
            let length = cursor.count()?;
            let offset = match entries.last() {
                Some(last) if last.section == section => last.offset + last.length,
                _ => 0,
            };
            entries.push(Entry {
                column,
                value_type,
                key,
                rows,
                section,
                offset,
                length,
            });
        }
        let mut places = vec![(0, 0); 1 + usize::from(u8::MAX)];
        for (number, entry) in (0..).zip(&entries) {
            let (first, count) = &mut places[usize::from(entry.column)];
            if *count == 0 {
                *first = number;
            }
            // Others in between would be no part of one kind.
            *count += u32::from(number == *first + *count);
        }
        Ok(Self {
            bytes,
            entries,
            places,
            n_events,
            n_links,
            n_chunks,
        })
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.bytes.len()
            + size_of_val(self.entries.as_slice())
            + size_of_val(self.places.as_slice())
    }

    pub(super) fn n_entries(&self) -> usize {
        self.entries.len()
    }

    /// The entry of a column, and its number.
    pub(super) fn find(&self, column: Column) -> Option<(usize, &Entry)> {
        let (first, count) = self.places[usize::from(column as u8)];
        let entry = self.entries.get(first as usize)?;
        (count > 0).then_some((first as usize, entry))
    }

    /// The attribute columns of one kind, in the order shapes count them, and the number of the
    /// first.
    pub(super) fn all(&self, column: Column) -> (usize, &[Entry]) {
        let (first, count) = self.places[usize::from(column as u8)];
        let (first, count) = (first as usize, count as usize);
        let entries = self.entries.get(first..first + count);
        (first, entries.unwrap_or_default())
    }

    pub(super) fn key(&self, entry: &Entry) -> &str {
        let key = self
            .bytes
            .get(entry.key.start as usize..entry.key.end as usize);
        // The key was read as text when the directory was.
        key.and_then(|key| std::str::from_utf8(key).ok())
            .unwrap_or_default()
    }
}
