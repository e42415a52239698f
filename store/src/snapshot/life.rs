//! What retention, backup and recovery ask of a snapshot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use redb::ReadTransaction;
use spanlite_model::TraceId;
use uuid::Uuid;

use super::{Damage, Snapshot};
use crate::error::{ReadError, StorageError};
use crate::journal::Positions;
use crate::segment::hot::{self, EncodedBatch};
use crate::segment::{SegmentName, protected};
use crate::state::{KeyAndBytes, noted_traces, readable_values};

/// A trace of which a segment holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) trace_id: TraceId,
    pub(crate) start_unix_nano: u64,
    pub(crate) pinned: bool,
}

/// A segment: its file, its traces, how far it has each journal, and whether it is damaged.
type WithMembers = (PathBuf, Vec<Member>, HashMap<Uuid, Positions>, bool);

impl Snapshot {
    /// The segments, oldest first, with the traces they hold.
    pub(crate) fn segments_with_members(&self) -> Result<Vec<WithMembers>, ReadError> {
        let mut found = Vec::new();
        let blocks = self.blocks()?;
        for segment in &self.parts.segments {
            let known = self.damage().len();
            let mut starts: HashMap<TraceId, (u64, bool)> = HashMap::new();
            let report = |damage| self.report(damage);
            let hot = protected(segment.path(), || segment.hot_starts(&report));
            for (trace_id, start) in self.or_damage(segment.path(), hot)? {
                starts.insert(trace_id, (start, false));
            }
            for block in blocks
                .iter()
                .filter(|block| block.segment.path() == segment.path())
            {
                for (place, (trace_id, start)) in block.traces()?.into_iter().enumerate() {
                    let pinned = block.is_pinned(place)?;
                    let entry = starts.entry(trace_id).or_insert((start, pinned));
                    entry.0 = entry.0.min(start);
                    entry.1 |= pinned;
                }
            }
            let mut members = Vec::with_capacity(starts.len());
            for (trace_id, (start_unix_nano, pinned)) in starts {
                // What belongs to a loose trace is known only when it is put together.
                let pinned = if self.is_loose(trace_id)? {
                    self.trace(trace_id)?.is_some_and(|trace| trace.info.pinned)
                } else {
                    pinned
                };
                members.push(Member {
                    trace_id,
                    start_unix_nano,
                    pinned,
                });
            }
            members.sort_unstable_by_key(|member| member.trace_id);
            let is_damaged = self.damage().len() > known;
            let positions = segment.positions().clone();
            found.push((segment.path().to_owned(), members, positions, is_damaged));
        }
        Ok(found)
    }

    /// The traces of which there are later changes.
    pub(crate) fn noted(&self) -> Result<Vec<TraceId>, ReadError> {
        let mut found = Vec::new();
        if let Some(state) = &self.parts.state {
            noted_traces(&state.txn, &state.path, |trace_id| found.push(trace_id))?;
        }
        Ok(found)
    }

    /// The files of the segments with their transactions.
    pub(crate) fn segment_transactions(&self) -> impl Iterator<Item = (&Path, &ReadTransaction)> {
        let segments = self.parts.segments.iter();
        segments.map(|segment| (segment.path(), segment.transaction()))
    }

    /// For each segment, the number that its next block will have.
    pub(crate) fn next_blocks(&self) -> HashMap<SegmentName, u32> {
        let named = self.parts.segments.iter().filter_map(|segment| {
            let name = segment.path().file_name()?.to_str()?;
            Some((SegmentName::parse(name)?, segment.next_block()))
        });
        named.collect()
    }

    /// What stands in journals and is not committed, as hot batches.
    pub(crate) fn waiting_batches(&self) -> Vec<EncodedBatch> {
        let batches = self.parts.journals.iter().flat_map(|journal| {
            let mut records = Vec::new();
            for record in journal.all_records() {
                hot::put_counted(&mut records, record);
            }
            hot::encode(&records, &journal.defaults, journal.id).0
        });
        batches.collect()
    }

    /// The state file with its transaction.
    pub(crate) fn state_transaction(&self) -> Option<(&Path, &ReadTransaction)> {
        let state = self.parts.state.as_ref()?;
        Some((&state.path, &state.txn))
    }

    /// The values of others that can be read, with their keys as the table has them.
    pub(crate) fn readable_values(&self) -> Result<Vec<KeyAndBytes>, ReadError> {
        let Some((path, txn)) = self.state_transaction() else {
            return Ok(Vec::new());
        };
        let read = protected(path, || {
            readable_values(txn, path, |key, source| {
                self.report(Damage::value(path, "values", key, source));
            })
        });
        self.or_damage(path, read)
    }

    /// What is damaged beyond reading is reported and left out.
    pub(super) fn or_damage<T: Default>(
        &self,
        path: &Path,
        read: Result<T, StorageError>,
    ) -> Result<T, ReadError> {
        match read {
            Err(error @ StorageError::Damaged { .. }) => {
                self.report(Damage::file(path.to_owned(), error));
                Ok(T::default())
            }
            other => Ok(other?),
        }
    }
}
