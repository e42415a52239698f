//! The change of an update: one field, whose tag says what changes.
//!
//! | tag | change | bytes |
//! |---|---|---|
//! | 1 | name | text |
//! | 2 | tag | text key, text value |
//! | 3 | tag removed | text |
//! | 4 | metadata | text key, text value |
//! | 5, 6, 7 | session, user, client request id | text |
//! | 8, 9 | request, response preview | text |
//! | 10 | state | its number, one byte |
//! | 11, 12 | request time, length | `u64` nanoseconds |
//! | 13 | assessment put | see [`put_assessment`] |
//! | 14 | assessment removed | text |
//! | 15 | pinned | 0 or 1 |
//! | 16 | extra | text key, text JSON |

use spanlite_model::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Json, SourceType, SpanId,
    TraceChange, TraceState,
};

use super::RecordError;
use super::layout::{Reader, put_field, put_text, put_varint};

const NAME: u8 = 1;
const TAG: u8 = 2;
const REMOVE_TAG: u8 = 3;
const METADATA: u8 = 4;
const SESSION: u8 = 5;
const USER: u8 = 6;
const CLIENT_REQUEST_ID: u8 = 7;
const REQUEST_PREVIEW: u8 = 8;
const RESPONSE_PREVIEW: u8 = 9;
const STATE: u8 = 10;
const REQUEST_TIME: u8 = 11;
const EXECUTION_DURATION: u8 = 12;
const PUT_ASSESSMENT: u8 = 13;
const REMOVE_ASSESSMENT: u8 = 14;
const PINNED: u8 = 15;
const EXTRA: u8 = 16;

/// A change this version has no tag for; readers skip it.
const UNKNOWN: u8 = 0;

pub(super) fn put_change(out: &mut Vec<u8>, change: &TraceChange) {
    let mut text = |tag, text: &str| put_field(out, tag, |out| put_text(out, text));
    match change {
        TraceChange::Name(name) => text(NAME, name),
        TraceChange::RemoveTag { key } => text(REMOVE_TAG, key),
        TraceChange::Session(session) => text(SESSION, session),
        TraceChange::User(user) => text(USER, user),
        TraceChange::ClientRequestId(id) => text(CLIENT_REQUEST_ID, id),
        TraceChange::RequestPreview(preview) => text(REQUEST_PREVIEW, preview),
        TraceChange::ResponsePreview(preview) => text(RESPONSE_PREVIEW, preview),
        TraceChange::RemoveAssessment(id) => text(REMOVE_ASSESSMENT, id.as_str()),
        TraceChange::Tag { key, value } => put_pair(out, TAG, key, value),
        TraceChange::Metadata { key, value } => put_pair(out, METADATA, key, value),
        TraceChange::Extra { key, value } => put_pair(out, EXTRA, key, value.as_text()),
        TraceChange::State(state) => put_field(out, STATE, |out| out.push(*state as u8)),
        TraceChange::RequestTime(time) => put_u64(out, REQUEST_TIME, *time),
        TraceChange::ExecutionDuration(nanos) => put_u64(out, EXECUTION_DURATION, *nanos),
        TraceChange::PutAssessment(assessment) => {
            put_field(out, PUT_ASSESSMENT, |out| put_assessment(out, assessment));
        }
        TraceChange::Pinned(pinned) => put_field(out, PINNED, |out| out.push((*pinned).into())),
        _ => put_field(out, UNKNOWN, |_| {}),
    }
}

fn put_pair(out: &mut Vec<u8>, tag: u8, key: &str, value: &str) {
    put_field(out, tag, |out| {
        put_text(out, key);
        put_text(out, value);
    });
}

fn put_u64(out: &mut Vec<u8>, tag: u8, number: u64) {
    put_field(out, tag, |out| out.extend_from_slice(&number.to_le_bytes()));
}

pub(super) fn read_change(tag: u8, bytes: &[u8]) -> Result<Option<TraceChange>, RecordError> {
    let mut reader = Reader(bytes);
    let mut text = || reader.text().map(str::to_owned);
    Ok(Some(match tag {
        NAME => TraceChange::Name(text()?),
        TAG => TraceChange::Tag {
            key: text()?,
            value: text()?,
        },
        REMOVE_TAG => TraceChange::RemoveTag { key: text()? },
        METADATA => TraceChange::Metadata {
            key: text()?,
            value: text()?,
        },
        SESSION => TraceChange::Session(text()?),
        USER => TraceChange::User(text()?),
        CLIENT_REQUEST_ID => TraceChange::ClientRequestId(text()?),
        REQUEST_PREVIEW => TraceChange::RequestPreview(text()?),
        RESPONSE_PREVIEW => TraceChange::ResponsePreview(text()?),
        STATE => TraceChange::State(read_state(reader.byte()?)?),
        REQUEST_TIME => TraceChange::RequestTime(reader.u64()?),
        EXECUTION_DURATION => TraceChange::ExecutionDuration(reader.u64()?),
        PUT_ASSESSMENT => TraceChange::PutAssessment(Box::new(read_assessment(reader)?)),
        REMOVE_ASSESSMENT => TraceChange::RemoveAssessment(text()?.as_str().into()),
        PINNED => TraceChange::Pinned(reader.byte()? != 0),
        EXTRA => TraceChange::Extra {
            key: text()?,
            value: Json::from_trusted_text(text()?),
        },
        _ => return Ok(None),
    }))
}

fn read_state(found: u8) -> Result<TraceState, RecordError> {
    TraceState::ALL
        .get(usize::from(found))
        .copied()
        .ok_or(RecordError::UnknownCode {
            what: "state of a trace",
            found,
        })
}

/// Tags of the fields of an assessment. Absent fields are `None` or empty.
mod part {
    pub(super) const ID: u8 = 1;
    pub(super) const NAME: u8 = 2;
    /// A byte that says which value it is: 0 feedback, 1 expectation, 2 issue.
    pub(super) const VALUE_KIND: u8 = 3;
    pub(super) const VALUE: u8 = 4;
    pub(super) const ERROR_CODE: u8 = 5;
    pub(super) const ERROR_MESSAGE: u8 = 6;
    pub(super) const ERROR_STACK: u8 = 7;
    pub(super) const SOURCE_TYPE: u8 = 8;
    pub(super) const SOURCE_ID: u8 = 9;
    pub(super) const SPAN_ID: u8 = 10;
    pub(super) const RATIONALE: u8 = 11;
    pub(super) const METADATA: u8 = 12;
    /// Two `u64`: created and updated.
    pub(super) const TIMES: u8 = 13;
    pub(super) const INVALID: u8 = 14;
    pub(super) const OVERRIDES: u8 = 15;
}

/// Writes an assessment as fields of its own, tagged by [`part`].
pub(super) fn put_assessment(out: &mut Vec<u8>, assessment: &Assessment) {
    let mut text = |tag, text: Option<&str>| {
        if let Some(text) = text {
            put_field(out, tag, |out| put_text(out, text));
        }
    };
    text(part::ID, Some(assessment.assessment_id.as_str()));
    text(part::NAME, Some(&assessment.name));
    let kind = match &assessment.value {
        AssessmentValue::Feedback { value, error } => {
            text(part::VALUE, value.as_ref().map(Json::as_text));
            if let Some(error) = error {
                text(part::ERROR_CODE, Some(&error.code));
                text(part::ERROR_MESSAGE, error.message.as_deref());
                text(part::ERROR_STACK, error.stack_trace.as_deref());
            }
            0
        }
        AssessmentValue::Expectation { value } => {
            text(part::VALUE, Some(value.as_text()));
            1
        }
        AssessmentValue::Issue { name } => {
            text(part::VALUE, Some(name));
            2
        }
    };
    text(
        part::SOURCE_TYPE,
        Some(assessment.source.source_type.as_str()),
    );
    text(part::SOURCE_ID, assessment.source.source_id.as_deref());
    text(part::RATIONALE, assessment.rationale.as_deref());
    text(
        part::OVERRIDES,
        assessment
            .overrides
            .as_ref()
            .map(spanlite_model::AssessmentId::as_str),
    );
    put_field(out, part::VALUE_KIND, |out| out.push(kind));
    if let Some(span_id) = assessment.span_id {
        put_field(out, part::SPAN_ID, |out| {
            out.extend_from_slice(span_id.as_bytes());
        });
    }
    for (key, value) in &assessment.metadata {
        put_pair(out, part::METADATA, key, value);
    }
    put_field(out, part::TIMES, |out| {
        out.extend_from_slice(&assessment.create_time_unix_nano.to_le_bytes());
        out.extend_from_slice(&assessment.update_time_unix_nano.to_le_bytes());
    });
    if !assessment.valid {
        put_field(out, part::INVALID, |out| put_varint(out, 1));
    }
}

fn read_assessment(mut fields: Reader<'_>) -> Result<Assessment, RecordError> {
    let mut assessment = Assessment {
        assessment_id: "".into(),
        name: String::new(),
        value: AssessmentValue::Feedback {
            value: None,
            error: None,
        },
        source: AssessmentSource {
            source_type: SourceType::Other("".into()),
            source_id: None,
        },
        span_id: None,
        rationale: None,
        metadata: std::collections::BTreeMap::new(),
        create_time_unix_nano: 0,
        update_time_unix_nano: 0,
        valid: true,
        overrides: None,
    };
    let (mut kind, mut value, mut error) = (0, None, None::<AssessmentError>);
    while !fields.is_empty() {
        let (tag, bytes) = fields.field()?;
        let mut reader = Reader(bytes);
        match tag {
            part::ID => assessment.assessment_id = reader.text()?.into(),
            part::NAME => reader.text()?.clone_into(&mut assessment.name),
            part::VALUE_KIND => kind = reader.byte()?,
            part::VALUE => value = Some(reader.text()?.to_owned()),
            part::ERROR_CODE => {
                reader
                    .text()?
                    .clone_into(&mut error.get_or_insert_default().code);
            }
            part::ERROR_MESSAGE => {
                error.get_or_insert_default().message = Some(reader.text()?.to_owned());
            }
            part::ERROR_STACK => {
                error.get_or_insert_default().stack_trace = Some(reader.text()?.to_owned());
            }
            part::SOURCE_TYPE => assessment.source.source_type = reader.text()?.into(),
            part::SOURCE_ID => assessment.source.source_id = Some(reader.text()?.to_owned()),
            part::SPAN_ID => assessment.span_id = Some(SpanId::from_bytes(reader.array()?)),
            part::RATIONALE => assessment.rationale = Some(reader.text()?.to_owned()),
            part::METADATA => {
                let key = reader.text()?.to_owned();
                assessment.metadata.insert(key, reader.text()?.to_owned());
            }
            part::TIMES => {
                assessment.create_time_unix_nano = reader.u64()?;
                assessment.update_time_unix_nano = reader.u64()?;
            }
            part::INVALID => assessment.valid = false,
            part::OVERRIDES => assessment.overrides = Some(reader.text()?.into()),
            _ => {}
        }
    }
    assessment.value = match kind {
        0 => AssessmentValue::Feedback {
            value: value.map(Json::from_trusted_text),
            error,
        },
        1 => AssessmentValue::Expectation {
            value: Json::from_trusted_text(value.unwrap_or_else(|| "null".to_owned())),
        },
        2 => AssessmentValue::Issue {
            name: value.unwrap_or_default(),
        },
        found => {
            return Err(RecordError::UnknownCode {
                what: "value of an assessment",
                found,
            });
        }
    };
    Ok(assessment)
}
