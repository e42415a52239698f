//! The MLflow target: spans by OTLP, then the trace by `StartTraceV3`.

mod api;
mod attribute;
mod info;
mod parcel;
mod span;
mod target;
mod verdict;

pub(crate) use parcel::{InfoPart, pack};
pub(crate) use target::{MlflowTarget, NotATarget};
