//! Traces as a Parquet file: one row a span, in columns that DuckDB and Spark read.

mod column;
mod row;
mod schema;

use std::error::Error;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use spanlite_model::Trace;

use self::column::Column;
use self::row::{Rows, TraceCells};
use self::schema::SCHEMA;

/// The version of the columns, in the file's metadata under [`SCHEMA_KEY`].
const SCHEMA_VERSION: &str = "1";
const SCHEMA_KEY: &str = "spanlite.schema";
/// A row group is written when it has so many rows: what DuckDB gives one thread.
const ROW_GROUP_ROWS: usize = 122_880;
/// Or so many bytes before packing; about twice that is the most memory taken.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Long texts, whose smallest and largest help no reader.
const WITHOUT_STATISTICS: [&str; 4] = ["inputs", "outputs", "attributes", "resource"];

/// A Parquet file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetError {
    /// What is written to refuses bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The encoder refuses what it was given.
    #[error("the rows cannot be encoded")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
}

/// Writes traces as a Parquet file, one row a span.
///
/// `PARQUET.md` beside this crate lists the columns. Memory is bounded by the row group: 64 MiB
/// before packing, or one larger span.
///
/// ```
/// use spanlite_export::ParquetWriter;
/// use spanlite_model::{Span, SpanId, Trace, TraceId};
///
/// let id = TraceId::from_bytes([7; 16]);
/// let mut writer = ParquetWriter::new(Vec::new())?;
/// writer.write(&Trace::new(id, vec![Span::new(id, SpanId::from_bytes([1; 8]), "answer")]))?;
/// let file = writer.finish()?;
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), spanlite_export::ParquetError>(())
/// ```
pub struct ParquetWriter<W: Write> {
    out: W,
    /// Encodes into memory, which is passed on after each row group, so that `out` can be anything.
    encoder: SerializedFileWriter<Vec<u8>>,
    rows: Rows,
}

impl<W: Write> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetWriter")
            .field("n_rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl<W: Write> ParquetWriter<W> {
    /// Begins a file.
    pub fn new(out: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(encode)?);
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("spanlite ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![KeyValue::new(
                SCHEMA_KEY.to_owned(),
                SCHEMA_VERSION.to_owned(),
            )]));
        for column in WITHOUT_STATISTICS {
            properties = properties.set_column_statistics_enabled(
                ColumnPath::from(column),
                parquet::file::properties::EnabledStatistics::None,
            );
        }
        let properties = Arc::new(properties.build());
        let encoder = SerializedFileWriter::new(Vec::new(), schema, properties).map_err(encode)?;
        let columns = encoder.schema_descr().columns().iter();
        let columns = columns.map(|descriptor| Column::new(descriptor)).collect();
        Ok(Self {
            out,
            encoder,
            rows: Rows::new(columns),
        })
    }

    /// Adds the spans of a trace, in the order of their start.
    pub fn write(&mut self, trace: &Trace) -> Result<(), ParquetError> {
        let whole = TraceCells::of(trace);
        let mut order: Vec<usize> = (0..trace.spans.len()).collect();
        order.sort_by_key(|&place| {
            let span = &trace.spans[place];
            (span.start_time_unix_nano, span.span_id)
        });
        for (index, place) in order.into_iter().enumerate() {
            self.rows.push(&trace.spans[place], index, &whole);
            if self.rows.len() >= ROW_GROUP_ROWS || self.rows.size() >= ROW_GROUP_BYTES {
                self.end_row_group()?;
            }
        }
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), ParquetError> {
        if self.rows.len() == 0 {
            return Ok(());
        }
        self.encode_row_group().map_err(encode)?;
        let bytes = mem::take(self.encoder.inner_mut());
        Ok(self.out.write_all(&bytes)?)
    }

    fn encode_row_group(&mut self) -> parquet::errors::Result<()> {
        let mut group = self.encoder.next_row_group()?;
        for column in self.rows.take() {
            let Some(mut out) = group.next_column()? else {
                break;
            };
            column.write(&mut out)?;
            out.close()?;
        }
        group.close()?;
        self.encoder.flush()?;
        Ok(())
    }

    /// Ends the file and gives back what it was written to. Without it the file is no Parquet.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        self.end_row_group()?;
        let bytes = self.encoder.into_inner().map_err(encode)?;
        self.out.write_all(&bytes)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn encode(error: parquet::errors::ParquetError) -> ParquetError {
    ParquetError::Encode(Box::new(error))
}
