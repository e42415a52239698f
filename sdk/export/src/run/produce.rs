use std::mem;
use std::time::Duration;

use spanlite_model::TraceId;
use spanlite_store::Snapshot;

use super::stamps::Stamps;
use super::tally::Tally;
use super::{ExportError, RunOptions, now_unix_nano};
use crate::adjust::Adjustments;
use crate::job::{Deliveries, ExportJob, Mark, Sent, Target, Waiting};
use crate::mlflow;
use crate::otlp;
use crate::parcel::Parcel;
use crate::prepare::{Preparation, Readiness};

/// How many traces are noted in one transaction that need no sending: those that wait, and those
/// found to be at the target in this form.
const NOTED_AT_ONCE: usize = 500;
/// How many traces that need nothing are looked at before it is told.
const TELL_EVERY: usize = 200;

/// Traces that go out together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) parcels: Vec<Parcel>,
    /// For each of them whether it was sent before.
    pub(super) was_sent: Vec<bool>,
    n_bytes: usize,
}

/// Makes traces of one snapshot ready to be sent. Works on a thread that may block.
pub(super) struct Producer {
    snapshot: Snapshot,
    deliveries: Deliveries,
    preparation: Preparation,
    stamps: Stamps,
    /// Whether what is found out is written down.
    keeps_notes: bool,
    settle_nanos: u64,
    include_interrupted: bool,
    target: Target,
}

/// What is to be done about one trace.
enum Step {
    /// It is to be sent; whether it was before.
    Send(Box<Parcel>, bool),
    /// The target has it; what is to be remembered of that, if it is something new.
    Unchanged(Option<Box<Sent>>),
    /// The target refused it in this form.
    Refused,
    /// It waits.
    Waits(Readiness),
    /// It is gone from the store.
    Gone,
}

impl Producer {
    pub(super) fn new(
        snapshot: Snapshot,
        deliveries: Deliveries,
        job: &ExportJob,
        stamps: Stamps,
        settle: Duration,
    ) -> Result<Self, ExportError> {
        Ok(Self {
            snapshot,
            deliveries,
            stamps,
            keeps_notes: true,
            preparation: Preparation {
                redaction: job.redaction.compile()?,
                number_repeats: job.number_repeats,
            },
            settle_nanos: u64::try_from(settle.as_nanos()).unwrap_or(u64::MAX),
            include_interrupted: job.include_interrupted,
            target: job.target.clone(),
        })
    }

    /// Writes nothing down.
    pub(super) fn without_notes(self) -> Self {
        Self {
            keeps_notes: false,
            ..self
        }
    }

    fn note(&self, marks: &mut Vec<(TraceId, Mark)>) -> Result<(), ExportError> {
        let marks = mem::take(marks);
        if self.keeps_notes {
            self.deliveries.mark(&marks)?;
        }
        Ok(())
    }

    fn step(&self, trace_id: TraceId) -> Result<Step, ExportError> {
        let stamp = self.stamps.get(trace_id);
        let known = self.deliveries.sent(trace_id)?;
        if stamp != 0
            && known
                .as_ref()
                .is_some_and(|known| known.sent.stamp == stamp)
        {
            return Ok(Step::Unchanged(None));
        }
        let Some(mut trace) = self.snapshot.trace(trace_id)? else {
            return Ok(Step::Gone);
        };
        match Readiness::of(&trace, now_unix_nano(), self.settle_nanos) {
            Readiness::Ready => {}
            Readiness::Interrupted if self.include_interrupted => {}
            other => return Ok(Step::Waits(other)),
        }
        let mut adjusted = Adjustments::default();
        self.preparation.apply(&mut trace, &mut adjusted);
        let before = known.as_ref().map(|known| known.sent.receipt.clone());
        let was_sent = before.is_some();
        let parcel = match &self.target {
            Target::Mlflow(_) => mlflow::pack(trace, before, adjusted),
            Target::Otlp(_) => otlp::pack(trace, before.as_ref(), adjusted),
        };
        let Some(mut parcel) = parcel else {
            let news = known.filter(|known| !known.is_own || known.sent.stamp != stamp);
            return Ok(Step::Unchanged(news.map(|known| {
                Box::new(Sent {
                    stamp,
                    ..known.sent
                })
            })));
        };
        parcel.stamp = stamp;
        if let Some(refused) = self.deliveries.refused(trace_id)?
            && refused.content_hash == parcel.receipt.content_hash()
        {
            return Ok(Step::Refused);
        }
        Ok(Step::Send(Box::new(parcel), was_sent))
    }

    /// The mark of a trace that waits, unless it has that mark.
    fn waiting_mark(
        &self,
        trace_id: TraceId,
        readiness: Readiness,
    ) -> Result<Option<(TraceId, Mark)>, ExportError> {
        let reason = match readiness {
            Readiness::Ready => return Ok(None),
            Readiness::Running => "still running",
            Readiness::Interrupted => "its program ended before it did",
            Readiness::Unsettled => "its root span has not come yet",
        };
        if let Some(waiting) = self.deliveries.waiting(trace_id)?
            && waiting.reason == reason
        {
            return Ok(None);
        }
        let waiting = Waiting {
            time_unix_nano: now_unix_nano(),
            attempts: 0,
            reason: reason.to_owned(),
        };
        Ok(Some((trace_id, Mark::Waiting(waiting))))
    }
}

/// Goes through the traces and hands batches to `send` until it says no. Notes those that wait.
pub(super) fn produce(
    producer: &Producer,
    ids: Vec<TraceId>,
    options: &RunOptions,
    tally: &Tally,
    mut send: impl FnMut(Batch) -> bool,
) -> Result<(), ExportError> {
    let mut batch = Batch::default();
    let mut noted = Vec::new();
    for (number, trace_id) in ids.into_iter().enumerate() {
        if options.stop.is_stopped() || tally.has_ended() {
            break;
        }
        match producer.step(trace_id)? {
            Step::Send(parcel, was_sent) => {
                let size = parcel.n_bytes;
                let is_full = batch.parcels.len() >= options.batch_traces.max(1)
                    || batch.n_bytes + size > options.batch_bytes;
                if is_full && !batch.parcels.is_empty() && !send(mem::take(&mut batch)) {
                    break;
                }
                batch.n_bytes += size;
                batch.parcels.push(*parcel);
                batch.was_sent.push(was_sent);
            }
            Step::Unchanged(sent) => {
                tally.note(|report| report.n_unchanged += 1);
                noted.extend(sent.map(|sent| (trace_id, Mark::Sent(sent))));
            }
            Step::Refused => tally.note(|report| report.n_refused += 1),
            Step::Gone => tally.note(|report| report.n_selected -= 1),
            Step::Waits(readiness) => {
                tally.note(|report| match readiness {
                    Readiness::Interrupted => report.n_interrupted += 1,
                    Readiness::Unsettled => report.n_unsettled += 1,
                    Readiness::Running | Readiness::Ready => report.n_running += 1,
                });
                noted.extend(producer.waiting_mark(trace_id, readiness)?);
            }
        }
        if noted.len() >= NOTED_AT_ONCE {
            producer.note(&mut noted)?;
        }
        if number % TELL_EVERY == TELL_EVERY - 1 {
            tally.progress(|_| {});
        }
    }
    producer.note(&mut noted)?;
    tally.note(|report| report.n_damaged = producer.snapshot.damage().len() as u64);
    if !batch.parcels.is_empty() {
        send(batch);
    }
    Ok(())
}
