use serde::{Deserialize, Serialize};
use spanlite_model::TraceId;
use spanlite_store::Store;

use super::{Deliveries, ExportJob, JobError, JobLock};
use crate::report::ExportReport;

/// How far a job has come, as the store remembers it; the target is not asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobStatus {
    /// Traces that the target has.
    pub n_sent: u64,
    /// Traces that the target will not take.
    pub n_refused: u64,
    /// Whether a run goes on, in whichever process.
    pub is_running: bool,
    /// The last run that ended or was under way when its process died.
    pub last_run: Option<LastRun>,
}

/// A run of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastRun {
    /// When it began, in Unix nanoseconds.
    pub started_time_unix_nano: u64,
    /// When it ended; absent while it runs and after its process was killed.
    pub ended_time_unix_nano: Option<u64>,
    /// What it did.
    pub report: ExportReport,
    /// Why it ended early.
    pub error: Option<String>,
}

/// A trace that a job could not bring to its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryProblem {
    /// The trace.
    pub trace_id: TraceId,
    /// Whether the target will not take it; otherwise it waits.
    pub is_refused: bool,
    /// Why, in the target's words where it said something.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When that was last, in Unix nanoseconds.
    pub time_unix_nano: u64,
}

pub(super) fn status(store: &Store, job: &ExportJob) -> Result<JobStatus, JobError> {
    let deliveries = Deliveries::of(store, job);
    Ok(JobStatus {
        n_sent: deliveries.count_sent()?,
        n_refused: deliveries.count_refused()?,
        is_running: JobLock::is_taken(store, job),
        last_run: deliveries.last_run()?,
    })
}
