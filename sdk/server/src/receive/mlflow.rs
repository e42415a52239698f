//! What MLflow's Python client asks of a tracking server when it logs traces: the least of it.
//! Reading back, runs, models and attachments are not served.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};
use spanlite_formats::{Footprint, read_mlflow_info};
use spanlite_model::{TraceChange, TraceId, TraceUpdate};

use super::experiments::{self, CreateError};
use super::{Door, body, now_unix_nano};
use crate::budget::Share;
use crate::intake::Load;
use crate::refusal::Refusal;

/// The release of MLflow whose client is served.
const VERSION: &str = "3.17.2";

/// Requests up to this size are read where they come in.
const SMALL_BYTES: usize = 16 << 10;
/// How often what a request says is there at once: as it came, as what is made of it, and as what
/// of it has no place there.
const FORMS: usize = 3;

type Answer = Result<Said, Fault>;

/// The JSON of an answer.
pub(super) struct Said(Vec<u8>);

impl From<&Value> for Said {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into_bytes())
    }
}

impl IntoResponse for Said {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, kind)], self.0).into_response()
    }
}

/// A refusal as MLflow's server tells it.
pub(super) struct Fault {
    refusal: Refusal,
    code: &'static str,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotFound { .. } => "RESOURCE_DOES_NOT_EXIST",
            Refusal::Exists { .. } => "RESOURCE_ALREADY_EXISTS",
            Refusal::Token => "UNAUTHENTICATED",
            Refusal::Host => "PERMISSION_DENIED",
            Refusal::Full => "RESOURCE_EXHAUSTED",
            Refusal::Store(_) | Refusal::State(_) | Refusal::Read(_) | Refusal::Closing => {
                "TEMPORARILY_UNAVAILABLE"
            }
            _ => "INVALID_PARAMETER_VALUE",
        };
        Self { refusal, code }
    }
}

/// Marks a response that tells of a refusal, and not of something that is not there, which clients
/// ask about.
#[derive(Clone)]
struct Refused;

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "message": self.refusal.text()});
        let mut response = (self.refusal.http_status(), Said::from(&body)).into_response();
        if let Some(seconds) = self.refusal.retry_after_seconds() {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let is_answer = matches!(
            self.refusal,
            Refusal::NotFound { .. } | Refusal::Exists { .. }
        );
        if !is_answer {
            response.extensions_mut().insert(Refused);
        }
        response
    }
}

/// The addresses that MLflow's client asks.
pub(super) fn routes(door: &Arc<Door>) -> Router<Arc<Door>> {
    let experiments = "/api/2.0/mlflow/experiments";
    Router::new()
        .route("/version", get(version))
        .route("/api/3.0/mlflow/server-info", get(server_info))
        .route(
            &format!("{experiments}/get-by-name"),
            get(experiment_by_name),
        )
        .route(&format!("{experiments}/get"), get(experiment))
        .route(&format!("{experiments}/create"), post(create_experiment))
        .route("/api/3.0/mlflow/traces", post(trace_info))
        .route("/api/2.0/mlflow/traces/{trace_id}/tags", patch(tag))
        .route("/api/3.0/mlflow/traces/{trace_id}/tags", patch(tag))
        .route(
            "/api/3.0/mlflow/traces/{trace_id}/assessments",
            post(assessment),
        )
        .layer(from_fn_with_state(Arc::clone(door), count_refusals))
}

async fn count_refusals(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.extensions().get::<Refused>().is_some() {
        door.count(|counters| &counters.refused_requests, 1);
    }
    response
}

/// `GET /version`.
async fn version() -> &'static str {
    VERSION
}

/// `GET server-info`: spans are taken by OTLP.
async fn server_info() -> Said {
    Said::from(&json!({"store_type": "SqlStore", "workspaces_enabled": false}))
}

#[derive(Deserialize)]
struct ByName {
    experiment_name: String,
}

/// `GET experiments/get-by-name`.
async fn experiment_by_name(
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
struct ById {
    experiment_id: String,
}

/// `GET experiments/get`.
async fn experiment(
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
    Ok(Said::from(&json!({"experiment": {
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
async fn create_experiment(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let (name, _share) = read(&door, request, |Create { name }| Ok(name)).await?;
    let storing = Arc::clone(&door);
    let created = tokio::task::spawn_blocking(move || experiments::create(&storing.store, &name));
    match created.await {
        Ok(Ok(id)) => Ok(Said::from(&json!({"experiment_id": id}))),
        Ok(Err(CreateError::Exists)) => Err(Refusal::Exists { what: "experiment" }.into()),
        Ok(Err(CreateError::Read(error))) => Err(Refusal::Read(error).into()),
        Ok(Err(CreateError::State(error))) => Err(Refusal::State(error).into()),
        Err(_runtime_ends) => Err(Refusal::Closing.into()),
    }
}

/// `POST traces`, which MLflow calls `StartTraceV3`: what belongs to a trace beside its spans.
async fn trace_info(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let take = |mut said: Value| {
        let info = said.pointer_mut("/trace/trace_info");
        let mut nothing = serde_json::Map::new();
        let info = info.and_then(Value::as_object_mut).unwrap_or(&mut nothing);
        let trace = read_mlflow_info(info).map_err(Refusal::Malformed)?;
        // Without this word in the answer the client would upload the spans as a file.
        let tags = info.entry("tags").or_insert_with(|| json!({}));
        if let Some(tags) = tags.as_object_mut() {
            let location = "mlflow.trace.spansLocation".to_owned();
            tags.insert(location, "TRACKING_STORE".into());
        }
        Ok((trace, Said::from(&said)))
    };
    let ((trace, answer), share) = read(&door, request, take).await?;
    // Held until the answer is made; it is the answer's as well.
    let _share = door.intake.store(Load::Traces(vec![trace]), share).await?;
    Ok(answer)
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: String,
}

/// `PATCH traces/ID/tags`.
async fn tag(
    State(door): State<Arc<Door>>,
    Path(trace_id): Path<String>,
    request: Request,
) -> Answer {
    let take = |Tag { key, value }| Ok(TraceChange::Tag { key, value });
    let (change, share) = read(&door, request, take).await?;
    update(&door, id_of(&trace_id)?, change, share).await?;
    Ok(Said::from(&json!({})))
}

/// `POST traces/ID/assessments`.
async fn assessment(
    State(door): State<Arc<Door>>,
    Path(trace_id): Path<String>,
    request: Request,
) -> Answer {
    let named = trace_id.clone();
    let take = move |mut said: Value| {
        let one = said.get_mut("assessment");
        let one = one.ok_or(Refusal::NotFound { what: "assessment" })?;
        let mut info = serde_json::Map::new();
        info.insert("trace_id".to_owned(), named.into());
        info.insert("assessments".to_owned(), json!([one.take()]));
        let trace = read_mlflow_info(&info).map_err(Refusal::Malformed)?;
        let assessment = trace.info.assessments.into_iter().next();
        let assessment = assessment.ok_or(Refusal::NotFound { what: "assessment" })?;
        if let Some(read) = info.get_mut("assessments").and_then(|list| list.get_mut(0)) {
            *one = read.take();
        }
        if let Some(fields) = one.as_object_mut() {
            let id = assessment.assessment_id.as_str().to_owned();
            fields.insert("assessment_id".to_owned(), id.into());
        }
        let change = TraceChange::PutAssessment(Box::new(assessment));
        Ok((change, Said::from(&said)))
    };
    let ((change, answer), share) = read(&door, request, take).await?;
    let _share = update(&door, id_of(&trace_id)?, change, share).await?;
    Ok(answer)
}

fn id_of(text: &str) -> Result<TraceId, Refusal> {
    let id = text.parse();
    id.map_err(|_no_id| Refusal::NotFound { what: "trace" })
}

async fn update(
    door: &Door,
    trace_id: TraceId,
    change: TraceChange,
    share: Share,
) -> Result<Share, Refusal> {
    let update = TraceUpdate {
        trace_id,
        time_unix_nano: now_unix_nano(),
        change,
    };
    door.intake.store(Load::Updates(vec![update]), share).await
}

/// Reads the JSON of a request, and takes from it what is wanted, with the share of memory that
/// both take.
async fn read<J: serde::de::DeserializeOwned, T: Send + 'static>(
    door: &Door,
    request: Request,
    take: impl FnOnce(J) -> Result<T, Refusal> + Send + 'static,
) -> Result<(T, Share), Refusal> {
    door.gate.bearer(request.headers())?;
    let limit_bytes = door.max_body_bytes;
    let (bytes, mut share) = body::read(request.into_body(), limit_bytes, &door.budget).await?;
    let is_small = bytes.len() <= SMALL_BYTES;
    let read = move || {
        let needed = Footprint::of_json(&bytes).held_bytes.saturating_mul(FORMS);
        share.grow_to(share.bytes().saturating_add(needed))?;
        let said = serde_json::from_slice(&bytes).map_err(Refusal::Json)?;
        Ok((take(said)?, share))
    };
    if is_small {
        read()
    } else {
        door.readers.run(read).await?
    }
}
