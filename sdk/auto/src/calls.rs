//! Calls of models that are being recorded, so that two hooks do not record one call twice.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite::{Context, SpanId};

static OPEN: Mutex<Option<HashSet<SpanId>>> = Mutex::new(None);

fn open() -> MutexGuard<'static, Option<HashSet<SpanId>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the span of this context stands for a call of a model.
pub(crate) fn begin(context: &Context) {
    if let Some(id) = context.span_id() {
        open().get_or_insert_default().insert(id);
    }
}

/// Says that this span has ended.
pub(crate) fn end(context: &Context) {
    if let Some(id) = context.span_id()
        && let Some(open) = open().as_mut()
    {
        open.remove(&id);
    }
}
