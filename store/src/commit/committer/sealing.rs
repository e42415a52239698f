//! What the commit thread does beside commits: it makes blocks and merges segments.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::{Committer, Effort, seal};
use crate::codec::ValueError;
use crate::error::StorageError;
use crate::life::merge_small;
use crate::limit;
use crate::segment::protected;

/// A writer that closes merges tiny segments if there are this many segments.
const MANY_SEGMENTS: usize = 32;
/// A segment of which a program left no more is tiny.
const TINY_BYTES: u64 = 2 << 20;
/// Together they are no more than this, so that closing takes no longer than it may.
const MERGED_BYTES: u64 = 32 << 20;

impl Committer {
    /// Makes blocks of the hot batches of the active segment. What goes wrong leaves them as they
    /// are, and the next commits do not try again before there is more of them.
    pub(super) fn seal(&mut self, effort: Effort) -> Result<bool, StorageError> {
        self.seal_is_due = false;
        let folder = self.directory.path().to_owned();
        let sealed = protected(&folder, || self.try_seal(effort));
        if let Err(error) = &sealed {
            self.counters.seal_failed("make blocks", error);
            self.active.reset();
        }
        if let Ok(true) = sealed {
            self.seal_from = 0;
        } else {
            self.seal_from = self.hot_spans + self.seal_spans;
        }
        sealed
    }

    /// As above, of the newest segment even if this writer has not written to it.
    pub(super) fn seal_on_request(&mut self) -> Result<bool, StorageError> {
        self.active.open_newest()?;
        let mut any = false;
        while self.seal(Effort::Asked)? {
            any = true;
        }
        Ok(any)
    }

    /// Seals, or tries again without making blocks anew where another writer came in between.
    fn try_seal(&mut self, effort: Effort) -> Result<bool, StorageError> {
        for effort in [effort, Effort::None] {
            let Some(segment) = self.active.current() else {
                return Ok(false);
            };
            let (earlier, notes) = (&mut self.earlier, &mut self.known_notes);
            let prepared = seal::prepare(segment, &self.directory, earlier, notes, effort)?;
            let Some(mut swap) = prepared else {
                return Ok(false);
            };
            let (folded, is_anew) = (std::mem::take(&mut swap.folded), swap.is_anew());
            let refused = swap.refused;
            let Some((txn, segment)) = self.active.begin_current()? else {
                return Ok(false);
            };
            if let Some(counts) = swap.store(&txn, segment)? {
                txn.commit()
                    .map_err(|error| StorageError::redb("write to", &segment.path, error))?;
                self.hot_spans = counts.hot_spans;
                self.seal_is_due = seal::is_worthwhile(&counts, self.seal_spans);
                let path = segment.path.clone();
                self.remove_folded(&folded);
                self.count_refused(refused, path);
                return Ok(true);
            }
            if !is_anew {
                break;
            }
        }
        Ok(false)
    }

    /// Counts records that are in no block, because they do not decode: nothing else tells of them
    /// once the hot batches are gone.
    fn count_refused(&self, refused: u64, path: PathBuf) {
        if refused == 0 {
            return;
        }
        self.signal.count_dropped(refused);
        self.counters.refused.fetch_add(refused, Ordering::Relaxed);
        let error = StorageError::DamagedValue {
            path,
            table: "hot",
            source: ValueError::Body {
                reason: "a record does not decode, and was left out",
            },
        };
        self.counters.keep("make blocks", &error);
    }

    /// Removes changes that were kept apart and are in blocks. Until they are gone they are seen
    /// twice, as the same.
    fn remove_folded(&mut self, folded: &[Vec<u8>]) {
        if folded.is_empty() {
            return;
        }
        if let Err(error) = self.state.remove_note_keys(folded) {
            self.counters
                .keep("remove changes that are in blocks", &error);
            self.known_notes.stay = true;
        }
    }

    /// Merges tiny segments, if programs that ran shortly left many.
    pub(super) fn tidy(&mut self) {
        let many = self
            .directory
            .segments()
            .is_ok_and(|segments| segments.len() >= MANY_SEGMENTS);
        if many {
            let (directory, state) = (&self.directory, &mut self.state);
            let remove = |folded: Vec<Vec<u8>>| state.remove_note_keys(&folded);
            let merged = protected(directory.path(), || {
                let together = limit::part(MERGED_BYTES, 4);
                merge_small(directory, TINY_BYTES, together, remove)
            });
            if let Err(error) = merged {
                // Nothing is lost: the segments stay as they are.
                self.counters.seal_failed("merge segments", &error);
            }
        }
    }
}
