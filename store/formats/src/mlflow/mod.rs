//! MLflow's trace JSON: `{"info": {…}, "data": {"spans": […]}}`, as its release 3.17 writes it.
//!
//! Both directions check themselves. On reading, the trace is rendered again, and what differs
//! from the document is kept in [`spanlite_model::TraceInfo::extra`] (`mlflow.info` for fields of
//! `info`, `mlflow.spans` for fields of spans), to be put back on writing as long as it still
//! reads as the same value. On writing, the document is read again, and what differs from the
//! trace is added under a key `spanlite` beside `info` and `data`, which MLflow ignores.

mod assessment;
mod info;
mod kept;
mod read;
mod span;
mod text;
mod write;

pub use read::{read_mlflow_info, read_mlflow_json};
pub use write::{mlflow_json, write_mlflow_json};

/// The entry of `extra` that names the format a trace was read from.
pub(crate) const SOURCE: &str = "spanlite.source";
/// What [`SOURCE`] holds for this format, as JSON text.
const SOURCE_NAME: &str = "\"mlflow_json\"";

/// A JSON object as `serde_json` holds it.
type Object = serde_json::Map<String, serde_json::Value>;
