//! The calls of MLflow's REST interface that are used, as version 3.17 has them.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::info::{WireAssessment, WireInfo};
use super::verdict::judge;
use crate::http::{Body, Reply, Request, RequestError, Sender, Unsent, Verdict};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const EXPERIMENT_HEADER: HeaderName = HeaderName::from_static("x-mlflow-experiment-id");
/// How often a failure that may be a request's own fault is accepted: about ten seconds.
pub(super) const A_FEW_TIMES: u32 = 6;

/// What a server says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerInfo {
    pub(super) store_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Experiment {
    pub(super) experiment_id: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
    #[serde(default)]
    pub(super) artifact_location: String,
}

/// Where a server keeps files that it serves itself.
pub(super) const SERVED_ARTIFACTS: &str = "mlflow-artifacts:/";

impl Experiment {
    /// Returns whether the server itself takes the files of the experiment.
    pub(super) fn serves_artifacts(&self) -> bool {
        self.artifact_location.starts_with(SERVED_ARTIFACTS)
    }
}

/// What a server holds of a trace, as far as it is compared with what was sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoredInfo {
    pub(super) trace_id: String,
    pub(super) state: String,
    pub(super) request_time: String,
    pub(super) execution_duration: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) assessments: Vec<StoredAssessment>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoredAssessment {
    pub(super) assessment_id: String,
    pub(super) last_update_time: String,
    pub(super) metadata: BTreeMap<String, String>,
}

pub(super) fn server_info() -> Request {
    Request::get(
        "the question which store the server has",
        "api/3.0/mlflow/server-info",
    )
}

async fn call(sender: &Sender, request: &Request) -> Result<Reply, Unsent> {
    sender.send(request, A_FEW_TIMES, judge).await
}

fn body(value: &impl Serialize) -> Result<Body, Unsent> {
    let bytes = serde_json::to_vec(value).map_err(|source| {
        Unsent::Bad(RequestError::Unreadable {
            what: "a body that was to be sent",
            source,
        })
    })?;
    // Only the OTLP endpoint takes packed bodies.
    Ok(Body::plain(JSON, bytes))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Unsent> {
    // A body of another kind comes from another program at that address.
    reply.json().map_err(Unsent::Stop)
}

/// Returns whether a refusal says that the thing asked for is not there.
fn is_absent(unsent: &Unsent) -> bool {
    matches!(unsent, Unsent::Stop(error) if error.answer().is_some_and(|answer| {
        answer.error_code.as_deref() == Some("RESOURCE_DOES_NOT_EXIST")
    }))
}

pub(super) async fn get_server_info(sender: &Sender) -> Result<ServerInfo, Unsent> {
    read(&call(sender, &server_info()).await?)
}

/// The version the server says it is; empty when it does not say.
pub(super) async fn get_version(sender: &Sender) -> Result<String, Unsent> {
    match call(
        sender,
        &Request::get("the question for the version", "version"),
    )
    .await
    {
        Ok(reply) => Ok(String::from_utf8_lossy(&reply.body)
            .trim()
            .chars()
            .take(40)
            .collect()),
        Err(Unsent::Stop(_) | Unsent::Bad(_)) => Ok(String::new()),
        Err(other) => Err(other),
    }
}

pub(super) async fn find_experiment(
    sender: &Sender,
    name: &str,
) -> Result<Option<Experiment>, Unsent> {
    #[derive(Deserialize)]
    struct Found {
        experiment: Experiment,
    }
    let mut request = Request::get(
        "the search for the experiment",
        "api/2.0/mlflow/experiments/get-by-name",
    );
    request.query.push(("experiment_name", name.to_owned()));
    match call(sender, &request).await {
        Ok(reply) => Ok(Some(read::<Found>(&reply)?.experiment)),
        Err(unsent) if is_absent(&unsent) => Ok(None),
        Err(other) => Err(other),
    }
}

pub(super) async fn create_experiment(sender: &Sender, name: &str) -> Result<(), Unsent> {
    #[derive(Serialize)]
    struct Create<'a> {
        name: &'a str,
    }
    let request = Request::post(
        "the creation of the experiment",
        "api/2.0/mlflow/experiments/create",
        body(&Create { name })?,
    );
    match call(sender, &request).await {
        Ok(_) => Ok(()),
        // Another client was faster, or the answer to an earlier try was lost.
        Err(Unsent::Bad(error))
            if error.answer().is_some_and(|answer| {
                answer.error_code.as_deref() == Some("RESOURCE_ALREADY_EXISTS")
            }) =>
        {
            Ok(())
        }
        Err(other) => Err(other),
    }
}

/// Sends spans. They are filed under the experiment unless their trace is under another already.
pub(super) async fn push_spans(
    sender: &Sender,
    experiment_id: &str,
    spans: Vec<u8>,
    few: u32,
) -> Result<usize, Unsent> {
    let mut request = Request::post(
        "the upload of the spans",
        "v1/traces",
        Body::pack(PROTOBUF, spans).await,
    );
    request.headers = HeaderMap::from_iter([(
        EXPERIMENT_HEADER,
        HeaderValue::from_str(experiment_id).unwrap_or(HeaderValue::from_static("")),
    )]);
    let n_bytes = request.body.as_ref().map_or(0, Body::len);
    sender.send(&request, few, judge).await?;
    Ok(n_bytes)
}

/// Sends what belongs to a whole trace.
pub(super) async fn start_trace(sender: &Sender, info: &WireInfo) -> Result<usize, Unsent> {
    start_trace_judged(sender, info, judge).await
}

/// Likewise, on a server whose answers mean something else.
pub(super) async fn start_trace_judged(
    sender: &Sender,
    info: &WireInfo,
    judge: fn(&RequestError) -> Verdict,
) -> Result<usize, Unsent> {
    #[derive(Serialize)]
    struct Start<'a> {
        trace: Outer<'a>,
    }
    #[derive(Serialize)]
    struct Outer<'a> {
        trace_info: &'a WireInfo,
    }
    let body = body(&Start {
        trace: Outer { trace_info: info },
    })?;
    let n_bytes = body.len();
    let request = Request::post("the upload of the trace", "api/3.0/mlflow/traces", body);
    sender.send(&request, A_FEW_TIMES, judge).await?;
    Ok(n_bytes)
}

/// What the server holds of these traces; those it does not have are left out.
pub(super) async fn get_infos(
    sender: &Sender,
    trace_ids: Vec<String>,
) -> Result<Vec<StoredInfo>, Unsent> {
    #[derive(Serialize)]
    struct Ask {
        trace_ids: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Infos {
        #[serde(default)]
        trace_infos: Vec<StoredInfo>,
    }
    let request = Request::post(
        "the question what arrived",
        "api/3.0/mlflow/traces/batchGetInfos",
        body(&Ask { trace_ids })?,
    );
    let reply = call(sender, &request).await?;
    Ok(read::<Infos>(&reply)?.trace_infos)
}

/// What the server holds of one trace; nothing if it does not have it.
pub(super) async fn get_info(
    sender: &Sender,
    trace_id: &str,
) -> Result<Option<StoredInfo>, Unsent> {
    #[derive(Deserialize)]
    struct Found {
        trace: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        trace_info: StoredInfo,
    }
    let request = Request::get(
        "the question what arrived",
        format!("api/3.0/mlflow/traces/{trace_id}"),
    );
    match call(sender, &request).await {
        Ok(reply) => Ok(Some(read::<Found>(&reply)?.trace.trace_info)),
        Err(unsent) if is_absent(&unsent) => Ok(None),
        Err(other) => Err(other),
    }
}

pub(super) async fn set_tag(
    sender: &Sender,
    trace_id: &str,
    key: &str,
    value: &str,
) -> Result<(), Unsent> {
    #[derive(Serialize)]
    struct Tag<'a> {
        key: &'a str,
        value: &'a str,
    }
    let mut request = Request::get("a tag", format!("api/3.0/mlflow/traces/{trace_id}/tags"));
    request.method = Method::PATCH;
    request.body = Some(body(&Tag { key, value })?);
    call(sender, &request).await?;
    Ok(())
}

/// Adds an assessment, under an id that the server may choose.
pub(super) async fn add_assessment(
    sender: &Sender,
    trace_id: &str,
    assessment: &WireAssessment,
) -> Result<(), Unsent> {
    #[derive(Serialize)]
    struct Add<'a> {
        assessment: &'a WireAssessment,
    }
    let request = Request::post(
        "an assessment",
        format!("api/3.0/mlflow/traces/{trace_id}/assessments"),
        body(&Add { assessment })?,
    );
    call(sender, &request).await?;
    Ok(())
}

fn artifact(location: &str) -> String {
    let folder = location.trim_start_matches(SERVED_ARTIFACTS);
    format!("api/2.0/mlflow-artifacts/artifacts/{folder}/traces.json")
}

/// The document with the spans of a trace; nothing if there is none.
pub(super) async fn get_document(
    sender: &Sender,
    location: &str,
) -> Result<Option<Vec<u8>>, Unsent> {
    let request = Request::get("the spans that are there", artifact(location));
    match call(sender, &request).await {
        Ok(reply) => Ok(Some(reply.body)),
        Err(unsent) if is_absent(&unsent) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Puts the document with the spans of a trace in place of the one that is there.
pub(super) async fn put_document(
    sender: &Sender,
    location: &str,
    document: Vec<u8>,
) -> Result<usize, Unsent> {
    let n_bytes = document.len();
    let mut request = Request::get("the read of the spans", artifact(location));
    request.method = Method::PUT;
    request.body = Some(Body::plain(JSON, document));
    call(sender, &request).await?;
    Ok(n_bytes)
}

pub(super) async fn delete_tag(sender: &Sender, trace_id: &str, key: &str) -> Result<(), Unsent> {
    #[derive(Serialize)]
    struct Key<'a> {
        key: &'a str,
    }
    let mut request = Request::get(
        "the removal of a tag",
        format!("api/3.0/mlflow/traces/{trace_id}/tags"),
    );
    request.method = Method::DELETE;
    request.body = Some(body(&Key { key })?);
    ignore_absent(call(sender, &request).await)
}

pub(super) async fn delete_assessment(
    sender: &Sender,
    trace_id: &str,
    assessment_id: &str,
) -> Result<(), Unsent> {
    let mut request = Request::get(
        "the removal of an assessment",
        format!("api/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}"),
    );
    request.method = Method::DELETE;
    ignore_absent(call(sender, &request).await)
}

fn ignore_absent(result: Result<Reply, Unsent>) -> Result<(), Unsent> {
    match result {
        Ok(_) => Ok(()),
        Err(unsent) if is_absent(&unsent) => Ok(()),
        Err(other) => Err(other),
    }
}
