use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spanlite_model::{Json, TraceInfo, TraceState};

use super::assessment::AssessmentDocument;

/// What belongs to a whole trace, as JSON.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(crate) struct InfoDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<TraceState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_time_unix_nano: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_duration_nanos: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assessments: Vec<AssessmentDocument>,
    #[serde(skip_serializing_if = "is_false")]
    pinned: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Json>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl InfoDocument {
    /// Returns whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            name,
            tags,
            metadata,
            session,
            user,
            client_request_id,
            request_preview,
            response_preview,
            state,
            request_time_unix_nano,
            execution_duration_nanos,
            assessments,
            pinned,
            extra,
        } = self;
        let texts = [
            name,
            session,
            user,
            client_request_id,
            request_preview,
            response_preview,
        ];
        let numbers = [request_time_unix_nano, execution_duration_nanos];
        texts.iter().all(|text| text.is_none())
            && numbers.iter().all(|number| number.is_none())
            && tags.is_empty()
            && metadata.is_empty()
            && state.is_none()
            && assessments.is_empty()
            && !pinned
            && extra.is_empty()
    }
}

impl From<&TraceInfo> for InfoDocument {
    fn from(info: &TraceInfo) -> Self {
        Self {
            name: info.name.clone(),
            tags: info.tags.clone(),
            metadata: info.metadata.clone(),
            session: info.session.clone(),
            user: info.user.clone(),
            client_request_id: info.client_request_id.clone(),
            request_preview: info.request_preview.clone(),
            response_preview: info.response_preview.clone(),
            state: info.state,
            request_time_unix_nano: info.request_time_unix_nano,
            execution_duration_nanos: info.execution_duration_nanos,
            assessments: info.assessments.iter().map(Into::into).collect(),
            pinned: info.pinned,
            extra: info.extra.clone(),
        }
    }
}

impl From<InfoDocument> for TraceInfo {
    fn from(info: InfoDocument) -> Self {
        Self {
            name: info.name,
            tags: info.tags,
            metadata: info.metadata,
            session: info.session,
            user: info.user,
            client_request_id: info.client_request_id,
            request_preview: info.request_preview,
            response_preview: info.response_preview,
            state: info.state,
            request_time_unix_nano: info.request_time_unix_nano,
            execution_duration_nanos: info.execution_duration_nanos,
            assessments: info.assessments.into_iter().map(Into::into).collect(),
            pinned: info.pinned,
            extra: info.extra,
        }
    }
}
