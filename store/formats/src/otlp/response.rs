use prost::Message as _;

use crate::error::ReadFailure;

/// What an OTLP service says that it did not take of a request: the
/// `ExportTraceServiceResponse` of `opentelemetry/proto/collector/trace/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PartialSuccess {
    /// How many spans were not taken.
    pub rejected_spans: u64,
    /// Why, for people.
    pub error_message: String,
}

impl PartialSuccess {
    /// So many spans were not taken, because of this; none and nothing where all were.
    pub fn new(rejected_spans: u64, error_message: impl Into<String>) -> Self {
        Self {
            rejected_spans,
            error_message: error_message.into(),
        }
    }

    /// The answer as protobuf; empty where all was taken and there is nothing to say.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let said = *self != Self::default();
        let partial_success = said.then(|| wire::PartialSuccess {
            rejected_spans: i64::try_from(self.rejected_spans).unwrap_or(i64::MAX),
            error_message: self.error_message.clone(),
        });
        wire::Response { partial_success }.encode_to_vec()
    }

    /// Reads an answer.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, ReadFailure> {
        let said = wire::Response::decode(bytes)?.partial_success;
        let said = said.unwrap_or_default();
        Ok(Self {
            rejected_spans: u64::try_from(said.rejected_spans).unwrap_or(0),
            error_message: said.error_message,
        })
    }
}

mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(message, optional, tag = "1")]
        pub(super) partial_success: Option<PartialSuccess>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PartialSuccess {
        #[prost(int64, tag = "1")]
        pub(super) rejected_spans: i64,
        #[prost(string, tag = "2")]
        pub(super) error_message: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_as_they_were() {
        assert_eq!(PartialSuccess::default().to_protobuf(), b"");
        for said in [
            PartialSuccess::default(),
            PartialSuccess::new(0, "slow down"),
            PartialSuccess::new(2, "no ids"),
        ] {
            let bytes = said.to_protobuf();
            assert_eq!(PartialSuccess::from_protobuf(&bytes).unwrap(), said);
        }
        // A field 1 of rejected spans, -1.
        let negative = b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        let read = PartialSuccess::from_protobuf(negative).unwrap();
        assert_eq!(read, PartialSuccess::default());
        assert!(PartialSuccess::from_protobuf(b"\x0a").is_err());
    }
}
