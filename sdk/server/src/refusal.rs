use std::sync::Arc;

use http::StatusCode;
use spanlite_formats::ReadFailure;
use spanlite_model::with_causes;
use spanlite_store::{ReadError, StateError, WriteError};
use tonic::Code;

use crate::budget::NoRoom;

/// Seconds after which a sender may try again what was refused for want of room.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("a token is needed, and none or another one was given")]
    Token,
    #[error("this address is served for programs of this machine only")]
    Host,
    #[error("the content type must be application/x-protobuf or application/json")]
    ContentType,
    #[error("the content encoding must be gzip, deflate or none; over gRPC gzip or none")]
    Encoding,
    #[error("the body is not one message of gRPC")]
    Frame,
    #[error("a body may have at most {limit_bytes} bytes, packed and unpacked")]
    TooLarge { limit_bytes: usize },
    #[error(
        "the request would take {needed_bytes} bytes of memory, and all requests together may \
         take {total_bytes}"
    )]
    TooHeavy {
        needed_bytes: usize,
        total_bytes: usize,
    },
    #[error("the body did not come in time")]
    Slow,
    #[error("the body broke off")]
    Body(#[source] axum::Error),
    #[error("the body cannot be unpacked")]
    Unpack(#[source] std::io::Error),
    #[error("the requests that are under way take all memory that they may; try again")]
    Full,
    #[error("the request cannot be read: {0}")]
    Malformed(#[source] ReadFailure),
    #[error("the request cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    #[error("there is no such {what}")]
    NotFound { what: &'static str },
    #[error("the {what} is there already")]
    Exists { what: &'static str },
    #[error("the state of the store cannot be written")]
    State(#[source] StateError),
    #[error("the store cannot be written")]
    Store(#[source] Arc<WriteError>),
    #[error("the store cannot be read")]
    Read(#[source] ReadError),
    #[error("the server is ending")]
    Closing,
}

impl From<NoRoom> for Refusal {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Taken => Self::Full,
            NoRoom::TooLarge {
                needed_bytes,
                total_bytes,
            } => Self::TooHeavy {
                needed_bytes,
                total_bytes,
            },
        }
    }
}

impl Refusal {
    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::FORBIDDEN,
            Self::ContentType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooHeavy { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Frame
            | Self::Body(_)
            | Self::Unpack(_)
            | Self::Malformed(_)
            | Self::Json(_)
            | Self::Exists { .. } => StatusCode::BAD_REQUEST,
            Self::Store(_) | Self::State(_) | Self::Read(_) | Self::Closing => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(crate) fn grpc_code(&self) -> Code {
        match self {
            Self::Token => Code::Unauthenticated,
            Self::Host => Code::PermissionDenied,
            Self::Full => Code::ResourceExhausted,
            Self::Slow => Code::DeadlineExceeded,
            Self::NotFound { .. } => Code::NotFound,
            Self::Exists { .. } => Code::AlreadyExists,
            Self::Store(_) | Self::State(_) | Self::Read(_) | Self::Closing => Code::Unavailable,
            // As gRPC wants it where a message is packed in an unknown way.
            Self::Encoding => Code::Unimplemented,
            Self::ContentType
            | Self::Frame
            | Self::TooLarge { .. }
            | Self::TooHeavy { .. }
            | Self::Body(_)
            | Self::Unpack(_)
            | Self::Malformed(_)
            | Self::Json(_) => Code::InvalidArgument,
        }
    }

    /// When the same request may be sent again; nothing where it would be refused again.
    pub(crate) fn retry_after_seconds(&self) -> Option<u32> {
        let passes = matches!(
            self,
            Self::Full | Self::Store(_) | Self::State(_) | Self::Read(_) | Self::Closing
        );
        passes.then_some(RETRY_AFTER_SECONDS)
    }

    /// What is said to the sender: the error and its causes.
    pub(crate) fn text(&self) -> String {
        with_causes(self)
    }
}
