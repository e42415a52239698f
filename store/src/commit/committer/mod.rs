mod sealing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::active::{Active, stored_positions};
use super::counters::Counters;
use super::draft::Portion;
use super::earlier::Earlier;
use super::fold::{Effort, KnownNotes};
use super::seal;
use super::signal::{BlocksRequest, Due, Request, Signal, StoreRequest};
use crate::directory::Directory;
use crate::error::{FlushError, StorageError};
use crate::journal::{self, Batch, Journal, JournalForm, Positions, Replay};
use crate::options::OpenOptions;
use crate::segment::sealed::store_blocks;
use crate::segment::{SegmentName, protected, put_positions};
use crate::state::StateWriter;

/// What is durable in the journal is committed to a segment after so many commit intervals, or
/// before if there is enough of it.
const COMMIT_AFTER: u32 = 20;
/// No more records than about this are stored in one transaction.
const COMMIT_AT_ONCE_BYTES: usize = 4 << 20;

/// Who waits for the end of the thread.
type Closer = Sender<Result<(), FlushError>>;

/// The commit thread's own things.
pub(crate) struct Committer {
    directory: Directory,
    signal: Arc<Signal>,
    journal: Arc<Journal>,
    counters: Arc<Counters>,
    interval: Duration,
    /// The writer's own resource and scope, as bytes.
    origin: Vec<u8>,
    active: Active,
    /// What the blocks of the store may hold.
    earlier: Earlier,
    /// What is known of the changes that are kept apart.
    known_notes: KnownNotes,
    /// What was taken from the journal and is not stored yet.
    waiting: Batch,
    /// When that which the journal has on disk is to be committed.
    commit_by: Option<Instant>,
    state: StateWriter,
    /// So many bytes of records are worth a commit before it is time.
    enough_bytes: usize,
    segment_bytes: u64,
    seal_spans: u64,
    /// This writer has the lease and is to make blocks.
    seal_is_due: bool,
    /// Records of spans in hot batches, at the last commit.
    hot_spans: u64,
    /// As many must there be before blocks are made again.
    seal_from: u64,
}

impl Committer {
    pub(crate) fn new(
        directory: Directory,
        options: &OpenOptions,
        origin: Vec<u8>,
        signal: Arc<Signal>,
        journal: Arc<Journal>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            active: Active::new(directory.clone(), options),
            state: StateWriter::new(directory.state()),
            interval: options.commit_interval,
            earlier: Earlier::default(),
            known_notes: KnownNotes::default(),
            waiting: Batch::default(),
            commit_by: None,
            enough_bytes: options.commit_bytes.min(COMMIT_AT_ONCE_BYTES),
            segment_bytes: options.segment_bytes,
            seal_spans: options.seal_spans.max(1),
            seal_is_due: false,
            hot_spans: 0,
            seal_from: 0,
            directory,
            signal,
            journal,
            counters,
            origin,
        }
    }

    /// Serves until it is asked to close.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.recover() {
            // The journals stay where they are, and the next writer tries again.
            self.counters.commit_failed("recover a journal", &error);
            self.active.reset();
        }
        loop {
            let (requests, due) = self.signal.wait(self.interval, self.commit_by);
            let outcome = match due {
                Due::Enough => self.commit(Due::Enough),
                Due::Sync if self.waiting.count == 0 && self.sync() => Ok(()),
                Due::Sync | Due::All => self.commit(Due::All),
            };
            let mut closers = Vec::new();
            for request in requests {
                closers.extend(self.serve(request, &outcome));
            }
            if !closers.is_empty() {
                return self.close(closers);
            }
            while self.seal_is_due {
                // Failures are counted, and the traces stay where they are.
                drop(self.seal(Effort::Small));
            }
        }
    }

    /// Does what is asked for. Returns who waits for the end, where that is asked for; whoever does
    /// not wait any more may have gone away.
    fn serve(&mut self, request: Request, outcome: &Result<(), FlushError>) -> Option<Closer> {
        match request {
            Request::Flush(reply) => drop(reply.send(outcome.clone())),
            Request::Store(request) => self.store_apart(&request),
            Request::Blocks(request) => self.store_blocks(request),
            Request::State(task) => task(&mut self.state),
            Request::Seal(reply) => drop(reply.send(self.seal_on_request())),
            Request::Close(reply) => return Some(reply),
        }
        None
    }

    fn close(mut self, mut waiting: Vec<Closer>) {
        for request in self.signal.close() {
            match request {
                // It came after the last commit, and what it covers is in the next.
                Request::Flush(reply) => waiting.push(reply),
                request => waiting.extend(self.serve(request, &Ok(()))),
            }
        }
        // What was appended between the last commit and the close, and then what did not end.
        self.journal.end();
        let outcome = self.commit(Due::All).and_then(|()| {
            self.journal.take_open(&mut self.waiting);
            self.commit(Due::All)
        });
        if outcome.is_ok() {
            self.journal.close();
            // After that, so that what did not end counts as interrupted.
            self.seal_is_due |= self.hot_spans >= self.seal_spans / seal::PART_AT_CLOSE;
            while self.seal_is_due {
                drop(self.seal(Effort::Small));
            }
        } else if self.journal.form() == JournalForm::Memory {
            let mut taking = self.journal.begin_take();
            let rest = self.journal.take(&mut taking, usize::MAX);
            self.signal.count_dropped(self.waiting.count + rest.count);
        }
        self.active.reset();
        self.tidy();
        self.state.reset();
        for waiting in waiting {
            drop(waiting.send(outcome.clone()));
        }
    }

    /// Brings everything that was appended before the call to the disk, without a commit. False
    /// if that is not possible.
    fn sync(&mut self) -> bool {
        self.signal.begin_take();
        if self.journal.is_behind() || !self.journal.sync() {
            return false;
        }
        self.commit_by = self.commit_by.or_else(|| self.late());
        true
    }

    /// Stores everything that was appended before the call, in as many transactions as bound the
    /// memory for it. If enough is due, less than that stays for the next time, because it would be
    /// stored as a hot batch first and as a block then.
    fn commit(&mut self, due: Due) -> Result<(), FlushError> {
        self.signal.begin_take();
        let mut commit_by = self.commit_by.take();
        let mut taking = self.journal.begin_take();
        loop {
            let left = taking.left_bytes();
            if due == Due::Enough && self.waiting.count == 0 && left < self.enough_bytes {
                if left > 0 {
                    self.commit_by = commit_by.or_else(|| self.late());
                    self.signal.keep_pending();
                }
                return Ok(());
            }
            // What could not be stored goes first, and nothing is put to it.
            if self.waiting.count == 0 {
                self.waiting = self.journal.take(&mut taking, COMMIT_AT_ONCE_BYTES);
            }
            if self.waiting.count == 0 {
                return Ok(());
            }
            let result = self.store_waiting();
            self.signal.set_outcome(result.as_ref().map(|&()| ()));
            if let Err(source) = result {
                return Err(FlushError::Failed {
                    records: self.waiting.count,
                    source: Arc::new(source),
                });
            }
            let stored = std::mem::take(&mut self.waiting);
            self.journal.release(&stored);
            commit_by = None;
        }
    }

    /// When what is on disk in the journal has to be committed.
    fn late(&self) -> Option<Instant> {
        Instant::now().checked_add(self.interval.saturating_mul(COMMIT_AFTER))
    }

    fn store_waiting(&mut self) -> Result<(), StorageError> {
        let waiting = std::mem::take(&mut self.waiting);
        let journal = self.journal.id();
        let origin = std::mem::take(&mut self.origin);
        let stored = self.store(&waiting.records, &origin, journal, Some(&waiting.positions));
        self.origin = origin;
        self.waiting = waiting;
        self.signal.count_dropped(stored?);
        Ok(())
    }

    fn store_apart(&mut self, request: &StoreRequest) {
        let stored = self.store(&request.records, &request.origin, Uuid::nil(), None);
        // The caller may have gone away; what it asked for is stored all the same.
        drop(request.reply.send(stored.map(drop)));
    }

    fn store_blocks(&mut self, request: BlocksRequest) {
        let mut portion = Portion {
            blocks: request.blocks,
            looked_at: request.looked_at,
            ..Portion::default()
        };
        let stored = self.store_portion(&mut portion, None);
        // The caller may have gone away; what it asked for is stored all the same.
        drop(request.reply.send(stored));
    }

    /// Stores records, and how far their journal is stored with them, in one transaction. Returns
    /// how many were none.
    fn store(
        &mut self,
        records: &[u8],
        origin: &[u8],
        journal: Uuid,
        positions: Option<&Positions>,
    ) -> Result<u64, StorageError> {
        let mut portion = self.portion(records, origin, journal);
        self.store_portion(
            &mut portion,
            positions.map(|positions| (journal, positions)),
        )?;
        let refused = &self.counters.refused;
        refused.fetch_add(portion.refused, Ordering::Relaxed);
        Ok(portion.refused)
    }

    /// Stores a portion in one transaction. Returns the segment it is in, and the number after its
    /// last block.
    fn store_portion(
        &mut self,
        portion: &mut Portion,
        positions: Option<(Uuid, &Positions)>,
    ) -> Result<(SegmentName, u32), StorageError> {
        let mut result = self.try_store(portion, positions);
        if let Err(
            StorageError::Damaged { .. }
            | StorageError::DamagedValue { .. }
            | StorageError::Busy { .. },
        ) = result
        {
            // What can be read of the segment is read; new traces go elsewhere.
            if let Err(error) = &result {
                self.counters.keep("write to a segment", error);
            }
            self.active.leave();
            result = self.try_store(portion, positions);
        }
        match &result {
            Ok(_) => _ = self.counters.commits.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                self.active.reset();
                self.counters.commit_failed("commit", error);
            }
        }
        result
    }

    /// Makes what is stored of records: blocks at once if there are enough of them.
    fn portion(&mut self, records: &[u8], origin: &[u8], journal: Uuid) -> Portion {
        if !seal::is_enough(records, self.seal_spans) {
            return Portion::hot(records, origin, journal);
        }
        let folder = self.directory.path().to_owned();
        let made = protected(&folder, || {
            self.active.open_any()?;
            let Some(segment) = self.active.current() else {
                return Ok(None);
            };
            let (directory, earlier) = (&self.directory, &mut self.earlier);
            Portion::of(records, origin, journal, segment, directory, earlier).map(Some)
        });
        match made {
            Ok(Some(portion)) => portion,
            // Nothing is read to store hot batches, so that damage does not keep them away.
            _ => Portion::hot(records, origin, journal),
        }
    }

    fn try_store(
        &mut self,
        portion: &mut Portion,
        journal: Option<(Uuid, &Positions)>,
    ) -> Result<(SegmentName, u32), StorageError> {
        let folder = self.directory.path().to_owned();
        protected(&folder, || self.store_in_active(portion, journal))
    }

    fn store_in_active(
        &mut self,
        portion: &mut Portion,
        journal: Option<(Uuid, &Positions)>,
    ) -> Result<(SegmentName, u32), StorageError> {
        let (txn, segment) = self.active.begin()?;
        let mut counts = segment.counts(&txn)?;
        let looked_at = portion.looked_at.get(&segment.name);
        let next_block = looked_at.copied().unwrap_or(0);
        let blocks = &mut portion.blocks;
        store_blocks(blocks, &txn, &segment.path, next_block, &mut counts)?;
        for batch in &portion.batches {
            batch.store(&txn, &segment.path, counts.next_batch)?;
            counts.add_batch(batch.n_spans(), batch.bytes());
        }
        segment.put_counts(&txn, &counts)?;
        if let Some((journal, positions)) = journal {
            put_positions(&txn, &segment.path, journal, positions)?;
        }
        let due = counts.hot_spans >= self.seal_from
            && (seal::is_worthwhile(&counts, self.seal_spans)
                || segment.disk_bytes() >= self.segment_bytes);
        self.seal_is_due = due && segment.take_lease(&txn, self.journal.id())?;
        self.hot_spans = counts.hot_spans;
        txn.commit()
            .map_err(|error| StorageError::redb("write to", &segment.path, error))?;
        Ok((segment.name, counts.next_block))
    }

    /// Stores what killed writers left in their journals.
    fn recover(&mut self) -> Result<(), StorageError> {
        let recovery = journal::recover(&self.directory.journals(), self)?;
        for journal in recovery.damaged {
            self.directory.quarantine_file(&journal)?;
        }
        Ok(())
    }
}

impl Replay for Committer {
    fn stored(&mut self, journal: Uuid) -> Result<Positions, StorageError> {
        let mut positions = Positions::default();
        for name in self.directory.segments()? {
            positions.merge(&stored_positions(&self.directory, name, journal)?);
        }
        Ok(positions)
    }

    fn store(&mut self, journal: Uuid, origin: &[u8], batch: Batch) -> Result<(), StorageError> {
        Self::store(
            self,
            &batch.records,
            origin,
            journal,
            Some(&batch.positions),
        )
        .map(drop)
    }
}
