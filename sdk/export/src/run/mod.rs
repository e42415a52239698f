//! Carrying a job out.

mod endpoint;
mod pass;
mod produce;
mod select;
mod spawn;
mod stamps;
mod tally;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use spanlite_model::{TraceId, with_causes};
use spanlite_store::{ReadError, StateError, Store};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use self::endpoint::Endpoint;
use self::pass::Pass;
use self::select::Selection;
pub use self::spawn::{JobHandle, spawn};
use crate::http::{ConnectError, RequestError};
use crate::job::{Deliveries, ExportJob, JobLock, LastRun, LockError, Schedule};
use crate::redact::PatternError;
use crate::report::{ExportReport, RunEnd};
use crate::stop::StopSignal;

/// A following run looks at all traces after this time, to find late changes of old ones; in
/// between only at what began within it.
const LOOK_BACK: Duration = Duration::from_secs(3_600);

/// How a job is carried out this time.
#[derive(Clone)]
pub struct RunOptions {
    /// Batches that are sent at once.
    pub connections: usize,
    /// The most traces of one request.
    pub batch_traces: usize,
    /// About the most bytes of one request before packing; a larger trace goes alone.
    pub batch_bytes: usize,
    /// How long a target that fails is tried again before a run that does not follow gives up,
    /// from the first failure since it answered. Zero: it is tried once. Default: two minutes.
    pub patience: Duration,
    /// The longest pause between two tries.
    pub longest_pause: Duration,
    /// How long nothing must have come of a trace whose root is missing before it is sent.
    pub settle: Duration,
    /// Only traces that begin at this time or later, in Unix nanoseconds. The order and the limit
    /// of the query do not count then.
    pub since_unix_nano: Option<u64>,
    /// Ends the run early.
    pub stop: StopSignal,
    /// Is told what happens. Called from the threads that send; it must not block.
    pub on_event: Option<EventListener>,
}

/// Is told what happens in a run.
pub type EventListener = Arc<dyn Fn(RunEvent<'_>) + Send + Sync>;

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            connections: 3,
            batch_traces: 25,
            batch_bytes: 8 << 20,
            patience: Duration::from_secs(120),
            longest_pause: Duration::from_secs(30),
            settle: Duration::from_secs(60),
            since_unix_nano: None,
            stop: StopSignal::new(),
            on_event: None,
        }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("connections", &self.connections)
            .field("batch_traces", &self.batch_traces)
            .field("batch_bytes", &self.batch_bytes)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Something that happened in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// Traces were selected; as many will be looked at.
    Selected {
        /// How many.
        n_traces: u64,
    },
    /// The target answered.
    Connected {
        /// What it says its version is; empty when it does not say.
        version: &'a str,
    },
    /// The target has taken a trace of a batch that is under way. It counts in the report once the
    /// whole batch is there and noted. Not told of OTLP, which takes batches as a whole.
    Taken {
        /// The trace.
        trace_id: TraceId,
    },
    /// The run has come further.
    Progress(&'a ExportReport),
    /// The target will not take a trace.
    Refused {
        /// The trace.
        trace_id: TraceId,
        /// Why, in the target's words where it said something.
        reason: &'a str,
    },
    /// A request failed and is tried again.
    Failed {
        /// What happened.
        error: &'a RequestError,
        /// How long until then.
        retry_in: Duration,
    },
}

/// A job could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It is running already, or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its query cannot be read.
    #[error("the query `{query}` cannot be used")]
    Query {
        /// The query.
        query: String,
        /// What is wrong with it.
        #[source]
        source: Box<spanlite_query::QueryError>,
    },
    /// Its query was read but could not be carried out.
    #[error("the query of the job failed")]
    Select(#[source] Box<spanlite_query::RunError>),
    /// Its query could not be carried out for one trace.
    #[error("the query of the job failed")]
    Evaluate(#[source] Box<spanlite_query::QueryError>),
    /// A redaction rule is none.
    #[error(transparent)]
    Redaction(#[from] PatternError),
    /// No connection can be made as the job says.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server keeps traces where nothing but its own clients can bring them.
    #[error(
        "the server keeps traces in a {store_type}; a SQL database or files it serves are needed"
    )]
    UnknownStore {
        /// The kind of store, in its words.
        store_type: String,
    },
    /// Somebody deleted the experiment on the server, which keeps the name.
    #[error("the experiment `{experiment}` was deleted on the server; restore it or name another")]
    ExperimentDeleted {
        /// The experiment.
        experiment: String,
    },
    /// The target refuses everything.
    #[error("the target refuses all requests of this job")]
    Target(#[from] RequestError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was sent cannot be noted in the store. It will be sent again, which changes nothing.
    #[error("what was sent cannot be noted")]
    State(#[from] StateError),
    /// A task of the run panicked or the runtime ended.
    #[error("the runtime ended the run")]
    Runtime(#[from] tokio::task::JoinError),
}

/// Carries a job out: sends what it selects and the target does not have.
///
/// A trace counts as sent once the target has answered for all of it and gave it back when asked;
/// what was under way when a run ends, however it ends, is sent again by the next run, which leaves
/// the target as one sending would. Needs a tokio runtime with time and I/O.
pub async fn run(
    store: &Store,
    job: &ExportJob,
    options: RunOptions,
) -> Result<ExportReport, ExportError> {
    let (for_begin, job_to_begin) = (store.clone(), job.clone());
    let begun = spawn_blocking(move || Begun::begin(&for_begin, &job_to_begin)).await??;
    let result = run_locked(store, job, &options).await;
    let (report, error) = match &result {
        Ok(report) => (report.clone(), report.trouble.clone()),
        Err(error) => (ExportReport::default(), Some(with_causes(error))),
    };
    let kept = spawn_blocking(move || begun.end(report, error)).await?;
    let report = result?;
    kept?;
    Ok(report)
}

/// A run that others are kept from beginning too.
struct Begun {
    _lock: JobLock,
    deliveries: Deliveries,
    started_time_unix_nano: u64,
}

impl Begun {
    /// Locks the job and notes that it runs, which is what stays if the process is killed.
    fn begin(store: &Store, job: &ExportJob) -> Result<Self, ExportError> {
        let begun = Self {
            _lock: JobLock::take(store, job)?,
            deliveries: Deliveries::of(store, job),
            started_time_unix_nano: now_unix_nano(),
        };
        begun.keep(None, ExportReport::default(), None)?;
        Ok(begun)
    }

    fn end(self, report: ExportReport, error: Option<String>) -> Result<(), StateError> {
        self.keep(Some(now_unix_nano()), report, error)
    }

    fn keep(
        &self,
        ended_time_unix_nano: Option<u64>,
        report: ExportReport,
        error: Option<String>,
    ) -> Result<(), StateError> {
        self.deliveries.keep_last_run(&LastRun {
            started_time_unix_nano: self.started_time_unix_nano,
            ended_time_unix_nano,
            report,
            error,
        })
    }
}

async fn run_locked(
    store: &Store,
    job: &ExportJob,
    options: &RunOptions,
) -> Result<ExportReport, ExportError> {
    let selection = Arc::new(Selection::of(job)?);
    let endpoint = Endpoint::of(job, options)?;
    let job = Arc::new(job.clone());
    let mut total = ExportReport::default();
    let mut last_full: Option<Instant> = None;
    loop {
        let begun = Instant::now();
        let is_full = last_full.is_none_or(|at| at.elapsed() >= LOOK_BACK);
        let since = (!is_full).then(|| {
            now_unix_nano().saturating_sub(u64::try_from(LOOK_BACK.as_nanos()).unwrap_or(u64::MAX))
        });
        let pass = Pass {
            store: store.clone(),
            job: Arc::clone(&job),
            options: options.clone(),
            selection: Arc::clone(&selection),
            since_unix_nano: since.max(options.since_unix_nano),
        };
        let outcome = pass.run(Arc::clone(&endpoint)).await;
        let Some(interval) = job.schedule.interval() else {
            return outcome;
        };
        match outcome {
            Ok(report) => {
                // What was left may be older than the others look back.
                if is_full && report.n_left == 0 {
                    last_full = Some(begun);
                }
                total = add(&total, report);
            }
            // The store may be busy or its disk full for a while; a run that follows outlives it.
            Err(error @ (ExportError::Read(_) | ExportError::State(_))) => {
                total.trouble = Some(with_causes(&error));
            }
            Err(error) => return Err(error),
        }
        if options.stop.is_stopped() {
            return Ok(total);
        }
        tokio::select! {
            () = options.stop.stopped() => {
                total.end = RunEnd::Stopped;
                return Ok(total);
            }
            () = sleep(interval) => {}
        }
    }
}

/// What a following run did in all: deeds are added up, states are those of the last look.
fn add(before: &ExportReport, pass: ExportReport) -> ExportReport {
    let mut adjusted = before.adjusted;
    adjusted += pass.adjusted;
    ExportReport {
        n_sent: before.n_sent + pass.n_sent,
        n_updated: before.n_updated + pass.n_updated,
        n_spans: before.n_spans + pass.n_spans,
        n_bytes: before.n_bytes + pass.n_bytes,
        n_kept_edits: before.n_kept_edits + pass.n_kept_edits,
        adjusted,
        ..pass
    }
}

/// Finds out what a run would send, without asking the target anything. Bytes are counted before
/// packing.
pub fn dry_run(
    store: &Store,
    job: &ExportJob,
    options: &RunOptions,
) -> Result<ExportReport, ExportError> {
    let selection = Selection::of(job)?;
    pass::dry(store, job, options, &selection)
}

/// The traces that a job selects.
pub(crate) fn select_ids(store: &Store, job: &ExportJob) -> Result<Vec<TraceId>, ExportError> {
    Selection::of(job)?.ids(&store.snapshot()?, None)
}

impl RunOptions {
    fn tell(&self, event: RunEvent<'_>) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }

    /// A run that follows never gives up.
    fn patience_for(&self, schedule: Schedule) -> Option<Duration> {
        match schedule {
            Schedule::Once => Some(self.patience),
            Schedule::Follow { .. } => None,
        }
    }
}

fn now_unix_nano() -> u64 {
    let nanos = Utc::now().timestamp_nanos_opt().unwrap_or(0);
    u64::try_from(nanos).unwrap_or(0)
}
