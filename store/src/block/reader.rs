use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use spanlite_model::TraceId;
use xxhash_rust::xxh3::xxh3_64;

use super::BlockError;
use super::attributes::{ColumnValues, Shapes, ValueType};
use super::bytes::Cursor;
use super::chunks::Stream;
use super::directory::{AttributeColumns, Column, Directory, Entry};
use super::header::{BlockHeader, Section};
use super::ints::Ints;
use super::kept::{Keep, KeptBytes, KeptColumn};
use super::scan::Structure;
use super::strings::Strings;
use super::texts::TraceTexts;

/// Where a [`BlockReader`] gets the bytes of its sections from.
pub trait LoadSection {
    /// Reads the section with this number. The reader checks the checksum.
    fn load(
        &self,
        number: u32,
        section: Section,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> LoadSection for F
where
    F: Fn(u32, Section) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>,
{
    fn load(
        &self,
        number: u32,
        section: Section,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        self(number, section)
    }
}

/// A block whose sections are read and checked when something in them is asked for.
///
/// What was read and decompressed of columns and words stays with the reader, which makes asking
/// again cheap; of texts it keeps the last chunks.
#[derive(Debug)]
pub struct BlockReader<L> {
    header: Arc<BlockHeader>,
    load: L,
    directory: Directory,
    sections: Vec<OnceLock<Vec<u8>>>,
    /// By entry of the directory.
    columns: Vec<KeptColumn>,
    span_starts: OnceLock<Vec<u32>>,
    /// Of spans, tags, metadata, events and links.
    shapes: [OnceLock<Shapes>; 5],
    text_tables: OnceLock<TextTables>,
    structure: OnceLock<Structure>,
    pub(super) stream: Stream,
    pub(super) kept_bytes: KeptBytes,
    loaded_bytes: AtomicU64,
}

const NO_TEXTS: BlockError = BlockError::malformed("the texts of a trace are missing");

/// The tables of the texts of all traces.
#[derive(Debug)]
struct TextTables {
    /// Where those of every trace begin, and at the end where they end.
    places: Vec<TextPlace>,
    bytes: Vec<u8>,
}

/// Where the texts of a trace begin.
#[derive(Debug, Clone, Copy, Default)]
struct TextPlace {
    /// Their table among all tables.
    table: usize,
    /// What is new in them, in the stream of texts.
    stream: u64,
}

impl<L: LoadSection> BlockReader<L> {
    /// Opens a block; reads its directory.
    pub fn open(header: impl Into<Arc<BlockHeader>>, load: L) -> Result<Self, BlockError> {
        Self::open_among(header.into(), load, &Arc::default())
    }

    /// Opens a block that counts what it keeps, in bytes, in `all_kept` too.
    pub(crate) fn open_among(
        header: Arc<BlockHeader>,
        load: L,
        all_kept: &Arc<AtomicU64>,
    ) -> Result<Self, BlockError> {
        let section = load_checked(&header, &load, 0)?;
        let directory = Directory::read(&section)?;
        let kept_bytes = KeptBytes::among(all_kept);
        kept_bytes.add(directory.kept_bytes());
        let (mut sections, mut columns) = (Vec::new(), Vec::new());
        sections.resize_with(header.sections.len(), OnceLock::new);
        columns.resize_with(directory.n_entries(), KeptColumn::default);
        Ok(Self {
            header,
            load,
            sections,
            columns,
            directory,
            span_starts: OnceLock::new(),
            shapes: Default::default(),
            text_tables: OnceLock::new(),
            structure: OnceLock::new(),
            stream: Stream::default(),
            kept_bytes,
            loaded_bytes: AtomicU64::new(section.len() as u64),
        })
    }

    /// The header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// How many traces there are.
    pub fn n_traces(&self) -> usize {
        self.header.summary.n_traces as usize
    }

    /// How many spans there are.
    pub fn n_spans(&self) -> usize {
        self.header.summary.n_spans as usize
    }

    /// How many bytes of sections were loaded so far.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    /// Reads a section that is not kept.
    pub(super) fn load(&self, number: u32) -> Result<Vec<u8>, BlockError> {
        let section = load_checked(&self.header, &self.load, number)?;
        self.loaded_bytes
            .fetch_add(section.len() as u64, Ordering::Relaxed);
        Ok(section)
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn section(&self, number: u32) -> Result<&[u8], BlockError> {
        let slot = self
            .sections
            .get(number as usize)
            .ok_or(BlockError::malformed("a section is not there"))?;
        if let Some(section) = slot.get() {
            return Ok(section);
        }
        let section = self.load(number)?;
        Ok(slot.get_or_init(|| {
            self.kept_bytes.add(section.len());
            section
        }))
    }

    fn column_bytes(&self, entry: &Entry) -> Result<Cursor<'_>, BlockError> {
        let section = self.section(entry.section)?;
        let end = entry.offset.saturating_add(entry.length);
        let bytes = section.get(entry.offset..end);
        bytes
            .map(Cursor::new)
            .ok_or(BlockError::malformed("a column lies outside its section"))
    }

    /// Where the column of an entry keeps what was worked out of it.
    fn keep(&self, entry: usize) -> Result<Keep<'_>, BlockError> {
        let column = self.columns.get(entry);
        Ok(Keep {
            column: column.ok_or(BlockError::malformed("a column is not there"))?,
            n_bytes: &self.kept_bytes,
        })
    }

    /// A column that must have this many rows, and where it keeps what was worked out of it.
    fn column(
        &self,
        column: Column,
        rows: usize,
    ) -> Result<Option<(Cursor<'_>, Keep<'_>)>, BlockError> {
        match self.directory.find(column) {
            Some((_, entry)) if entry.rows != rows => Err(BlockError::malformed(
                "a column has the wrong number of rows",
            )),
            Some((number, entry)) => Ok(Some((self.column_bytes(entry)?, self.keep(number)?))),
            None => Ok(None),
        }
    }

    pub(super) fn ints(&self, column: Column, rows: usize) -> Result<Ints<'_>, BlockError> {
        match self.column(column, rows)? {
            Some((mut bytes, keep)) => Ints::read(&mut bytes, rows, keep.only()),
            None => Ok(Ints::constant(rows, 0)),
        }
    }

    /// A column of spans that have something few have.
    pub(super) fn list(&self, column: Column) -> Result<Ints<'_>, BlockError> {
        let entry = self.directory.find(column);
        let rows = entry.map_or(0, |(_, entry)| entry.rows);
        if rows > self.n_spans() {
            return Err(BlockError::malformed("a list is longer than the spans"));
        }
        self.ints(column, rows)
    }

    pub(super) fn strings(&self, column: Column, rows: usize) -> Result<Strings<'_>, BlockError> {
        match self.column(column, rows)? {
            Some((mut bytes, keep)) => Strings::read(&mut bytes, rows, keep),
            None => Ok(Strings::constant(rows)),
        }
    }

    pub(super) fn fixed<const N: usize>(
        &self,
        column: Column,
        rows: usize,
    ) -> Result<&[[u8; N]], BlockError> {
        let Some((mut bytes, _)) = self.column(column, rows)? else {
            return match rows {
                0 => Ok(&[]),
                _ => Err(BlockError::malformed("a column of ids is missing")),
            };
        };
        let (ids, rest) = bytes.take(bytes.len())?.as_chunks::<N>();
        if ids.len() != rows || !rest.is_empty() {
            return Err(BlockError::malformed(
                "a column of ids has the wrong length",
            ));
        }
        Ok(ids)
    }

    pub(super) fn shapes(&self, columns: AttributeColumns) -> Result<&Shapes, BlockError> {
        let place = columns.values as usize - Column::TagValues as usize;
        let slot = &self.shapes[place];
        if let Some(shapes) = slot.get() {
            return Ok(shapes);
        }
        let shapes = match self.directory.find(columns.shapes) {
            Some((_, entry)) => Shapes::read(&self.column_bytes(entry)?.owned_blob()?)?,
            None => Shapes::default(),
        };
        Ok(slot.get_or_init(|| {
            self.kept_bytes.add(shapes.kept_bytes());
            shapes
        }))
    }

    /// The values of the attribute column with a number in the directory.
    pub(super) fn values(
        &self,
        number: usize,
        entry: &Entry,
    ) -> Result<(ValueType, ColumnValues<'_>), BlockError> {
        let value_type = ValueType::from_number(entry.value_type)
            .ok_or(BlockError::malformed("a column has an unknown type"))?;
        let (mut bytes, keep) = (self.column_bytes(entry)?, self.keep(number)?);
        let values = ColumnValues::read(&mut bytes, value_type, entry.rows, keep)?;
        Ok((value_type, values))
    }

    /// The ids of the traces, in their order in the block.
    pub fn trace_ids(&self) -> Result<&[[u8; 16]], BlockError> {
        self.fixed(Column::TraceIds, self.n_traces())
    }

    /// The places of a trace in the block: one, but for a block that got two parts of it.
    pub fn find(&self, trace_id: TraceId) -> Result<Vec<usize>, BlockError> {
        let ids = self.trace_ids()?.iter().enumerate();
        let found = ids.filter(|(_, id)| *id == trace_id.as_bytes());
        Ok(found.map(|(place, _)| place).collect())
    }

    /// Where the spans of every trace begin, and at the end where they end.
    pub fn span_starts(&self) -> Result<&[u32], BlockError> {
        if let Some(starts) = self.span_starts.get() {
            return Ok(starts);
        }
        let counts = self.ints(Column::SpanCounts, self.n_traces())?;
        let mut starts = Vec::with_capacity(self.n_traces() + 1);
        let mut at = 0u64;
        starts.push(0);
        counts.for_each(0, counts.len(), |_, count| {
            at = at.saturating_add(count as u64);
            starts.push(at as u32);
        });
        if at != self.n_spans() as u64 {
            return Err(BlockError::malformed(
                "the spans of the traces do not add up",
            ));
        }
        Ok(self.span_starts.get_or_init(|| {
            self.kept_bytes.add(4 * starts.len());
            starts
        }))
    }

    pub(super) fn kept_structure(
        &self,
        read: impl FnOnce() -> Result<Structure, BlockError>,
    ) -> Result<&Structure, BlockError> {
        if let Some(structure) = self.structure.get() {
            return Ok(structure);
        }
        let structure = read()?;
        Ok(self.structure.get_or_init(|| {
            self.kept_bytes.add(structure.kept_bytes());
            structure
        }))
    }

    /// Where the bytes that entered a trace with its texts are in the stream.
    pub(super) fn new_text_range(&self, trace: usize) -> Result<Range<u64>, BlockError> {
        if self.directory.find(Column::TextTable).is_none() {
            return Ok(0..0);
        }
        let places = &self.text_tables()?.places;
        let bounds = places.get(trace).zip(places.get(trace + 1));
        let (place, next) = bounds.ok_or(NO_TEXTS)?;
        Ok(place.stream..next.stream)
    }

    pub(super) fn trace_texts(&self, trace: usize) -> Result<TraceTexts, BlockError> {
        if self.directory.find(Column::TextTable).is_none() {
            return Ok(TraceTexts::default());
        }
        let tables = self.text_tables()?;
        let bounds = tables.places.get(trace).zip(tables.places.get(trace + 1));
        let (place, next) = bounds.ok_or(NO_TEXTS)?;
        let encoded = tables.bytes.get(place.table..next.table).ok_or(NO_TEXTS)?;
        let n_values = self.ints(Column::TextValues, self.n_traces())?.get(trace);
        let n_new = next.stream - place.stream;
        TraceTexts::read(encoded, n_values as usize, place.stream, n_new)
    }

    /// Where the tables of the texts of all traces are, put together once.
    fn text_tables(&self) -> Result<&TextTables, BlockError> {
        if let Some(tables) = self.text_tables.get() {
            return Ok(tables);
        }
        let n_traces = self.n_traces();
        let mut places = Vec::with_capacity(n_traces + 1);
        let mut place = TextPlace::default();
        let n_new = self.ints(Column::TextNewBytes, n_traces)?;
        let n_bytes = self.ints(Column::TextValueBytes, n_traces)?;
        places.push(place);
        n_bytes.for_each(0, n_traces, |trace, n_bytes| {
            place.table = place.table.saturating_add(n_bytes as u64 as usize);
            place.stream = place.stream.saturating_add(n_new.get(trace) as u64);
            places.push(place);
        });
        let bytes = match self.directory.find(Column::TextTable) {
            Some((_, entry)) => self.column_bytes(entry)?.owned_blob()?,
            None => Vec::new(),
        };
        Ok(self.text_tables.get_or_init(|| {
            self.kept_bytes
                .add(bytes.len() + size_of_val(places.as_slice()));
            TextTables { places, bytes }
        }))
    }

    /// Appends `range` of a long value of a trace; values are counted from 0.
    pub(super) fn read_text(
        &self,
        texts: &TraceTexts,
        value: usize,
        range: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), BlockError> {
        self.each_piece(texts, value, range, &mut |piece| {
            out.extend_from_slice(piece);
        })
    }

    /// Calls `each` with the pieces that `range` of a long value is made of, in order.
    pub(super) fn each_piece(
        &self,
        texts: &TraceTexts,
        value: usize,
        range: Range<u64>,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), BlockError> {
        texts.resolve(value, range, |part| self.read_stream(part, each))
    }
}

fn load_checked<L: LoadSection>(
    header: &BlockHeader,
    load: &L,
    number: u32,
) -> Result<Vec<u8>, BlockError> {
    let section = *header
        .sections
        .get(number as usize)
        .ok_or(BlockError::malformed("a section is not there"))?;
    let bytes = load
        .load(number, section)
        .map_err(|source| BlockError::Load {
            section: number,
            source,
        })?;
    if bytes.len() != section.length as usize || xxh3_64(&bytes) != section.checksum {
        return Err(BlockError::SectionChecksum { section: number });
    }
    Ok(bytes)
}
