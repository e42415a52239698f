//! Langfuse's export of one trace: `{"trace": {…}, "observations": […]}`.

use std::sync::Arc;

use serde_json::{Value as JsonValue, json};
use spanlite_model::{
    Assessment, AssessmentSource, AssessmentValue, Json, Resource, Scope, SourceType, Span, Status,
    StatusCode, Trace, TraceInfo, Value, keys,
};

use super::fields::{
    Object, attributes, keep_rest, need, span, span_id, text, time_text, trace_id,
};
use crate::detect::Format;
use crate::dialect::langfuse_type;
use crate::error::ReadFailure;

/// Fields of an observation that have a place of their own, or repeat one that has.
const KNOWN: &[&str] = &[
    "id",
    "traceId",
    "parentObservationId",
    "name",
    "startTime",
    "endTime",
    "type",
    "level",
    "statusMessage",
    "input",
    "output",
    "model",
    "usageDetails",
    "costDetails",
    "metadata",
    "projectId",
    "internalModel",
    "inputCost",
    "outputCost",
    "totalCost",
    "inputUsage",
    "outputUsage",
    "totalUsage",
    "latency",
];

/// Fields of the trace that have a place of their own.
const KNOWN_OF_TRACE: &[&str] = &[
    "id",
    "name",
    "timestamp",
    "userId",
    "sessionId",
    "tags",
    "scores",
];

/// How many characters of inputs and outputs a preview has, as MLflow cuts them.
const PREVIEW_CHARS: usize = 1_000;

pub(super) fn read(document: &JsonValue) -> Result<Vec<Trace>, ReadFailure> {
    let trace = document.get("trace").and_then(JsonValue::as_object);
    let trace = need(trace, Format::Langfuse, "trace")?;
    let id = need(text(trace, "id"), Format::Langfuse, "trace.id")?;
    let observations = document.get("observations").and_then(JsonValue::as_array);
    let observations = need(observations, Format::Langfuse, "observations")?;
    let spans = observations
        .iter()
        .filter_map(JsonValue::as_object)
        .map(|one| observation(one, id));
    let mut out = Trace::new(trace_id(id), spans.collect::<Result<_, _>>()?);
    out.info = info(trace)?;
    crate::dialect::derive_trace(&mut out);
    Ok(vec![out])
}

/// The value that a text holds, which may be JSON inside a JSON text.
fn unpacked(value: Option<&JsonValue>) -> Option<Json> {
    let value = value.filter(|value| !value.is_null())?;
    let JsonValue::String(outer) = value else {
        return Some(Json::from(value));
    };
    let json = |text: &str| {
        let begins = text.trim_start().starts_with(['{', '[', '"']);
        begins.then(|| Json::from_text(text).ok()).flatten()
    };
    let Some(inner) = json(outer) else {
        return Some(Json::string(outer));
    };
    let innermost = inner.as_str().and_then(|text| json(&text));
    Some(innermost.unwrap_or(inner))
}

fn observation(one: &Object, trace: &str) -> Result<Span, ReadFailure> {
    let own = need(text(one, "id"), Format::Langfuse, "observations[].id")?;
    let mut out = span(trace, own, text(one, "name").unwrap_or_default());
    out.parent_span_id = text(one, "parentObservationId").map(span_id);
    out.start_time_unix_nano = time_text(one, "startTime")?.unwrap_or(0);
    out.end_time_unix_nano = time_text(one, "endTime")?;
    if text(one, "type") == Some("EVENT") {
        out.end_time_unix_nano = out.end_time_unix_nano.or(Some(out.start_time_unix_nano));
    }
    if let Some(kind) = text(one, "type") {
        out.span_type = langfuse_type(kind).unwrap_or_default();
        out.attributes
            .push("langfuse.observation.type", kind.to_ascii_lowercase());
    }
    out.status = Status {
        code: match text(one, "level") {
            Some("ERROR") => StatusCode::Error,
            _ => StatusCode::Unset,
        },
        message: text(one, "statusMessage").unwrap_or_default().to_owned(),
    };
    if let Some(level) = text(one, "level").filter(|level| *level != "DEFAULT") {
        out.attributes.push("langfuse.observation.level", level);
    }
    out.inputs = unpacked(one.get("input"));
    out.outputs = unpacked(one.get("output"));
    if let Some(model) = text(one, "model") {
        out.attributes.push(keys::MLFLOW_LLM_MODEL, model);
    }
    let numbers = |field: &str, suffix: &str| -> Vec<(String, Value)> {
        let details = one.get(field).and_then(JsonValue::as_object);
        ["input", "output", "total"]
            .iter()
            .filter_map(|name| {
                let value = details?.get(*name)?;
                Some((format!("{name}_{suffix}"), Value::from(value)))
            })
            .collect()
    };
    let usage = numbers("usageDetails", "tokens");
    if !usage.is_empty() {
        out.attributes
            .push(keys::MLFLOW_TOKEN_USAGE, Value::Map(usage));
    }
    let cost = numbers("costDetails", "cost");
    if !cost.is_empty() {
        out.attributes.push(keys::MLFLOW_LLM_COST, Value::Map(cost));
    }
    metadata(&mut out, one.get("metadata"));
    keep_rest(&mut out, one, "langfuse.", KNOWN);
    Ok(out)
}

/// OpenTelemetry's part of the metadata goes where it came from, the rest becomes attributes.
fn metadata(span: &mut Span, metadata: Option<&JsonValue>) {
    let Some(metadata) = unpacked(metadata).and_then(|json| json.to_value().ok()) else {
        return;
    };
    let Some(fields) = metadata.as_object() else {
        span.attributes.push("langfuse.metadata", &metadata);
        return;
    };
    for (key, value) in attributes(fields.get("attributes")) {
        if span.attributes.get(&key).is_none() {
            span.attributes.push(key, value);
        }
    }
    span.resource = Arc::new(Resource {
        attributes: attributes(fields.get("resourceAttributes")),
        ..Resource::default()
    });
    if let Some(scope) = fields.get("scope").and_then(JsonValue::as_object) {
        span.scope = Arc::new(Scope {
            name: text(scope, "name").unwrap_or_default().to_owned(),
            version: text(scope, "version").unwrap_or_default().to_owned(),
            attributes: attributes(scope.get("attributes")),
            ..Scope::default()
        });
    }
    for (key, value) in fields {
        if !["attributes", "resourceAttributes", "scope"].contains(&key.as_str()) {
            span.attributes
                .push(format!("langfuse.metadata.{key}"), value);
        }
    }
}

fn info(trace: &Object) -> Result<TraceInfo, ReadFailure> {
    let owned = |field: &str| text(trace, field).map(str::to_owned);
    let preview = |field: &str| {
        let json = unpacked(trace.get(field))?;
        Some(json.to_display_text().chars().take(PREVIEW_CHARS).collect())
    };
    let mut info = TraceInfo {
        name: owned("name"),
        user: owned("userId"),
        session: owned("sessionId"),
        request_preview: preview("input"),
        response_preview: preview("output"),
        request_time_unix_nano: time_text(trace, "timestamp")?,
        ..TraceInfo::default()
    };
    let tags = trace.get("tags").and_then(JsonValue::as_array);
    for tag in tags.into_iter().flatten().filter_map(JsonValue::as_str) {
        info.tags.insert(tag.to_owned(), "true".to_owned());
    }
    let scores = trace.get("scores").and_then(JsonValue::as_array);
    for one in scores
        .into_iter()
        .flatten()
        .filter_map(JsonValue::as_object)
    {
        info.assessments.push(score(one)?);
    }
    for (field, value) in trace {
        let empty = value.is_null() || *value == json!([]) || *value == json!({});
        if !empty && !KNOWN_OF_TRACE.contains(&field.as_str()) {
            info.extra
                .insert(format!("langfuse.{field}"), Json::from(value));
        }
    }
    Ok(info)
}

fn score(one: &Object) -> Result<Assessment, ReadFailure> {
    let name = need(text(one, "name"), Format::Langfuse, "trace.scores[].name")?;
    let id = need(text(one, "id"), Format::Langfuse, "trace.scores[].id")?;
    let value = one.get("stringValue").filter(|value| !value.is_null());
    let value = value
        .or_else(|| one.get("value"))
        .filter(|value| !value.is_null());
    let source = text(one, "source").unwrap_or("API");
    let metadata = one.get("metadata").and_then(JsonValue::as_object);
    let texts = metadata.into_iter().flatten();
    Ok(Assessment {
        assessment_id: id.into(),
        name: name.to_owned(),
        value: AssessmentValue::Feedback {
            value: value.map(Json::from),
            error: None,
        },
        source: AssessmentSource {
            source_type: match source {
                "EVAL" => SourceType::LlmJudge,
                "ANNOTATION" => SourceType::Human,
                "API" => SourceType::Code,
                other => SourceType::from(other),
            },
            source_id: text(one, "authorUserId").map(str::to_owned),
        },
        span_id: text(one, "observationId").map(span_id),
        rationale: text(one, "comment").map(str::to_owned),
        metadata: texts
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        create_time_unix_nano: time_text(one, "timestamp")?.unwrap_or(0),
        update_time_unix_nano: time_text(one, "updatedAt")?.unwrap_or(0),
        valid: true,
        overrides: None,
    })
}
