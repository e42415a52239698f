use crate::{Assessment, AssessmentId, TraceId, TraceInfo, TraceState};

/// A change to what belongs to a whole trace, made while it runs or later.
///
/// Changes are stored as they come and applied in the order of their time, so that writers never
/// have to read before they write.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceUpdate {
    /// The trace.
    pub trace_id: TraceId,
    /// When the change was made, in Unix nanoseconds. Of two changes to one thing the later wins.
    pub time_unix_nano: u64,
    /// What changes.
    pub change: TraceChange,
}

/// What changes in a [`TraceInfo`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TraceChange {
    /// Names the trace.
    Name(String),
    /// Sets a tag.
    Tag {
        /// Its key.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Takes a tag away.
    RemoveTag {
        /// Its key.
        key: String,
    },
    /// Sets an entry of the metadata.
    Metadata {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Puts the trace into a session.
    Session(String),
    /// Says whose trace it is.
    User(String),
    /// Sets the program's own id of the request.
    ClientRequestId(String),
    /// Sets the short form of what went in.
    RequestPreview(String),
    /// Sets the short form of what came out.
    ResponsePreview(String),
    /// Says how the trace ended, whatever its root span says.
    State(TraceState),
    /// The time of the request in Unix nanoseconds, where it is not the first span's start.
    RequestTime(u64),
    /// The length of the trace in nanoseconds, where it is not the spans'.
    ExecutionDuration(u64),
    /// Adds an assessment, or replaces the one with its id.
    PutAssessment(Box<Assessment>),
    /// Takes an assessment away.
    RemoveAssessment(AssessmentId),
    /// Keeps the trace from retention, or no longer.
    Pinned(bool),
    /// Keeps a field of a foreign format that has no place of its own, as JSON text.
    Extra {
        /// The field's path in that format, such as `mlflow.trace_location`.
        key: String,
        /// Its value.
        value: crate::Json,
    },
}

/// What a [`TraceChange`] is about: of two changes of one subject the later alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    field: Field,
    /// The key or the id, where the field has several.
    key: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Field {
    Name,
    Tag,
    Metadata,
    Session,
    User,
    ClientRequestId,
    RequestPreview,
    ResponsePreview,
    State,
    RequestTime,
    ExecutionDuration,
    Assessment,
    Pinned,
    Extra,
}

impl TraceChange {
    /// What the change is about.
    pub fn subject(&self) -> Subject<'_> {
        let (field, key) = match self {
            Self::Tag { key, .. } | Self::RemoveTag { key } => (Field::Tag, key.as_str()),
            Self::Metadata { key, .. } => (Field::Metadata, key.as_str()),
            Self::Extra { key, .. } => (Field::Extra, key.as_str()),
            Self::PutAssessment(assessment) => {
                (Field::Assessment, assessment.assessment_id.as_str())
            }
            Self::RemoveAssessment(id) => (Field::Assessment, id.as_str()),
            Self::Name(_) => (Field::Name, ""),
            Self::Session(_) => (Field::Session, ""),
            Self::User(_) => (Field::User, ""),
            Self::ClientRequestId(_) => (Field::ClientRequestId, ""),
            Self::RequestPreview(_) => (Field::RequestPreview, ""),
            Self::ResponsePreview(_) => (Field::ResponsePreview, ""),
            Self::State(_) => (Field::State, ""),
            Self::RequestTime(_) => (Field::RequestTime, ""),
            Self::ExecutionDuration(_) => (Field::ExecutionDuration, ""),
            Self::Pinned(_) => (Field::Pinned, ""),
        };
        Subject { field, key }
    }
}

impl TraceInfo {
    /// Applies one change.
    pub fn apply(&mut self, change: TraceChange) {
        match change {
            TraceChange::Name(name) => self.name = Some(name),
            TraceChange::Tag { key, value } => {
                self.tags.insert(key, value);
            }
            TraceChange::RemoveTag { key } => {
                self.tags.remove(&key);
            }
            TraceChange::Metadata { key, value } => {
                self.metadata.insert(key, value);
            }
            TraceChange::Session(session) => self.session = Some(session),
            TraceChange::User(user) => self.user = Some(user),
            TraceChange::ClientRequestId(id) => self.client_request_id = Some(id),
            TraceChange::RequestPreview(text) => self.request_preview = Some(text),
            TraceChange::ResponsePreview(text) => self.response_preview = Some(text),
            TraceChange::State(state) => self.state = Some(state),
            TraceChange::RequestTime(time) => self.request_time_unix_nano = Some(time),
            TraceChange::ExecutionDuration(nanos) => self.execution_duration_nanos = Some(nanos),
            TraceChange::PutAssessment(assessment) => {
                self.remove_assessment(&assessment.assessment_id);
                if let Some(overridden) = &assessment.overrides {
                    for old in &mut self.assessments {
                        old.valid &= old.assessment_id != *overridden;
                    }
                }
                self.assessments.push(*assessment);
            }
            TraceChange::RemoveAssessment(id) => self.remove_assessment(&id),
            TraceChange::Pinned(pinned) => self.pinned = pinned,
            TraceChange::Extra { key, value } => {
                self.extra.insert(key, value);
            }
        }
    }

    fn remove_assessment(&mut self, id: &AssessmentId) {
        self.assessments
            .retain(|assessment| assessment.assessment_id != *id);
    }

    /// The changes that make an empty [`TraceInfo`] equal to this one.
    pub fn to_changes(&self) -> Vec<TraceChange> {
        let mut changes = Vec::new();
        changes.extend(self.name.clone().map(TraceChange::Name));
        changes.extend(self.tags.iter().map(|(key, value)| TraceChange::Tag {
            key: key.clone(),
            value: value.clone(),
        }));
        changes.extend(
            self.metadata
                .iter()
                .map(|(key, value)| TraceChange::Metadata {
                    key: key.clone(),
                    value: value.clone(),
                }),
        );
        changes.extend(self.session.clone().map(TraceChange::Session));
        changes.extend(self.user.clone().map(TraceChange::User));
        changes.extend(
            self.client_request_id
                .clone()
                .map(TraceChange::ClientRequestId),
        );
        changes.extend(
            self.request_preview
                .clone()
                .map(TraceChange::RequestPreview),
        );
        changes.extend(
            self.response_preview
                .clone()
                .map(TraceChange::ResponsePreview),
        );
        changes.extend(self.state.map(TraceChange::State));
        changes.extend(self.request_time_unix_nano.map(TraceChange::RequestTime));
        changes.extend(
            self.execution_duration_nanos
                .map(TraceChange::ExecutionDuration),
        );
        changes.extend(
            self.assessments
                .iter()
                .map(|one| TraceChange::PutAssessment(Box::new(one.clone()))),
        );
        changes.extend(self.pinned.then_some(TraceChange::Pinned(true)));
        changes.extend(self.extra.iter().map(|(key, value)| TraceChange::Extra {
            key: key.clone(),
            value: value.clone(),
        }));
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{AssessmentSource, AssessmentValue, Json, SourceType};

    fn feedback(id: &str, overrides: Option<&str>) -> Assessment {
        Assessment {
            assessment_id: id.into(),
            name: "correct".to_owned(),
            value: AssessmentValue::Feedback {
                value: Some(Json::string("no")),
                error: None,
            },
            source: AssessmentSource {
                source_type: SourceType::Human,
                source_id: None,
            },
            span_id: None,
            rationale: None,
            metadata: BTreeMap::new(),
            create_time_unix_nano: 1,
            update_time_unix_nano: 1,
            valid: true,
            overrides: overrides.map(Into::into),
        }
    }

    #[test]
    fn an_info_is_the_sum_of_its_changes() {
        let mut info = TraceInfo::default();
        info.apply(TraceChange::Name("n".to_owned()));
        info.apply(TraceChange::Tag {
            key: "k".to_owned(),
            value: "v".to_owned(),
        });
        info.apply(TraceChange::PutAssessment(Box::new(feedback("a-1", None))));
        info.apply(TraceChange::Pinned(true));
        let mut again = TraceInfo::default();
        for change in info.to_changes() {
            again.apply(change);
        }
        assert_eq!(again, info);
    }

    #[test]
    fn an_override_makes_the_old_assessment_invalid() {
        let mut info = TraceInfo::default();
        info.apply(TraceChange::PutAssessment(Box::new(feedback("a-1", None))));
        info.apply(TraceChange::PutAssessment(Box::new(feedback(
            "a-2",
            Some("a-1"),
        ))));
        let valid: Vec<bool> = info.assessments.iter().map(|one| one.valid).collect();
        assert_eq!(valid, [false, true]);
    }
}
