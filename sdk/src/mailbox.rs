//! What threads have to say about spans that lie in another thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
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

static NEXT: AtomicU64 = AtomicU64::new(1);
static BOXES: Mutex<BTreeMap<u64, Letter>> = Mutex::new(BTreeMap::new());

fn boxes() -> MutexGuard<'static, BTreeMap<u64, Letter>> {
    BOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a mailbox. Its number is never used again.
pub(crate) fn open() -> u64 {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    boxes().insert(number, Letter::default());
    number
}

/// Leaves changes. A span that ended meanwhile has no mailbox; they are lost with it.
pub(crate) fn post(number: u64, changes: &Live) {
    if let Some(letter) = boxes().get_mut(&number) {
        letter.fields.extend_from_slice(changes.encoder.fields());
        letter.has_outputs |= changes.has_outputs;
        if changes.status != StatusCode::Unset {
            letter.status = changes.status;
        }
    }
}

/// Empties and removes a mailbox.
pub(crate) fn close(number: u64) -> Option<Letter> {
    boxes().remove(&number)
}
