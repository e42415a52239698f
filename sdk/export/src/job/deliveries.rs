use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spanlite_model::TraceId;
use spanlite_store::{ReadError, State, StateError, Store};
use uuid::Uuid;

use super::{DeliveryProblem, ExportJob, JOBS, LastRun};
use crate::adjust::Adjustments;
use crate::receipt::Receipt;

/// Traces that the target has, by job id and trace id; also by the id that follows from the target
/// alone, for what was sent without a kept job and what a bundle told.
pub(super) const SENT: &str = "export.sent";
/// Traces that the target will not take, likewise.
const REFUSED: &str = "export.refused";
/// Traces that were found unfinished or could not be brought to the target yet, likewise.
const WAITING: &str = "export.waiting";
/// One value a job: its last run.
pub(super) const LAST_RUN: &str = "export.runs";
/// How many marks are forgotten in one transaction.
const FORGET_AT_ONCE: usize = 1_000;

/// What is remembered of a trace that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) time_unix_nano: u64,
    pub(crate) content_hash: u64,
    pub(crate) receipt: Receipt,
    #[serde(default, skip_serializing_if = "Adjustments::is_empty")]
    pub(crate) adjusted: Adjustments,
    /// Where the trace stood in the store and how it was prepared: while that stays it need not be
    /// read. 0 where it stood nowhere for good.
    #[serde(default)]
    pub(crate) stamp: u64,
}

/// What is known of a trace that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) sent: Sent,
    /// Whether the job itself remembers it.
    pub(crate) is_own: bool,
}

/// What is remembered of a trace that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) time_unix_nano: u64,
    /// Of what was refused; when the trace changes it is tried again.
    pub(crate) content_hash: u64,
    pub(crate) attempts: u32,
    pub(crate) reason: String,
}

/// What is remembered of a trace that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) time_unix_nano: u64,
    /// How often it was tried in vain; 0 while it is unfinished.
    pub(crate) attempts: u32,
    pub(crate) reason: String,
}

/// A change of what is remembered of one trace.
#[derive(Debug)]
pub(crate) enum Mark {
    Sent(Box<Sent>),
    Refused(Refused),
    Waiting(Waiting),
}

/// What one job remembers of each trace.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    state: State,
    job_id: Uuid,
    /// Under which else something may be known that was sent to the same target: the id that
    /// follows from it, and other jobs.
    others: Vec<Uuid>,
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    // A mark in another form, of a later version, counts as none: the trace is sent again, which
    // changes nothing at the target.
    serde_json::from_slice(bytes).ok()
}

pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    // Maps with text keys, numbers and texts: writing them into memory does not fail. If it did,
    // the empty mark would count as none.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The key of what is remembered of a trace under an id.
pub(super) fn key(id: Uuid, trace_id: TraceId) -> Vec<u8> {
    [&id.as_bytes()[..], trace_id.as_bytes()].concat()
}

fn others(store: &Store, job: &ExportJob) -> Vec<Uuid> {
    let place_id = job.target.place_id();
    let mut others = vec![place_id];
    // A job that cannot be read knows nothing: what it sent is sent again, which changes nothing.
    let kept = store.state().list(JOBS, b"").unwrap_or_default();
    let jobs = kept
        .iter()
        .filter_map(|(name, value)| ExportJob::from_bytes(name, &value.bytes).ok());
    let same_place = jobs.filter(|other| other.target.place_id() == place_id);
    others.extend(same_place.map(|other| other.id));
    others.retain(|id| *id != job.id);
    others
}

impl Deliveries {
    pub(crate) fn of(store: &Store, job: &ExportJob) -> Self {
        Self {
            state: store.state(),
            job_id: job.id,
            others: others(store, job),
        }
    }

    fn key(&self, trace_id: TraceId) -> Vec<u8> {
        key(self.job_id, trace_id)
    }

    fn trace_id(key: &[u8]) -> Option<TraceId> {
        Some(TraceId::from_bytes(key.get(16..)?.try_into().ok()?))
    }

    fn get<T: DeserializeOwned>(
        &self,
        space: &str,
        trace_id: TraceId,
    ) -> Result<Option<T>, ReadError> {
        let value = self.state.get(space, &self.key(trace_id))?;
        Ok(value.and_then(|value| decode(&value.bytes)))
    }

    /// What the job sent, else what anybody is known to have sent to the same target.
    pub(crate) fn sent(&self, trace_id: TraceId) -> Result<Option<Known>, ReadError> {
        if let Some(sent) = self.get(SENT, trace_id)? {
            return Ok(Some(Known { sent, is_own: true }));
        }
        let mut newest: Option<Sent> = None;
        for id in &self.others {
            let value = self.state.get(SENT, &key(*id, trace_id))?;
            let sent: Option<Sent> = value.and_then(|value| decode(&value.bytes));
            newest = sent
                .into_iter()
                .chain(newest)
                .max_by_key(|sent| sent.time_unix_nano);
        }
        Ok(newest.map(|sent| Known {
            // A stamp is about the way one job prepares a trace.
            sent: Sent { stamp: 0, ..sent },
            is_own: false,
        }))
    }

    pub(crate) fn refused(&self, trace_id: TraceId) -> Result<Option<Refused>, ReadError> {
        self.get(REFUSED, trace_id)
    }

    pub(crate) fn waiting(&self, trace_id: TraceId) -> Result<Option<Waiting>, ReadError> {
        self.get(WAITING, trace_id)
    }

    /// Remembers what became of traces, all or none; durable on return.
    pub(crate) fn mark(&self, marks: &[(TraceId, Mark)]) -> Result<(), StateError> {
        if marks.is_empty() {
            return Ok(());
        }
        let mut change = self.state.change();
        for (trace_id, mark) in marks {
            let key = self.key(*trace_id);
            match mark {
                Mark::Sent(sent) => {
                    change.put(SENT, &key, &encode(sent));
                    change.remove(REFUSED, &key);
                    change.remove(WAITING, &key);
                }
                Mark::Refused(refused) => {
                    change.put(REFUSED, &key, &encode(refused));
                    change.remove(WAITING, &key);
                }
                Mark::Waiting(waiting) => change.put(WAITING, &key, &encode(waiting)),
            }
        }
        change.commit()
    }

    pub(crate) fn count_sent(&self) -> Result<u64, ReadError> {
        self.state.count(SENT, self.job_id.as_bytes())
    }

    pub(crate) fn count_refused(&self) -> Result<u64, ReadError> {
        self.state.count(REFUSED, self.job_id.as_bytes())
    }

    /// The traces that the target has, whoever sent them, and those that it refused.
    pub(crate) fn known_ids(&self) -> Result<HashSet<TraceId>, ReadError> {
        let mut known = HashSet::new();
        let sent = self.others.iter().chain([&self.job_id]);
        let spaces = sent.map(|id| (SENT, id)).chain([(REFUSED, &self.job_id)]);
        for (space, id) in spaces {
            let keys = self.state.keys(space, id.as_bytes())?;
            known.extend(keys.iter().filter_map(|key| Self::trace_id(key)));
        }
        Ok(known)
    }

    /// What was refused and what waits.
    pub(crate) fn problems(&self) -> Result<Vec<DeliveryProblem>, ReadError> {
        let mut problems = Vec::new();
        for (key, value) in self.state.list(REFUSED, self.job_id.as_bytes())? {
            if let (Some(trace_id), Some(refused)) =
                (Self::trace_id(&key), decode::<Refused>(&value.bytes))
            {
                problems.push(DeliveryProblem {
                    trace_id,
                    is_refused: true,
                    reason: refused.reason,
                    attempts: refused.attempts,
                    time_unix_nano: refused.time_unix_nano,
                });
            }
        }
        for (key, value) in self.state.list(WAITING, self.job_id.as_bytes())? {
            if let (Some(trace_id), Some(waiting)) =
                (Self::trace_id(&key), decode::<Waiting>(&value.bytes))
            {
                problems.push(DeliveryProblem {
                    trace_id,
                    is_refused: false,
                    reason: waiting.reason,
                    attempts: waiting.attempts,
                    time_unix_nano: waiting.time_unix_nano,
                });
            }
        }
        problems.sort_by_key(|problem| (problem.trace_id, problem.is_refused));
        Ok(problems)
    }

    pub(crate) fn last_run(&self) -> Result<Option<LastRun>, ReadError> {
        let value = self.state.get(LAST_RUN, self.job_id.as_bytes())?;
        Ok(value.and_then(|value| decode(&value.bytes)))
    }

    pub(crate) fn keep_last_run(&self, run: &LastRun) -> Result<(), StateError> {
        let mut change = self.state.change();
        change.put(LAST_RUN, self.job_id.as_bytes(), &encode(run));
        change.commit()
    }

    /// Forgets refusals of these traces, or of all, and returns how many there were.
    pub(crate) fn forget_refusals(
        &self,
        trace_ids: Option<&[TraceId]>,
    ) -> Result<u64, ForgetError> {
        let mut keys = Vec::new();
        if let Some(ids) = trace_ids {
            for id in ids {
                if self.refused(*id)?.is_some() {
                    keys.push(self.key(*id));
                }
            }
        } else {
            let refused = self.state.list(REFUSED, self.job_id.as_bytes())?;
            keys.extend(refused.into_iter().map(|(key, _)| key));
        }
        self.forget(REFUSED, &keys)?;
        Ok(keys.len() as u64)
    }

    /// Forgets what the target has, whoever sent it.
    pub(crate) fn forget_sent(&self) -> Result<u64, ForgetError> {
        let mut n_forgotten = 0;
        for id in self.others.iter().chain([&self.job_id]) {
            let kept = self.state.list(SENT, id.as_bytes())?;
            let keys: Vec<Vec<u8>> = kept.into_iter().map(|(key, _)| key).collect();
            self.forget(SENT, &keys)?;
            n_forgotten += keys.len() as u64;
        }
        Ok(n_forgotten)
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) -> Result<(), ForgetError> {
        for space in [SENT, REFUSED, WAITING, LAST_RUN] {
            let kept = self.state.list(space, self.job_id.as_bytes())?;
            let keys: Vec<Vec<u8>> = kept.into_iter().map(|(key, _)| key).collect();
            self.forget(space, &keys)?;
        }
        Ok(())
    }

    fn forget(&self, space: &str, keys: &[Vec<u8>]) -> Result<(), StateError> {
        for keys in keys.chunks(FORGET_AT_ONCE) {
            let mut change = self.state.change();
            for key in keys {
                change.remove(space, key);
            }
            change.commit()?;
        }
        Ok(())
    }
}

/// Marks could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<ForgetError> for super::JobError {
    fn from(error: ForgetError) -> Self {
        match error {
            ForgetError::Read(error) => Self::Read(error),
            ForgetError::State(error) => Self::State(error),
        }
    }
}
