//! What the OTLP service answers, beside the spans that `spanlite-formats` reads, and the status
//! message of Google's APIs that OTLP uses for errors.

use prost::Message as _;
use spanlite_formats::{PartialSuccess, Taken};

use crate::refusal::Refusal;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`: without it a sender over gRPC drops what `RESOURCE_EXHAUSTED` refused.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// What is told of the spans that were left out.
pub(super) struct Outcome {
    refused_spans: u64,
    reason: String,
}

impl Outcome {
    pub(super) fn of(taken: &Taken) -> Self {
        let reason = taken.first_refusal.as_ref();
        Self {
            refused_spans: taken.refused_spans,
            reason: reason.map_or_else(String::new, ToString::to_string),
        }
    }

    pub(super) fn to_protobuf(&self) -> Vec<u8> {
        PartialSuccess::new(self.refused_spans, self.reason.as_str()).to_protobuf()
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let response = if self.refused_spans == 0 {
            serde_json::json!({})
        } else {
            // 64-bit numbers are texts in the JSON of protobuf.
            serde_json::json!({"partialSuccess": {
                "rejectedSpans": self.refused_spans.to_string(),
                "errorMessage": self.reason,
            }})
        };
        response.to_string().into_bytes()
    }
}

/// A refusal as `google.rpc.Status`.
pub(super) fn status_protobuf(refusal: &Refusal) -> Vec<u8> {
    let details = refusal.retry_after_seconds().map(|seconds| Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: RetryInfo {
            retry_delay: Some(Delay {
                seconds: i64::from(seconds),
            }),
        }
        .encode_to_vec(),
    });
    Status {
        code: refusal.grpc_code() as i32,
        message: refusal.text(),
        details: details.into_iter().collect(),
    }
    .encode_to_vec()
}

/// A refusal as the JSON of `google.rpc.Status`.
pub(super) fn status_json(refusal: &Refusal) -> Vec<u8> {
    let status = serde_json::json!({
        "code": refusal.grpc_code() as i32,
        "message": refusal.text(),
    });
    status.to_string().into_bytes()
}
