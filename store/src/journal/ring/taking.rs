use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Ring, Used};
use crate::journal::batch::{Batch, position};
use crate::journal::frame::{Frames, Seal};
use crate::journal::map::Published;
use crate::journal::region::Progress;

/// What a commit takes, batch by batch: what was appended before it began.
pub(crate) struct Taking {
    /// Of one lane the older region comes first.
    views: VecDeque<UsedView>,
}

impl Taking {
    /// How many bytes are left to take, near enough.
    pub(crate) fn left_bytes(&self) -> usize {
        let views = self.views.iter();
        views.map(|view| view.to.saturating_sub(view.from.0)).sum()
    }
}

/// A look at a region that is in use.
pub(super) struct UsedView {
    pub(super) region: u32,
    pub(super) generation: u32,
    pub(super) view: Published,
    pub(super) progress: Arc<Progress>,
    pub(super) from: (usize, u32),
    pub(super) to: usize,
}

impl Ring {
    /// Looks up what was appended before the call and not taken yet.
    pub(in crate::journal) fn begin_take(&self) -> Taking {
        let views = self.lock().used.iter().map(Used::look).collect();
        Taking { views }
    }

    /// Takes the next of it: whole regions, until they are `limit_bytes`. Nothing: all is taken.
    pub(in crate::journal) fn take(&self, taking: &mut Taking, limit_bytes: usize) -> Batch {
        let mut batch = Batch::default();
        while batch.records.len() < limit_bytes
            && let Some(view) = taking.views.pop_front()
        {
            let records = self.copy(&view, &mut batch);
            let mut state = self.lock();
            let reached = position(view.generation, view.to);
            state.positions.advance(view.region, reached);
            let same = |used: &&mut Used| used.entry.generation == view.generation;
            if let Some(used) = state.used.iter_mut().find(same) {
                used.taken = (view.to, records);
            }
        }
        batch.positions.merge(&self.lock().positions);
        batch
    }

    /// Copies the records of a view into a batch; returns the number of the next one.
    fn copy(&self, view: &UsedView, batch: &mut Batch) -> u32 {
        let (offset, sequence) = view.from;
        let bytes = view.view.bytes();
        let bytes = bytes.get(..view.to).unwrap_or(bytes);
        if !view.view.is_lost() {
            let mut frames = Frames::trusted(bytes, offset, sequence);
            for frame in frames.by_ref() {
                batch.push(frame.record);
            }
            let (end, next) = frames.position();
            if end == view.to && !view.view.is_lost() {
                return next;
            }
        }
        self.copy_what_is_left(view, bytes, batch)
    }

    /// Copies the records that still pass their check from a region whose file was cut, and counts
    /// the others.
    #[cold]
    fn copy_what_is_left(&self, view: &UsedView, bytes: &[u8], batch: &mut Batch) -> u32 {
        self.lost.store(true, Ordering::Relaxed);
        let appended = view.progress.records.load(Ordering::Relaxed);
        let seal = Seal::new(self.header.id, view.region, u64::from(view.generation));
        let mut frames = Frames::new(bytes, seal);
        let mut found = 0;
        loop {
            for frame in frames.by_ref().filter(|frame| frame.end > view.from.0) {
                batch.push(frame.record);
                found += 1;
            }
            if !frames.skip_damage() {
                break;
            }
        }
        let missing = (appended - view.from.1).saturating_sub(found);
        self.signal.count_dropped(u64::from(missing));
        appended
    }
}
