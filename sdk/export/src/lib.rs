//! Jobs that replicate selected traces to MLflow and to OTLP backends.
//!
//! A program collects traces for as long as no network is there; an [`ExportJob`] then brings what
//! its query selects to a target, each trace once, whole, and again when it changed. [`run`] can be
//! stopped, killed and repeated at any point. `MLFLOW.md` beside this crate says field by field how
//! a trace is carried and what is guaranteed.
//!
//! ```no_run
//! use spanlite_export::{Credentials, ExportJob, MlflowServer, RunOptions, Target, run};
//! use spanlite_store::{OpenOptions, Store};
//!
//! # async fn replicate() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open("traces.spans", OpenOptions::default())?;
//! let server = MlflowServer {
//!     url: "http://10.0.0.5:5000".to_owned(),
//!     experiment: "agents".to_owned(),
//!     workspace: None,
//!     credentials: Credentials::BearerVariable("TOKEN".to_owned()),
//!     ca_file: None,
//! };
//! let job = ExportJob::new("prod", Target::Mlflow(server));
//! job.add(&store)?;
//! let report = run(&store, &job, RunOptions::default()).await?;
//! println!("{} sent, {} waiting", report.n_sent, report.n_waiting());
//! # Ok(())
//! # }
//! ```
//!
//! [`spawn`] runs a job beside an application, on its tokio runtime.

mod adjust;
mod http;
mod job;
mod json;
mod mlflow;
mod otlp;
mod parcel;
#[cfg(feature = "parquet")]
mod parquet;
mod prepare;
mod receipt;
mod redact;
mod repeats;
mod report;
mod run;
mod stop;

#[cfg(feature = "parquet")]
pub use self::parquet::{ParquetError, ParquetWriter};
pub use adjust::Adjustments;
pub use http::{Answer, AuthError, ConnectError, Credentials, RequestError, TlsError};
pub use job::{
    DeliveryProblem, ExportJob, JobError, JobStatus, LastRun, LockError, MlflowServer,
    OtlpEndpoint, Schedule, Target, adopt_deliveries, bundle,
};
pub use redact::{PatternError, Redaction, RedactionCounts, RedactionRules};
pub use report::{ExportReport, RunEnd};
pub use run::{EventListener, ExportError, JobHandle, RunEvent, RunOptions, dry_run, run, spawn};
pub use stop::StopSignal;
