//! What was sent travels with the traces, so that nobody on the other side of an air gap sends it
//! again.

use std::collections::BTreeMap;
use std::path::Path;

use spanlite_model::TraceId;
use spanlite_store::{BundleReport, CarriedValue, ReadError, Store, TimeRange, WriteError};
use uuid::Uuid;

use super::deliveries::{LAST_RUN, SENT, Sent, decode, encode, key};
use super::{ExportJob, JobError};

/// The targets that a bundle knows deliveries to, by their ids.
const PLACES: &str = "export.places";
/// How many deliveries are taken over in one transaction.
const ADOPT_AT_ONCE: usize = 500;

/// The ids under which a store remembers what was sent, each with that of its target.
fn known_ids(store: &Store) -> Result<BTreeMap<Uuid, Uuid>, ReadError> {
    let mut ids = BTreeMap::new();
    for space in [PLACES, LAST_RUN] {
        for (key, _) in store.state().list(space, b"")? {
            // Without a kept job the id is that of the target itself.
            if let Ok(id) = Uuid::from_slice(&key) {
                ids.insert(id, id);
            }
        }
    }
    match ExportJob::list(store) {
        Ok(jobs) => {
            let known = jobs.iter().map(|job| (job.id, job.target.place_id()));
            ids.extend(known);
        }
        Err(JobError::Read(error)) => return Err(error),
        // A job of a later version: what it sent is unknown here, and is sent again.
        Err(_) => {}
    }
    Ok(ids)
}

/// The newest delivery of a trace to each target.
fn deliveries_of(
    store: &Store,
    ids: &BTreeMap<Uuid, Uuid>,
    trace_id: TraceId,
) -> Result<BTreeMap<Uuid, Sent>, ReadError> {
    let mut newest: BTreeMap<Uuid, Sent> = BTreeMap::new();
    for (id, place_id) in ids {
        let value = store.state().get(SENT, &key(*id, trace_id))?;
        let Some(sent) = value.and_then(|value| decode::<Sent>(&value.bytes)) else {
            continue;
        };
        let is_newer = newest
            .get(place_id)
            .is_none_or(|known| known.time_unix_nano < sent.time_unix_nano);
        if is_newer {
            newest.insert(*place_id, Sent { stamp: 0, ..sent });
        }
    }
    Ok(newest)
}

/// Writes traces into one file for carrying, with what is known of where they were sent.
/// [`adopt_deliveries`] takes that over on the other side. A file that is there gives way.
pub fn bundle(
    store: &Store,
    file: impl AsRef<Path>,
    traces: impl IntoIterator<Item = TraceId>,
) -> Result<BundleReport, WriteError> {
    let ids = known_ids(store)?;
    store.bundle_with_values(file, traces, |trace_id| {
        let mut values = Vec::new();
        for (place_id, sent) in deliveries_of(store, &ids, trace_id)? {
            values.push(CarriedValue {
                space: PLACES.to_owned(),
                key: place_id.as_bytes().to_vec(),
                bytes: Vec::new(),
            });
            values.push(CarriedValue {
                space: SENT.to_owned(),
                key: key(place_id, trace_id),
                bytes: encode(&sent),
            });
        }
        Ok(values)
    })
}

/// Takes over what a bundle or another store knows of where its traces were sent. Jobs to the same
/// targets then send what changed since, and nothing else. What is known here and newer stays;
/// taking over twice changes nothing. Returns how many deliveries were new.
pub fn adopt_deliveries(from: &Store, into: &Store) -> Result<u64, JobError> {
    let ids = known_ids(from)?;
    if ids.is_empty() {
        return Ok(0);
    }
    let mut n_adopted = 0;
    let traces = from.snapshot()?.trace_ids(TimeRange::default())?;
    for traces in traces.chunks(ADOPT_AT_ONCE) {
        let mut change = into.state().change();
        let n_before = n_adopted;
        for trace_id in traces {
            for (place_id, sent) in deliveries_of(from, &ids, *trace_id)? {
                let key = key(place_id, *trace_id);
                let here = into.state().get(SENT, &key)?;
                let here = here.and_then(|value| decode::<Sent>(&value.bytes));
                if here.is_none_or(|here| here.time_unix_nano < sent.time_unix_nano) {
                    change.put(SENT, &key, &encode(&sent));
                    change.put(PLACES, place_id.as_bytes(), b"");
                    n_adopted += 1;
                }
            }
        }
        if n_adopted > n_before {
            change.commit()?;
        }
    }
    Ok(n_adopted)
}
