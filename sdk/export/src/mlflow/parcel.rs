//! A trace taken apart for the two calls, and compared with what was sent of it before.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use spanlite_formats::encode_otlp_spans;
use spanlite_model::{Span, Trace};
use xxhash_rust::xxh3::xxh3_64;

use super::api::StoredInfo;
use super::difference::same_time;
use super::info::{WireAssessment, WireInfo};
use super::overrides::with_overriding;
use super::span::{Resources, wire_span};
use crate::adjust::Adjustments;
use crate::parcel::{Content, Parcel};
use crate::receipt::{Receipt, SentAssessment};

/// What MLflow is sent of a trace.
#[derive(Debug)]
pub(crate) struct TraceParts {
    /// The spans that must be sent, as they go over the wire.
    pub(super) spans: Arc<[Span]>,
    /// What `StartTraceV3` carries.
    pub(super) wire: WireInfo,
    /// What was sent before, if anything was.
    pub(super) before: Option<Receipt>,
    /// Tags that were sent before and are gone here.
    pub(super) removed_tags: Vec<String>,
    /// Assessments that were sent before and are gone here.
    pub(super) removed_assessments: Vec<String>,
}

/// Makes a trace ready; nothing if all of it was sent before in this form.
pub(crate) fn pack(trace: Trace, before: Option<Receipt>, adjusted: Adjustments) -> Option<Parcel> {
    let mut adjusted = adjusted;
    let mut wire = WireInfo::of(&trace, &mut adjusted);
    let (mut receipt, n_info_bytes) = receipt_of(&wire);
    let trace_id = trace.trace_id;
    let mut resources = Resources::default();
    let spans: Vec<Span> = trace
        .spans
        .into_iter()
        .map(|span| wire_span(span, &mut resources, &mut adjusted))
        .collect();
    let encoded: Vec<(u64, usize)> = spans
        .iter()
        .map(|span| {
            let bytes = encode_otlp_spans(&[span]);
            (xxh3_64(&bytes), bytes.len())
        })
        .collect();
    receipt.set_spans(encoded.iter().map(|(hash, _)| *hash).collect());

    let same_spans = before
        .as_ref()
        .is_some_and(|old| old.spans == receipt.spans);
    let same_info = before.as_ref().is_some_and(|old| old.info == receipt.info);
    if same_spans && same_info {
        return None;
    }
    let mut n_bytes = n_info_bytes;
    let was_sent = |hash| same_spans || before.as_ref().is_some_and(|old| old.has_span(hash));
    let to_send = spans.into_iter().zip(encoded);
    let to_send: Arc<[Span]> = to_send
        .filter(|(_, (hash, _))| !was_sent(*hash))
        .map(|(span, (_, length))| {
            n_bytes += length;
            span
        })
        .collect();
    let mut removed_tags = Vec::new();
    let mut removed_assessments = Vec::new();
    if let Some(old) = &before {
        // Metadata has no edits to spare; tags and assessments are sent where they changed.
        wire.tags
            .retain(|key, _| old.tags.get(key) != receipt.tags.get(key));
        let changed = |one: &WireAssessment| {
            old.assessments.get(&one.assessment_id) != receipt.assessments.get(&one.assessment_id)
        };
        let all = mem::take(&mut wire.assessments);
        let to_send = with_overriding(&all, changed);
        let is_sent = |one: &&WireAssessment| to_send.contains(&*one.assessment_id);
        wire.assessments = all.iter().filter(is_sent).cloned().collect();
        let gone = |key: &&String| !receipt.tags.contains_key(*key);
        removed_tags = old.tags.keys().filter(gone).cloned().collect();
        let gone = |id: &&String| !receipt.assessments.contains_key(*id);
        removed_assessments = old.assessments.keys().filter(gone).cloned().collect();
    }
    Some(Parcel {
        trace_id,
        n_spans: to_send.len(),
        n_bytes,
        content: Content::Mlflow(Box::new(TraceParts {
            spans: to_send,
            wire,
            before,
            removed_tags,
            removed_assessments,
        })),
        receipt,
        adjusted,
        stamp: 0,
    })
}

/// The receipt of all but the spans, and how many bytes that is.
fn receipt_of(wire: &WireInfo) -> (Receipt, usize) {
    let tags = wire
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), xxh3_64(value.as_bytes())));
    let assessments = wire.assessments.iter().map(|one| {
        let sent = SentAssessment {
            hash: xxh3_64(&written(one)),
            last_update_time: one.last_update_time.clone(),
        };
        (one.assessment_id.clone(), sent)
    });
    let bytes = written(wire);
    let receipt = Receipt {
        info: xxh3_64(&bytes),
        tags: tags.collect(),
        assessments: assessments.collect(),
        ..Receipt::default()
    };
    (receipt, bytes.len())
}

fn written(value: &impl serde::Serialize) -> Vec<u8> {
    // Strings, numbers and raw JSON: writing them into memory does not fail. If it did, the hash
    // of nothing would differ from the one remembered and the trace would be sent once more.
    serde_json::to_vec(value).unwrap_or_default()
}

impl TraceParts {
    /// Leaves out what somebody changed on the server after it was sent, and returns how many
    /// tags and assessments that were.
    pub(super) fn spare_edits(&mut self, stored: &StoredInfo) -> u64 {
        let Some(before) = &self.before else { return 0 };
        // Sent and now otherwise there, or never sent and there all the same.
        let tag_was_edited = |key: &String| {
            let there = stored.tags.get(key).map(|value| xxh3_64(value.as_bytes()));
            there != before.tags.get(key).copied()
        };
        let assessment_was_edited = |id: &String| {
            let there = stored
                .assessments
                .iter()
                .find(|one| one.assessment_id == *id)
                .map(|one| one.last_update_time.as_str());
            match (there, before.assessments.get(id)) {
                (Some(there), Some(sent)) => !same_time(there, &sent.last_update_time),
                (there, sent) => there.is_some() != sent.is_some(),
            }
        };
        let wire = &mut self.wire;
        let n_before = wire.tags.len()
            + wire.assessments.len()
            + self.removed_tags.len()
            + self.removed_assessments.len();
        wire.tags
            .retain(|key, value| stored.tags.get(key) == Some(value) || !tag_was_edited(key));
        // What an edited one overrides would be valid again.
        let edited = wire.assessments.iter();
        let edited = edited.filter(|one| assessment_was_edited(&one.assessment_id));
        let overridden: HashSet<String> = edited.filter_map(|one| one.overrides.clone()).collect();
        wire.assessments.retain(|one| {
            let id = &one.assessment_id;
            !assessment_was_edited(id) && !overridden.contains(id)
        });
        self.removed_tags
            .retain(|key| stored.tags.contains_key(key) && !tag_was_edited(key));
        self.removed_assessments
            .retain(|id| !assessment_was_edited(id));
        let n_after = wire.tags.len()
            + wire.assessments.len()
            + self.removed_tags.len()
            + self.removed_assessments.len();
        (n_before - n_after) as u64
    }
}
