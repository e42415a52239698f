//! What is known of the traces of a block beside their columns.

use std::collections::HashMap;
use std::path::Path;

use bincode::{Decode, Encode};
use redb::{ReadTransaction, WriteTransaction};
use spanlite_model::{Subject, Trace, TraceInfo, TraceUpdate};

use super::{FACTS, table};
use crate::codec::{self, Place, ValueError};
use crate::error::StorageError;
use crate::record::{Origin, Record, decode_record, encode_record};

/// The version of facts. Version 1 knows neither `changes` nor `came`.
const VERSION: u8 = 2;

/// What is known of the traces of a block, in their order in the block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct BlockFacts {
    /// When each trace began, in Unix nanoseconds.
    pub(crate) starts: Vec<u64>,
    /// When what belongs to a whole trace last changed, in Unix nanoseconds, where that is not the
    /// start; by trace, in order.
    pub(crate) changed: Vec<(u32, u64)>,
    /// Traces of which something may be stored elsewhere, in order.
    pub(crate) parts: Vec<u32>,
    /// Traces with an open span whose writer was gone, in order.
    pub(crate) interrupted: Vec<u32>,
    /// Traces that changed at several times, or lost something, in order.
    pub(crate) changes: Vec<(u32, Changes)>,
    /// For each trace the block of the segment in which the newest of it came, nothing for this
    /// one; empty if all of them came in this one.
    pub(crate) came: Vec<Option<u32>>,
}

/// How a trace came to what belongs to the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct Changes {
    /// When each of the changes was made that make it, in their order, in Unix nanoseconds.
    pub(crate) times: Vec<u64>,
    /// The changes that left nothing, as records, with when they were made: what they took away
    /// may still come, with an earlier time.
    pub(crate) removals: Vec<(u64, Vec<u8>)>,
}

impl Changes {
    /// What belongs to the whole of a trace after changes, which stand in the order they were
    /// stored, and how it came to that.
    pub(crate) fn of(updates: &[TraceUpdate]) -> (TraceInfo, Self) {
        let mut info = TraceInfo::default();
        let mut changes = Self::default();
        if updates.is_empty() {
            return (info, changes);
        }
        let mut updates: Vec<&TraceUpdate> = updates.iter().collect();
        updates.sort_by_key(|update| update.time_unix_nano);
        let mut last: HashMap<Subject<'_>, &TraceUpdate> = HashMap::new();
        for update in updates {
            last.insert(update.change.subject(), update);
            info.apply(update.change.clone());
        }
        let left = info.to_changes();
        for change in &left {
            let made = last.remove(&change.subject());
            let time = made.map_or(0, |made| made.time_unix_nano);
            changes.times.push(time);
        }
        // The others took something away.
        for removal in last.into_values() {
            let mut bytes = Vec::new();
            let record = Record::Update(removal.clone());
            encode_record(&record, &Origin::default(), &mut bytes);
            changes.removals.push((removal.time_unix_nano, bytes));
        }
        changes.removals.sort_unstable();
        (info, changes)
    }

    /// When the last of them was made.
    pub(crate) fn last_unix_nano(&self) -> Option<u64> {
        let removals = self.removals.iter().map(|(time, _)| time);
        self.times.iter().chain(removals).max().copied()
    }
}

/// Facts of version 1.
type Facts1 = (Vec<u64>, Vec<(u32, u64)>, Vec<u32>, Vec<u32>);

impl BlockFacts {
    /// Whether a trace has an open span whose writer was gone.
    pub(crate) fn is_interrupted(&self, trace: usize) -> bool {
        self.interrupted.binary_search(&(trace as u32)).is_ok()
    }

    /// The block in which the newest of a trace came, for a block of this number.
    pub(crate) fn came_in(&self, block: u32, trace: usize) -> u32 {
        self.came.get(trace).copied().flatten().unwrap_or(block)
    }

    /// The changes that made what belongs to the whole of a trace, which the block has at a place.
    pub(crate) fn updates(
        &self,
        place: usize,
        trace: &Trace,
    ) -> Result<Vec<TraceUpdate>, ValueError> {
        let known = find(&self.changes, place);
        let times = known.map_or(&[][..], |changes| &changes.times);
        let one_time = find(&self.changed, place).or_else(|| self.starts.get(place));
        let one_time = one_time.copied().unwrap_or(0);
        let changes = trace.info.to_changes().into_iter().enumerate();
        let mut updates: Vec<TraceUpdate> = changes
            .map(|(number, change)| TraceUpdate {
                trace_id: trace.trace_id,
                time_unix_nano: times.get(number).copied().unwrap_or(one_time),
                change,
            })
            .collect();
        for (_, removal) in known.iter().flat_map(|changes| &changes.removals) {
            match decode_record(removal, &Origin::default()) {
                Ok(Some(Record::Update(update))) => updates.push(update),
                Ok(_) => {}
                Err(_) => {
                    return Err(ValueError::Body {
                        reason: "a change of a trace does not decode",
                    });
                }
            }
        }
        Ok(updates)
    }

    /// Adds how the trace at the next place, which began at `start`, came to what belongs to it.
    pub(crate) fn add_changes(&mut self, place: u32, start: u64, changes: Changes) {
        let first = changes.times.first().copied().unwrap_or(start);
        if !changes.removals.is_empty() || changes.times.iter().any(|time| *time != first) {
            self.changes.push((place, changes));
        } else if first != start {
            self.changed.push((place, first));
        }
    }

    /// Puts how the trace at a place came to what belongs to it in the place of what is known.
    pub(super) fn set_changes(&mut self, place: u32, changes: Changes) {
        self.changed.retain(|(known, _)| *known != place);
        self.changes.retain(|(known, _)| *known != place);
        let start = self.starts.get(place as usize).copied().unwrap_or(0);
        self.add_changes(place, start, changes);
        self.changed.sort_unstable_by_key(|(known, _)| *known);
        self.changes.sort_unstable_by_key(|(known, _)| *known);
    }

    /// The same of some of the traces, in their order. They count as having come in their block.
    pub(crate) fn of(&self, kept: &[usize]) -> Self {
        let place = |old: u32| {
            let new = kept.binary_search(&(old as usize)).ok()?;
            Some(new as u32)
        };
        let places = |old: &[u32]| old.iter().filter_map(|old| place(*old)).collect();
        let starts = kept.iter().filter_map(|old| self.starts.get(*old));
        let changed = self.changed.iter();
        let changes = self.changes.iter();
        Self {
            starts: starts.copied().collect(),
            changed: changed
                .filter_map(|(old, time)| Some((place(*old)?, *time)))
                .collect(),
            parts: places(&self.parts),
            interrupted: places(&self.interrupted),
            changes: changes
                .filter_map(|(old, changes)| Some((place(*old)?, changes.clone())))
                .collect(),
            came: Vec::new(),
        }
    }

    /// Stores the facts of a block.
    pub(super) fn store(
        &self,
        txn: &WriteTransaction,
        path: &Path,
        block: u32,
    ) -> Result<(), StorageError> {
        let failed = |error: redb::Error| StorageError::redb("write to", path, error);
        let value = codec::seal_compressed(VERSION, &codec::to_bincode(self), place(block));
        let mut facts = txn
            .open_table(FACTS)
            .map_err(|error| failed(error.into()))?;
        facts
            .insert(block, value.as_slice())
            .map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Reads the facts of a block.
    pub(super) fn read(
        txn: &ReadTransaction,
        path: &Path,
        block: u32,
    ) -> Result<Result<Self, ValueError>, StorageError> {
        let failed = |error| StorageError::redb("read", path, redb::Error::from(error));
        let missing = Ok(Err(ValueError::MissingPiece { piece: 0 }));
        let Some(facts) = table(txn, path, FACTS)? else {
            return missing;
        };
        let Some(value) = facts.get(block).map_err(failed)? else {
            return missing;
        };
        Ok(decode(block, value.value()))
    }
}

fn find<T>(by_trace: &[(u32, T)], trace: usize) -> Option<&T> {
    let found = by_trace.binary_search_by_key(&(trace as u32), |(place, _)| *place);
    Some(&by_trace.get(found.ok()?)?.1)
}

fn place(block: u32) -> Place {
    Place::new("facts", &block.to_le_bytes())
}

fn decode(block: u32, value: &[u8]) -> Result<BlockFacts, ValueError> {
    let body = codec::unseal(value, place(block), VERSION)?;
    if value.first() != Some(&1) {
        return codec::from_bincode(&body);
    }
    let (starts, changed, parts, interrupted) = codec::from_bincode::<Facts1>(&body)?;
    Ok(BlockFacts {
        starts,
        changed,
        parts,
        interrupted,
        ..BlockFacts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_version_1_are_read() {
        let old: Facts1 = (vec![5, 7], vec![(1, 9)], vec![0], vec![1]);
        let value = codec::seal_compressed(1, &codec::to_bincode(&old), place(3));
        let facts = decode(3, &value).unwrap();
        assert_eq!((&facts.starts, &facts.changed), (&old.0, &old.1));
        assert_eq!((&facts.parts, &facts.interrupted), (&old.2, &old.3));
        assert_eq!((facts.came_in(3, 1), facts.changes.len()), (3, 0));
    }

    #[test]
    fn facts_of_some_traces_are_those_of_the_places_that_stay() {
        let changes = Changes {
            times: vec![1, 2],
            removals: vec![(3, vec![9])],
        };
        let facts = BlockFacts {
            starts: vec![10, 11, 12],
            changed: vec![(0, 20), (2, 22)],
            parts: vec![1],
            interrupted: vec![0, 2],
            changes: vec![(2, changes.clone())],
            came: vec![Some(4), None, Some(9)],
        };
        let left = facts.of(&[1, 2]);
        let expected = BlockFacts {
            starts: vec![11, 12],
            changed: vec![(1, 22)],
            parts: vec![0],
            interrupted: vec![1],
            changes: vec![(1, changes)],
            came: Vec::new(),
        };
        assert_eq!(left, expected);
    }
}
