//! What spans are recorded by: the program's tracer, and those that tests capture with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use spanlite_model::{SpanId, TraceId};
use spanlite_store::record::Redact;
use spanlite_store::{FlushError, Store};

use crate::clock::{self, Stamp};
use crate::context::{HELD, SAMPLED};
use crate::id;
use crate::mailbox;
use crate::warning::Warning;

/// When spans that are still open are made known to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OpenSpans {
    /// Never: a trace is seen once its first span has ended.
    Never,
    /// The first span of each trace is written when it starts, so that running and interrupted
    /// traces are seen.
    #[default]
    Roots,
    /// Every span is written when it starts and again when it ends.
    All,
}

/// What decides over spans while they are made.
pub(crate) struct Rules {
    /// Of 2⁶⁴ traces, how many are recorded; all of them at the maximum.
    pub(crate) sampled: u64,
    /// Whether traces that were not sampled are recorded when a span of theirs failed.
    pub(crate) keep_errors: bool,
    pub(crate) value_limit_bytes: usize,
    pub(crate) open_spans: OpenSpans,
    pub(crate) redact: Option<Arc<dyn Redact + Send + Sync>>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            sampled: u64::MAX,
            keep_errors: false,
            value_limit_bytes: 1 << 20,
            open_spans: OpenSpans::default(),
            redact: None,
        }
    }
}

/// Where records go.
pub(crate) enum Sink {
    Store(Store),
    Memory(Mutex<Vec<Box<[u8]>>>),
}

/// Where times and ids come from.
pub(crate) enum Source {
    System,
    /// Each time is `step_nanos` after the last, each id one more than the last.
    Counted {
        next_nanos: AtomicU64,
        step_nanos: u64,
        next_id: AtomicU64,
    },
}

pub(crate) struct Tracer {
    pub(crate) sink: Sink,
    pub(crate) rules: Rules,
    pub(crate) source: Source,
    held: Mutex<Held>,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

/// Spans of traces that are recorded only if they fail.
#[derive(Default)]
struct Held {
    traces: HashMap<TraceId, HeldTrace>,
    bytes: usize,
}

#[derive(Default)]
struct HeldTrace {
    records: Vec<Box<[u8]>>,
    failed: bool,
}

/// How many bytes of spans are kept back in all. Beyond it, spans of running traces that were not
/// sampled are forgotten, as they would be without `keep_errors`.
const HELD_LIMIT_BYTES: usize = 16 << 20;

impl Tracer {
    pub(crate) fn new(sink: Sink, rules: Rules, source: Source) -> Self {
        Self {
            sink,
            rules,
            source,
            held: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Stamp {
        match &self.source {
            Source::System => clock::now(),
            Source::Counted {
                next_nanos,
                step_nanos,
                ..
            } => Stamp::fixed(next_nanos.fetch_add(*step_nanos, Ordering::Relaxed)),
        }
    }

    #[inline]
    pub(crate) fn end_of(&self, start: Stamp) -> u64 {
        match &self.source {
            Source::System => clock::end_of(start),
            Source::Counted { .. } => self.now().unix_nanos,
        }
    }

    #[inline]
    pub(crate) fn span_id(&self) -> SpanId {
        match &self.source {
            Source::System => id::span_id(),
            Source::Counted { next_id, .. } => {
                SpanId::from_bytes(next_id.fetch_add(1, Ordering::Relaxed).to_be_bytes())
            }
        }
    }

    #[inline]
    pub(crate) fn trace_id(&self, unix_nanos: u64) -> TraceId {
        match &self.source {
            Source::System => id::trace_id(unix_nanos),
            Source::Counted { next_id, .. } => {
                let number = u128::from(next_id.fetch_add(1, Ordering::Relaxed));
                TraceId::from_bytes(number.to_be_bytes())
            }
        }
    }

    /// The flags of a new trace; 0 if it is not recorded.
    #[inline]
    pub(crate) fn decide(&self, trace_id: TraceId, ratio: Option<f64>) -> u8 {
        if self.samples(trace_id, ratio) {
            SAMPLED
        } else if self.rules.keep_errors {
            HELD
        } else {
            0
        }
    }

    /// Returns whether a new trace is recorded, by the random bits of its id.
    #[inline]
    fn samples(&self, trace_id: TraceId, ratio: Option<f64>) -> bool {
        if ratio.is_none() && self.rules.sampled == u64::MAX {
            return true;
        }
        let sampled = ratio.map_or(self.rules.sampled, share_of);
        // Above the 56 random bits used here lies the variant of the UUID.
        let random = (u128::from_be_bytes(trace_id.to_bytes()) << 8) as u64;
        sampled == u64::MAX || random < sampled
    }

    pub(crate) fn count_dropped(&self, records: u64) {
        if self.dropped.fetch_add(records, Ordering::Relaxed) == 0 {
            self.warn_of_dropped();
        }
    }

    #[cold]
    fn warn_of_dropped(&self) {
        let failure = match &self.sink {
            Sink::Store(store) => store.last_failure(),
            Sink::Memory(_) => None,
        };
        let why = failure.map_or_else(String::new, |failure| {
            format!(" (last failure: {}: {})", failure.action, failure.message)
        });
        Warning::Dropped.once([format_args!(
            "a span, or what was said of one, could not be stored; `spanlite::dropped` counts what was lost{why}"
        )]);
    }

    /// Waits until everything that was handed over is on disk.
    pub(crate) fn flush(&self) -> Result<(), FlushError> {
        match &self.sink {
            Sink::Store(store) => store.flush(),
            Sink::Memory(_) => Ok(()),
        }
    }

    /// How many records could not be handed over.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record of a trace back. When the trace has failed, gives what is to be written.
    pub(crate) fn hold(&self, trace_id: TraceId, record: &[u8], failed: bool) -> Vec<Box<[u8]>> {
        let mut guard = self.held();
        let held = &mut *guard;
        if held.bytes + record.len() > HELD_LIMIT_BYTES {
            held.bytes = 0;
            held.traces.retain(|_, trace| trace.failed);
        }
        let trace = held.traces.entry(trace_id).or_default();
        trace.records.push(record.into());
        held.bytes += record.len();
        trace.failed |= failed;
        if !trace.failed {
            return Vec::new();
        }
        let records = std::mem::take(&mut trace.records);
        held.bytes -= records.iter().map(|record| record.len()).sum::<usize>();
        records
    }

    /// Forgets what was kept back of a trace that is over.
    pub(crate) fn release(&self, trace_id: TraceId) {
        let mut held = self.held();
        if let Some(trace) = held.traces.remove(&trace_id) {
            held.bytes -= trace
                .records
                .iter()
                .map(|record| record.len())
                .sum::<usize>();
        }
    }
}

/// A ratio between 0 and 1 as a share of 2⁶⁴.
pub(crate) fn share_of(ratio: f64) -> u64 {
    // The cast saturates, so 1 and all above it mean everything, and NaN nothing.
    (ratio * 18_446_744_073_709_551_616.0) as u64
}

static TRACERS: RwLock<Vec<Option<Arc<Tracer>>>> = RwLock::new(Vec::new());

/// Grows when a tracer comes or goes, so that threads look again.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// Whether the program's tracer is there.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Whether any tracer is there.
static ANY: AtomicBool = AtomicBool::new(false);

/// Returns whether anything may be recorded anywhere. One load; without the feature `enable` a
/// constant, from which the compiler sees that nothing is to be done.
#[inline]
pub(crate) fn any() -> bool {
    cfg!(feature = "enable") && ANY.load(Ordering::Relaxed)
}

/// Returns whether spans of this tracer may be recorded. One load.
#[inline]
pub(crate) fn is_on(index: u16) -> bool {
    cfg!(feature = "enable") && (index != 0 || ACTIVE.load(Ordering::Relaxed))
}

#[inline]
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

pub(crate) fn get(index: u16) -> Option<Arc<Tracer>> {
    let tracers = TRACERS.read().unwrap_or_else(PoisonError::into_inner);
    tracers.get(usize::from(index))?.clone()
}

/// Puts a tracer under an index, or takes it away.
pub(crate) fn set(number: u16, tracer: Option<Arc<Tracer>>) {
    let mut tracers = TRACERS.write().unwrap_or_else(PoisonError::into_inner);
    let index = usize::from(number);
    if tracers.len() <= index {
        tracers.resize_with(index + 1, || None);
    }
    if index == 0 {
        ACTIVE.store(tracer.is_some(), Ordering::Relaxed);
    }
    let gone = tracer.is_none();
    tracers[index] = tracer;
    ANY.store(tracers.iter().any(Option::is_some), Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Release);
    drop(tracers);
    if gone {
        mailbox::forget(number);
    }
}

/// Puts a tracer under an index of its own; nothing when all are taken.
pub(crate) fn add(tracer: Arc<Tracer>) -> Option<u16> {
    let mut tracers = TRACERS.write().unwrap_or_else(PoisonError::into_inner);
    if tracers.is_empty() {
        tracers.push(None);
    }
    let free = tracers.iter().skip(1).position(Option::is_none);
    let index = free.map_or(tracers.len(), |found| found + 1);
    let number = u16::try_from(index).ok()?;
    if index == tracers.len() {
        tracers.push(None);
    }
    tracers[index] = Some(tracer);
    ANY.store(true, Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Release);
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(sampled: f64) -> Tracer {
        let rules = Rules {
            sampled: share_of(sampled),
            ..Rules::default()
        };
        Tracer::new(Sink::Memory(Mutex::default()), rules, Source::System)
    }

    #[test]
    fn about_the_wanted_share_of_traces_is_sampled() {
        let tracer = tracer(0.25);
        let sampled = |ratio| {
            let ids = (0..4_000).map(|_| id::trace_id(1));
            ids.filter(|id| tracer.samples(*id, ratio)).count()
        };
        let share = sampled(None);
        assert!((850..1_150).contains(&share), "{share} of 4,000");
        assert_eq!(sampled(Some(0.0)), 0);
        assert_eq!(sampled(Some(1.0)), 4_000);
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let tracer = tracer(0.0);
        let large = vec![0; HELD_LIMIT_BYTES / 4];
        for number in 0..9 {
            let trace_id = TraceId::from_bytes([number; 16]);
            assert!(tracer.hold(trace_id, &large, false).is_empty());
            assert!(tracer.held().bytes <= HELD_LIMIT_BYTES);
        }
        let last = TraceId::from_bytes([8; 16]);
        assert_eq!(tracer.hold(last, &large, true).len(), 2);
        assert!(tracer.hold(TraceId::default(), &[1], false).is_empty());
        tracer.release(TraceId::default());
        tracer.release(last);
    }
}
