use std::collections::HashMap;

use spanlite_model::TraceId;
use spanlite_store::{ReadError, Snapshot};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::job::ExportJob;

/// For each selected trace that is whole in a block of the store a number that stays while
/// neither it nor the way the job prepares it changes: 24 bytes a trace.
#[derive(Debug, Default)]
pub(super) struct Stamps(HashMap<TraceId, u64>);

impl Stamps {
    pub(super) fn of(
        snapshot: &Snapshot,
        job: &ExportJob,
        ids: &[TraceId],
        since_unix_nano: Option<u64>,
    ) -> Result<Self, ReadError> {
        let way = way_of(job);
        // 0 stands for none, of which there are a few in the end.
        let mut stamps: HashMap<TraceId, u64> = ids.iter().map(|id| (*id, 0)).collect();
        for block in snapshot.blocks()? {
            let last = block.header().summary().last_start_unix_nano;
            if since_unix_nano.is_some_and(|since| last < since) {
                continue;
            }
            let stamp = xxh3_64_with_seed(&block.stamp().to_le_bytes(), way);
            for (trace_id, _) in block.traces()? {
                if let Some(kept) = stamps.get_mut(&trace_id)
                    && !snapshot.is_loose(trace_id)?
                {
                    *kept = stamp;
                }
            }
        }
        Ok(Self(stamps))
    }

    /// The stamp of a trace; 0 if it has to be read.
    pub(super) fn get(&self, trace_id: TraceId) -> u64 {
        self.0.get(&trace_id).copied().unwrap_or(0)
    }
}

/// All that decides what is made of a trace, but for the trace.
fn way_of(job: &ExportJob) -> u64 {
    let settings = (
        &job.redaction,
        job.number_repeats,
        job.target.kind(),
        env!("CARGO_PKG_VERSION"),
    );
    // Texts and booleans: writing them into memory does not fail.
    xxh3_64_with_seed(&serde_json::to_vec(&settings).unwrap_or_default(), 0)
}
