//! Reading columns without decoding traces: what a query plans and scans with.

mod attribute;
mod matches;
mod structure;
#[cfg(test)]
mod tests;
mod texts;
mod words;

pub use attribute::{AttributeKind, AttributePart, AttributeReader};
pub use matches::Matches;
pub use structure::Structure;
pub use texts::Texts;

use super::BlockError;
use super::directory::Column;
use super::ints::Ints;
use super::reader::{BlockReader, LoadSection};
use super::strings::Strings;

/// Columns, each opened when it is asked for and nothing else with it.
///
/// Rows of span columns count the spans of the whole block: those of trace `t` are
/// `span_starts[t]..span_starts[t + 1]`, in pre-order of the tree. Opening a column costs about a
/// microsecond; keep it while the block is scanned. A scan evaluates its predicate once for every
/// entry of a dictionary and then looks codes up:
///
/// ```
/// # use spanlite_store::block::*;
/// # fn scan<L: LoadSection>(block: &BlockReader<L>) -> Result<Vec<usize>, BlockError> {
/// let names = block.names()?;
/// let wanted: Vec<bool> = (0..names.n_entries())
///     .map(|entry| Ok(names.entry(entry)?.starts_with("tool.")))
///     .collect::<Result<_, BlockError>>()?;
/// let mut rows = Vec::new();
/// names.for_each_code(0, names.len(), |row, code| {
///     if code > 0 && wanted.get(code as usize - 1) == Some(&true) {
///         rows.push(row);
///     }
/// });
/// # Ok(rows)
/// # }
/// ```
impl<L: LoadSection> BlockReader<L> {
    /// Names of spans; code 0 is the empty name.
    pub fn names(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Names, self.n_spans())
    }

    /// Types of spans, as MLflow names them.
    pub fn span_types(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Types, self.n_spans())
    }

    /// Kinds of spans, by their OTLP numbers.
    pub fn kinds(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::Kinds, self.n_spans())
    }

    /// Status codes of spans, by their OTLP numbers: 2 is an error.
    pub fn status_codes(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::StatusCodes, self.n_spans())
    }

    /// Status messages shorter than 256 bytes. A span has none, or a long one, where the code is 0.
    pub fn status_messages(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::StatusMessages, self.n_spans())
    }

    /// Status messages of 256 bytes and more: numbers of [`Texts`], 0 where there is none.
    pub fn status_message_texts(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::StatusMessageTexts, self.n_spans())
    }

    /// Ids of spans.
    pub fn span_ids(&self) -> Result<&[[u8; 8]], BlockError> {
        self.fixed(Column::SpanIds, self.n_spans())
    }

    /// End less start of every span in nanoseconds, negative if a clock was set back; 0 for the
    /// spans of [`Self::open_spans`].
    pub fn durations(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::Durations, self.n_spans())
    }

    /// The spans that have no end, ascending.
    pub fn open_spans(&self) -> Result<Vec<u32>, BlockError> {
        let rows = self.list(Column::OpenRows)?.to_vec();
        Ok(rows
            .into_iter()
            .map(|row| row.wrapping_sub(1) as u32)
            .collect())
    }

    /// The first start of a span of every trace, in Unix nanoseconds as `u64`.
    pub fn trace_starts(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::TraceStarts, self.n_traces())
    }

    /// How long after the first span of its trace every span started, in nanoseconds.
    pub fn start_offsets(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::Starts, self.n_spans())
    }

    /// Starts of all spans in Unix nanoseconds.
    pub fn start_times(&self) -> Result<Vec<u64>, BlockError> {
        let (bounds, bases) = (self.span_starts()?, self.trace_starts()?);
        let offsets = self.start_offsets()?;
        let mut starts = Vec::with_capacity(self.n_spans());
        for (trace, bound) in bounds.windows(2).enumerate() {
            let base = bases.get(trace) as u64;
            offsets.for_each(bound[0] as usize, bound[1] as usize, |_, offset| {
                starts.push(base.wrapping_add(offset as u64));
            });
        }
        Ok(starts)
    }

    /// Numbers of the spans' inputs in [`Texts`], 0 where there are none.
    pub fn inputs(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::Inputs, self.n_spans())
    }

    /// Numbers of the spans' outputs in [`Texts`], 0 where there are none.
    pub fn outputs(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::Outputs, self.n_spans())
    }

    /// Resources of spans; entries are decoded by [`read_resource`](super::read_resource).
    pub fn resources(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Resources, self.n_spans())
    }

    /// Scopes of spans; entries are decoded by [`read_scope`](super::read_scope).
    pub fn scopes(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Scopes, self.n_spans())
    }

    /// How many events every span has; the events of the block stand in the order of its spans.
    pub fn event_counts(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::EventCounts, self.n_spans())
    }

    /// Names of events; code 0 is the empty name.
    pub fn event_names(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::EventNames, self.directory().n_events)
    }

    /// When events happened after the start of their span, in nanoseconds.
    pub fn event_offsets(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::EventTimes, self.directory().n_events)
    }

    /// How many links every span has; the links of the block stand in the order of its spans.
    pub fn link_counts(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::LinkCounts, self.n_spans())
    }

    /// Traces that links point to.
    pub fn link_trace_ids(&self) -> Result<&[[u8; 16]], BlockError> {
        self.fixed(Column::LinkTraceIds, self.directory().n_links)
    }

    /// Spans that links point to.
    pub fn link_span_ids(&self) -> Result<&[[u8; 8]], BlockError> {
        self.fixed(Column::LinkSpanIds, self.directory().n_links)
    }

    /// Names given to traces; code 0 where the root span names the trace.
    pub fn trace_names(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::TraceNames, self.n_traces())
    }

    /// Sessions of traces; code 0 where there is none.
    pub fn sessions(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Sessions, self.n_traces())
    }

    /// Users of traces; code 0 where there is none.
    pub fn users(&self) -> Result<Strings<'_>, BlockError> {
        self.strings(Column::Users, self.n_traces())
    }

    /// States that were set, as the number of the state plus 1; 0 where none was.
    pub fn trace_states(&self) -> Result<Ints<'_>, BlockError> {
        self.ints(Column::States, self.n_traces())
    }

    /// The texts of the trace at a place of the block.
    pub fn texts(&self, place: usize) -> Result<Texts<'_, L>, BlockError> {
        Ok(Texts::new(self, self.trace_texts(place)?))
    }

    /// The values of one attribute.
    pub fn attribute(
        &self,
        kind: AttributeKind,
        key: &str,
    ) -> Result<AttributeReader<'_>, BlockError> {
        AttributeReader::open(self, kind, key)
    }

    /// The keys of one kind of attributes, in the order they first came, each once for every type
    /// of value it has. Keys that share a column because there are too many are not among them.
    pub fn attribute_keys(&self, kind: AttributeKind) -> impl Iterator<Item = &str> {
        let (_, entries) = self.directory().all(kind.columns().values);
        let entries = entries.iter();
        entries
            .map(|entry| self.directory().key(entry))
            .filter(|key| !key.is_empty())
    }
}
