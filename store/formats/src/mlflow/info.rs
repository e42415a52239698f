//! What belongs to the whole trace: the dictionary of `TraceInfo.to_dict`.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value as JsonValue, json};
use spanlite_model::{Trace, TraceInfo, TraceState, keys, trace_cost, trace_usage};

use super::{Object, assessment};
use crate::error::{ReadFailure, shown};

/// The metadata that says what MLflow has no state for.
const STATE: &str = "spanlite.state";

/// Reads what has a place in [`TraceInfo`].
pub(super) fn read(info: &Object) -> Result<TraceInfo, ReadFailure> {
    let text = |field: &str| {
        info.get(field)
            .and_then(JsonValue::as_str)
            .map(str::to_owned)
    };
    let tags = texts(info.get("tags"));
    let metadata = texts(info.get("trace_metadata"));
    let interrupted = metadata.get(STATE).map(String::as_str) == Some("INTERRUPTED");
    let state = text("state").and_then(|name| name.parse().ok());
    Ok(TraceInfo {
        name: tags.get(keys::MLFLOW_TRACE_NAME).cloned(),
        session: metadata.get(keys::MLFLOW_TRACE_SESSION).cloned(),
        user: metadata.get(keys::MLFLOW_TRACE_USER).cloned(),
        client_request_id: text("client_request_id"),
        request_preview: text("request_preview"),
        response_preview: text("response_preview"),
        state: state.map(|state| match state {
            TraceState::InProgress if interrupted => TraceState::Interrupted,
            other => other,
        }),
        request_time_unix_nano: text("request_time")
            .map(|text| time("request_time", &text))
            .transpose()?,
        execution_duration_nanos: info
            .get("execution_duration_ms")
            .and_then(JsonValue::as_u64)
            .map(|millis| millis.saturating_mul(1_000_000)),
        assessments: assessment::read_all(info.get("assessments"))?,
        tags,
        metadata,
        ..TraceInfo::default()
    })
}

fn texts(object: Option<&JsonValue>) -> BTreeMap<String, String> {
    let entries = object.and_then(JsonValue::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Reads an RFC 3339 time.
pub(super) fn time(field: &'static str, text: &str) -> Result<u64, ReadFailure> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .and_then(|time| time.timestamp_nanos_opt())
        .and_then(|nanos| u64::try_from(nanos).ok())
        .ok_or_else(|| ReadFailure::Time {
            field,
            text: shown(text),
        })
}

/// Writes a time in UTC with as many digits as it needs: none, three, six or nine.
pub(super) fn time_text(nanos: u64) -> String {
    let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Renders what is known of the whole trace. For a trace that was not read from MLflow's JSON,
/// what MLflow's own SDK would say and the trace does not is added: name, state, times, tokens,
/// cost, previews are left to whoever set them.
pub(super) fn write(trace: &Trace, complete: bool) -> Object {
    let info = &trace.info;
    let mut out = Object::new();
    out.insert("trace_id".to_owned(), json!(trace.trace_id.to_string()));
    if complete {
        let experiment = json!({
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": { "experiment_id": "0" },
        });
        out.insert("trace_location".to_owned(), experiment);
    }
    let mut text = |field: &str, value: &Option<String>| {
        if let Some(value) = value {
            out.insert(field.to_owned(), json!(value));
        }
    };
    text("client_request_id", &info.client_request_id);
    text("request_preview", &info.request_preview);
    text("response_preview", &info.response_preview);
    let request_time = info.request_time_unix_nano.or_else(|| {
        let start = trace.start_time_unix_nano();
        start.filter(|_| complete)
    });
    if let Some(time) = request_time {
        out.insert("request_time".to_owned(), json!(time_text(time)));
    }
    let duration = info
        .execution_duration_nanos
        .or_else(|| complete.then(|| trace.duration_nanos()));
    if let Some(nanos) = duration {
        out.insert("execution_duration_ms".to_owned(), json!(nanos / 1_000_000));
    }
    let mut metadata = metadata(trace, complete);
    if let Some(state) = info.state.or_else(|| complete.then(|| trace.state())) {
        let name = match state {
            TraceState::Interrupted => {
                metadata.insert(STATE.to_owned(), state.as_str().to_owned());
                TraceState::InProgress.as_str()
            }
            other => other.as_str(),
        };
        out.insert("state".to_owned(), json!(name));
    }
    let mut tags = info.tags.clone();
    let name = info.name.as_deref();
    if let Some(name) = name.or_else(|| trace.name().filter(|_| complete)) {
        tags.insert(keys::MLFLOW_TRACE_NAME.to_owned(), name.to_owned());
    }
    out.insert("trace_metadata".to_owned(), json!(metadata));
    out.insert("tags".to_owned(), json!(tags));
    if !info.assessments.is_empty() {
        let all = info.assessments.iter();
        let all: Vec<_> = all
            .map(|one| assessment::write(one, trace.trace_id))
            .collect();
        out.insert("assessments".to_owned(), all.into());
    }
    out
}

fn metadata(trace: &Trace, complete: bool) -> BTreeMap<String, String> {
    let mut metadata = trace.info.metadata.clone();
    let mut put = |key: &str, value: &str| {
        metadata.insert(key.to_owned(), value.to_owned());
    };
    if let Some(session) = &trace.info.session {
        put(keys::MLFLOW_TRACE_SESSION, session);
    }
    if let Some(user) = &trace.info.user {
        put(keys::MLFLOW_TRACE_USER, user);
    }
    if complete {
        put(keys::MLFLOW_SCHEMA_VERSION, "3");
        let usage = trace_usage(trace);
        if let (Some(input), Some(output)) = (usage.input_tokens, usage.output_tokens) {
            let total = usage.total_tokens.unwrap_or(input + output);
            let tokens = json!({
                "input_tokens": input, "output_tokens": output, "total_tokens": total,
            });
            put(keys::MLFLOW_TRACE_TOKEN_USAGE, &tokens.to_string());
        }
        let cost = trace_cost(trace);
        if !cost.is_empty() {
            let cost = json!({
                "input_cost": cost.input_cost,
                "output_cost": cost.output_cost,
                "total_cost": cost.total_cost,
            });
            put(keys::MLFLOW_TRACE_COST, &cost.to_string());
        }
    }
    metadata
}
