//! What MLflow's Python client asks of a tracking server when it logs traces: the least of it.
//! Reading back, runs, models and attachments are not served.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use spanlite_formats::read_mlflow_json;
use spanlite_model::{Trace, TraceChange, TraceId, TraceUpdate};

use super::experiments::{self, CreateError};
use super::{Door, body, now_unix_nano};
use crate::intake::Load;
use crate::refusal::Refusal;

/// The release of MLflow whose client is served.
const VERSION: &str = "3.17.2";

type Answer = Result<Json<Value>, Fault>;

/// A refusal as MLflow's server tells it.
pub(super) struct Fault {
    refusal: Refusal,
    code: &'static str,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotFound { .. } => "RESOURCE_DOES_NOT_EXIST",
            Refusal::Token => "UNAUTHENTICATED",
            Refusal::Host => "PERMISSION_DENIED",
            Refusal::Full => "RESOURCE_EXHAUSTED",
            Refusal::Store(_) | Refusal::Read(_) | Refusal::Closing => "TEMPORARILY_UNAVAILABLE",
            _ => "INVALID_PARAMETER_VALUE",
        };
        Self { refusal, code }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "message": self.refusal.text()});
        (self.refusal.http_status(), Json(body)).into_response()
    }
}

/// `GET /version`.
pub(super) async fn version() -> &'static str {
    VERSION
}

/// `GET server-info`: spans are taken by OTLP.
pub(super) async fn server_info() -> Json<Value> {
    Json(json!({"store_type": "SqlStore", "workspaces_enabled": false}))
}

#[derive(Deserialize)]
pub(super) struct ByName {
    experiment_name: String,
}

/// `GET experiments/get-by-name`.
pub(super) async fn experiment_by_name(
    State(door): State<Arc<Door>>,
    Query(asked): Query<ByName>,
    request: Request,
) -> Answer {
    door.gate.bearer(request.headers())?;
    let name = asked.experiment_name.clone();
    let id = on_store(&door, move |door| experiments::id_of(&door.store, &name)).await?;
    found(id.map(|id| (id, asked.experiment_name)))
}

#[derive(Deserialize)]
pub(super) struct ById {
    experiment_id: String,
}

/// `GET experiments/get`.
pub(super) async fn experiment(
    State(door): State<Arc<Door>>,
    Query(asked): Query<ById>,
    request: Request,
) -> Answer {
    door.gate.bearer(request.headers())?;
    let id = asked.experiment_id.clone();
    let name = on_store(&door, move |door| experiments::name_of(&door.store, &id)).await?;
    found(name.map(|name| (asked.experiment_id, name)))
}

fn found(experiment: Option<(String, String)>) -> Answer {
    let (id, name) = experiment.ok_or(Refusal::NotFound { what: "experiment" })?;
    Ok(Json(json!({"experiment": {
        "experiment_id": id,
        "name": name,
        "artifact_location": "",
        "lifecycle_stage": "active",
    }})))
}

async fn on_store<T: Send + 'static>(
    door: &Arc<Door>,
    read: impl FnOnce(&Door) -> Result<T, spanlite_store::ReadError> + Send + 'static,
) -> Result<T, Refusal> {
    let door = Arc::clone(door);
    match tokio::task::spawn_blocking(move || read(&door)).await {
        Ok(read) => read.map_err(Refusal::Read),
        Err(_runtime_ends) => Err(Refusal::Closing),
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
}

/// `POST experiments/create`.
pub(super) async fn create_experiment(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let Create { name } = read(&door, request).await?;
    let storing = Arc::clone(&door);
    let created = tokio::task::spawn_blocking(move || experiments::create(&storing.store, &name));
    match created.await {
        Ok(Ok(id)) => Ok(Json(json!({"experiment_id": id}))),
        Ok(Err(CreateError::Exists)) => Err(Fault {
            refusal: Refusal::Exists { what: "experiment" },
            code: "RESOURCE_ALREADY_EXISTS",
        }),
        Ok(Err(CreateError::Read(error))) => Err(Refusal::Read(error).into()),
        Ok(Err(CreateError::State(error))) => Err(Refusal::State(error).into()),
        Err(_runtime_ends) => Err(Refusal::Closing.into()),
    }
}

/// `POST traces`, which MLflow calls `StartTraceV3`: what belongs to a trace beside its spans.
pub(super) async fn trace_info(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let mut said: Value = read(&door, request).await?;
    let info = said.pointer("/trace/trace_info").unwrap_or(&Value::Null);
    let trace = trace_of(info)?;
    door.intake
        .store(Load::Traces(vec![trace]), door.budget.share())
        .await?;
    // Without this word in the answer the client would upload the spans as a file.
    if let Some(info) = said.pointer_mut("/trace/trace_info")
        && let Some(info) = info.as_object_mut()
        && let Some(tags) = info
            .entry("tags")
            .or_insert_with(|| json!({}))
            .as_object_mut()
    {
        let location = "mlflow.trace.spansLocation".to_owned();
        tags.insert(location, "TRACKING_STORE".into());
    }
    Ok(Json(said))
}

/// A trace without spans.
fn trace_of(info: &Value) -> Result<Trace, Refusal> {
    let document = json!({"info": info}).to_string();
    let read = read_mlflow_json(&document).map_err(Refusal::Malformed)?;
    read.into_iter()
        .next()
        .ok_or(Refusal::NotFound { what: "trace" })
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: String,
}

/// `PATCH traces/ID/tags`.
pub(super) async fn tag(
    State(door): State<Arc<Door>>,
    Path(trace_id): Path<String>,
    request: Request,
) -> Answer {
    let Tag { key, value } = read(&door, request).await?;
    update(&door, id_of(&trace_id)?, TraceChange::Tag { key, value }).await?;
    Ok(Json(json!({})))
}

/// `POST traces/ID/assessments`.
pub(super) async fn assessment(
    State(door): State<Arc<Door>>,
    Path(trace_id): Path<String>,
    request: Request,
) -> Answer {
    let mut said: Value = read(&door, request).await?;
    let one = said.get("assessment").unwrap_or(&Value::Null);
    let trace = trace_of(&json!({"trace_id": trace_id, "assessments": [one]}))?;
    let read = trace.info.assessments.into_iter().next();
    let assessment = read.ok_or(Refusal::NotFound { what: "assessment" })?;
    if let Some(fields) = said.get_mut("assessment").and_then(Value::as_object_mut) {
        let id = assessment.assessment_id.as_str().to_owned();
        fields.insert("assessment_id".to_owned(), id.into());
    }
    let change = TraceChange::PutAssessment(Box::new(assessment));
    update(&door, id_of(&trace_id)?, change).await?;
    Ok(Json(said))
}

fn id_of(text: &str) -> Result<TraceId, Refusal> {
    let id = text.parse();
    id.map_err(|_no_id| Refusal::NotFound { what: "trace" })
}

async fn update(door: &Door, trace_id: TraceId, change: TraceChange) -> Result<(), Refusal> {
    let update = TraceUpdate {
        trace_id,
        time_unix_nano: now_unix_nano(),
        change,
    };
    let share = door.budget.share();
    door.intake.store(Load::Updates(vec![update]), share).await
}

/// Reads the JSON of a request.
async fn read<T: serde::de::DeserializeOwned>(door: &Door, request: Request) -> Result<T, Refusal> {
    door.gate.bearer(request.headers())?;
    let limit_bytes = door.max_body_bytes;
    let (bytes, _share) = body::read(request.into_body(), limit_bytes, &door.budget).await?;
    serde_json::from_slice(&bytes).map_err(Refusal::Json)
}
