//! OTLP, MLflow and other trace formats, read into and written from the Spanlite model.
//!
//! [`read`] and [`Reader`] find the format of a file by its content. OTLP (protobuf and JSON),
//! MLflow's trace JSON and Spanlite's own lines are read and written without loss; the crate's
//! `FORMATS.md` lists all formats, which files are refused, and what each cannot carry.
//!
//! ```
//! let file = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{
//!     "traceId": "7692c3ad3540bb803c020b3aee66cd88", "spanId": "00f067aa0ba902b7",
//!     "name": "answer", "startTimeUnixNano": "1000", "endTimeUnixNano": "3000"
//! }]}]}]}"#;
//! let parsed = spanlite_formats::read(&file[..], "spans.json")?;
//! assert_eq!(parsed.traces[0].spans[0].duration_nanos(), Some(2000));
//!
//! let broken = spanlite_formats::read(&file[..40], "spans.json").unwrap_err();
//! assert_eq!(broken.to_string(), "spans.json, line 1");
//! assert!(broken.reason.to_string().starts_with("EOF while parsing"));
//! # Ok::<(), spanlite_formats::ReadError>(())
//! ```

mod chrome;
mod detect;
mod dialect;
mod error;
mod foreign;
mod group;
mod lift;
mod lines;
mod mlflow;
mod otlp;
mod read;
mod source;
mod value;

pub use chrome::ChromeTraceWriter;
pub use detect::{Format, detect};
pub use dialect::derive_fields;
pub use error::{JsonFailure, ProtobufFailure, ReadError, ReadFailure, WriteError};
pub use lift::{from_attribute, to_attribute};
pub use lines::write_json_lines;
pub use mlflow::{mlflow_json, read_mlflow_info, read_mlflow_json, write_mlflow_json};
pub use otlp::{
    Footprint, OtlpJsonWriter, PartialSuccess, Taken, encode_otlp, encode_otlp_spans,
    read_otlp_json, read_otlp_protobuf, take_otlp_json, take_otlp_protobuf, write_otlp_json,
    write_otlp_protobuf,
};
pub use read::{Parsed, Reader, read};
