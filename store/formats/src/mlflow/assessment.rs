use std::collections::BTreeMap;

use serde_json::{Value as JsonValue, json};
use spanlite_model::{
    Assessment, AssessmentError, AssessmentId, AssessmentSource, AssessmentValue, Json, SourceType,
    TraceId,
};
use xxhash_rust::xxh3::xxh3_128;

use super::Object;
use super::info::{time, time_text};
use super::span::missing;
use crate::error::ReadFailure;
use crate::value::sorted_text;

pub(super) fn read_all(list: Option<&JsonValue>) -> Result<Vec<Assessment>, ReadFailure> {
    let list = list.and_then(JsonValue::as_array).into_iter().flatten();
    list.filter_map(JsonValue::as_object).map(read).collect()
}

fn read(one: &Object) -> Result<Assessment, ReadFailure> {
    let text = |field: &str| one.get(field).and_then(JsonValue::as_str);
    let name = text("assessment_name").or_else(|| text("name"));
    let name = name.ok_or_else(|| missing("info.assessments[].assessment_name"))?;
    let time =
        |field| text(field).map_or(Ok(0), |text| time("info.assessments[].create_time", text));
    // MLflow gives an id when it stores; a file without one gets one that follows from it.
    let id = text("assessment_id").map_or_else(
        || {
            let content = sorted_text(&JsonValue::Object(one.clone()));
            format!("a-{:032x}", xxh3_128(content.as_bytes()))
        },
        str::to_owned,
    );
    let metadata = one.get("metadata").and_then(JsonValue::as_object);
    Ok(Assessment {
        assessment_id: AssessmentId::from(id.as_str()),
        name: name.to_owned(),
        value: value(one)?,
        source: source(one.get("source")),
        span_id: text("span_id").and_then(|text| text.parse().ok()),
        rationale: text("rationale").map(str::to_owned),
        metadata: metadata.map_or_else(BTreeMap::new, |entries| {
            let texts = entries.iter();
            texts
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        }),
        create_time_unix_nano: time("create_time")?,
        update_time_unix_nano: time("last_update_time")?,
        valid: one.get("valid").and_then(JsonValue::as_bool) != Some(false),
        overrides: text("overrides").map(AssessmentId::from),
    })
}

fn source(source: Option<&JsonValue>) -> AssessmentSource {
    let text = |field: &str| source.and_then(|one| one.get(field)?.as_str());
    AssessmentSource {
        source_type: SourceType::from(text("source_type").unwrap_or("SOURCE_TYPE_UNSPECIFIED")),
        source_id: text("source_id").map(str::to_owned),
    }
}

fn value(one: &Object) -> Result<AssessmentValue, ReadFailure> {
    if let Some(expectation) = one.get("expectation") {
        let serialized = expectation
            .pointer("/serialized_value/value")
            .and_then(JsonValue::as_str);
        let value = match serialized {
            Some(text) => Json::from_text(text).unwrap_or_else(|_| Json::string(text)),
            None => Json::from(expectation.get("value").unwrap_or(&JsonValue::Null)),
        };
        return Ok(AssessmentValue::Expectation { value });
    }
    if let Some(issue) = one.get("issue") {
        let name = issue.get("issue_name").and_then(JsonValue::as_str);
        let name = name.ok_or_else(|| missing("info.assessments[].issue.issue_name"))?;
        return Ok(AssessmentValue::Issue {
            name: name.to_owned(),
        });
    }
    let feedback = one
        .get("feedback")
        .ok_or_else(|| missing("info.assessments[].feedback"))?;
    let error = feedback.get("error").and_then(JsonValue::as_object);
    let error = error.map(|error| {
        let text = |field: &str| error.get(field).and_then(JsonValue::as_str);
        AssessmentError {
            code: text("error_code").unwrap_or_default().to_owned(),
            message: text("error_message").map(str::to_owned),
            stack_trace: text("stack_trace").map(str::to_owned),
        }
    });
    let value = feedback.get("value").filter(|value| !value.is_null());
    Ok(AssessmentValue::Feedback {
        value: value.map(Json::from),
        error,
    })
}

pub(super) fn write(one: &Assessment, trace_id: TraceId) -> JsonValue {
    let mut out = Object::new();
    let mut put = |field: &str, value: JsonValue| {
        if !value.is_null() {
            out.insert(field.to_owned(), value);
        }
    };
    put("assessment_id", json!(one.assessment_id.as_str()));
    put("assessment_name", json!(one.name));
    put("trace_id", json!(trace_id.to_string()));
    put("span_id", json!(one.span_id.map(|id| id.to_string())));
    put(
        "source",
        json!({
            "source_type": one.source.source_type.as_str(),
            "source_id": one.source.source_id.as_deref().unwrap_or("default"),
        }),
    );
    put("create_time", json!(time_text(one.create_time_unix_nano)));
    put(
        "last_update_time",
        json!(time_text(one.update_time_unix_nano)),
    );
    match &one.value {
        AssessmentValue::Feedback { value, error } => {
            let mut feedback = Object::new();
            let value = value.as_ref().map(to_value).unwrap_or_default();
            feedback.insert("value".to_owned(), value);
            if let Some(error) = error {
                let error = json!({
                    "error_code": error.code,
                    "error_message": error.message,
                    "stack_trace": error.stack_trace,
                });
                feedback.insert("error".to_owned(), error);
            }
            put("feedback", feedback.into());
        }
        AssessmentValue::Expectation { value } => put("expectation", expectation(value)),
        AssessmentValue::Issue { name } => put("issue", json!({ "issue_name": name })),
    }
    put("rationale", json!(one.rationale));
    if !one.metadata.is_empty() {
        put("metadata", json!(one.metadata));
    }
    put("valid", json!(one.valid));
    put(
        "overrides",
        json!(one.overrides.as_ref().map(AssessmentId::as_str)),
    );
    out.into()
}

/// The value, or its text when it is nested deeper than the parser goes.
fn to_value(json: &Json) -> JsonValue {
    json.to_value()
        .unwrap_or_else(|_| JsonValue::String(json.as_text().to_owned()))
}

/// A scalar stands as it is; a list or an object is text inside, as MLflow's messages have it.
fn expectation(value: &Json) -> JsonValue {
    match to_value(value) {
        JsonValue::Array(_) | JsonValue::Object(_) => json!({
            "serialized_value": {
                "serialization_format": "JSON_FORMAT",
                "value": value.as_text(),
            },
        }),
        scalar => json!({ "value": scalar }),
    }
}
