//! Assessments that override others. `StartTraceV3` makes every assessment valid that it carries,
//! whatever it says of itself; the server marks what is overridden only when the overriding
//! assessment is created by a call of its own (MLflow 3.17.2).

use std::collections::HashSet;

use super::api;
use super::info::{WireAssessment, WireInfo};
use crate::http::{Sender, Unsent};

/// The ids of what must be sent so that `changed` can be: what is sent becomes valid again, so
/// that whatever overrides it goes along.
pub(super) fn with_overriding(
    all: &[WireAssessment],
    changed: impl Fn(&WireAssessment) -> bool,
) -> HashSet<&str> {
    let mut sent: HashSet<&str> = HashSet::new();
    loop {
        let n_before = sent.len();
        for one in all {
            let overrides_sent = one.overrides.as_deref().is_some_and(|id| sent.contains(id));
            if overrides_sent || changed(one) {
                sent.insert(&one.assessment_id);
            }
        }
        if sent.len() == n_before {
            return sent;
        }
    }
}

/// Creates the overriding assessments of a trace once more, so that what they override is not
/// valid. Safe to be tried again after any of its steps.
pub(super) async fn mark(sender: &Sender, wire: &WireInfo) -> Result<(), Unsent> {
    let overriding = wire
        .assessments
        .iter()
        .filter(|one| one.overrides.is_some());
    let mut overriding: Vec<&WireAssessment> = overriding.collect();
    // What is overridden itself comes first: to create it makes it valid.
    overriding.sort_by(|one, other| one.create_time.cmp(&other.create_time));
    for one in overriding {
        api::delete_assessment(sender, &wire.trace_id, &one.assessment_id).await?;
        match api::add_assessment(sender, &wire.trace_id, one).await {
            Ok(()) => {}
            // A try came through whose answer was lost, and ids are unique.
            Err(Unsent::Bad(error)) => {
                let stored = api::get_info(sender, &wire.trace_id).await?;
                let is_there = stored.is_some_and(|stored| {
                    let mut ids = stored.assessments.iter().map(|there| &there.assessment_id);
                    ids.any(|id| *id == one.assessment_id)
                });
                if !is_there {
                    return Err(Unsent::Bad(error));
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
