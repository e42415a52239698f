//! The body of `StartTraceV3`, which carries what belongs to a whole trace.
//!
//! The server reads the fields in the order they come and, at the first one it cannot read, drops
//! that field and all later ones without a word. State and length therefore stand first, and
//! nothing is written that it could stumble over.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use spanlite_model::{
    Assessment, AssessmentValue, Json, SourceType, Trace, TraceState, keys, trace_cost, trace_usage,
};

use super::span::usage_map;
use crate::adjust::{Adjustments, cut};
use crate::json::{Bounds, fit};

const CLIENT_REQUEST_ID_LIMIT: usize = 50;
const PREVIEW_LIMIT: usize = 1_000;
const KEY_LIMIT: usize = 250;
/// Longer values are stored, but every answer of the server cuts them here without a mark.
const METADATA_VALUE_LIMIT: usize = 250;
/// As above.
const TAG_VALUE_LIMIT: usize = 4_096;
const ASSESSMENT_NAME_LIMIT: usize = 250;
const ASSESSMENT_ID_LIMIT: usize = 50;

/// Tags in which a server keeps where it stored a trace; another server's would hide the spans.
const SERVER_TAGS: &[&str] = &[
    "mlflow.artifactLocation",
    "mlflow.trace.spansLocation",
    "mlflow.trace.archiveLocation",
    "mlflow.trace.archivalFailure",
];
/// Metadata that the server writes itself.
const SERVER_METADATA: &[&str] = &["mlflow.trace.infoFinalized"];
/// Tag of ours on a trace whose program died before it ended.
pub(super) const STATE_TAG: &str = "spanlite.state";
/// Metadata of ours on an assessment whose source MLflow has no name for.
const SOURCE_TYPE_METADATA: &str = "spanlite.source_type";

/// What belongs to a whole trace, in the server's words and order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WireInfo {
    pub(super) state: &'static str,
    pub(super) execution_duration: String,
    pub(super) request_time: String,
    pub(super) trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_location: Option<WireLocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_preview: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_preview: Option<String>,
    pub(super) trace_metadata: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) assessments: Vec<WireAssessment>,
}

/// The experiment a trace is filed under.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WireLocation {
    r#type: &'static str,
    mlflow_experiment: WireExperiment,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WireExperiment {
    experiment_id: String,
}

impl WireLocation {
    pub(super) fn of(experiment_id: &str) -> Self {
        Self {
            r#type: "MLFLOW_EXPERIMENT",
            mlflow_experiment: WireExperiment {
                experiment_id: experiment_id.to_owned(),
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WireAssessment {
    pub(super) assessment_id: String,
    assessment_name: String,
    trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    source: WireSource,
    pub(super) create_time: String,
    pub(super) last_update_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<WireFeedback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expectation: Option<WireExpectation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<WireIssue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) overrides: Option<String>,
    valid: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WireSource {
    source_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WireFeedback {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WireIssue {
    issue_name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum WireExpectation {
    Value(Json),
    SerializedValue {
        serialization_format: &'static str,
        value: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WireError {
    error_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<String>,
}

/// Unix nanoseconds as the server keeps them: UTC with milliseconds, the rest cut off.
pub(super) fn wire_time(unix_nano: u64) -> String {
    let millis = i64::try_from(unix_nano / 1_000_000).unwrap_or(i64::MAX);
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Nanoseconds as seconds with milliseconds, the rest cut off. Any other form would be read as 0
/// and take the fields after it along.
pub(super) fn wire_duration(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

impl WireInfo {
    /// The body of a trace, without the experiment.
    pub(crate) fn of(trace: &Trace, adjusted: &mut Adjustments) -> Self {
        let info = &trace.info;
        let start = info
            .request_time_unix_nano
            .or_else(|| trace.start_time_unix_nano())
            .unwrap_or(0);
        let duration = info
            .execution_duration_nanos
            .unwrap_or_else(|| trace.duration_nanos());
        let mut cut_to =
            |text: &Option<String>, limit| text.clone().map(|text| cut(text, limit, adjusted));
        Self {
            client_request_id: cut_to(&info.client_request_id, CLIENT_REQUEST_ID_LIMIT),
            request_preview: cut_to(&info.request_preview, PREVIEW_LIMIT),
            response_preview: cut_to(&info.response_preview, PREVIEW_LIMIT),
            state: wire_state(trace.state()),
            execution_duration: wire_duration(duration),
            request_time: wire_time(start),
            trace_id: trace.trace_id.to_string(),
            trace_location: None,
            trace_metadata: metadata(trace, adjusted),
            tags: tags(trace, adjusted),
            assessments: info
                .assessments
                .iter()
                .map(|one| WireAssessment::of(one, trace, adjusted))
                .collect(),
        }
    }
}

fn wire_state(state: TraceState) -> &'static str {
    match state {
        // A trace whose program died has failed; the tag beside it says how.
        TraceState::Interrupted => TraceState::Error.as_str(),
        other => other.as_str(),
    }
}

fn metadata(trace: &Trace, adjusted: &mut Adjustments) -> BTreeMap<String, String> {
    let info = &trace.info;
    let mut out: BTreeMap<String, String> = info
        .metadata
        .iter()
        .filter(|(key, _)| !SERVER_METADATA.contains(&key.as_str()))
        .map(|(key, value)| {
            let value = match key.as_str() {
                // JSON texts that the server reads; a cut one would be none.
                keys::MLFLOW_TRACE_TOKEN_USAGE | keys::MLFLOW_TRACE_COST => value.clone(),
                _ => cut(value.clone(), METADATA_VALUE_LIMIT, adjusted),
            };
            (cut(key.clone(), KEY_LIMIT, adjusted), value)
        })
        .collect();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), cut(value, METADATA_VALUE_LIMIT, adjusted));
        }
    };
    put(keys::MLFLOW_TRACE_SESSION, info.session.clone());
    put(keys::MLFLOW_TRACE_USER, info.user.clone());
    out.entry(keys::MLFLOW_SCHEMA_VERSION.to_owned())
        .or_insert_with(|| "3".to_owned());
    let usage = trace_usage(trace);
    if !usage.is_empty() {
        out.entry(keys::MLFLOW_TRACE_TOKEN_USAGE.to_owned())
            .or_insert_with(|| usage_map(&usage).to_json_text());
    }
    let cost = trace_cost(trace);
    if let (Some(input), Some(output), Some(total)) =
        (cost.input_cost, cost.output_cost, cost.total_cost)
        && [input, output, total].into_iter().all(f64::is_finite)
    {
        out.entry(keys::MLFLOW_TRACE_COST.to_owned())
            .or_insert_with(|| {
                format!(
                    r#"{{"input_cost":{input:?},"output_cost":{output:?},"total_cost":{total:?}}}"#
                )
            });
    }
    out
}

fn tags(trace: &Trace, adjusted: &mut Adjustments) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in &trace.info.tags {
        if SERVER_TAGS.contains(&key.as_str()) {
            adjusted.dropped_tags += 1;
            continue;
        }
        let value = cut(value.clone(), TAG_VALUE_LIMIT, adjusted);
        out.insert(cut(key.clone(), KEY_LIMIT, adjusted), value);
    }
    if let Some(name) = trace.name() {
        let name = cut(name.to_owned(), TAG_VALUE_LIMIT, adjusted);
        out.insert(keys::MLFLOW_TRACE_NAME.to_owned(), name);
    }
    if trace.state() == TraceState::Interrupted {
        let state = TraceState::Interrupted.as_str().to_owned();
        out.insert(STATE_TAG.to_owned(), state);
    }
    out
}

impl WireAssessment {
    fn of(one: &Assessment, trace: &Trace, adjusted: &mut Adjustments) -> Self {
        let mut metadata = one.metadata.clone();
        let source_type = match &one.source.source_type {
            SourceType::Other(name) if &**name != "SOURCE_TYPE_UNSPECIFIED" => {
                metadata
                    .entry(SOURCE_TYPE_METADATA.to_owned())
                    .or_insert_with(|| name.to_string());
                "SOURCE_TYPE_UNSPECIFIED"
            }
            known => known.as_str(),
        };
        let cut_to =
            |text: &str, limit, adjusted: &mut Adjustments| cut(text.to_owned(), limit, adjusted);
        let id = |id: &str, adjusted: &mut Adjustments| cut_to(id, ASSESSMENT_ID_LIMIT, adjusted);
        Self {
            assessment_id: id(one.assessment_id.as_str(), adjusted),
            assessment_name: cut_to(&one.name, ASSESSMENT_NAME_LIMIT, adjusted),
            trace_id: trace.trace_id.to_string(),
            span_id: one.span_id.map(|id| id.to_string()),
            source: WireSource {
                source_type: source_type.to_owned(),
                source_id: one
                    .source
                    .source_id
                    .as_ref()
                    .map(|id| cut_to(id, KEY_LIMIT, adjusted)),
            },
            create_time: wire_time(one.create_time_unix_nano),
            last_update_time: wire_time(one.update_time_unix_nano),
            feedback: feedback(&one.value, adjusted),
            expectation: expectation(&one.value, adjusted),
            issue: issue(&one.value),
            rationale: one.rationale.clone(),
            metadata,
            overrides: one
                .overrides
                .as_ref()
                .map(|overridden| id(overridden.as_str(), adjusted)),
            valid: one.valid,
        }
    }
}

fn feedback(value: &AssessmentValue, adjusted: &mut Adjustments) -> Option<WireFeedback> {
    let AssessmentValue::Feedback { value, error } = value else {
        return None;
    };
    Some(WireFeedback {
        value: value.as_ref().map(|json| {
            let text = fit(json.as_text(), Bounds::PROTOBUF_VALUE, adjusted);
            Json::from_trusted_text(text.into_owned())
        }),
        error: error.as_ref().map(|error| WireError {
            error_code: error.code.clone(),
            error_message: error.message.clone(),
            stack_trace: error.stack_trace.clone(),
        }),
    })
}

fn expectation(value: &AssessmentValue, adjusted: &mut Adjustments) -> Option<WireExpectation> {
    let AssessmentValue::Expectation { value } = value else {
        return None;
    };
    let text = value.as_text().trim();
    let mut probe = Adjustments::default();
    let exact =
        !text.starts_with(['[', '{']) && fit(text, Bounds::PROTOBUF_VALUE, &mut probe) == text;
    Some(if exact {
        WireExpectation::Value(value.clone())
    } else {
        WireExpectation::SerializedValue {
            serialization_format: "JSON_FORMAT",
            value: fit(text, Bounds::ATTRIBUTE, adjusted).into_owned(),
        }
    })
}

fn issue(value: &AssessmentValue) -> Option<WireIssue> {
    match value {
        AssessmentValue::Issue { name } => Some(WireIssue {
            issue_name: name.clone(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use spanlite_model::{
        AssessmentError, AssessmentSource, Span, SpanId, SpanType, TraceId, TraceInfo,
    };

    use super::*;

    fn assessment(id: &str, value: AssessmentValue) -> Assessment {
        Assessment {
            assessment_id: id.into(),
            name: "correct".to_owned(),
            value,
            source: AssessmentSource {
                source_type: "HUMAN".into(),
                source_id: Some("bob".to_owned()),
            },
            span_id: Some(SpanId::from_bytes([2; 8])),
            rationale: Some("why".to_owned()),
            metadata: BTreeMap::new(),
            create_time_unix_nano: 1_000_999_999,
            update_time_unix_nano: 2_000_000_000,
            valid: true,
            overrides: None,
        }
    }

    fn trace() -> Trace {
        let id = TraceId::from_bytes([0xab; 16]);
        let mut span = Span::new(id, SpanId::from_bytes([1; 8]), "answer");
        span.start_time_unix_nano = 1_795_326_801_917_678_261;
        span.end_time_unix_nano = Some(1_795_326_803_417_999_999);
        span.span_type = SpanType::Llm;
        span.attributes.push("gen_ai.usage.input_tokens", 12);
        span.attributes.push("gen_ai.usage.output_tokens", 3);
        Trace::new(id, vec![span])
    }

    #[test]
    fn the_body_has_state_and_length_first() {
        let mut trace = trace();
        trace.info = TraceInfo {
            tags: [
                ("env".to_owned(), "prod".to_owned()),
                ("mlflow.artifactLocation".to_owned(), "s3://x".to_owned()),
            ]
            .into(),
            session: Some("s-1".to_owned()),
            client_request_id: Some("r".repeat(60)),
            assessments: vec![
                assessment(
                    "a-1",
                    AssessmentValue::Feedback {
                        value: Some(Json::from_text("[true, 9007199254740993]").unwrap()),
                        error: Some(AssessmentError {
                            code: "RATE".to_owned(),
                            ..AssessmentError::default()
                        }),
                    },
                ),
                assessment(
                    "a-2",
                    AssessmentValue::Expectation {
                        value: Json::from_text(r#"{"a": 9007199254740993}"#).unwrap(),
                    },
                ),
                assessment(
                    "a-3",
                    AssessmentValue::Expectation {
                        value: Json::string("Paris"),
                    },
                ),
            ],
            ..TraceInfo::default()
        };
        let mut adjusted = Adjustments::default();
        let mut body = WireInfo::of(&trace, &mut adjusted);
        body.trace_location = Some(WireLocation::of("7"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
        assert_eq!(
            adjusted,
            Adjustments {
                cut_texts: 1,
                integers_as_text: 1,
                dropped_tags: 1,
                ..Adjustments::default()
            }
        );
    }

    #[test]
    fn an_interrupted_trace_is_an_error_with_a_tag() {
        let mut trace = trace();
        trace.info.state = Some(TraceState::Interrupted);
        let body = WireInfo::of(&trace, &mut Adjustments::default());
        assert_eq!(body.state, "ERROR");
        assert_eq!(body.tags[STATE_TAG], "INTERRUPTED");
    }

    #[test]
    fn times_are_in_the_only_form_the_server_reads() {
        assert_eq!(wire_duration(1_500_999_999), "1.500s");
        assert_eq!(wire_duration(0), "0.000s");
        assert_eq!(wire_duration(u64::MAX), "18446744073.709s");
        assert_eq!(wire_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(wire_time(u64::MAX), "2554-07-21T23:34:33.709Z");
    }
}
