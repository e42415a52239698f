//! What is said of spans that do not lie in the thread that speaks: those that were given to
//! another thread, and those of futures, which stay where they are while they are polled.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite_model::StatusCode;

use crate::live::Live;

/// Changes for a span, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    /// Encoded fields.
    pub(crate) fields: Vec<u8>,
    pub(crate) status: StatusCode,
    pub(crate) has_outputs: bool,
}

/// How many letters may wait. The oldest goes first: its span has most likely ended.
const LETTERS: usize = 10_000;

static NEXT: AtomicU64 = AtomicU64::new(1);
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LETTER_OF: Mutex<BTreeMap<u64, Letter>> = Mutex::new(BTreeMap::new());

fn letters() -> MutexGuard<'static, BTreeMap<u64, Letter>> {
    LETTER_OF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of a new mailbox. It is never used again.
#[inline]
pub(crate) fn number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Leaves changes in a mailbox. If its span has ended they are never read.
pub(crate) fn post(number: u64, changes: &Live) {
    let mut letters = letters();
    let letter = letters.entry(number).or_default();
    letter.fields.extend_from_slice(changes.encoder.fields());
    letter.has_outputs |= changes.has_outputs;
    if changes.status != StatusCode::Unset {
        letter.status = changes.status;
    }
    if letters.len() > LETTERS {
        letters.pop_first();
    }
    WAITING.store(letters.len(), Ordering::Release);
}

/// Empties a mailbox. One load where nobody has said anything.
#[inline]
pub(crate) fn take(number: u64) -> Option<Letter> {
    if number == 0 || WAITING.load(Ordering::Acquire) == 0 {
        return None;
    }
    let mut letters = letters();
    let letter = letters.remove(&number);
    WAITING.store(letters.len(), Ordering::Release);
    letter
}
