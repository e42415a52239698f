//! What is to be sent where, and how far that has come.

mod carry;
mod deliveries;
mod lock;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spanlite_store::{ReadError, StateError, Store};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3Default;

pub use self::carry::{adopt_deliveries, bundle};
pub(crate) use self::deliveries::{Deliveries, Mark, Refused, Sent, Waiting};
pub(crate) use self::lock::JobLock;
pub use self::lock::LockError;
pub use self::status::{DeliveryProblem, JobStatus, LastRun};
use crate::http::{ConnectError, Connection, Credentials};
use crate::redact::RedactionRules;
use crate::run::ExportError;

const JOBS: &str = "export.jobs";
const WORKSPACE_HEADER: &str = "X-MLFLOW-WORKSPACE";

/// Which traces go where, and how. Kept in the store under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportJob {
    /// Its id; what has been sent is remembered under it.
    pub id: Uuid,
    /// Its name, unique in the store.
    pub name: String,
    /// The query that selects traces; all traces if absent.
    #[serde(default)]
    pub query: Option<String>,
    /// Where they go.
    pub target: Target,
    /// Whether a run ends when everything is sent.
    #[serde(default)]
    pub schedule: Schedule,
    /// What must not leave the machine.
    #[serde(default)]
    pub redaction: RedactionRules,
    /// Sends traces whose program died, as errors, with what was open ended at the last sign.
    /// Otherwise they wait.
    #[serde(default)]
    pub include_interrupted: bool,
    /// Gives spans of one name in one trace the suffixes `_1`, `_2`, ….
    #[serde(default)]
    pub number_repeats: bool,
    /// When a trace changed after it was sent, also replaces what somebody changed on the server.
    #[serde(default)]
    pub overwrite_edits: bool,
}

/// When a job sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// A run sends what is there and ends.
    #[default]
    Once,
    /// A run goes on until it is stopped, and looks for something new after each interval.
    Follow {
        /// Seconds between two looks.
        interval_seconds: u32,
    },
}

impl Schedule {
    pub(crate) fn interval(self) -> Option<Duration> {
        match self {
            Self::Once => None,
            Self::Follow { interval_seconds } => {
                Some(Duration::from_secs(interval_seconds.max(1).into()))
            }
        }
    }
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// An MLflow server.
    Mlflow(MlflowServer),
    /// Any backend that takes OTLP over HTTP.
    Otlp(OtlpEndpoint),
}

/// An MLflow server, version 3.6 or later. It keeps traces in a SQL database, or in files that it serves itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlflowServer {
    /// Its address, such as `http://10.0.0.5:5000`.
    pub url: String,
    /// The name of the experiment; created when it is not there.
    pub experiment: String,
    /// The workspace, on a server that has them.
    #[serde(default)]
    pub workspace: Option<String>,
    /// Where the secret comes from.
    #[serde(default)]
    pub credentials: Credentials,
    /// Certificates in PEM form, trusted instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// An endpoint of OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtlpEndpoint {
    /// Its address without `/v1/traces`.
    pub url: String,
    /// Extra headers that are no secret, such as a tenant.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Where the secret comes from.
    #[serde(default)]
    pub credentials: Credentials,
    /// Certificates in PEM form, trusted instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// The address.
    pub fn url(&self) -> &str {
        match self {
            Self::Mlflow(server) => &server.url,
            Self::Otlp(endpoint) => &endpoint.url,
        }
    }

    /// Finds out whether the address and the extra headers can be used. Nothing is sent, and the
    /// secret is not looked for.
    pub fn check(&self) -> Result<(), ConnectError> {
        self.connection().check()
    }

    pub(crate) fn connection(&self) -> Connection {
        match self {
            Self::Mlflow(server) => Connection {
                url: server.url.clone(),
                credentials: server.credentials.clone(),
                ca_file: server.ca_file.clone(),
                headers: server
                    .workspace
                    .iter()
                    .map(|name| (WORKSPACE_HEADER.to_owned(), name.clone()))
                    .collect(),
            },
            Self::Otlp(endpoint) => Connection {
                url: endpoint.url.clone(),
                credentials: endpoint.credentials.clone(),
                ca_file: endpoint.ca_file.clone(),
                headers: endpoint.headers.clone(),
            },
        }
    }

    /// An id that follows from where the target is, so that two stores give it the same.
    pub(crate) fn place_id(&self) -> Uuid {
        let mut place = Xxh3Default::new();
        place.update(self.kind().as_bytes());
        place.update(&[0]);
        place.update(self.url().trim_end_matches('/').as_bytes());
        if let Self::Mlflow(server) = self {
            for part in [
                &server.experiment,
                server.workspace.as_deref().unwrap_or(""),
            ] {
                place.update(&[0]);
                place.update(part.as_bytes());
            }
        }
        Uuid::from_u128(place.digest128())
    }

    /// `mlflow` or `otlp`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mlflow(_) => "mlflow",
            Self::Otlp(_) => "otlp",
        }
    }
}

/// A job cannot be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There is one of that name.
    #[error("there is a job `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no job `{name}`")]
    NoSuchJob {
        /// The name.
        name: String,
    },
    /// Its target cannot be reached as it is written.
    #[error(transparent)]
    Target(#[from] ConnectError),
    /// A job is kept in a form that this version cannot read.
    #[error("the job `{name}` is kept in a form that this version does not read")]
    UnknownForm {
        /// The name.
        name: String,
        /// Where reading stopped.
        #[source]
        source: serde_json::Error,
    },
    /// What the job selects cannot be found out.
    #[error("the traces of the job `{name}` cannot be selected")]
    Selection {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        source: Box<ExportError>,
    },
    /// The store's state cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store's state cannot be changed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The job cannot be locked: it is running.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl ExportJob {
    /// A job that sends all traces once.
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        Self {
            id: Uuid::now_v7(),
            name: name.into(),
            query: None,
            target,
            schedule: Schedule::Once,
            redaction: RedactionRules::default(),
            include_interrupted: false,
            number_repeats: false,
            overwrite_edits: false,
        }
    }

    /// A job that is not meant to be kept. Its id follows from its target, so that sending to the
    /// same place again sends only what is new or changed.
    pub fn once(target: Target) -> Self {
        Self {
            id: target.place_id(),
            ..Self::new("export", target)
        }
    }

    /// Keeps a new job in the store. The target is not asked; its address must be one.
    pub fn add(&self, store: &Store) -> Result<(), JobError> {
        self.target.check()?;
        let bytes = self.to_bytes()?;
        let mut change = store.state().change();
        change.put_if(JOBS, self.name.as_bytes(), None, &bytes);
        match change.commit() {
            Err(StateError::Conflict { .. }) => Err(JobError::Exists {
                name: self.name.clone(),
            }),
            other => Ok(other?),
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, JobError> {
        serde_json::to_vec(self).map_err(|source| JobError::UnknownForm {
            name: self.name.clone(),
            source,
        })
    }

    fn from_bytes(name: &[u8], bytes: &[u8]) -> Result<Self, JobError> {
        serde_json::from_slice(bytes).map_err(|source| JobError::UnknownForm {
            name: String::from_utf8_lossy(name).into_owned(),
            source,
        })
    }

    /// The job of a name.
    pub fn find(store: &Store, name: &str) -> Result<Self, JobError> {
        match store.state().get(JOBS, name.as_bytes())? {
            Some(value) => Self::from_bytes(name.as_bytes(), &value.bytes),
            None => Err(JobError::NoSuchJob {
                name: name.to_owned(),
            }),
        }
    }

    /// Returns whether the store keeps this job.
    pub fn is_kept(&self, store: &Store) -> Result<bool, JobError> {
        Ok(store.state().get(JOBS, self.name.as_bytes())?.is_some()
            && Self::find(store, &self.name)?.id == self.id)
    }

    /// All jobs, by name. One of a later version fails the list.
    pub fn list(store: &Store) -> Result<Vec<Self>, JobError> {
        let kept = store.state().list(JOBS, b"")?;
        kept.iter()
            .map(|(name, value)| Self::from_bytes(name, &value.bytes))
            .collect()
    }

    /// Removes a job with all it remembers of what was sent. Fails while it runs.
    pub fn remove(&self, store: &Store) -> Result<(), JobError> {
        let _lock = JobLock::take(store, self)?;
        Deliveries::of(store, self).forget_all()?;
        let mut change = store.state().change();
        change.remove(JOBS, self.name.as_bytes());
        Ok(change.commit()?)
    }

    /// Lets the next run try again what was refused: all of it, or the traces given. Returns how
    /// many that were. Fails while the job runs.
    pub fn retry(
        &self,
        store: &Store,
        trace_ids: Option<&[spanlite_model::TraceId]>,
    ) -> Result<u64, JobError> {
        let _lock = JobLock::take(store, self)?;
        Ok(Deliveries::of(store, self).forget_refusals(trace_ids)?)
    }

    /// Forgets what the target has, so that the next run sends everything again: for a target that
    /// lost it. Returns how much was forgotten. Fails while the job runs.
    pub fn forget_sent(&self, store: &Store) -> Result<u64, JobError> {
        let _lock = JobLock::take(store, self)?;
        Ok(Deliveries::of(store, self).forget_sent()?)
    }

    /// Those of some traces that the target does not have, as far as the store remembers; the
    /// others may have changed since.
    pub fn unsent(
        &self,
        store: &Store,
        trace_ids: impl IntoIterator<Item = spanlite_model::TraceId>,
    ) -> Result<Vec<spanlite_model::TraceId>, JobError> {
        let deliveries = Deliveries::of(store, self);
        let mut unsent = Vec::new();
        for trace_id in trace_ids {
            if deliveries.sent(trace_id)?.is_none() {
                unsent.push(trace_id);
            }
        }
        Ok(unsent)
    }

    /// Traces that the job selects at this moment and that the target neither has nor refused, as far
    /// as the store remembers: unfinished ones, those that came since the last run, and those that
    /// no run came to. Takes as long as the job's query; one that changed after it was sent is not
    /// among them.
    pub fn count_waiting(&self, store: &Store) -> Result<u64, JobError> {
        let selected =
            crate::run::select_ids(store, self).map_err(|source| JobError::Selection {
                name: self.name.clone(),
                source: Box::new(source),
            })?;
        let known = Deliveries::of(store, self).known_ids()?;
        let waiting = selected.iter().filter(|id| !known.contains(id));
        Ok(waiting.count() as u64)
    }

    /// How far the job has come.
    pub fn status(&self, store: &Store) -> Result<JobStatus, JobError> {
        status::status(store, self)
    }

    /// What was refused, and what waits although it was tried, by trace id.
    pub fn problems(&self, store: &Store) -> Result<Vec<DeliveryProblem>, JobError> {
        Ok(Deliveries::of(store, self).problems()?)
    }
}
