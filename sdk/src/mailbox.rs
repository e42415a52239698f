//! What is said of spans that do not lie in the thread that speaks: those that were given to
//! another thread, and those of futures, which stay where they are while they are polled.
//!
//! The letter of a span waits under its tracer and id until a poll of it, or the span itself, ends. Whoever
//! has left his changes before the span ends finds them in its record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite_model::{SpanId, StatusCode};

use crate::context::Context;
use crate::live::Live;

/// Changes for a span, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    /// Encoded fields.
    pub(crate) fields: Vec<u8>,
    pub(crate) status: StatusCode,
    pub(crate) has_outputs: bool,
    /// When something was added last, counted in letters.
    posted: u64,
}

impl Letter {
    /// What was said of a span.
    pub(crate) fn of(live: &Live) -> Self {
        Self {
            fields: live.encoder.fields().to_vec(),
            status: live.status,
            has_outputs: live.has_outputs,
            posted: 0,
        }
    }
}

/// How many letters may wait. Then the older half goes: the spans have most likely ended.
const LETTERS: usize = 10_000;

/// Whose letter it is: the tracer, because the spans of tests have ids that count from 1.
type Address = (u16, SpanId);

#[derive(Debug, Default)]
struct Mail {
    letters: BTreeMap<Address, Letter>,
    posted: u64,
}

static WAITING: AtomicUsize = AtomicUsize::new(0);
static MAIL: Mutex<Mail> = Mutex::new(Mail {
    letters: BTreeMap::new(),
    posted: 0,
});

fn mail() -> MutexGuard<'static, Mail> {
    MAIL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves changes for a span. If it has ended they are never read.
pub(crate) fn post(context: &Context, changes: &Live) {
    let mut guard = mail();
    let mail = &mut *guard;
    mail.posted += 1;
    let letter = mail.letters.entry(address(context)).or_default();
    letter.posted = mail.posted;
    letter.fields.extend_from_slice(changes.encoder.fields());
    letter.has_outputs |= changes.has_outputs;
    if changes.status != StatusCode::Unset {
        letter.status = changes.status;
    }
    if mail.letters.len() > LETTERS {
        let mut posted: Vec<u64> = mail.letters.values().map(|one| one.posted).collect();
        let (_, &mut middle, _) = posted.select_nth_unstable(LETTERS / 2);
        mail.letters.retain(|_, letter| letter.posted > middle);
    }
    WAITING.store(mail.letters.len(), Ordering::Release);
}

/// Returns whether anything was left for any span. One load.
#[inline]
pub(crate) fn any() -> bool {
    WAITING.load(Ordering::Acquire) != 0
}

/// Takes what was left for a span.
#[inline]
pub(crate) fn take(context: &Context) -> Option<Letter> {
    any().then(|| take_waiting(address(context))).flatten()
}

fn address(context: &Context) -> Address {
    (context.tracer(), context.span_id)
}

/// Forgets what waits for spans of a tracer that is gone.
pub(crate) fn forget(tracer: u16) {
    let mut mail = mail();
    mail.letters.retain(|address, _| address.0 != tracer);
    WAITING.store(mail.letters.len(), Ordering::Release);
}

#[cold]
fn take_waiting(address: Address) -> Option<Letter> {
    let mut mail = mail();
    let letter = mail.letters.remove(&address);
    WAITING.store(mail.letters.len(), Ordering::Release);
    letter
}

#[cfg(test)]
mod tests {
    use spanlite_model::TraceId;

    use super::*;
    use crate::context::SAMPLED;

    #[test]
    fn the_letters_that_waited_longest_go_first() {
        let live = Live::default();
        // A tracer that no other test has.
        let tracer = u16::MAX;
        let span = |number: u64| {
            let span_id = SpanId::from_bytes(number.to_be_bytes());
            Context::at(TraceId::default(), span_id, SAMPLED).with_tracer(tracer)
        };
        // The one that is written to again and again has the lowest id.
        for number in 2..2 * LETTERS as u64 {
            post(&span(number), &live);
            post(&span(1), &live);
        }
        assert!(mail().letters.len() <= LETTERS);
        assert!(take(&span(1)).is_some());
        assert!(take(&span(2)).is_none(), "it has waited longest");
        forget(tracer);
        assert!(take(&span(2 * LETTERS as u64 - 1)).is_none());
    }
}
