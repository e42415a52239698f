use std::collections::HashMap;
use std::sync::Arc;

use spanlite_model::{TraceId, with_causes};
use spanlite_store::{StateError, Store};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use super::endpoint::Endpoint;
use super::produce::{Batch, Producer, produce};
use super::select::Selection;
use super::stamps::Stamps;
use super::tally::Tally;
use super::{ExportError, RunEvent, RunOptions, now_unix_nano};
use crate::http::{RequestError, Unsent};
use crate::job::{Deliveries, ExportJob, Mark, Refused, Sent, Waiting};
use crate::mlflow::NotATarget;
use crate::parcel::{Delivered, Outcome, Parcel};
use crate::report::{ExportReport, RunEnd};

/// About what a pass keeps in memory of the blocks it reads; it meets each once.
const BLOCK_BYTES: u64 = 8 << 20;

/// One look at the store: everything selected that the target does not have is sent.
pub(super) struct Pass {
    pub(super) store: Store,
    pub(super) job: Arc<ExportJob>,
    pub(super) options: RunOptions,
    pub(super) selection: Arc<Selection>,
    /// Only traces that begin at this time or later.
    pub(super) since_unix_nano: Option<u64>,
}

struct Shared {
    job: Arc<ExportJob>,
    options: RunOptions,
    deliveries: Deliveries,
    endpoint: Arc<Endpoint>,
    batches: Mutex<mpsc::Receiver<Batch>>,
    tally: Arc<Tally>,
}

impl Pass {
    pub(super) async fn run(self, endpoint: Arc<Endpoint>) -> Result<ExportReport, ExportError> {
        let Self {
            store,
            job,
            options,
            selection,
            since_unix_nano,
        } = self;
        let (deliveries, producer, ids) = {
            let job = Arc::clone(&job);
            let settle = options.settle;
            spawn_blocking(move || {
                let deliveries = Deliveries::of(&store, &job);
                let snapshot = store.snapshot()?.keeping_at_most(BLOCK_BYTES);
                let ids = selection.ids(&snapshot, since_unix_nano)?;
                let stamps = Stamps::of(&snapshot, &job, &ids, since_unix_nano)?;
                let producer = Producer::new(snapshot, deliveries.clone(), &job, stamps, settle)?;
                Ok::<_, ExportError>((deliveries, producer, ids))
            })
            .await??
        };
        let n_traces = ids.len() as u64;
        options.tell(RunEvent::Selected { n_traces });
        let tally = Arc::new(Tally::new(&options, n_traces));
        let (sender, receiver) = mpsc::channel(1);
        let producing = {
            let (tally, options) = (Arc::clone(&tally), options.clone());
            spawn_blocking(move || {
                produce(&producer, ids, &options, &tally, |batch| {
                    // Fails when nobody sends any more; the rest is then left.
                    !tally.has_ended() && sender.blocking_send(batch).is_ok()
                })
            })
        };
        let connections = options.connections.max(1);
        let shared = Arc::new(Shared {
            job,
            options,
            deliveries,
            endpoint,
            batches: Mutex::new(receiver),
            tally: Arc::clone(&tally),
        });
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            workers.spawn(work(Arc::clone(&shared)));
        }
        drop(shared);
        let mut failure = None;
        while let Some(worker) = workers.join_next().await {
            if let Err(error) = worker? {
                tally.end(RunEnd::Stopped, None);
                failure.get_or_insert(error);
            }
        }
        producing.await??;
        match failure {
            Some(error) => Err(error),
            None => Ok(tally.finish()),
        }
    }
}

/// Sends batches until there are no more.
async fn work(shared: Arc<Shared>) -> Result<(), ExportError> {
    loop {
        let batch = shared.batches.lock().await.recv().await;
        let Some(mut batch) = batch else {
            return Ok(());
        };
        if shared.tally.has_ended() {
            return Ok(());
        }
        let target = shared.endpoint.target(&shared.job, &shared.options).await;
        let delivered = match target {
            Ok(target) => target.deliver(&mut batch.parcels).await,
            Err(NotATarget::Unsent(unsent)) => Delivered {
                ended: Some(unsent),
                ..Delivered::default()
            },
            Err(NotATarget::UnknownStore { store_type }) => {
                return Err(ExportError::UnknownStore { store_type });
            }
            Err(NotATarget::ExperimentDeleted) => {
                return Err(ExportError::ExperimentDeleted {
                    experiment: shared.experiment().to_owned(),
                });
            }
        };
        shared.note(batch, delivered).await?;
    }
}

impl Shared {
    fn experiment(&self) -> &str {
        match &self.job.target {
            crate::job::Target::Mlflow(server) => &server.experiment,
            crate::job::Target::Otlp(_) => "",
        }
    }

    /// Remembers what became of a batch, then tells it.
    async fn note(&self, batch: Batch, delivered: Delivered) -> Result<(), ExportError> {
        let Delivered {
            outcomes,
            n_bytes,
            n_kept_edits,
            ended,
        } = delivered;
        let n_parcels = batch.parcels.len();
        let mut parcels: HashMap<TraceId, (Parcel, bool)> = HashMap::with_capacity(n_parcels);
        for (parcel, was_sent) in batch.parcels.into_iter().zip(batch.was_sent) {
            parcels.insert(parcel.trace_id, (parcel, was_sent));
        }
        let mut done = ExportReport::default();
        let mut marks = Vec::with_capacity(n_parcels);
        let mut refusals = Vec::new();
        for (trace_id, outcome) in outcomes {
            let Some((parcel, was_sent)) = parcels.remove(&trace_id) else {
                continue;
            };
            match outcome {
                Outcome::Sent => {
                    if was_sent {
                        done.n_updated += 1;
                    } else {
                        done.n_sent += 1;
                    }
                    done.n_spans += parcel.n_spans as u64;
                    done.adjusted += parcel.adjusted;
                    marks.push((trace_id, Mark::Sent(Box::new(sent(parcel)))));
                }
                Outcome::Refused(refusal) => {
                    done.n_refused += 1;
                    refusals.push((trace_id, refusal.reason.clone()));
                    let refused = Refused {
                        time_unix_nano: now_unix_nano(),
                        content_hash: parcel.receipt.content_hash(),
                        attempts: 1,
                        reason: refusal.reason,
                    };
                    marks.push((trace_id, Mark::Refused(refused)));
                }
            }
        }
        let (end, failure) = self.ending(ended);
        if let Some(reason) = end.as_ref().and_then(|(_, trouble)| trouble.clone()) {
            for trace_id in parcels.into_keys() {
                let waiting = Waiting {
                    time_unix_nano: now_unix_nano(),
                    attempts: 1,
                    reason: reason.clone(),
                };
                marks.push((trace_id, Mark::Waiting(waiting)));
            }
        }
        let deliveries = self.deliveries.clone();
        let marked = spawn_blocking(move || mark(&deliveries, marks)).await?;
        if let Some((end, trouble)) = end {
            self.tally.end(end, trouble);
        }
        marked?;
        for (trace_id, reason) in refusals {
            self.tally.refused(trace_id, &reason);
        }
        self.tally.progress(|report| {
            report.n_sent += done.n_sent;
            report.n_updated += done.n_updated;
            report.n_refused += done.n_refused;
            report.n_spans += done.n_spans;
            report.n_bytes += n_bytes as u64;
            report.n_kept_edits += n_kept_edits;
            report.adjusted += done.adjusted;
        });
        failure.map_or(Ok(()), |error| Err(ExportError::Target(error)))
    }

    /// How the run ends by what kept a batch from being sent.
    fn ending(
        &self,
        ended: Option<Unsent>,
    ) -> (Option<(RunEnd, Option<String>)>, Option<RequestError>) {
        match ended {
            None => (None, None),
            Some(Unsent::Stopped(last)) => {
                let trouble = last.as_ref().map(|error| with_causes(error));
                (Some((RunEnd::Stopped, trouble)), None)
            }
            Some(Unsent::GaveUp(last)) => {
                let trouble = last.as_ref().map_or_else(
                    || format!("{} did not answer", self.job.target.url()),
                    |error| with_causes(error),
                );
                (Some((RunEnd::Unreachable, Some(trouble))), None)
            }
            Some(Unsent::Stop(error) | Unsent::Bad(error)) => (
                Some((RunEnd::Stopped, Some(with_causes(&error)))),
                Some(error),
            ),
        }
    }
}

fn sent(parcel: Parcel) -> Sent {
    Sent {
        time_unix_nano: now_unix_nano(),
        content_hash: parcel.receipt.content_hash(),
        receipt: parcel.receipt,
        adjusted: parcel.adjusted,
        stamp: parcel.stamp,
    }
}

/// Writes marks, counting tries on from what is remembered.
fn mark(deliveries: &Deliveries, mut marks: Vec<(TraceId, Mark)>) -> Result<(), ExportError> {
    for (trace_id, mark) in &mut marks {
        match mark {
            Mark::Sent(_) => {}
            Mark::Refused(refused) => {
                let before = deliveries.refused(*trace_id)?;
                refused.attempts += before.map_or(0, |before| before.attempts);
            }
            Mark::Waiting(waiting) => {
                let before = deliveries.waiting(*trace_id)?;
                waiting.attempts += before.map_or(0, |before| before.attempts);
            }
        }
    }
    deliveries.mark(&marks).map_err(StateError::into)
}

/// Looks at everything and sends nothing.
pub(super) fn dry(
    store: &Store,
    job: &ExportJob,
    options: &RunOptions,
    selection: &Selection,
) -> Result<ExportReport, ExportError> {
    let snapshot = store.snapshot()?.keeping_at_most(BLOCK_BYTES);
    let ids = selection.ids(&snapshot, options.since_unix_nano)?;
    let deliveries = Deliveries::of(store, job);
    let stamps = Stamps::of(&snapshot, job, &ids, options.since_unix_nano)?;
    let producer = Producer::new(snapshot, deliveries, job, stamps, options.settle)?;
    let producer = producer.without_notes();
    let tally = Tally::new(options, ids.len() as u64);
    produce(&producer, ids, options, &tally, |batch| {
        tally.progress(|report| {
            for (parcel, was_sent) in batch.parcels.iter().zip(&batch.was_sent) {
                if *was_sent {
                    report.n_updated += 1;
                } else {
                    report.n_sent += 1;
                }
                report.n_spans += parcel.n_spans as u64;
                report.n_bytes += parcel.n_bytes as u64;
                report.adjusted += parcel.adjusted;
            }
        });
        true
    })?;
    Ok(tally.finish())
}
