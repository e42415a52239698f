//! The search of one block, which needs nothing from other blocks: several run at once.

use std::cmp::Reverse;
use std::sync::Arc;

use spanlite_model::{PriceTable, Trace, TraceId};
use spanlite_store::block::BlockError;
use spanlite_store::{ReadError, SealedBlock, Snapshot, TimeRange};

use super::block::Block;
use super::candidate::{Candidate, Source};
use super::explain::Explain;
use super::header::Sieve;
use super::mask::Rows;
use super::ordering::Ordering;
use crate::eval::View;
use crate::resolve::{Key, Stage};
use crate::run::RunOptions;

/// What blocks are searched for.
pub(crate) struct Search<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) blocks: Vec<SealedBlock<'s>>,
    /// Without those that ask when a trace begins, which `range` tells.
    pub(crate) stages: Vec<Stage>,
    pub(crate) range: TimeRange,
    pub(crate) now_unix_nano: u64,
    uses_indexes: bool,
    /// Whether candidates bring their headers.
    pub(crate) wants_headers: bool,
    /// What candidates are ordered by, which they bring.
    pub(crate) keys: Vec<Key>,
    /// What puts costs into the traces.
    prices: Option<Arc<PriceTable>>,
}

/// What a block has.
#[derive(Default)]
pub(crate) struct Searched {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) counts: Explain,
}

impl<'s> Search<'s> {
    /// A search for the traces that begin in `range` and pass the stages.
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        stages: &[Stage],
        range: TimeRange,
        options: &RunOptions,
    ) -> Result<Self, ReadError> {
        let timeless = |stage: &&Stage| !matches!(stage, Stage::Since(_) | Stage::Until(_));
        Ok(Self {
            snapshot,
            blocks: snapshot.blocks()?,
            stages: stages.iter().filter(timeless).cloned().collect(),
            range,
            now_unix_nano: options.now_unix_nano,
            uses_indexes: options.use_indexes,
            wants_headers: false,
            keys: Vec::new(),
            prices: options.prices.clone(),
        })
    }

    /// A trace that is not whole in one block.
    pub(crate) fn loose_trace(&self, trace_id: TraceId) -> Result<Option<Trace>, ReadError> {
        Ok(self.priced(self.snapshot.trace(trace_id)?))
    }

    pub(super) fn priced(&self, trace: Option<Trace>) -> Option<Trace> {
        let mut trace = trace?;
        if let Some(prices) = &self.prices {
            prices.apply(&mut trace);
        }
        Some(trace)
    }

    /// When the last trace of a block began.
    pub(crate) fn last_start(&self, number: usize) -> u64 {
        let block = self.blocks.get(number);
        block.map_or(0, |block| block.header().summary().last_start_unix_nano)
    }

    /// The blocks that have to be searched, the newest last.
    pub(crate) fn open_blocks(&self, counts: &mut Explain) -> Vec<usize> {
        counts.uses_indexes = self.uses_indexes;
        counts.blocks = self.blocks.len();
        let sieve = Sieve::of(&self.stages);
        let mut closed = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let header = block.header();
            let summary = header.summary();
            let in_time = summary.last_start_unix_nano >= self.range.start_unix_nano
                && (summary.first_start_unix_nano < self.range.end_unix_nano
                    || self.range.end_unix_nano == u64::MAX);
            if !in_time {
                counts.blocks_outside_time += 1;
            } else if self.uses_indexes && !sieve.may_pass(header) {
                counts.blocks_ruled_out += 1;
            } else {
                closed.push(number);
            }
        }
        closed.sort_by_key(|number| self.last_start(*number));
        closed
    }

    /// The traces of a block that may fit.
    pub(crate) fn block(&self, number: usize) -> Result<Searched, ReadError> {
        let mut searched = Searched::default();
        self.in_block(number, &mut searched.counts, |found| {
            searched.candidates = found.candidates()?;
            Ok(())
        })?;
        searched.counts.traces_kept = searched.candidates.len();
        Ok(searched)
    }

    /// Runs the stages over a block and hands on what columns tell. Columns that cannot be read
    /// decide nothing; the traces may be whole.
    pub(crate) fn in_block(
        &self,
        number: usize,
        counts: &mut Explain,
        mut each: impl FnMut(&mut Found<'_, 's>) -> Result<(), BlockError>,
    ) -> Result<(), ReadError> {
        let Some(&sealed) = self.blocks.get(number) else {
            return Ok(());
        };
        counts.blocks_searched += 1;
        let traces = sealed.traces()?;
        let mut wanted = Rows::none(traces.len());
        let has_loose = self.snapshot.loose()?.next().is_some();
        for (place, (trace_id, start)) in traces.iter().enumerate() {
            if self.range.contains(*start) && !(has_loose && self.snapshot.is_loose(*trace_id)?) {
                wanted.insert(place);
            }
        }
        counts.traces_in_blocks += wanted.count();
        let nothing = Trace::new(TraceId::default(), Vec::new());
        let nowhere = View::new(&nothing, self.now_unix_nano);
        let mut found = Found {
            search: self,
            number,
            sealed,
            traces: &traces,
            wanted: &wanted,
            block: None,
        };
        if self.uses_indexes && !wanted.is_empty() {
            let told = sealed.reader().and_then(|reader| {
                counts.spans_searched += reader.n_spans();
                let before = reader.loaded_bytes();
                found.block = Some(Block::new(reader, wanted.clone(), &nowhere));
                each(&mut found)?;
                if let Some(block) = &found.block {
                    counts.text_bytes_read += block.text_bytes();
                    counts.bytes_loaded += block.reader.loaded_bytes().saturating_sub(before);
                    block.add_stages(counts);
                    block.reader.forget_texts();
                }
                Ok(())
            });
            match told {
                Ok(()) => return Ok(()),
                Err(error) => sealed.report(&error),
            }
            found.block = None;
        }
        // Without a block nothing is read that could fail.
        each(&mut found).or(Ok(()))
    }
}

/// A block while what it has is taken out.
pub(crate) struct Found<'b, 's> {
    search: &'b Search<'s>,
    number: usize,
    sealed: SealedBlock<'s>,
    pub(crate) traces: &'b [(TraceId, u64)],
    /// The places of traces that matter.
    pub(crate) wanted: &'b Rows,
    /// Missing where columns are not asked or cannot be read.
    pub(crate) block: Option<Block<'b>>,
}

impl Found<'_, '_> {
    /// The trace at a place.
    pub(crate) fn trace(&self, place: usize) -> Result<Option<Trace>, ReadError> {
        Ok(self.search.priced(self.sealed.trace(place)?))
    }

    fn candidates(&self) -> Result<Vec<Candidate>, BlockError> {
        let Some(block) = &self.block else {
            return Ok(self
                .wanted
                .iter()
                .filter_map(|place| self.candidate(place))
                .collect());
        };
        let flow = block.run(&self.search.stages)?;
        let kept = flow.holds.maybe.clone().and(self.wanted);
        let heads = if self.search.wants_headers && !kept.is_empty() {
            Some(block.heads()?)
        } else {
            None
        };
        let ordering = if self.search.keys.is_empty() || kept.is_empty() {
            None
        } else {
            Ordering::of(block, &self.search.keys)?
        };
        let mut candidates = Vec::new();
        for place in kept.iter() {
            let Some(mut candidate) = self.candidate(place) else {
                continue;
            };
            candidate.is_certain = flow.holds.sure.contains(place);
            if let Some(heads) = &heads {
                let header = heads.header(place, candidate.trace_id())?;
                candidate.header = header.map(Box::new);
            }
            if let Some(ordering) = &ordering {
                candidate.keys = ordering.keys(&flow, place)?;
            }
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    /// The trace at a place, of which nothing is sure.
    fn candidate(&self, place: usize) -> Option<Candidate> {
        let (trace_id, start_unix_nano) = *self.traces.get(place)?;
        Some(Candidate {
            start_unix_nano,
            trace_id: Reverse(trace_id),
            source: Source::Block {
                block: self.number,
                place,
            },
            is_certain: false,
            header: None,
            keys: None,
        })
    }
}
