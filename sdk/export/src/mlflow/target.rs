use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use spanlite_model::TraceId;

use super::api::{self, A_FEW_TIMES, StoredInfo};
use super::info::{WireInfo, WireLocation};
use super::parcel::same_time;
use super::verdict::is_archived;
use crate::http::{RequestError, Sender, Unsent};
use crate::parcel::{Delivered, Outcome, Parcel, Refusal};

/// How often a part of a batch is tried again when the whole batch was a few times.
const A_FEW_TIMES_IN_PART: u32 = 2;

/// An experiment of an MLflow server.
#[derive(Debug)]
pub(crate) struct MlflowTarget {
    sender: Sender,
    experiment_id: String,
    version: String,
    overwrite_edits: bool,
}

/// A server cannot be used as a target.
#[derive(Debug)]
pub(crate) enum NotATarget {
    /// It keeps traces in files, where spans cannot be searched and OTLP is refused.
    NoSqlStore { store_type: String },
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
        if store_type != "SqlStore" {
            return Err(NotATarget::NoSqlStore { store_type });
        }
        let version = api::get_version(&sender).await?;
        let mut found = api::find_experiment(&sender, experiment).await?;
        if found.is_none() {
            api::create_experiment(&sender, experiment).await?;
            found = api::find_experiment(&sender, experiment).await?;
        }
        match found {
            // OTLP would go on filing spans under it, where nobody sees them.
            Some(found) if found.lifecycle_stage == "deleted" => Err(NotATarget::ExperimentDeleted),
            Some(found) => Ok(Self {
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
        let mut delivery = Delivery {
            target: self,
            delivered: Delivered::default(),
            refused: HashSet::new(),
        };
        delivery.delivered.ended = delivery.run(parcels).await.err();
        delivery.delivered
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
        let mut started: Vec<&Parcel> = Vec::with_capacity(parcels.len());
        for parcel in &mut *parcels {
            if self.refused.contains(&parcel.trace_id) {
                continue;
            }
            match self.start_trace(parcel).await {
                Ok(()) => started.push(parcel),
                // It is there whole and can no longer change: nothing is left to do.
                Err(Unsent::Bad(error)) if is_archived(&error) => {
                    self.end(parcel.trace_id, Outcome::Sent);
                }
                Err(Unsent::Bad(error)) => self.refuse(parcel.trace_id, &error),
                Err(other) => {
                    // What was started before is still asked for and marked.
                    self.verify(&started).await?;
                    return Err(other);
                }
            }
        }
        self.verify(&started).await
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
            let info = parcel.info.as_ref();
            info.is_some_and(|info| info.before.is_some())
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
            if let (Some(stored), Some(info)) = (stored, &mut parcel.info) {
                self.delivered.n_kept_edits += info.spare_edits(stored);
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
                .filter(|parcel| {
                    !parcel.spans.is_empty() && !self.refused.contains(&parcel.trace_id)
                })
                .collect();
            if part.is_empty() {
                continue;
            }
            let bytes = part
                .iter()
                .flat_map(|parcel| &parcel.spans)
                .copied()
                .collect();
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

    async fn start_trace(&mut self, parcel: &mut Parcel) -> Result<(), Unsent> {
        let sender = &self.target.sender;
        let Some(info) = &mut parcel.info else {
            return Ok(());
        };
        info.wire.trace_location = Some(WireLocation::of(&self.target.experiment_id));
        for key in &info.removed_tags {
            api::delete_tag(sender, &info.wire.trace_id, key).await?;
        }
        for id in &info.removed_assessments {
            api::delete_assessment(sender, &info.wire.trace_id, id).await?;
        }
        self.delivered.n_bytes += api::start_trace(sender, &info.wire).await?;
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
            let difference = match (stored.get(&parcel.trace_id.to_string()), &parcel.info) {
                (Some(stored), Some(info)) => difference(&info.wire, stored),
                (None, _) => Some("the trace".to_owned()),
                (Some(_), None) => None,
            };
            let outcome = match difference {
                None => Outcome::Sent,
                Some(what) => Outcome::Refused(Refusal {
                    reason: format!("the server took it but does not give back {what}"),
                }),
            };
            self.end(parcel.trace_id, outcome);
        }
        Ok(())
    }
}

/// The first thing the server does not give back as it was sent.
fn difference(sent: &WireInfo, stored: &StoredInfo) -> Option<String> {
    if stored.state != sent.state {
        return Some(format!("the state {} but {}", sent.state, stored.state));
    }
    if millis(&stored.execution_duration) != millis(&sent.execution_duration) {
        return Some(format!(
            "the duration {} but {}",
            sent.execution_duration, stored.execution_duration
        ));
    }
    if !same_time(&stored.request_time, &sent.request_time) {
        return Some(format!(
            "the time {} but {}",
            sent.request_time, stored.request_time
        ));
    }
    let tags: &BTreeMap<String, String> = &stored.tags;
    if let Some(key) = sent.tags.keys().find(|key| !tags.contains_key(*key)) {
        return Some(format!("the tag {key}"));
    }
    let there: HashSet<&str> = stored
        .assessments
        .iter()
        .map(|one| one.assessment_id.as_str())
        .collect();
    sent.assessments
        .iter()
        .find(|one| !there.contains(one.assessment_id.as_str()))
        .map(|one| format!("the assessment {}", one.assessment_id))
}

/// A protobuf duration such as `1.5s` in milliseconds; an absent one is 0, as protobuf has it.
fn millis(duration: &str) -> Option<u64> {
    if duration.is_empty() {
        return Some(0);
    }
    let seconds = duration.strip_suffix('s')?;
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()? * 1_000 + fraction.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_forms_of_protobuf() {
        for (text, expected) in [
            ("1.500s", Some(1_500)),
            ("1.5s", Some(1_500)),
            ("2s", Some(2_000)),
            ("0.000000001s", Some(0)),
            ("", Some(0)),
            ("1500ms", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
