//! Changes of whole traces, while they run and after.

use spanlite_model::{
    Assessment, AssessmentError, AssessmentId, AssessmentSource, AssessmentValue, Json, SourceType,
    SpanId, TraceChange, TraceId, TraceState, TraceUpdate, keys,
};
use spanlite_store::record::{Origin, Record, encode_record};

use crate::context::{self, HELD};
use crate::live;

/// A trace of which something is to be said. Changes go the way of spans: they are stored with
/// the next commit, and covered by [`flush`](crate::flush).
#[derive(Debug, Clone, Copy)]
pub struct TraceHandle {
    /// Nothing where no trace is open or it is not recorded.
    trace_id: Option<TraceId>,
    tracer: u16,
}

/// The trace that is open in the calling code. Where none is open, what is said of it is ignored.
pub fn current_trace() -> TraceHandle {
    let context = context::get();
    // Traces that are kept back until they fail take changes at once: they weigh little.
    TraceHandle {
        trace_id: context
            .trace_id()
            .filter(|_| context.is_sampled() || context.is(HELD)),
        tracer: context.tracer(),
    }
}

/// Any trace, running or finished.
pub fn trace_of(trace_id: TraceId) -> TraceHandle {
    TraceHandle {
        trace_id: Some(trace_id),
        tracer: context::get().tracer(),
    }
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "a change is made when the method is called; the handle only serves to go on"
)]
impl TraceHandle {
    /// Its id.
    pub fn trace_id(self) -> Option<TraceId> {
        self.trace_id
    }

    /// Makes any change.
    pub fn update(self, change: TraceChange) -> Self {
        if let Some(trace_id) = self.trace_id {
            let mut record = Vec::new();
            let update = TraceUpdate {
                trace_id,
                time_unix_nano: live::now(self.tracer),
                change,
            };
            encode_record(&Record::Update(update), &Origin::default(), &mut record);
            live::append(self.tracer, &record);
        }
        self
    }

    /// Sets a tag.
    pub fn set_tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.update(TraceChange::Tag {
            key: key.into(),
            value: value.into(),
        })
    }

    /// Sets several tags.
    pub fn set_tags<K: Into<String>, V: Into<String>>(
        self,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (key, value) in tags {
            self.set_tag(key, value);
        }
        self
    }

    /// Takes a tag away.
    pub fn remove_tag(self, key: impl Into<String>) -> Self {
        self.update(TraceChange::RemoveTag { key: key.into() })
    }

    /// Sets an entry of the metadata.
    pub fn set_metadata(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.update(TraceChange::Metadata {
            key: key.into(),
            value: value.into(),
        })
    }

    /// Names the trace, where that is not its first span's name.
    pub fn set_name(self, name: impl Into<String>) -> Self {
        self.update(TraceChange::Name(name.into()))
    }

    /// Puts the trace into a session.
    pub fn set_session(self, session: impl Into<String>) -> Self {
        self.update(TraceChange::Session(session.into()))
    }

    /// Says whose trace it is.
    pub fn set_user(self, user: impl Into<String>) -> Self {
        self.update(TraceChange::User(user.into()))
    }

    /// Sets the program's own id of the request.
    pub fn set_client_request_id(self, id: impl Into<String>) -> Self {
        self.update(TraceChange::ClientRequestId(id.into()))
    }

    /// Sets the short form of what went in.
    pub fn set_request_preview(self, preview: impl Into<String>) -> Self {
        self.update(TraceChange::RequestPreview(preview.into()))
    }

    /// Sets the short form of what came out.
    pub fn set_response_preview(self, preview: impl Into<String>) -> Self {
        self.update(TraceChange::ResponsePreview(preview.into()))
    }

    /// Says how the trace ended, whatever its first span says.
    pub fn set_state(self, state: TraceState) -> Self {
        self.update(TraceChange::State(state))
    }

    /// Names the `LoggedModel` of MLflow that the trace belongs to.
    pub fn set_model_id(self, model_id: impl Into<String>) -> Self {
        self.update(TraceChange::Metadata {
            key: keys::MLFLOW_MODEL_ID.to_owned(),
            value: model_id.into(),
        })
    }

    /// Adds what somebody thinks of the trace, or of a span of it.
    pub fn log(self, assessment: AssessmentBuilder) -> AssessmentId {
        let assessment = assessment.0;
        let id = assessment.assessment_id.clone();
        self.update(TraceChange::PutAssessment(Box::new(assessment)));
        id
    }

    /// Takes an assessment away.
    pub fn remove_assessment(self, id: AssessmentId) -> Self {
        self.update(TraceChange::RemoveAssessment(id))
    }
}

/// An assessment that is being made.
#[derive(Debug, Clone)]
#[must_use = "an assessment is stored by `TraceHandle::log`"]
pub struct AssessmentBuilder(Assessment);

/// How good a trace was: a value that becomes JSON. Said by a program, unless
/// [`source`](AssessmentBuilder::source) says otherwise.
///
/// ```
/// use spanlite::{SourceType, feedback};
///
/// spanlite::current_trace().log(
///     feedback("helpful", true).source(SourceType::Human, "ada").rationale("short and right"),
/// );
/// ```
pub fn feedback(name: impl Into<String>, value: impl serde::Serialize) -> AssessmentBuilder {
    let value = AssessmentValue::Feedback {
        value: Some(to_json(&value)),
        error: None,
    };
    AssessmentBuilder::new(name.into(), value, SourceType::Code)
}

/// What should have come out, as JSON. Said by a person, unless
/// [`source`](AssessmentBuilder::source) says otherwise.
pub fn expectation(name: impl Into<String>, value: impl serde::Serialize) -> AssessmentBuilder {
    let value = AssessmentValue::Expectation {
        value: to_json(&value),
    };
    AssessmentBuilder::new(name.into(), value, SourceType::Human)
}

/// A judge that failed.
pub fn failed_feedback(
    name: impl Into<String>,
    code: impl Into<String>,
    message: impl Into<String>,
) -> AssessmentBuilder {
    let value = AssessmentValue::Feedback {
        value: None,
        error: Some(AssessmentError {
            code: code.into(),
            message: Some(message.into()),
            stack_trace: None,
        }),
    };
    AssessmentBuilder::new(name.into(), value, SourceType::Code)
}

fn to_json(value: &impl serde::Serialize) -> Json {
    Json::serialize(value).unwrap_or_else(|error| Json::string(&format!("[{error}]")))
}

impl AssessmentBuilder {
    fn new(name: String, value: AssessmentValue, source_type: SourceType) -> Self {
        let now = live::now(context::get().tracer());
        Self(Assessment {
            assessment_id: AssessmentId::random(),
            name,
            value,
            source: AssessmentSource {
                source_type,
                source_id: Some("default".to_owned()),
            },
            span_id: None,
            rationale: None,
            metadata: std::collections::BTreeMap::new(),
            create_time_unix_nano: now,
            update_time_unix_nano: now,
            valid: true,
            overrides: None,
        })
    }

    /// Says who judged.
    pub fn source(mut self, source_type: SourceType, id: impl Into<String>) -> Self {
        self.0.source = AssessmentSource {
            source_type,
            source_id: Some(id.into()),
        };
        self
    }

    /// Says why.
    pub fn rationale(mut self, rationale: impl Into<String>) -> Self {
        self.0.rationale = Some(rationale.into());
        self
    }

    /// Adds an entry of metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Says that it is about one span.
    pub fn span(mut self, span_id: SpanId) -> Self {
        self.0.span_id = Some(span_id);
        self
    }

    /// Puts it in the place of an earlier one, which stays but no longer counts.
    pub fn overrides(mut self, id: AssessmentId) -> Self {
        self.0.overrides = Some(id);
        self
    }
}
