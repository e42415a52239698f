//! The MLflow target: spans by OTLP, then the trace by `StartTraceV3`; on a server that keeps traces
//! in files the trace first, then its spans as a document.

mod api;
mod attribute;
mod difference;
mod document;
mod files;
mod info;
mod overrides;
mod parcel;
mod span;
mod target;
mod verdict;

pub(crate) use parcel::{TraceParts, pack};
pub(crate) use target::{MlflowTarget, NotATarget};
