use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use spanlite_formats::encode_otlp_spans;
use spanlite_model::{Span, TraceId};
use tokio::task::spawn_blocking;

use super::api::{self, A_FEW_TIMES, StoredInfo};
use super::difference::difference;
use super::files;
use super::info::WireLocation;
use super::overrides;
use super::parcel::TraceParts;
use super::verdict::is_archived;
use crate::http::{RequestError, Sender, Unsent};
use crate::parcel::{Delivered, Outcome, Parcel, Refusal};

/// How often a part of a batch is tried again when the whole batch was a few times.
const A_FEW_TIMES_IN_PART: u32 = 2;
/// Traces of one batch that are told about at once. The server works on one after the other; what
/// is gained is the way there and back.
pub(super) const CALLS_AT_ONCE: usize = 4;

/// An experiment of an MLflow server.
#[derive(Debug)]
pub(crate) struct MlflowTarget {
    pub(super) sender: Sender,
    pub(super) experiment_id: String,
    version: String,
    pub(super) overwrite_edits: bool,
    storage: Storage,
}

/// How a server keeps traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// In a database: spans by OTLP, everything can be changed.
    Sql,
    /// In files: spans as a document beside the trace.
    Files,
}

/// A server cannot be used as a target.
#[derive(Debug)]
pub(crate) enum NotATarget {
    /// It keeps traces neither in a SQL database nor in files that it serves itself.
    UnknownStore { store_type: String },
    /// Somebody deleted the experiment, and MLflow keeps its name.
    ExperimentDeleted,
    /// A request was not carried out.
    Unsent(Unsent),
}

impl From<Unsent> for NotATarget {
    fn from(unsent: Unsent) -> Self {
        Self::Unsent(unsent)
    }
}

impl MlflowTarget {
    /// Asks the server what it is, and finds the experiment or creates it.
    pub(crate) async fn open(
        mut sender: Sender,
        experiment: &str,
        overwrite_edits: bool,
    ) -> Result<Self, NotATarget> {
        sender.canary = Some(api::server_info());
        let info = api::get_server_info(&sender).await?;
        let store_type = info.store_type.unwrap_or_default();
        let storage = match store_type.as_str() {
            "SqlStore" => Storage::Sql,
            "FileStore" => Storage::Files,
            _ => return Err(NotATarget::UnknownStore { store_type }),
        };
        let version = api::get_version(&sender).await?;
        let mut found = api::find_experiment(&sender, experiment).await?;
        if found.is_none() {
            api::create_experiment(&sender, experiment).await?;
            found = api::find_experiment(&sender, experiment).await?;
        }
        match found {
            // OTLP would go on filing spans under it, where nobody sees them.
            Some(found) if found.lifecycle_stage == "deleted" => Err(NotATarget::ExperimentDeleted),
            // The documents with the spans would have to be written to a place of others.
            Some(found) if storage == Storage::Files && !found.serves_artifacts() => {
                let store_type =
                    format!("{store_type} with artifacts at {}", found.artifact_location);
                Err(NotATarget::UnknownStore { store_type })
            }
            Some(found) => Ok(Self {
                storage,
                sender,
                experiment_id: found.experiment_id,
                version,
                overwrite_edits,
            }),
            None => Err(NotATarget::ExperimentDeleted),
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Sends a batch: the spans of all, then what belongs to each trace, then asks what arrived.
    ///
    /// The order matters: spans that come after `StartTraceV3` rewrite the times it set.
    pub(crate) async fn deliver(&self, parcels: &mut [Parcel]) -> Delivered {
        if self.storage == Storage::Files {
            return files::deliver(self, parcels).await;
        }
        let mut delivery = Delivery {
            target: self,
            delivered: Delivered::default(),
            refused: HashSet::new(),
        };
        delivery.delivered.ended = delivery.run(parcels).await.err();
        delivery.delivered
    }
}

impl MlflowTarget {
    /// Sends what belongs to a whole trace, and says how many bytes that were.
    async fn start_trace<'p>(&self, parcel: &'p Parcel) -> (&'p Parcel, Result<usize, Unsent>) {
        let result = match parcel.content.mlflow() {
            Some(parts) => self.start_trace_of(parts).await,
            None => Ok(0),
        };
        (parcel, result)
    }

    async fn start_trace_of(&self, parts: &TraceParts) -> Result<usize, Unsent> {
        let trace_id = &parts.wire.trace_id;
        for key in &parts.removed_tags {
            api::delete_tag(&self.sender, trace_id, key).await?;
        }
        for id in &parts.removed_assessments {
            api::delete_assessment(&self.sender, trace_id, id).await?;
        }
        let n_bytes = api::start_trace(&self.sender, &parts.wire).await?;
        overrides::mark(&self.sender, &parts.wire).await?;
        Ok(n_bytes)
    }
}

struct Delivery<'a> {
    target: &'a MlflowTarget,
    delivered: Delivered,
    refused: HashSet<TraceId>,
}

impl Delivery<'_> {
    async fn run(&mut self, parcels: &mut [Parcel]) -> Result<(), Unsent> {
        if !self.target.overwrite_edits {
            self.spare_edits(parcels).await?;
        }
        self.push_spans(parcels).await?;
        for parts in parcels
            .iter_mut()
            .filter_map(|one| one.content.mlflow_mut())
        {
            parts.wire.trace_location = Some(WireLocation::of(&self.target.experiment_id));
        }
        let (started, ended) = self.start_traces(parcels).await;
        // What was started is asked for and marked also when the rest must wait.
        self.verify(&started).await?;
        ended.map_or(Ok(()), Err)
    }

    /// Sends what belongs to each trace, some at once: each call is a wait for the network.
    async fn start_traces<'p>(
        &mut self,
        parcels: &'p [Parcel],
    ) -> (Vec<&'p Parcel>, Option<Unsent>) {
        let target = self.target;
        let mut todo = parcels.iter();
        let mut calls = FuturesUnordered::new();
        let mut started = Vec::with_capacity(parcels.len());
        loop {
            while calls.len() < CALLS_AT_ONCE
                && let Some(parcel) = todo.next()
            {
                if !self.refused.contains(&parcel.trace_id) {
                    calls.push(target.start_trace(parcel));
                }
            }
            let Some((parcel, result)) = calls.next().await else {
                return (started, None);
            };
            match result {
                Ok(n_bytes) => {
                    self.delivered.n_bytes += n_bytes;
                    started.push(parcel);
                    (target.sender.on_taken)(parcel.trace_id);
                }
                // It is there whole and can no longer change: nothing is left to do.
                Err(Unsent::Bad(error)) if is_archived(&error) => {
                    self.end(parcel.trace_id, Outcome::Sent);
                }
                Err(Unsent::Bad(error)) => self.refuse(parcel.trace_id, &error),
                Err(other) => return (started, Some(other)),
            }
        }
    }

    fn end(&mut self, trace_id: TraceId, outcome: Outcome) {
        self.delivered.outcomes.push((trace_id, outcome));
    }

    fn refuse(&mut self, trace_id: TraceId, error: &RequestError) {
        self.refused.insert(trace_id);
        let reason = match error.answer() {
            Some(answer) => answer.to_string(),
            None => error.to_string(),
        };
        self.end(trace_id, Outcome::Refused(Refusal { reason }));
    }

    /// Reads what the server holds of traces that were sent before, and leaves alone what somebody
    /// changed there since.
    async fn spare_edits(&mut self, parcels: &mut [Parcel]) -> Result<(), Unsent> {
        let again = |parcel: &&mut Parcel| {
            let parts = parcel.content.mlflow();
            parts.is_some_and(|parts| parts.before.is_some())
        };
        let ids: Vec<String> = parcels
            .iter_mut()
            .filter(again)
            .map(|parcel| parcel.trace_id.to_string())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let stored = self.stored(ids).await?;
        for parcel in parcels.iter_mut().filter(again) {
            let stored = stored.get(&parcel.trace_id.to_string());
            if let (Some(stored), Some(parts)) = (stored, parcel.content.mlflow_mut()) {
                self.delivered.n_kept_edits += parts.spare_edits(stored);
            } else {
                self.refused.insert(parcel.trace_id);
                let reason = "it was deleted on the server after it had been sent".to_owned();
                let outcome = Outcome::Refused(Refusal { reason });
                self.delivered.outcomes.push((parcel.trace_id, outcome));
            }
        }
        Ok(())
    }

    async fn stored(&self, ids: Vec<String>) -> Result<HashMap<String, StoredInfo>, Unsent> {
        let infos = api::get_infos(&self.target.sender, ids).await?;
        let by_id = infos.into_iter().map(|info| (info.trace_id.clone(), info));
        Ok(by_id.collect())
    }

    /// Sends spans of all traces in one request. When it is refused, halves are tried, down to the
    /// traces that cannot be taken.
    async fn push_spans(&mut self, parcels: &[Parcel]) -> Result<(), Unsent> {
        let mut todo = VecDeque::from([(0, parcels.len())]);
        let mut few = A_FEW_TIMES;
        while let Some((start, end)) = todo.pop_front() {
            let part: Vec<&Parcel> = parcels
                .get(start..end)
                .unwrap_or_default()
                .iter()
                .filter(|parcel| parcel.n_spans > 0 && !self.refused.contains(&parcel.trace_id))
                .collect();
            if part.is_empty() {
                continue;
            }
            let spans = part.iter().filter_map(|parcel| parcel.content.mlflow());
            let bytes = encode(spans.map(|parts| Arc::clone(&parts.spans)).collect()).await;
            let target = self.target;
            let pushed = api::push_spans(&target.sender, &target.experiment_id, bytes, few).await;
            few = A_FEW_TIMES_IN_PART;
            match pushed {
                Ok(n_bytes) => self.delivered.n_bytes += n_bytes,
                Err(Unsent::Bad(error)) => match part.as_slice() {
                    [one] if is_archived(&error) => {
                        self.refused.insert(one.trace_id);
                        self.end(one.trace_id, Outcome::Sent);
                    }
                    [one] => self.refuse(one.trace_id, &error),
                    _ => {
                        let middle = usize::midpoint(start, end);
                        todo.extend([(start, middle), (middle, end)]);
                    }
                },
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Asks for what was sent: a 200 says only that the server did not notice anything wrong.
    async fn verify(&mut self, started: &[&Parcel]) -> Result<(), Unsent> {
        if started.is_empty() {
            return Ok(());
        }
        let ids = started.iter().map(|parcel| parcel.trace_id.to_string());
        let stored = self.stored(ids.collect()).await?;
        for parcel in started {
            let difference = match (
                stored.get(&parcel.trace_id.to_string()),
                parcel.content.mlflow(),
            ) {
                (Some(stored), Some(parts)) => difference(&parts.wire, stored),
                (None, _) => Some("the trace".to_owned()),
                (Some(_), None) => None,
            };
            self.end(parcel.trace_id, verified(difference));
        }
        Ok(())
    }
}

/// What becomes of a trace by what the server does not give back.
pub(super) fn verified(difference: Option<String>) -> Outcome {
    match difference {
        None => Outcome::Sent,
        Some(what) => Outcome::Refused(Refusal {
            reason: format!("the server took it but does not give back {what}"),
        }),
    }
}

/// Encodes spans of several traces, apart from the threads that wait for the network.
async fn encode(traces: Vec<Arc<[Span]>>) -> Vec<u8> {
    let all = traces.clone();
    let encoded = spawn_blocking(move || encode_all(&all)).await;
    // Fails only when the encoder panics, which it then does here too.
    encoded.unwrap_or_else(|_| encode_all(&traces))
}

fn encode_all(traces: &[Arc<[Span]>]) -> Vec<u8> {
    let spans: Vec<&Span> = traces.iter().flat_map(|spans| spans.iter()).collect();
    encode_otlp_spans(&spans)
}
