//! Calls of models that are being recorded, so that two hooks do not record one call twice.

use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite::Context;

/// Few at a time, so that a list is enough.
static OPEN: Mutex<Vec<Context>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Context>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the span of this context stands for a call of a model.
#[cfg(feature = "tracing")]
pub(crate) fn begin(context: Context) {
    if context.span_id().is_some() {
        open().push(context);
    }
}

/// Says that this span has ended.
#[cfg(feature = "tracing")]
pub(crate) fn end(context: Context) {
    let mut open = open();
    if let Some(place) = open.iter().rposition(|one| *one == context) {
        open.swap_remove(place);
    }
}

/// Returns whether the span of this context stands for a call of a model.
#[cfg(feature = "http")]
pub(crate) fn is_open(context: Context) -> bool {
    context.span_id().is_some() && open().contains(&context)
}
