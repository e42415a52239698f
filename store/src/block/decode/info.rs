use std::collections::BTreeMap;

use spanlite_model::{Attributes, TraceChange, TraceInfo, TraceState, Value};

use super::super::BlockError;
use super::super::bytes::Cursor;
use super::super::directory::{Column, METADATA, TAGS};
use super::super::ints::Ints;
use super::super::reader::{BlockReader, LoadSection};
use super::super::strings::Strings;
use super::super::texts::TraceTexts;
use super::attributes::AttributesDecoder;
use crate::record::{Origin, Record, decode_record};

impl<L: LoadSection> BlockReader<L> {
    /// The places of the traces that are pinned.
    pub(crate) fn pinned_places(&self) -> Result<Vec<usize>, BlockError> {
        let pinned = self.ints(Column::Pinned, self.n_traces())?;
        let places = 0..self.n_traces();
        Ok(places.filter(|place| pinned.get(*place) != 0).collect())
    }

    /// What belongs to the whole of the trace at a place. Opens no column of spans.
    pub(crate) fn info(&self, place: usize) -> Result<TraceInfo, BlockError> {
        InfoDecoder::open(self)?.info(place, &self.trace_texts(place)?)
    }
}

/// Gives back what belongs to whole traces.
pub(super) struct InfoDecoder<'b, L> {
    block: &'b BlockReader<L>,
    names: Strings<'b>,
    sessions: Strings<'b>,
    users: Strings<'b>,
    client_request_ids: Strings<'b>,
    request_previews: (Strings<'b>, Ints<'b>),
    response_previews: (Strings<'b>, Ints<'b>),
    states: Ints<'b>,
    pinned: Ints<'b>,
    request_times: (Ints<'b>, Ints<'b>),
    execution_durations: (Ints<'b>, Ints<'b>),
    updates: Strings<'b>,
    tags: AttributesDecoder<'b, L>,
    metadata: AttributesDecoder<'b, L>,
}

impl<'b, L: LoadSection> InfoDecoder<'b, L> {
    pub(super) fn open(block: &'b BlockReader<L>) -> Result<Self, BlockError> {
        let n_traces = block.n_traces();
        let ints = |column| block.ints(column, n_traces);
        let strings = |column| block.strings(column, n_traces);
        Ok(Self {
            block,
            names: strings(Column::TraceNames)?,
            sessions: strings(Column::Sessions)?,
            users: strings(Column::Users)?,
            client_request_ids: strings(Column::ClientRequestIds)?,
            request_previews: (
                strings(Column::RequestPreviews)?,
                ints(Column::RequestPreviewTexts)?,
            ),
            response_previews: (
                strings(Column::ResponsePreviews)?,
                ints(Column::ResponsePreviewTexts)?,
            ),
            states: ints(Column::States)?,
            pinned: ints(Column::Pinned)?,
            request_times: (ints(Column::HasRequestTimes)?, ints(Column::RequestTimes)?),
            execution_durations: (
                ints(Column::HasExecutionDurations)?,
                ints(Column::ExecutionDurations)?,
            ),
            updates: strings(Column::Updates)?,
            tags: AttributesDecoder::open(block, TAGS, n_traces)?,
            metadata: AttributesDecoder::open(block, METADATA, n_traces)?,
        })
    }

    pub(super) fn info(&self, place: usize, texts: &TraceTexts) -> Result<TraceInfo, BlockError> {
        let owned =
            |column: &Strings<'_>| Ok::<_, BlockError>(column.get(place)?.map(str::to_owned));
        let preview = |(short, long): &(Strings<'_>, Ints<'_>)| match owned(short)? {
            Some(text) => Ok(Some(text)),
            None => self.block.text(texts, long.get(place)),
        };
        let optional = |(has, value): &(Ints<'_>, Ints<'_>)| {
            (has.get(place) != 0).then(|| value.get(place) as u64)
        };
        let state = self.states.get(place) as usize;
        let mut decoded = TraceInfo {
            name: owned(&self.names)?,
            session: owned(&self.sessions)?,
            user: owned(&self.users)?,
            client_request_id: owned(&self.client_request_ids)?,
            request_preview: preview(&self.request_previews)?,
            response_preview: preview(&self.response_previews)?,
            state: TraceState::ALL.get(state.wrapping_sub(1)).copied(),
            request_time_unix_nano: optional(&self.request_times),
            execution_duration_nanos: optional(&self.execution_durations),
            pinned: self.pinned.get(place) != 0,
            tags: text_map(self.tags.row(place, texts)?)?,
            metadata: text_map(self.metadata.row(place, texts)?)?,
            ..TraceInfo::default()
        };
        if let Some(updates) = self.updates.get_bytes(place)? {
            read_updates(updates, &mut decoded)?;
        }
        Ok(decoded)
    }
}

fn text_map(attributes: Attributes) -> Result<BTreeMap<String, String>, BlockError> {
    let entries = attributes.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(BlockError::malformed("a tag is no text")),
    });
    entries.collect()
}

fn read_updates(bytes: &[u8], info: &mut TraceInfo) -> Result<(), BlockError> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let record = decode_record(cursor.bytes()?, &Origin::default());
        match record.map_err(|_| BlockError::malformed("a change of a trace does not decode"))? {
            Some(Record::Update(update)) => match update.change {
                // Not applied: the assessments it overrides say so themselves.
                TraceChange::PutAssessment(assessment) => info.assessments.push(*assessment),
                change => info.apply(change),
            },
            Some(Record::Span(_)) => return Err(BlockError::malformed("a change is a span")),
            None => {}
        }
    }
    Ok(())
}
