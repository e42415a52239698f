//! Readers of formats that are read and not written.

mod agentcore;
mod console;
mod fields;
mod jaeger;
mod langfuse;
mod strands;
mod vercel;
mod zipkin;

use serde_json::Value as JsonValue;
use spanlite_model::Trace;

use crate::detect::Format;
use crate::error::ReadFailure;

/// Reads a document of one of the formats of this module.
pub(crate) fn read_json(format: Format, text: &str) -> Result<Vec<Trace>, ReadFailure> {
    let document: JsonValue = serde_json::from_str(text)?;
    match format {
        Format::Jaeger => jaeger::read(&document),
        Format::Zipkin => zipkin::read(&document),
        Format::Langfuse => langfuse::read(&document),
        Format::OtelConsole => console::read(&document),
        Format::StrandsSpans => strands::read(&document),
        Format::VercelAi => vercel::read(&document),
        _ => agentcore::read(&document),
    }
}
