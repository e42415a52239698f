//! Jobs that replicate selected traces to MLflow, OTLP backends and files.

mod adjust;
mod http;
mod job;
mod json;
mod mlflow;
mod otlp;
mod parcel;
mod prepare;
mod receipt;
mod redact;
mod repeats;
mod report;
mod run;
mod stop;

pub use adjust::Adjustments;
pub use http::{Answer, AuthError, ConnectError, Credentials, RequestError, TlsError};
pub use job::{
    DeliveryProblem, ExportJob, JobError, JobStatus, LastRun, LockError, MlflowServer,
    OtlpEndpoint, Schedule, Target,
};
pub use redact::{PatternError, Redaction, RedactionRules};
pub use report::{ExportReport, RunEnd};
pub use run::{EventListener, ExportError, JobHandle, RunEvent, RunOptions, dry_run, run, spawn};
pub use stop::StopSignal;
