//! OTLP over gRPC: one method with one message each way, which is framed by hand, so that bodies
//! are bounded and unpacked as those over HTTP are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;

use super::body::{self, Encoding};
use super::wire::{Outcome, status_protobuf};
use super::{Door, Form};
use crate::refusal::Refusal;

/// The method of the trace service.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What stands before a message: whether it is packed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// `TraceService.Export`.
pub(super) async fn export(State(door): State<Arc<Door>>, request: Request) -> Response {
    let mut response = match take(&door, request).await {
        Ok(outcome) => success(&outcome),
        Err(refusal) => status(&door.note(refusal)).into_http(),
    };
    let accepted = HeaderValue::from_static("identity,gzip");
    response.headers_mut().insert(ACCEPTED, accepted);
    response
}

async fn take(door: &Arc<Door>, request: Request) -> Result<Outcome, Refusal> {
    let (parts, body) = request.into_parts();
    door.gate.bearer(&parts.headers)?;
    let limit_bytes = door.max_body_bytes.saturating_add(PREFIX_BYTES);
    let (bytes, share) = body::read(body, limit_bytes, &door.budget).await?;
    let (message, encoding) = message(bytes, &parts.headers)?;
    door.take(message, Form::Protobuf, encoding, share).await
}

/// The one message of a body.
fn message(mut body: Bytes, headers: &HeaderMap) -> Result<(Bytes, Encoding), Refusal> {
    if body.len() < PREFIX_BYTES {
        return Err(Refusal::Frame);
    }
    let packed = body.get_u8();
    let length = body.get_u32();
    if usize::try_from(length).ok() != Some(body.len()) {
        return Err(Refusal::Frame);
    }
    let named = headers.get(ENCODING).map(HeaderValue::as_bytes);
    match (packed, named) {
        (0, _) => Ok((body, Encoding::Plain)),
        (1, Some(b"gzip")) => Ok((body, Encoding::Gzip)),
        (1, Some(_)) => Err(Refusal::Encoding),
        _ => Err(Refusal::Frame),
    }
}

fn success(outcome: &Outcome) -> Response {
    let message = outcome.to_protobuf();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    // A count and a line of text.
    frame.put_u32(message.len() as u32);
    frame.extend_from_slice(&message);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn status(refusal: &Refusal) -> Status {
    let details = status_protobuf(refusal);
    Status::with_details(refusal.grpc_code(), refusal.text(), details.into())
}
