//! What is said of spans that do not lie in the thread that speaks: those that were given to
//! another thread, and those of futures, which stay where they are while they are polled.
//!
//! The letter of a span waits under its tracer and id until a poll of it, or the span itself, ends. Whoever
//! has left his changes before the span ends finds them in its record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite_model::{SpanId, StatusCode};

use crate::context::Context;
use crate::live::Live;
use crate::span::Counts;

/// Changes for a span, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    /// Encoded fields.
    pub(crate) fields: Vec<u8>,
    pub(crate) status: StatusCode,
    pub(crate) has_outputs: bool,
    pub(crate) is_cut: bool,
    pub(crate) counts: Counts,
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
            is_cut: live.encoder.is_cut(),
            counts: live.counts,
            posted: 0,
        }
    }
}

/// How many letters may wait. Then the older half goes: the spans have most likely ended.
const LETTERS: usize = 10_000;

/// How many bytes may wait in all; then the older half goes, too.
const MAIL_BYTES: usize = 64 << 20;

/// How long a letter may be to which something is added. Who speaks of a span without end, which
/// has ended long ago, is not heard any more.
const LETTER_BYTES: usize = 16 << 20;

/// Whose letter it is: the tracer, because the spans of tests have ids that count from 1.
type Address = (u16, SpanId);

#[derive(Debug)]
struct Mail {
    letters: BTreeMap<Address, Letter>,
    posted: u64,
    bytes: usize,
    bits: Bits,
}

/// The bits of [`WAITING`].
#[derive(Debug)]
struct Bits {
    /// How many letters there are for each.
    letters: [u32; 64],
    /// Those of which there are letters.
    mask: u64,
}

/// A bit for every span that something was left for; spans share 64 of them.
static WAITING: AtomicU64 = AtomicU64::new(0);
static MAIL: Mutex<Mail> = Mutex::new(Mail::new());

/// The spans of the program that others knew of and that ended last, by their ids: each takes the
/// place of an older one. Nobody will read what is said of them.
static ENDED: [AtomicU64; 16_384] = [const { AtomicU64::new(0) }; 16_384];

fn mail() -> MutexGuard<'static, Mail> {
    MAIL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(span_id: SpanId) -> u64 {
    u64::from_be_bytes(span_id.to_bytes())
}

/// Which bit of [`WAITING`] says that something was left for a span.
fn bit(span_id: SpanId) -> u32 {
    (number(span_id) & 63) as u32
}

fn ended_place(span_id: SpanId) -> &'static AtomicU64 {
    &ENDED[number(span_id) as usize % ENDED.len()]
}

/// Notes that a span has ended. One store.
#[inline]
pub(crate) fn close(context: &Context) {
    // The spans of tests have ids that come again.
    if context.tracer() == 0 {
        ended_place(context.span_id).store(number(context.span_id), Ordering::Relaxed);
    }
}

fn has_ended((tracer, span_id): Address) -> bool {
    tracer == 0 && ended_place(span_id).load(Ordering::Relaxed) == number(span_id)
}

impl Bits {
    const NONE: Self = Self {
        letters: [0; 64],
        mask: 0,
    };

    /// Counts a letter that comes.
    fn come(&mut self, span_id: SpanId) {
        let bit = bit(span_id);
        self.letters[bit as usize] += 1;
        self.mask |= 1 << bit;
    }

    /// Counts a letter that goes.
    fn go(&mut self, span_id: SpanId) {
        let bit = bit(span_id);
        self.letters[bit as usize] -= 1;
        if self.letters[bit as usize] == 0 {
            self.mask &= !(1 << bit);
        }
    }
}

impl Mail {
    const fn new() -> Self {
        Self {
            letters: BTreeMap::new(),
            posted: 0,
            bytes: 0,
            bits: Bits::NONE,
        }
    }

    /// Drops letters, and gives how many.
    #[cold]
    fn retain(&mut self, mut keep: impl FnMut(&Address, &Letter) -> bool) -> u64 {
        let before = self.letters.len();
        self.letters.retain(|address, letter| keep(address, letter));
        self.bits = Bits::NONE;
        for (_, span_id) in self.letters.keys() {
            self.bits.come(*span_id);
        }
        let letters = self.letters.values();
        self.bytes = letters.map(|letter| letter.fields.len()).sum();
        (before - self.letters.len()) as u64
    }

    /// Drops the older half of the letters, and gives how many.
    #[cold]
    fn forget_older(&mut self) -> u64 {
        let mut posted: Vec<u64> = self.letters.values().map(|one| one.posted).collect();
        if posted.is_empty() {
            return 0;
        }
        let half = posted.len() / 2;
        let (_, &mut middle, _) = posted.select_nth_unstable(half);
        self.retain(|_, letter| letter.posted > middle)
    }

    fn take(&mut self, address: Address) -> Option<Letter> {
        let letter = self.letters.remove(&address)?;
        self.bits.go(address.1);
        self.bytes -= letter.fields.len();
        Some(letter)
    }

    /// Tells spans whether something waits for them.
    fn show(&self) {
        WAITING.store(self.bits.mask, Ordering::Release);
    }

    /// Leaves changes, and gives how many letters or changes were dropped.
    fn post(&mut self, address: Address, changes: &Live) -> u64 {
        let fields = changes.encoder.fields();
        let mut dropped = 0;
        if self.bytes + fields.len() > MAIL_BYTES {
            dropped += self.forget_older();
        }
        if !self.letters.contains_key(&address) {
            self.bits.come(address.1);
        }
        let letter = self.letters.entry(address).or_default();
        if letter.fields.len() >= LETTER_BYTES || letter.counts.is_full_with(&changes.counts) {
            letter.is_cut = true;
            letter.counts.leave_out(&changes.counts);
            return dropped + 1;
        }
        self.posted += 1;
        self.bytes += fields.len();
        letter.posted = self.posted;
        letter.fields.extend_from_slice(fields);
        letter.has_outputs |= changes.has_outputs;
        letter.is_cut |= changes.encoder.is_cut();
        letter.counts.add(&changes.counts);
        if changes.status != StatusCode::Unset {
            letter.status = changes.status;
        }
        if self.letters.len() > LETTERS {
            dropped += self.forget_older();
        }
        dropped
    }
}

/// Leaves changes for a span, and gives how many letters and changes were dropped. If the span has
/// ended they are never read.
pub(crate) fn post(context: &Context, changes: &Live) -> u64 {
    let mut mail = mail();
    let address = address(context);
    if has_ended(address) {
        return 0;
    }
    let dropped = mail.post(address, changes);
    mail.show();
    dropped
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
    mail.retain(|address, _| address.0 != tracer);
    mail.show();
}

#[cold]
fn take_waiting(address: Address) -> Option<Letter> {
    // Letters that nobody reads must not make every span wait for the lock.
    if WAITING.load(Ordering::Acquire) & 1 << bit(address.1) == 0 {
        return None;
    }
    let mut mail = mail();
    let letter = mail.take(address)?;
    mail.show();
    Some(letter)
}

#[cfg(test)]
mod tests {
    use spanlite_model::TraceId;
    use spanlite_store::record::SpanHead;

    use super::*;
    use crate::context::SAMPLED;

    fn address(number: u64) -> Address {
        (1, SpanId::from_bytes(number.to_be_bytes()))
    }

    #[test]
    fn the_letters_that_waited_longest_go_first() {
        let mut mail = Mail::new();
        let live = Live::default();
        // The one that is written to again and again has the lowest id.
        for number in 2..2 * LETTERS as u64 {
            mail.post(address(number), &live);
            mail.post(address(1), &live);
        }
        assert!(mail.letters.len() <= LETTERS);
        assert!(mail.take(address(1)).is_some());
        assert!(mail.take(address(2)).is_none(), "it has waited longest");
        assert!(mail.bits.mask.count_ones() == 64 && mail.bytes == 0);
        mail.retain(|address, _| address.0 != 1);
        assert!(mail.letters.is_empty() && mail.bits.mask == 0);
    }

    #[test]
    fn what_is_said_of_a_span_without_end_is_bounded_and_counted() {
        let mut mail = Mail::new();
        let mut live = Live::default();
        live.encoder.begin(&SpanHead {
            trace_id: TraceId::default(),
            span_id: SpanId::default(),
            parent_span_id: None,
            start_time_unix_nano: 0,
            flags: 0,
        });
        live.attribute("large", &"x".repeat(1 << 20));
        let dropped: u64 = (0..20).map(|_| mail.post(address(1), &live)).sum();
        assert_eq!(dropped, 4, "sixteen of a MiB fit");
        // Five more such letters do not fit: those that were written to last stay.
        let dropped: u64 = (0..5 * 16)
            .map(|n| mail.post(address(2 + n / 16), &live))
            .sum();
        assert!(dropped >= 1);
        assert!(mail.bytes <= MAIL_BYTES);
        let bytes = mail.letters.values().map(|letter| letter.fields.len());
        assert_eq!(mail.bytes, bytes.sum::<usize>());
        assert!(mail.take(address(1)).is_none());
        let last = mail.take(address(6)).unwrap();
        assert!(last.fields.len() >= LETTER_BYTES);
    }

    #[test]
    fn nothing_waits_for_a_span_that_has_ended() {
        let span_id = SpanId::from_bytes([0xab; 8]);
        let context = Context::at(TraceId::default(), span_id, SAMPLED).with_tracer(0);
        let live = Live::default();
        post(&context, &live);
        assert!(take(&context).is_some());
        close(&context);
        post(&context, &live);
        assert!(take(&context).is_none());
    }
}
