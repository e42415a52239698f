use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spanlite_model::{
    Assessment, AssessmentError, AssessmentId, AssessmentSource, AssessmentValue, Json, SourceType,
    SpanId,
};

use super::span::null_is_a_value;

/// An assessment as JSON; one of `feedback`, `expectation` and `issue` is there.
#[derive(Serialize, Deserialize)]
pub(super) struct AssessmentDocument {
    assessment_id: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feedback: Option<FeedbackDocument>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_a_value"
    )]
    expectation: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issue: Option<String>,
    source_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rationale: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    create_time_unix_nano: u64,
    update_time_unix_nano: u64,
    #[serde(default = "valid")]
    valid: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overrides: Option<String>,
}

fn valid() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct FeedbackDocument {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "null_is_a_value"
    )]
    value: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument>,
}

#[derive(Serialize, Deserialize)]
struct ErrorDocument {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stack_trace: Option<String>,
}

impl From<&Assessment> for AssessmentDocument {
    fn from(one: &Assessment) -> Self {
        let (mut feedback, mut expectation, mut issue) = (None, None, None);
        match &one.value {
            AssessmentValue::Feedback { value, error } => {
                feedback = Some(FeedbackDocument {
                    value: value.clone(),
                    error: error.as_ref().map(|error| ErrorDocument {
                        code: error.code.clone(),
                        message: error.message.clone(),
                        stack_trace: error.stack_trace.clone(),
                    }),
                });
            }
            AssessmentValue::Expectation { value } => expectation = Some(value.clone()),
            AssessmentValue::Issue { name } => issue = Some(name.clone()),
        }
        Self {
            assessment_id: one.assessment_id.as_str().to_owned(),
            name: one.name.clone(),
            feedback,
            expectation,
            issue,
            source_type: one.source.source_type.as_str().to_owned(),
            source_id: one.source.source_id.clone(),
            span_id: one.span_id,
            rationale: one.rationale.clone(),
            metadata: one.metadata.clone(),
            create_time_unix_nano: one.create_time_unix_nano,
            update_time_unix_nano: one.update_time_unix_nano,
            valid: one.valid,
            overrides: one.overrides.as_ref().map(|id| id.as_str().to_owned()),
        }
    }
}

impl From<AssessmentDocument> for Assessment {
    fn from(one: AssessmentDocument) -> Self {
        let value = match (one.expectation, one.issue) {
            (Some(value), _) => AssessmentValue::Expectation { value },
            (None, Some(name)) => AssessmentValue::Issue { name },
            (None, None) => {
                let feedback = one.feedback;
                let (value, error) = feedback.map_or((None, None), |one| (one.value, one.error));
                AssessmentValue::Feedback {
                    value,
                    error: error.map(|error| AssessmentError {
                        code: error.code,
                        message: error.message,
                        stack_trace: error.stack_trace,
                    }),
                }
            }
        };
        Self {
            assessment_id: AssessmentId::from(one.assessment_id.as_str()),
            name: one.name,
            value,
            source: AssessmentSource {
                source_type: SourceType::from(one.source_type.as_str()),
                source_id: one.source_id,
            },
            span_id: one.span_id,
            rationale: one.rationale,
            metadata: one.metadata,
            create_time_unix_nano: one.create_time_unix_nano,
            update_time_unix_nano: one.update_time_unix_nano,
            valid: one.valid,
            overrides: one.overrides.as_deref().map(AssessmentId::from),
        }
    }
}
