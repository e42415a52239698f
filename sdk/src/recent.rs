//! The trace that ended last.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use spanlite_model::TraceId;

static LAST: Mutex<Option<TraceId>> = Mutex::new(None);

thread_local! {
    static LAST_HERE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

pub(crate) fn set(trace_id: TraceId) {
    // A thread that is ending has no more use for it.
    LAST_HERE
        .try_with(|last| last.set(Some(trace_id)))
        .unwrap_or_default();
    // Of two traces that end at once either is the last.
    if let Ok(mut last) = LAST.try_lock() {
        *last = Some(trace_id);
    }
}

/// The trace whose first span ended last in this process.
pub fn last_trace_id() -> Option<TraceId> {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trace whose first span ended last in the calling thread.
pub fn last_trace_id_of_thread() -> Option<TraceId> {
    LAST_HERE.try_with(Cell::get).unwrap_or(None)
}
