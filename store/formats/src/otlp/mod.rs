//! OTLP, as protobuf and as JSON.

mod fields;
mod footprint;
mod json;
mod read;
mod response;
mod wire;
mod write;

pub use footprint::Footprint;
pub use read::{Taken, read_otlp_json, read_otlp_protobuf, take_otlp_json, take_otlp_protobuf};
pub(crate) use read::{bare_spans, read_json};
pub use response::PartialSuccess;
pub use write::{
    OtlpJsonWriter, encode_otlp, encode_otlp_spans, write_otlp_json, write_otlp_protobuf,
};

/// The attribute of a root span that carries what OTLP has no place for: the trace's own
/// information, as the JSON object that [`crate::write_json_lines`] writes as `info`.
const TRACE_INFO: &str = "spanlite.trace_info";
