use std::collections::BTreeMap;

use crate::{Json, SpanId};

/// The id of an assessment: MLflow's `a-` and 32 hex digits, or any text that came from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssessmentId(Box<str>);

impl AssessmentId {
    /// A new random id.
    pub fn random() -> Self {
        Self(format!("a-{}", uuid::Uuid::new_v4().simple()).into())
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AssessmentId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// What somebody thinks of a trace or one of its spans.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Its id; putting another one with the same id replaces it.
    pub assessment_id: AssessmentId,
    /// What is judged, such as `correctness`.
    pub name: String,
    /// The judgement.
    pub value: AssessmentValue,
    /// Who judged.
    pub source: AssessmentSource,
    /// The span it is about; the whole trace if absent.
    pub span_id: Option<SpanId>,
    /// Why.
    pub rationale: Option<String>,
    /// What else was said.
    pub metadata: BTreeMap<String, String>,
    /// When it was made, in Unix nanoseconds.
    pub create_time_unix_nano: u64,
    /// When it was last changed, in Unix nanoseconds.
    pub update_time_unix_nano: u64,
    /// False once another assessment overrides it.
    pub valid: bool,
    /// The assessment this one overrides.
    pub overrides: Option<AssessmentId>,
}

/// The judgement of an assessment.
#[derive(Debug, Clone, PartialEq)]
pub enum AssessmentValue {
    /// How good it was; no value when the judge failed.
    Feedback {
        /// Any JSON value.
        value: Option<Json>,
        /// How the judge failed.
        error: Option<AssessmentError>,
    },
    /// What should have come out.
    Expectation {
        /// Any JSON value.
        value: Json,
    },
    /// An issue that was found, by MLflow's issue id.
    Issue {
        /// The name of the issue.
        name: String,
    },
}

/// How a judge failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssessmentError {
    /// The class of the error.
    pub code: String,
    /// Its text.
    pub message: Option<String>,
    /// Where it was raised.
    pub stack_trace: Option<String>,
}

/// Who made an assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssessmentSource {
    /// The sort of judge.
    pub source_type: SourceType,
    /// Which one: a person, a model, a function.
    pub source_id: Option<String>,
}

/// The sort of judge, as MLflow names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceType {
    /// A person.
    Human,
    /// A model.
    LlmJudge,
    /// A program.
    Code,
    /// Another name, kept as it was written.
    Other(Box<str>),
}

impl SourceType {
    /// The name as MLflow writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for SourceType {
    fn from(name: &str) -> Self {
        match name {
            "HUMAN" => Self::Human,
            "LLM_JUDGE" => Self::LlmJudge,
            "CODE" => Self::Code,
            other => Self::Other(other.into()),
        }
    }
}
