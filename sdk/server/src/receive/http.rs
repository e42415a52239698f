//! OTLP over HTTP.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::body::{self, Encoding};
use super::wire::{Outcome, status_json, status_protobuf};
use super::{Door, Form};
use crate::refusal::Refusal;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// `POST /v1/traces`.
pub(super) async fn export(State(door): State<Arc<Door>>, request: Request) -> Response {
    let form = form_of(request.headers());
    match take(&door, form, request).await {
        Ok(outcome) => match form {
            Some(Form::Json) => ([(CONTENT_TYPE, JSON)], outcome.to_json()).into_response(),
            _ => ([(CONTENT_TYPE, PROTOBUF)], outcome.to_protobuf()).into_response(),
        },
        Err(refusal) => answer(&door.note(refusal), form.unwrap_or(Form::Json)),
    }
}

async fn take(door: &Arc<Door>, form: Option<Form>, request: Request) -> Result<Outcome, Refusal> {
    let (parts, body) = request.into_parts();
    door.gate.bearer(&parts.headers)?;
    let form = form.ok_or(Refusal::ContentType)?;
    let encoding = Encoding::of(&parts.headers)?;
    let (bytes, share) = body::read(body, door.max_body_bytes, &door.budget).await?;
    door.take(bytes, form, encoding, share).await
}

fn form_of(headers: &HeaderMap) -> Option<Form> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Form::Protobuf)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Some(Form::Json)
    } else {
        None
    }
}

/// A refusal as OTLP over HTTP tells it.
fn answer(refusal: &Refusal, form: Form) -> Response {
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, status_protobuf(refusal)),
        Form::Json => (JSON, status_json(refusal)),
    };
    let mut response = (refusal.http_status(), [(CONTENT_TYPE, kind)], body).into_response();
    if let Some(seconds) = refusal.retry_after_seconds() {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// `GET /health`.
pub(super) async fn health() -> &'static str {
    "OK"
}

/// Any other address. Logs and metrics are named, because OpenTelemetry's SDKs send them unasked.
pub(super) async fn not_found(request: Request) -> Response {
    let text = match request.uri().path() {
        "/v1/logs" | "/v1/metrics" => {
            "this store takes traces only; set OTEL_LOGS_EXPORTER=none and \
             OTEL_METRICS_EXPORTER=none\n"
        }
        _ => "no such address\n",
    };
    (StatusCode::NOT_FOUND, text).into_response()
}
