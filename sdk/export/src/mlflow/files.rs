//! A server that keeps traces in files: it takes no OTLP, each trace once, and gives assessments
//! ids of its own.
//!
//! The trace goes first, then its spans as a document. What the server has is asked before each
//! step, so that a run that was killed goes on where it stopped. State, times, previews and
//! metadata cannot be changed there once a trace is sent. Read in the source of MLflow 3.17.2 and
//! held by a test against that server.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use spanlite_model::TraceId;

use super::api::{self, SERVED_ARTIFACTS, StoredAssessment, StoredInfo};
use super::difference::difference;
use super::document::Document;
use super::info::{WireAssessment, WireInfo, WireLocation};
use super::parcel::TraceParts;
use super::target::{CALLS_AT_ONCE, MlflowTarget, verified};
use super::verdict::judge;
use crate::http::{RequestError, Sender, Unsent, Verdict};
use crate::parcel::{Delivered, Outcome, Parcel, Refusal};

/// Tag in which the server says where the files of a trace are.
const LOCATION_TAG: &str = "mlflow.artifactLocation";
/// Metadata of ours on an assessment: the id and the time of change it has in the store.
const ID_METADATA: &str = "spanlite.assessment_id";
const TIME_METADATA: &str = "spanlite.last_update_time";

/// What became of one trace.
#[derive(Debug, Default)]
struct One {
    n_bytes: usize,
    n_kept_edits: u64,
}

/// Sends a batch, a few traces at once.
pub(super) async fn deliver(target: &MlflowTarget, parcels: &mut [Parcel]) -> Delivered {
    let mut delivered = Delivered::default();
    let mut todo = parcels.iter_mut();
    let mut calls = FuturesUnordered::new();
    loop {
        while calls.len() < CALLS_AT_ONCE
            && let Some(parcel) = todo.next()
        {
            calls.push(target.file_parcel(parcel));
        }
        let Some((trace_id, one, result)) = calls.next().await else {
            return delivered;
        };
        delivered.n_bytes += one.n_bytes;
        delivered.n_kept_edits += one.n_kept_edits;
        match result {
            Ok(difference) => delivered.outcomes.push((trace_id, verified(difference))),
            Err(Unsent::Bad(error)) => {
                let reason = error
                    .answer()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                let refused = Outcome::Refused(Refusal { reason });
                delivered.outcomes.push((trace_id, refused));
            }
            Err(other) => {
                delivered.ended = Some(other);
                return delivered;
            }
        }
    }
}

impl MlflowTarget {
    async fn file_parcel(
        &self,
        parcel: &mut Parcel,
    ) -> (TraceId, One, Result<Option<String>, Unsent>) {
        let mut one = One::default();
        let result = match parcel.content.mlflow_mut() {
            Some(parts) => self.file(parts, &mut one).await,
            None => Ok(None),
        };
        (parcel.trace_id, one, result)
    }

    /// Brings one trace there, and returns what the server does not give back of it.
    async fn file(&self, parts: &mut TraceParts, one: &mut One) -> Result<Option<String>, Unsent> {
        let sender = &self.sender;
        parts.wire.trace_location = Some(WireLocation::of(&self.experiment_id));
        let trace_id = parts.wire.trace_id.clone();
        let mut stored = api::get_info(sender, &trace_id).await?;
        match &mut stored {
            Some(stored) => {
                own_ids(stored);
                if !self.overwrite_edits {
                    one.n_kept_edits += parts.spare_edits(stored);
                }
            }
            None if parts.before.is_some() => {
                return Ok(Some(
                    "what was deleted there after it had been sent".to_owned(),
                ));
            }
            None => one.n_bytes += start(sender, &parts.wire).await?,
        }
        let stored = match stored {
            Some(stored) => stored,
            None => read_again(sender, &trace_id).await?,
        };
        for (key, value) in &parts.wire.tags {
            if stored.tags.get(key) != Some(value) {
                api::set_tag(sender, &trace_id, key, value).await?;
            }
        }
        for key in &parts.removed_tags {
            api::delete_tag(sender, &trace_id, key).await?;
        }
        assess(sender, parts, &trace_id).await?;
        one.n_bytes += write_spans(sender, parts, &stored).await?;
        let mut stored = read_again(sender, &trace_id).await?;
        own_ids(&mut stored);
        Ok(difference(&parts.wire, &stored))
    }
}

/// Makes the trace, without its assessments.
async fn start(sender: &Sender, wire: &WireInfo) -> Result<usize, Unsent> {
    let bare = WireInfo {
        assessments: Vec::new(),
        ..wire.clone()
    };
    match api::start_trace_judged(sender, &bare, judge_start).await {
        // Another try came through, whose answer was lost.
        Err(Unsent::Bad(error)) => match api::get_info(sender, &wire.trace_id).await? {
            Some(_) => Ok(0),
            None => Err(Unsent::Bad(error)),
        },
        other => other,
    }
}

/// The server meets an exception when it has a trace already.
fn judge_start(error: &RequestError) -> Verdict {
    match error.answer() {
        Some(answer) if answer.status == 500 => Verdict::Bad,
        _ => judge(error),
    }
}

async fn read_again(sender: &Sender, trace_id: &str) -> Result<StoredInfo, Unsent> {
    let stored = api::get_info(sender, trace_id).await?;
    // A trace that was deleted in this moment differs in everything.
    Ok(stored.unwrap_or_default())
}

/// Gives assessments the ids and times that they have in the store.
fn own_ids(stored: &mut StoredInfo) {
    for one in &mut stored.assessments {
        let own = |key| one.metadata.get(key).cloned();
        if let (Some(id), Some(time)) = (own(ID_METADATA), own(TIME_METADATA)) {
            one.assessment_id = id;
            one.last_update_time = time;
        }
    }
}

fn is_version(there: &StoredAssessment, wire: &WireAssessment) -> bool {
    there.metadata.get(ID_METADATA) == Some(&wire.assessment_id)
        && there.metadata.get(TIME_METADATA) == Some(&wire.last_update_time)
}

/// Adds the assessments that are missing, and removes what they stand for and what came twice.
async fn assess(sender: &Sender, parts: &TraceParts, trace_id: &str) -> Result<(), Unsent> {
    let wanted: HashMap<&str, &WireAssessment> = parts
        .wire
        .assessments
        .iter()
        .map(|one| (one.assessment_id.as_str(), one))
        .collect();
    if wanted.is_empty() && parts.removed_assessments.is_empty() {
        return Ok(());
    }
    let there = read_again(sender, trace_id).await?.assessments;
    for wire in wanted.values() {
        if there.iter().any(|there| is_version(there, wire)) {
            continue;
        }
        let mut wire = WireAssessment::clone(wire);
        let (id, time) = (wire.assessment_id.clone(), wire.last_update_time.clone());
        wire.metadata.insert(ID_METADATA.to_owned(), id);
        wire.metadata.insert(TIME_METADATA.to_owned(), time);
        api::add_assessment(sender, trace_id, &wire).await?;
    }
    // An answer that was lost made another try, and that another copy.
    let mut seen = HashSet::new();
    for there in read_again(sender, trace_id).await?.assessments {
        let Some(id) = there.metadata.get(ID_METADATA).map(String::as_str) else {
            continue;
        };
        let is_stale = match wanted.get(id) {
            Some(wire) => !is_version(&there, wire) || !seen.insert(id.to_owned()),
            None => parts.removed_assessments.iter().any(|gone| gone == id),
        };
        if is_stale {
            api::delete_assessment(sender, trace_id, &there.assessment_id).await?;
        }
    }
    Ok(())
}

/// Writes the document with the spans, those that were sent before included.
async fn write_spans(
    sender: &Sender,
    parts: &TraceParts,
    stored: &StoredInfo,
) -> Result<usize, Unsent> {
    let location = stored
        .tags
        .get(LOCATION_TAG)
        .filter(|location| location.starts_with(SERVED_ARTIFACTS));
    let (Some(location), false) = (location, parts.spans.is_empty()) else {
        return Ok(0);
    };
    let unreadable = |source| {
        Unsent::Bad(RequestError::Unreadable {
            what: "the document with the spans",
            source,
        })
    };
    let mut document = Document::of(&parts.spans).map_err(unreadable)?;
    if parts.before.is_some()
        && let Some(older) = api::get_document(sender, location).await?
    {
        document = document.over(&older).map_err(unreadable)?;
    }
    let bytes = document.to_bytes().map_err(unreadable)?;
    api::put_document(sender, location, bytes).await
}
