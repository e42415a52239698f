//! OTLP over gRPC. The one method is declared by hand, so that no protobuf compiler is needed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tower_service::Service;

use super::body::{self, Encoding};
use super::wire::status_protobuf;
use super::{Door, Form};
use crate::budget::Share;
use crate::refusal::Refusal;

/// The method of the trace service.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// `TraceService.Export`.
pub(super) async fn export(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = match door.gate.bearer(&parts.headers) {
        Ok(()) => body::read(body, door.max_body_bytes, &door.budget).await,
        Err(refusal) => Err(refusal),
    };
    let (bytes, share) = match read {
        Ok(read) => read,
        Err(refusal) => return status(&door.note(refusal)).into_http(),
    };
    let request = http::Request::from_parts(parts, Body::from(bytes));
    let limit_bytes = door.max_body_bytes;
    let export = Export {
        door,
        share: Some(share),
    };
    let mut grpc = Grpc::new(Bare)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit_bytes);
    grpc.unary(export, request).await.map(Body::new)
}

fn status(refusal: &Refusal) -> Status {
    let details = status_protobuf(refusal);
    Status::with_details(refusal.grpc_code(), refusal.text(), details.into())
}

/// One call of the method.
struct Export {
    door: Arc<Door>,
    /// Taken by the call.
    share: Option<Share>,
}

impl Service<tonic::Request<Bytes>> for Export {
    type Response = tonic::Response<Bytes>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let door = Arc::clone(&self.door);
        let share = self.share.take();
        Box::pin(async move {
            let bytes = request.into_inner();
            let mut share = share.unwrap_or_else(|| door.budget.share());
            let taken = match share.grow_to(bytes.len()) {
                Ok(()) => {
                    door.take(bytes, Form::Protobuf, Encoding::Plain, share)
                        .await
                }
                Err(_full) => Err(Refusal::Full),
            };
            match taken {
                Ok(outcome) => Ok(tonic::Response::new(outcome.to_protobuf().into())),
                Err(refusal) => Err(status(&door.note(refusal))),
            }
        })
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy)]
struct Bare;

impl Codec for Bare {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
