//! What retention, backup and recovery ask of a snapshot.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use redb::ReadTransaction;
use spanlite_model::{TraceChange, TraceId, TraceUpdate};
use uuid::Uuid;

use super::{Assembly, Damage, SealedBlock, Snapshot};
use crate::error::{ReadError, StorageError};
use crate::journal::Positions;
use crate::segment::hot::{self, EncodedBatch};
use crate::segment::{SegmentName, SegmentReader, protected};
use crate::state::{KeyAndBytes, note_keys_of, noted_traces, readable_values};

/// What a segment holds, as far as headers, facts and directories tell.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) path: PathBuf,
    /// Nobody writes to it any more.
    pub(crate) is_sealed: bool,
    /// Traces of which it holds something.
    pub(crate) n_traces: u64,
    /// When the last of their spans began; of a trace without spans, when it first changed.
    pub(crate) last_start_unix_nano: u64,
    /// How far it has each journal.
    pub(crate) positions: HashMap<Uuid, Positions>,
    /// The traces among them that are loose.
    pub(crate) loose: BTreeSet<TraceId>,
}

impl Snapshot {
    /// What the segments hold, oldest name first. Reads no trace.
    pub(crate) fn holdings(&self) -> Result<Vec<Holding>, ReadError> {
        self.index()?;
        let mut found = Vec::new();
        for segment in &self.parts.segments {
            let report = |damage| self.report(damage);
            let held = protected(segment.path(), || segment.held(&report));
            let held = self.or_damage(segment.path(), held)?;
            found.push(Holding {
                path: segment.path().to_owned(),
                is_sealed: held.is_sealed,
                n_traces: held.n_traces,
                last_start_unix_nano: held.last_start_unix_nano,
                positions: segment.positions().clone(),
                loose: held.loose,
            });
        }
        Ok(found)
    }

    /// What some segments say of the whole of a trace; nothing of one that was deleted.
    pub(crate) fn changes_in(
        &self,
        trace_id: TraceId,
        is_wanted: impl Fn(&Path) -> bool,
    ) -> Result<Vec<TraceUpdate>, ReadError> {
        if self.is_deleted(trace_id)? {
            return Ok(Vec::new());
        }
        let mut assembly = Assembly::new(trace_id);
        self.each_segment(|segment, report| {
            if is_wanted(segment.path()) {
                segment.collect(trace_id, &mut assembly, report)?;
            }
            Ok(())
        })?;
        Ok(assembly.into_stored().1)
    }

    /// The traces of which journals hold something that is not committed.
    pub(crate) fn traces_in_journals(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.in_journals().keys().copied()
    }

    /// Whether something of a file could not be read so far.
    pub(crate) fn is_damaged(&self, path: &Path) -> bool {
        self.damage().iter().any(|damage| damage.path() == path)
    }

    /// The traces of a segment that are pinned.
    pub(crate) fn pinned_in(&self, holding: &Holding) -> Result<BTreeSet<TraceId>, ReadError> {
        let mut found = BTreeSet::new();
        for block in self.blocks_of(&holding.path)? {
            let pinned = block.pinned()?.into_iter();
            found.extend(pinned.filter(|trace_id| !holding.loose.contains(trace_id)));
        }
        for trace_id in &holding.loose {
            // What belongs to a loose trace is known only when it is put together.
            if self.may_be_pinned(*trace_id)?
                && self
                    .trace(*trace_id)?
                    .is_some_and(|trace| trace.info.pinned)
            {
                found.insert(*trace_id);
            }
        }
        Ok(found)
    }

    /// Whether a loose trace may be pinned: whether anything says so that is quickly found.
    fn may_be_pinned(&self, trace_id: TraceId) -> Result<bool, ReadError> {
        let pins = |note: &TraceUpdate| matches!(note.change, TraceChange::Pinned(true));
        if self.notes(trace_id)?.iter().any(pins) {
            return Ok(true);
        }
        let mut may = self.in_journals().contains_key(&trace_id);
        self.each_segment(|segment, report| {
            may = may || segment.may_have_pin(trace_id, report)?;
            Ok(())
        })?;
        Ok(may)
    }

    /// The ids of a set of which a segment holds something.
    pub(crate) fn among(
        &self,
        holding: &Holding,
        wanted: &BTreeSet<TraceId>,
    ) -> Result<BTreeSet<TraceId>, ReadError> {
        let mut found: BTreeSet<TraceId> = holding.loose.intersection(wanted).copied().collect();
        for block in self.blocks_of(&holding.path)? {
            found.extend(block.among(wanted)?);
        }
        Ok(found)
    }

    /// The traces of which a segment holds something.
    pub(crate) fn members(&self, holding: &Holding) -> Result<BTreeSet<TraceId>, ReadError> {
        let mut found = holding.loose.clone();
        for block in self.blocks_of(&holding.path)? {
            found.extend(block.traces()?.into_iter().map(|(trace_id, _)| trace_id));
        }
        Ok(found)
    }

    fn blocks_of(&self, path: &Path) -> Result<Vec<SealedBlock<'_>>, ReadError> {
        let mut segments = self.parts.segments.iter();
        let segment = segments.find(|segment| segment.path() == path);
        segment.map_or(Ok(Vec::new()), |segment| self.blocks_in(segment))
    }

    /// The segments that merged ones stand for, whose files may still be there.
    pub(crate) fn replaced(&self) -> &[SegmentName] {
        &self.parts.replaced
    }

    /// The traces of which there are later changes.
    pub(crate) fn noted(&self) -> Result<Vec<TraceId>, ReadError> {
        let Some(state) = &self.parts.state else {
            return Ok(Vec::new());
        };
        let noted = protected(&state.path, || {
            noted_traces(&state.txn, &state.path, |source| {
                self.report(Damage::value(&state.path, "notes", &[], source));
            })
        });
        self.or_damage(&state.path, noted)
    }

    /// The keys of the later changes of some traces, also of those that cannot be read.
    pub(crate) fn noted_keys(
        &self,
        trace_ids: &BTreeSet<TraceId>,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let Some(state) = &self.parts.state else {
            return Ok(Vec::new());
        };
        let mut keys = Vec::new();
        let read = protected(&state.path, || {
            for trace_id in trace_ids {
                keys.extend(note_keys_of(&state.txn, &state.path, *trace_id)?);
            }
            Ok(())
        });
        self.or_damage(&state.path, read)?;
        Ok(keys)
    }

    /// The files of the segments with their transactions.
    pub(crate) fn segment_transactions(
        &self,
    ) -> impl Iterator<Item = (&SegmentReader, &ReadTransaction)> {
        let segments = self.parts.segments.iter();
        segments.map(|segment| (segment.reader(), segment.transaction()))
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
    pub(crate) fn state_transaction(&self) -> Option<(&SegmentReader, &ReadTransaction)> {
        let state = self.parts.state.as_ref()?;
        Some((&state.reader, &state.txn))
    }

    /// The values of others that can be read, with their keys as the table has them.
    pub(crate) fn readable_values(&self) -> Result<Vec<KeyAndBytes>, ReadError> {
        let Some((reader, txn)) = self.state_transaction() else {
            return Ok(Vec::new());
        };
        let path = reader.path();
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
