use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use spanlite_model::TraceId;
use xxhash_rust::xxh3::xxh3_64;

use super::BlockError;
use super::attributes::{ColumnValues, Shapes, ValueType};
use super::bytes::{Cursor, decompress, decompress_start};
use super::directory::{AttributeColumns, Column, Directory, Entry};
use super::header::{BlockHeader, Section, SectionKind};
use super::ints::Ints;
use super::strings::Strings;
use super::texts::TraceTexts;

/// How many decompressed chunks of texts a reader keeps.
const CACHED_CHUNKS: usize = 4;

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
/// Columns borrow from the sections the reader keeps; texts are decompressed chunk by chunk, of
/// which it keeps the last few.
#[derive(Debug)]
pub struct BlockReader<L> {
    header: Arc<BlockHeader>,
    load: L,
    directory: Directory,
    sections: Vec<OnceLock<Vec<u8>>>,
    chunks: OnceLock<Vec<ChunkPlace>>,
    cached: Mutex<Vec<(usize, Arc<Chunk>)>>,
    text_tables: OnceLock<TextTables>,
    loaded_bytes: AtomicU64,
}

/// A decompressed chunk of texts.
#[derive(Debug)]
struct Chunk(Vec<u8>);

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

/// Where a chunk begins in the stream of texts, and which section it is.
#[derive(Debug, Clone, Copy)]
struct ChunkPlace {
    start: u64,
    section: u32,
}

impl<L: LoadSection> BlockReader<L> {
    /// Opens a block; reads its directory.
    pub fn open(header: impl Into<Arc<BlockHeader>>, load: L) -> Result<Self, BlockError> {
        let header = header.into();
        let section = load_checked(&header, &load, 0)?;
        let length = section.len();
        let directory = Directory::read(&section)?;
        let mut sections = Vec::new();
        sections.resize_with(header.sections.len(), OnceLock::new);
        Ok(Self {
            header,
            load,
            directory,
            sections,
            chunks: OnceLock::new(),
            cached: Mutex::default(),
            text_tables: OnceLock::new(),
            loaded_bytes: AtomicU64::new(length as u64),
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

    /// How many bytes the reader keeps in memory: sections of columns and words, and the last
    /// chunks of texts.
    pub fn kept_bytes(&self) -> u64 {
        let sections = self.sections.iter().filter_map(OnceLock::get);
        let sections: usize = sections.map(Vec::len).sum();
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks: usize = cached.iter().map(|(_, chunk)| chunk.0.len()).sum();
        (sections + chunks) as u64
    }

    /// How many bytes of sections were loaded so far.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    fn count_loaded(&self, section: &[u8]) {
        self.loaded_bytes
            .fetch_add(section.len() as u64, Ordering::Relaxed);
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
        let section = load_checked(&self.header, &self.load, number)?;
        self.count_loaded(&section);
        Ok(slot.get_or_init(|| section))
    }

    pub(super) fn column_bytes(&self, entry: &Entry) -> Result<&[u8], BlockError> {
        let section = self.section(entry.section)?;
        let end = entry.offset.saturating_add(entry.length);
        section
            .get(entry.offset..end)
            .ok_or(BlockError::malformed("a column lies outside its section"))
    }

    /// The entry of a column that must have this many rows.
    fn entry(&self, column: Column, rows: usize) -> Result<Option<&Entry>, BlockError> {
        match self.directory.find(column) {
            Some(entry) if entry.rows != rows => Err(BlockError::malformed(
                "a column has the wrong number of rows",
            )),
            entry => Ok(entry),
        }
    }

    pub(super) fn ints(&self, column: Column, rows: usize) -> Result<Ints<'_>, BlockError> {
        match self.entry(column, rows)? {
            Some(entry) => Ints::read(&mut Cursor::new(self.column_bytes(entry)?), rows),
            None => Ok(Ints::constant(rows, 0)),
        }
    }

    /// A column of spans that have something few have.
    pub(super) fn list(&self, column: Column) -> Result<Ints<'_>, BlockError> {
        let rows = self.directory.find(column).map_or(0, |entry| entry.rows);
        if rows > self.n_spans() {
            return Err(BlockError::malformed("a list is longer than the spans"));
        }
        self.ints(column, rows)
    }

    pub(super) fn strings(&self, column: Column, rows: usize) -> Result<Strings<'_>, BlockError> {
        match self.entry(column, rows)? {
            Some(entry) => Strings::read(&mut Cursor::new(self.column_bytes(entry)?), rows),
            None => Ok(Strings::constant(rows)),
        }
    }

    pub(super) fn fixed<const N: usize>(
        &self,
        column: Column,
        rows: usize,
    ) -> Result<&[[u8; N]], BlockError> {
        let Some(entry) = self.entry(column, rows)? else {
            return match rows {
                0 => Ok(&[]),
                _ => Err(BlockError::malformed("a column of ids is missing")),
            };
        };
        let (ids, rest) = self.column_bytes(entry)?.as_chunks::<N>();
        if ids.len() != rows || !rest.is_empty() {
            return Err(BlockError::malformed(
                "a column of ids has the wrong length",
            ));
        }
        Ok(ids)
    }

    pub(super) fn shapes(&self, columns: AttributeColumns) -> Result<Shapes, BlockError> {
        match self.directory.find(columns.shapes) {
            Some(entry) => Shapes::read(&Cursor::new(self.column_bytes(entry)?).blob()?),
            None => Ok(Shapes::default()),
        }
    }

    pub(super) fn values(
        &self,
        entry: &Entry,
    ) -> Result<(ValueType, ColumnValues<'_>), BlockError> {
        let value_type = ValueType::from_number(entry.value_type)
            .ok_or(BlockError::malformed("a column has an unknown type"))?;
        let values = ColumnValues::read(self.column_bytes(entry)?, value_type, entry.rows)?;
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
    pub fn span_starts(&self) -> Result<Vec<u32>, BlockError> {
        let counts = self.ints(Column::SpanCounts, self.n_traces())?;
        let mut starts = Vec::with_capacity(self.n_traces() + 1);
        let mut at = 0u64;
        starts.push(0);
        counts.for_each(0, counts.len(), |_, count| {
            at = at.saturating_add(count as u64);
            starts.push(at as u32);
        });
        if at == self.n_spans() as u64 {
            Ok(starts)
        } else {
            Err(BlockError::malformed(
                "the spans of the traces do not add up",
            ))
        }
    }

    pub(super) fn trace_texts(&self, trace: usize) -> Result<TraceTexts, BlockError> {
        const WRONG: BlockError = BlockError::malformed("the texts of a trace are missing");
        if self.directory.find(Column::TextTable).is_none() {
            return Ok(TraceTexts::default());
        }
        let tables = self.text_tables()?;
        let bounds = tables.places.get(trace).zip(tables.places.get(trace + 1));
        let (place, next) = bounds.ok_or(WRONG)?;
        let encoded = tables.bytes.get(place.table..next.table).ok_or(WRONG)?;
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
            Some(entry) => Cursor::new(self.column_bytes(entry)?).blob()?.into_owned(),
            None => Vec::new(),
        };
        Ok(self
            .text_tables
            .get_or_init(|| TextTables { places, bytes }))
    }

    fn chunk_places(&self) -> Result<&[ChunkPlace], BlockError> {
        if let Some(places) = self.chunks.get() {
            return Ok(places);
        }
        let sections = self.header.sections.iter().zip(0u32..);
        let mut numbers = sections
            .filter(|(section, _)| section.kind == SectionKind::Texts)
            .map(|(_, number)| number);
        let lengths = self.ints(Column::ChunkLengths, self.directory.n_chunks)?;
        let mut places = Vec::new();
        let mut start = 0u64;
        lengths.for_each(0, lengths.len(), |_, length| {
            if let Some(section) = numbers.next() {
                places.push(ChunkPlace { start, section });
                start = start.saturating_add(length as u64);
            }
        });
        // The end of the last chunk, so that every chunk has a length.
        places.push(ChunkPlace { start, section: 0 });
        Ok(self.chunks.get_or_init(|| places))
    }

    /// A chunk, of which the first `wanted` bytes are needed. Asked for the first time it is
    /// decompressed that far, asked for more it is decompressed whole.
    fn chunk(
        &self,
        number: usize,
        places: &[ChunkPlace],
        wanted: usize,
    ) -> Result<Arc<Chunk>, BlockError> {
        let mut is_known = false;
        {
            let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, chunk)) = cached.iter().find(|(cached, _)| *cached == number) {
                if chunk.0.len() >= wanted {
                    return Ok(Arc::clone(chunk));
                }
                is_known = true;
            }
        }
        let (Some(place), Some(next)) = (places.get(number), places.get(number + 1)) else {
            return Err(BlockError::malformed("a chunk of texts is missing"));
        };
        let raw_length = usize::try_from(next.start - place.start)
            .map_err(|_| BlockError::malformed("a chunk of texts is too long"))?;
        let stored = load_checked(&self.header, &self.load, place.section)?;
        self.count_loaded(&stored);
        let chunk = Arc::new(Chunk(if stored.len() == raw_length {
            stored
        } else if is_known || wanted >= raw_length {
            decompress(&stored, raw_length)?
        } else {
            decompress_start(&stored, raw_length, wanted)?
        }));
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|(cached, _)| *cached != number);
        if cached.len() >= CACHED_CHUNKS {
            cached.remove(0);
        }
        cached.push((number, Arc::clone(&chunk)));
        Ok(chunk)
    }

    /// Appends a range of the stream of texts. More is going to be read, up to `until`.
    pub(super) fn read_stream(
        &self,
        range: Range<u64>,
        until: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), BlockError> {
        let places = self.chunk_places()?;
        let mut at = range.start;
        while at < range.end {
            let number = places
                .partition_point(|place| place.start <= at)
                .wrapping_sub(1);
            let bounds = places.get(number).zip(places.get(number.wrapping_add(1)));
            let (start, chunk_end) = bounds.map_or((0, 0), |(a, b)| (a.start, b.start));
            let end = range.end.min(chunk_end);
            if end <= at {
                return Err(BlockError::malformed("a text lies outside"));
            }
            let wanted = until.clamp(end, chunk_end) - start;
            let chunk = self.chunk(number, places, wanted as usize)?;
            let bytes = chunk.0.get((at - start) as usize..(end - start) as usize);
            out.extend_from_slice(bytes.ok_or(BlockError::malformed("a text lies outside"))?);
            at = end;
        }
        Ok(())
    }

    /// Appends `range` of a long value of a trace; values are counted from 0.
    pub(super) fn read_text(
        &self,
        texts: &TraceTexts,
        value: usize,
        range: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), BlockError> {
        texts.resolve(value, range, |part| {
            self.read_stream(part, texts.end(), out)
        })
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
