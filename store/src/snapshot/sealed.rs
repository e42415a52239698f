use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use spanlite_model::{Trace, TraceId};

use super::Snapshot;
use super::assembly::Assembly;
use super::blocks::collect_place;
use super::segment::SegmentView;
use crate::block::{BlockError, BlockHeader, BlockReader};
use crate::error::{ReadError, StorageError};
use crate::segment::facts::BlockFacts;
use crate::segment::protected;
use crate::segment::sealed::{BlockEntry, Sections};

/// A block of a [`Snapshot`], to be searched by its columns.
///
/// Not every trace in it is whole: [`Snapshot::is_loose`] tells which ones have to be put
/// together with what is stored elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct SealedBlock<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) segment: &'s SegmentView,
    pub(super) entry: &'s BlockEntry,
}

impl<'s> SealedBlock<'s> {
    /// The header: what is known without opening the block.
    pub fn header(&self) -> &'s BlockHeader {
        &self.entry.header
    }

    /// Names the block: the same number in two snapshots means the same traces, unchanged but for
    /// those that are loose. Blocks never change; another one has another number, but by a chance
    /// of one in 2^64.
    pub fn stamp(&self) -> u64 {
        let name = self.segment.path().file_name().unwrap_or_default();
        let mut place = name.as_encoded_bytes().to_vec();
        place.extend_from_slice(&self.entry.number.to_le_bytes());
        xxhash_rust::xxh3::xxh3_64(&place)
    }

    /// No trace in the block began later, but for those that are loose.
    pub(super) fn last_start(&self) -> u64 {
        self.header().summary().last_start_unix_nano
    }

    /// Opens the block. The last few blocks of a snapshot stay open.
    pub fn reader(&self) -> Result<Arc<BlockReader<Sections>>, BlockError> {
        self.segment.open_block(self.entry)
    }

    /// Reports that the block cannot be read, so that [`Snapshot::damage`] tells of it.
    pub fn report(&self, error: &BlockError) {
        let damage = super::blocks::damaged(self.entry, self.segment.path(), error);
        self.snapshot.report(damage);
    }

    /// The traces with when they began; none if the block is damaged, which is reported.
    pub fn traces(&self) -> Result<Vec<(TraceId, u64)>, ReadError> {
        let path = self.segment.path();
        let read = || {
            let Some(facts) = self
                .segment
                .facts(self.entry, &|damage| self.snapshot.report(damage))?
            else {
                return Ok(Vec::new());
            };
            let reader = match self.reader() {
                Ok(reader) => reader,
                Err(error) => {
                    self.report(&error);
                    return Ok(Vec::new());
                }
            };
            match reader.trace_ids() {
                Ok(ids) => {
                    let ids = ids.iter().map(|id| TraceId::from_bytes(*id));
                    Ok(ids.zip(facts.starts.iter().copied()).collect())
                }
                Err(error) => {
                    self.report(&error);
                    Ok(Vec::new())
                }
            }
        };
        self.or_damage(protected(path, read))
    }

    /// The trace at a place of the block, as the block has it; nothing if that is damaged, which
    /// is reported.
    pub fn trace(&self, place: usize) -> Result<Option<Trace>, ReadError> {
        let mut found = self.decode(place..place + 1, |_, _| true)?;
        Ok(found.pop().flatten())
    }

    /// All traces, as the block has them. Costs much less than one after the other.
    pub(super) fn all_traces(&self) -> Result<Vec<Option<Trace>>, ReadError> {
        self.decode(0..self.header().summary().n_traces as usize, |_, _| true)
    }

    /// The traces of which something came in a block of this number or a later one.
    pub(super) fn traces_that_came(&self, first: u32) -> Result<Vec<Option<Trace>>, ReadError> {
        let number = self.entry.number;
        let all = 0..self.header().summary().n_traces as usize;
        self.decode(all, |facts, place| facts.came_in(number, place) >= first)
    }

    fn decode(
        &self,
        places: Range<usize>,
        is_wanted: impl Fn(&BlockFacts, usize) -> bool,
    ) -> Result<Vec<Option<Trace>>, ReadError> {
        let read = || {
            let report = |damage| self.snapshot.report(damage);
            let Some(facts) = self.segment.facts(self.entry, &report)? else {
                return Ok(Vec::new());
            };
            let wanted: Vec<usize> = places
                .clone()
                .filter(|place| is_wanted(facts, *place))
                .collect();
            let mut found = Vec::with_capacity(wanted.len());
            if wanted.is_empty() {
                return Ok(found);
            }
            let read = self.reader().and_then(|reader| {
                let decoder = reader.decoder()?;
                for place in wanted {
                    let mut assembly = Assembly::new(trace_id_at(&reader, place)?);
                    // One trace that is damaged leaves the others readable.
                    let trace = match collect_place(&decoder, facts, place, &mut assembly) {
                        Ok(()) => Some(assembly.finish(|_writer| false)),
                        Err(error) => {
                            self.report(&error);
                            None
                        }
                    };
                    found.push(trace);
                }
                Ok(())
            });
            if let Err(error) = read {
                self.report(&error);
            }
            Ok(found)
        };
        self.or_damage(protected(self.segment.path(), read))
    }

    /// The traces that are pinned, as the block has them.
    pub(super) fn pinned(&self) -> Result<Vec<TraceId>, ReadError> {
        if !self.entry.may_have_pins {
            return Ok(Vec::new());
        }
        self.ids_at(BlockReader::pinned_places)
    }

    /// The ids of a set that the block holds.
    pub(super) fn among(&self, wanted: &BTreeSet<TraceId>) -> Result<Vec<TraceId>, ReadError> {
        let header = self.header();
        let range = header.trace_ids();
        // A range that ends before it begins, which only a forged header has, would panic.
        let may_hold = !range.is_empty() && {
            let mut in_range = wanted.range(range);
            in_range.any(|trace_id| header.may_have_trace(*trace_id))
        };
        if !may_hold {
            return Ok(Vec::new());
        }
        self.ids_at(|reader| {
            let ids = (0..).zip(reader.trace_ids()?);
            let held = ids.filter(|(_, id)| wanted.contains(&TraceId::from_bytes(**id)));
            Ok(held.map(|(place, _)| place).collect())
        })
    }

    /// The ids at some places; none if the block is damaged, which is reported.
    fn ids_at(
        &self,
        places: impl FnOnce(&BlockReader<Sections>) -> Result<Vec<usize>, BlockError>,
    ) -> Result<Vec<TraceId>, ReadError> {
        let read = || {
            let found = self.reader().and_then(|reader| {
                let places = places(&reader)?.into_iter();
                places.map(|place| trace_id_at(&reader, place)).collect()
            });
            Ok(found.unwrap_or_else(|error| {
                self.report(&error);
                Vec::new()
            }))
        };
        self.or_damage(protected(self.segment.path(), read))
    }

    fn or_damage<T: Default>(&self, read: Result<T, StorageError>) -> Result<T, ReadError> {
        self.snapshot.or_damage(self.segment.path(), read)
    }
}

fn trace_id_at(reader: &BlockReader<Sections>, place: usize) -> Result<TraceId, BlockError> {
    let id = reader.trace_ids()?.get(place).copied();
    id.map(TraceId::from_bytes).ok_or(BlockError::Malformed {
        what: "there is no such trace",
    })
}
