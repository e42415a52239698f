//! The answer of an OTLP service to an export request.

/// `ExportTraceServiceResponse` of `opentelemetry/proto/collector/trace/v1`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportResponse {
    /// What was not taken; absent where all was.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess` of the same file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialSuccess {
    /// How many spans were not taken.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why, for people.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
