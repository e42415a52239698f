use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use spanlite::Context;
use spanlite_auto::ModelCallLayer;
use spanlite_llm::Endpoint;
use spanlite_model::with_causes;
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::{Counters, Upstream};
use crate::budget::{Budget, Share};
use crate::gate::{Gate, PROXY_TOKEN};
use crate::receive::read_body;
use crate::refusal::Refusal;

/// Headers that are between two neighbours, and not for who stands behind.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What all requests share.
#[derive(Debug)]
pub(super) struct Forwarder {
    pub(super) client: reqwest::Client,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) gate: Gate,
    pub(super) budget: Budget,
    pub(super) max_body_bytes: usize,
    pub(super) counters: Counters,
}

/// Sends a request on and its answer back.
pub(super) async fn forward(State(forwarder): State<Arc<Forwarder>>, request: Request) -> Response {
    match forwarder.forward(request).await {
        Ok(response) => response,
        Err(error) => {
            let (status, class) = match &error {
                ForwardError::Refused(refusal) => (refusal.http_status(), "spanlite_refused"),
                ForwardError::NoUpstream => (StatusCode::NOT_FOUND, "spanlite_no_upstream"),
                ForwardError::Unanswered(_) => (StatusCode::BAD_GATEWAY, "spanlite_unanswered"),
            };
            // In the shape that clients of models read errors in.
            let body = serde_json::json!({"error": {"type": class, "message": error.to_string()}});
            (status, axum::Json(body)).into_response()
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the path must begin with the name of an upstream, such as /openai/v1")]
    NoUpstream,
    #[error("the upstream did not answer: {}", without_address(.0))]
    Unanswered(#[source] reqwest::Error),
}

/// The error and its causes without the address, which may hold a key.
fn without_address(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() {
        "it took too long"
    } else {
        "the request failed"
    };
    match std::error::Error::source(error) {
        Some(cause) => format!("{text}: {}", with_causes(cause)),
        None => text.to_owned(),
    }
}

impl Forwarder {
    async fn forward(&self, request: Request) -> Result<Response, ForwardError> {
        let (mut parts, body) = request.into_parts();
        self.gate.own_header(&parts.headers)?;
        let path = parts.uri.path().trim_start_matches('/');
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        let upstream = self.upstreams.iter().find(|one| one.name() == name);
        let url = upstream
            .ok_or(ForwardError::NoUpstream)?
            .address(rest, parts.uri.query());
        let place = place(&parts.headers);
        let is_call = Endpoint::of(parts.method.as_str(), url.as_str()).is_some();
        trim(&mut parts.headers, is_call);
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let answer = if is_call {
            self.counters.calls.fetch_add(1, Ordering::Relaxed);
            // Held while the answer is awaited; the recording holds what it needs of the body.
            let (bytes, _share): (_, Share) =
                read_body(body, self.max_body_bytes, &self.budget).await?;
            *request.body_mut() = Some(bytes.into());
            let mut recorded = ModelCallLayer.layer(self.client.clone());
            place.run(|| recorded.call(request)).await
        } else {
            let stream = reqwest::Body::wrap_stream(body.into_data_stream());
            *request.body_mut() = Some(stream);
            self.client.execute(request).await
        };
        match answer {
            Ok(answer) => {
                let mut response = http::Response::from(answer).map(Body::new);
                trim_connection(response.headers_mut());
                Ok(response)
            }
            Err(error) => {
                self.counters.unanswered.fetch_add(1, Ordering::Relaxed);
                Err(ForwardError::Unanswered(error))
            }
        }
    }
}

/// Where the sender says that it is in a trace.
fn place(headers: &HeaderMap) -> Context {
    let said = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    said.and_then(Context::from_traceparent)
        .unwrap_or_else(Context::current)
}

/// Leaves out what is not for the upstream.
fn trim(headers: &mut HeaderMap, is_call: bool) {
    trim_connection(headers);
    headers.remove(header::HOST);
    headers.remove(PROXY_TOKEN);
    if is_call {
        // A packed answer could be sent on, but not be read. The length is that of the body.
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        headers.remove(header::CONTENT_LENGTH);
    }
}

fn trim_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
}
