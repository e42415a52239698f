//! The part of each thread that keeps its entered spans, its buffers and its way into the store.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};

use spanlite_model::{SpanId, StatusCode};
use spanlite_store::record::SpanHead;
use spanlite_store::{Appended, Lane, OPEN_RECORD_BYTES, OpenSpan};

use crate::clock::Stamp;
use crate::context::{self, Context, HELD, REMOTE, SAMPLED, SHARED};
use crate::live::{Live, Start, Started};
use crate::span::{Counts, UNCOUNTED_BYTES};
use crate::tracer::{self, OpenSpans, Sink, Tracer};
use crate::{mailbox, recent, scope};

/// What one thread keeps.
pub(crate) struct Local {
    tracer: Option<Arc<Tracer>>,
    index: u16,
    generation: u64,
    lane: Option<Lane>,
    #[expect(
        clippy::vec_box,
        reason = "spans are handed over by pointer, never copied"
    )]
    pool: Vec<Box<Live>>,
    pub(crate) entered: Vec<Option<Box<Live>>>,
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local::new()) };
}

/// How many buffers a thread keeps for later spans, and how large they may be.
const POOLED: usize = 64;
const POOLED_BYTES: usize = UNCOUNTED_BYTES;

/// Runs with the thread's part. Nothing where the thread ends, or where code of the program that
/// runs inside of us (a `Serialize`) came back here.
#[inline]
pub(crate) fn with<R>(run: impl FnOnce(&mut Local) -> R) -> Option<R> {
    LOCAL
        .try_with(|local| Some(run(&mut *local.try_borrow_mut().ok()?)))
        .ok()
        .flatten()
}

impl Local {
    const fn new() -> Self {
        Self {
            tracer: None,
            index: 0,
            generation: 0,
            lane: None,
            pool: Vec::new(),
            entered: Vec::new(),
        }
    }

    /// The tracer of a context, looked up anew only when one came or went.
    #[inline]
    pub(crate) fn tracer(&mut self, index: u16) -> Option<&Arc<Tracer>> {
        if self.index != index || self.generation != tracer::generation() {
            self.look_up(index);
        }
        self.tracer.as_ref()
    }

    #[cold]
    fn look_up(&mut self, index: u16) {
        self.generation = tracer::generation();
        self.index = index;
        self.tracer = tracer::get(index);
        // Taken here, before a span reads the clock: the lane of a store that is being opened
        // waits for its journal, and that wait is no part of the program's first span.
        self.lane = match self.tracer.as_ref().map(|tracer| &tracer.sink) {
            Some(Sink::Store(store)) => store.lane().ok(),
            Some(Sink::Memory(_)) | None => None,
        };
    }

    /// Forgets the tracer and gives up the lane.
    pub(crate) fn let_go(&mut self) {
        self.lane = None;
        self.tracer = None;
        self.generation = 0;
    }

    #[inline]
    pub(crate) fn pooled(&mut self) -> Box<Live> {
        self.pool.pop().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn recycle(&mut self, mut live: Box<Live>) {
        live.redact = None;
        live.open = None;
        if self.pool.len() < POOLED && live.encoder.capacity_bytes() <= POOLED_BYTES {
            self.pool.push(live);
        }
    }

    /// Hands a record to the tracer of `index`.
    #[inline]
    pub(crate) fn append(&mut self, index: u16, record: &[u8]) {
        if self.tracer(index).is_none() {
            return;
        }
        // A lane is of the tracer that was looked up last.
        match self.lane.as_ref().map(|lane| lane.append(record)) {
            Some(Appended::Stored) => {}
            Some(Appended::Dropped) => self.count_dropped(),
            _ => self.append_anew(record),
        }
    }

    /// Hands a record over for which there is no lane, or that of the parent of a fork.
    #[cold]
    fn append_anew(&mut self, record: &[u8]) {
        let Some(tracer) = &self.tracer else {
            return;
        };
        match &tracer.sink {
            Sink::Memory(records) => {
                let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
                records.push(record.into());
            }
            Sink::Store(store) => {
                self.lane = store.lane().ok();
                let appended = self.lane.as_ref().map(|lane| lane.append(record));
                if appended != Some(Appended::Stored) {
                    tracer.count_dropped(1);
                }
            }
        }
    }

    #[cold]
    fn count_dropped(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.count_dropped(1);
        }
    }

    #[inline]
    pub(crate) fn begin(&mut self, name: &str, parent: &Context, start: &Start) -> Started {
        let mut live = self.pooled();
        let Some(tracer) = self.tracer(parent.tracer()) else {
            return Started::Off;
        };
        let stamp = start
            .start_unix_nanos
            .map_or_else(|| tracer.now(), Stamp::fixed);
        let span_id = tracer.span_id();
        let context = if parent.has_span() {
            parent.inside(parent.trace_id, span_id, parent.flags() & (SAMPLED | HELD))
        } else {
            let trace_id = tracer.trace_id(stamp.unix_nanos);
            let flags = tracer.decide(trace_id, start.sampling);
            let context = parent.inside(trace_id, span_id, flags);
            if flags == 0 {
                return Started::Unsampled(context);
            }
            context
        };
        live.encoder
            .set_value_limit_bytes(tracer.rules.value_limit_bytes);
        live.redact.clone_from(&tracer.rules.redact);
        live.encoder.begin(&SpanHead {
            trace_id: context.trace_id,
            span_id,
            parent_span_id: parent.span_id(),
            start_time_unix_nano: stamp.unix_nanos,
            flags: otlp_flags(&context, parent),
        });
        live.encoder.set_name(name);
        live.is_root = !parent.has_span();
        if parent.is(REMOTE) {
            live.is_root = true;
            carry_on(&mut live, parent);
        }
        live.context = context;
        live.process = spanlite_store::fork_generation();
        live.start = stamp;
        live.status = StatusCode::Unset;
        live.has_outputs = false;
        live.was_panicking = std::thread::panicking();
        Started::Live(live)
    }

    /// Shows an open span to readers.
    fn open(&mut self, record: &[u8]) -> Option<OpenSpan> {
        if self.lane.is_none()
            && let Sink::Store(store) = &self.tracer.as_ref()?.sink
        {
            self.lane = store.lane().ok();
        }
        self.lane.as_ref()?.open(record)
    }

    #[inline]
    pub(crate) fn announce(&mut self, live: &mut Live) {
        let Some(tracer) = self.tracer(live.context.tracer()) else {
            return;
        };
        if live.is_root || tracer.rules.open_spans == OpenSpans::All {
            let shown = tracer.rules.open_spans != OpenSpans::Never;
            self.announce_open(live, shown);
        }
    }

    fn announce_open(&mut self, live: &mut Live, shown: bool) {
        if shown && !live.context.is(HELD) {
            live.open = self.open(live.encoder.record_within(OPEN_RECORD_BYTES));
        }
        if live.context.scope() != 0 && live.is_root {
            let scope = live.context.scope();
            let updates = scope::updates(scope, &live.context, live.start.unix_nanos);
            for update in updates {
                self.append(live.context.tracer(), &update);
            }
        }
    }

    pub(crate) fn end(&mut self, mut live: Box<Live>, end_unix_nanos: Option<u64>) {
        let index = live.context.tracer();
        if live.context.is(SHARED) {
            mailbox::close(&live.context);
            live.read_mail();
        }
        if live.process != spanlite_store::fork_generation() {
            return;
        }
        let Some(tracer) = self.tracer(index) else {
            return;
        };
        let end = end_unix_nanos.unwrap_or_else(|| tracer.end_of(live.start));
        live.encoder.set_end(end);
        if live.encoder.is_cut() {
            live.encoder
                .set_attribute(crate::CUT_ATTRIBUTE, &true, None);
            live.encoder.set_left_out(live.counts.left_out);
            live.counts = Counts::default();
        }
        if live.context.is(HELD) {
            self.end_held(&live);
        } else {
            self.append(index, live.encoder.as_bytes());
        }
        if live.is_root {
            live.open = None;
            recent::set(live.context.trace_id);
        }
        self.recycle(live);
    }

    #[cold]
    fn end_held(&mut self, live: &Live) {
        let index = live.context.tracer();
        let Some(tracer) = self.tracer(index) else {
            return;
        };
        let failed = live.status == StatusCode::Error;
        let trace_id = live.context.trace_id;
        let records = tracer.hold(trace_id, live.encoder.as_bytes(), failed);
        if live.is_root {
            tracer.release(trace_id);
        }
        for record in records {
            self.append(index, &record);
        }
    }

    /// Takes an entered span out, and forgets places at the end that are empty.
    #[inline]
    pub(crate) fn take(&mut self, index: usize) -> Option<Box<Live>> {
        let live = self.entered.get_mut(index)?.take();
        while let Some(None) = self.entered.last() {
            self.entered.pop();
        }
        live
    }

    #[inline]
    pub(crate) fn enter(&mut self, mut live: Box<Live>) -> usize {
        live.previous = context::replace(live.context);
        self.entered.push(Some(live));
        self.entered.len() - 1
    }

    #[inline]
    pub(crate) fn leave(&mut self, index: usize) -> Option<Box<Live>> {
        let live = self.take(index)?;
        if context::get().span_id == live.context.span_id {
            context::replace(live.previous);
        } else {
            // Left out of order: what was entered meanwhile must not go back to this span.
            for later in self.entered.iter_mut().flatten() {
                if later.previous.span_id == live.context.span_id {
                    later.previous = live.previous;
                }
            }
        }
        Some(live)
    }

    /// Puts a span back into its place among the entered ones.
    #[inline]
    pub(crate) fn put(&mut self, index: usize, live: Box<Live>) {
        match self.entered.get_mut(index) {
            Some(place) => *place = Some(live),
            None => self.put_behind(index, live),
        }
    }

    /// Puts a span back whose place was forgotten meanwhile.
    #[cold]
    fn put_behind(&mut self, index: usize, live: Box<Live>) {
        self.entered.resize_with(index, || None);
        self.entered.push(Some(live));
    }

    pub(crate) fn position(&self, span_id: SpanId) -> Option<usize> {
        self.entered.iter().rposition(|live| {
            live.as_ref()
                .is_some_and(|live| live.context.span_id == span_id)
        })
    }
}

/// What a span has of the one in another process that it continues.
#[cold]
fn carry_on(live: &mut Live, parent: &Context) {
    let carried = scope::carried(parent.scope());
    if let Some(tracestate) = carried.and_then(|one| one.tracestate) {
        live.encoder.set_trace_state(&tracestate);
    }
}

/// OTLP's flags: W3C's in the low byte, then that it is known whether the parent is remote, then
/// whether it is.
fn otlp_flags(context: &Context, parent: &Context) -> u32 {
    let sampled = u32::from(context.is(SAMPLED));
    sampled | 1 << 8 | u32::from(parent.is(REMOTE)) << 9
}
