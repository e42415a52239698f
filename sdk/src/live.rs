//! Open spans, and the part of each thread that keeps the entered ones.
//!
//! A span that is entered lies in its thread's [`Local`], where [`current_span`](crate::current_span)
//! finds it without a lock; one that is not entered lies in whoever owns it. A future or a stream
//! moves its span into the thread for each poll and out again. Other threads that were given the
//! context leave what they have to say in a mailbox, which the span empties when it ends.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError};

use spanlite_model::{SpanId, StatusCode};
use spanlite_store::record::{Redact, SpanEncoder, SpanHead};
use spanlite_store::{Appended, Lane, OPEN_RECORD_BYTES, OpenSpan};

use crate::clock::{self, Stamp};
use crate::context::{self, Context, HELD, REMOTE, SAMPLED, SILENT};
use crate::mailbox::{self, Letter};
use crate::tracer::{self, OpenSpans, Sink, Tracer};
use crate::{recent, scope};

/// An open span.
pub(crate) struct Live {
    pub(crate) encoder: SpanEncoder,
    /// The place of its children.
    pub(crate) context: Context,
    /// Where it was made.
    pub(crate) parent: Context,
    /// Where the thread it was entered in goes back to.
    previous: Context,
    pub(crate) start: Stamp,
    pub(crate) status: StatusCode,
    pub(crate) has_outputs: bool,
    /// Whether the thread was panicking when it was made.
    pub(crate) was_panicking: bool,
    pub(crate) redact: Option<Arc<dyn Redact + Send + Sync>>,
    /// Where readers see it while it is open.
    open: Option<OpenSpan>,
}

/// How a span is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    /// The place to start at, where it is not the present one.
    pub(crate) parent: Option<Context>,
    /// Begins a trace of its own.
    pub(crate) root: bool,
    /// The share of traces to record, if it begins one.
    pub(crate) sampling: Option<f64>,
    /// When it started, where it is not now.
    pub(crate) start_unix_nanos: Option<u64>,
}

/// What became of a span that was asked for.
pub(crate) enum Started {
    /// Nothing is recorded, and nothing has to be remembered.
    Off,
    /// A trace that is not recorded begins here; its spans have to know.
    Unsampled(Context),
    Live(Box<Live>),
}

/// What one thread keeps.
struct Local {
    tracer: Option<Arc<Tracer>>,
    index: u16,
    generation: u64,
    lane: Option<Lane>,
    #[expect(
        clippy::vec_box,
        reason = "spans are handed over by pointer, never copied"
    )]
    pool: Vec<Box<Live>>,
    entered: Vec<Option<Box<Live>>>,
}

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local::new()) };
}

/// How many buffers a thread keeps for later spans, and how large they may be.
const POOLED: usize = 64;
const POOLED_BYTES: usize = 64 << 10;

/// Runs with the thread's part. Nothing where the thread ends, or where code of the program that
/// runs inside of us (a `Serialize`) came back here.
#[inline]
fn with<R>(run: impl FnOnce(&mut Local) -> R) -> Option<R> {
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
    fn tracer(&mut self, index: u16) -> Option<&Arc<Tracer>> {
        if self.index != index || self.generation != tracer::generation() {
            self.look_up(index);
        }
        self.tracer.as_ref()
    }

    #[cold]
    fn look_up(&mut self, index: u16) {
        self.generation = tracer::generation();
        self.index = index;
        self.lane = None;
        self.tracer = tracer::get(index);
    }

    fn pooled(&mut self) -> Box<Live> {
        self.pool.pop().unwrap_or_default()
    }

    fn recycle(&mut self, mut live: Box<Live>) {
        live.redact = None;
        live.open = None;
        if self.pool.len() < POOLED && live.encoder.capacity_bytes() <= POOLED_BYTES {
            self.pool.push(live);
        }
    }

    /// Hands a record to the tracer of `index`.
    fn append(&mut self, index: u16, record: &[u8]) {
        self.tracer(index);
        let Some(tracer) = &self.tracer else {
            return;
        };
        match &tracer.sink {
            Sink::Memory(records) => {
                let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
                records.push(record.into());
            }
            Sink::Store(store) => {
                let mut appended = Appended::Forked;
                // A lane of the parent of a fork is no use here; the store gives another.
                for _ in 0..2 {
                    if self.lane.is_none() {
                        self.lane = store.lane().ok();
                    }
                    appended = self
                        .lane
                        .as_ref()
                        .map_or(Appended::Dropped, |l| l.append(record));
                    if appended != Appended::Forked {
                        break;
                    }
                    self.lane = None;
                }
                if appended != Appended::Stored {
                    tracer.count_dropped();
                }
            }
        }
    }

    fn begin(&mut self, name: &str, parent: Context, start: Start) -> Started {
        let mut live = self.pooled();
        let Some(tracer) = self.tracer(parent.tracer) else {
            return Started::Off;
        };
        let stamp = start
            .start_unix_nanos
            .map_or_else(|| tracer.now(), Stamp::fixed);
        let mut context = Context {
            span_id: tracer.span_id(),
            flags: parent.flags & (SAMPLED | HELD),
            mailbox: 0,
            ..parent
        };
        if !parent.has_span() {
            context.trace_id = tracer.trace_id(stamp.unix_nanos);
            context.flags = if tracer.samples(context.trace_id, start.sampling) {
                SAMPLED
            } else if tracer.rules.keep_errors {
                HELD
            } else {
                return Started::Unsampled(Context {
                    flags: 0,
                    ..context
                });
            };
        }
        live.encoder
            .set_value_limit_bytes(tracer.rules.value_limit_bytes);
        live.redact.clone_from(&tracer.rules.redact);
        live.encoder.begin(&SpanHead {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_span_id: parent.span_id(),
            start_time_unix_nano: stamp.unix_nanos,
            flags: otlp_flags(&context, &parent),
        });
        live.encoder.set_name(name);
        if parent.is(REMOTE)
            && let Some(tracestate) = scope::carried(parent.scope).and_then(|one| one.tracestate)
        {
            live.encoder.set_trace_state(&tracestate);
        }
        live.context = context;
        live.parent = parent;
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

    fn announce(&mut self, live: &mut Live) {
        let index = live.context.tracer;
        let Some(tracer) = self.tracer(index) else {
            return;
        };
        let wanted = match tracer.rules.open_spans {
            OpenSpans::Never => false,
            OpenSpans::Roots => live.is_root(),
            OpenSpans::All => true,
        };
        if wanted && !live.context.is(HELD) {
            live.open = self.open(live.encoder.record_within(OPEN_RECORD_BYTES));
        }
        if live.context.scope != 0 && live.is_root() {
            let updates = scope::updates(live.context.scope, &live.context, live.start.unix_nanos);
            for update in updates {
                self.append(index, &update);
            }
        }
    }

    fn end(&mut self, mut live: Box<Live>, end_unix_nanos: Option<u64>) {
        let index = live.context.tracer;
        if live.context.mailbox != 0
            && let Some(letter) = mailbox::close(live.context.mailbox)
        {
            live.absorb(&letter);
        }
        let Some(tracer) = self.tracer(index) else {
            return;
        };
        let end = end_unix_nanos.unwrap_or_else(|| tracer.end_of(live.start));
        live.encoder.set_end(end);
        if live.encoder.is_cut() {
            live.encoder
                .set_attribute(crate::CUT_ATTRIBUTE, &true, None);
        }
        if live.context.is(HELD) {
            self.end_held(&live);
        } else {
            self.append(index, live.encoder.as_bytes());
        }
        live.open = None;
        if live.is_root() {
            recent::set(live.context.trace_id);
        }
        self.recycle(live);
    }

    #[cold]
    fn end_held(&mut self, live: &Live) {
        let index = live.context.tracer;
        let Some(tracer) = self.tracer(index) else {
            return;
        };
        let failed = live.status == StatusCode::Error;
        let trace_id = live.context.trace_id;
        let records = tracer.hold(trace_id, live.encoder.as_bytes(), failed);
        if live.is_root() {
            tracer.release(trace_id);
        }
        for record in records {
            self.append(index, &record);
        }
    }

    /// Takes an entered span out, and forgets places at the end that are empty.
    fn take(&mut self, index: usize) -> Option<Box<Live>> {
        let live = self.entered.get_mut(index)?.take();
        while let Some(None) = self.entered.last() {
            self.entered.pop();
        }
        live
    }

    fn put(&mut self, index: usize, live: Box<Live>) {
        if self.entered.len() <= index {
            self.entered.resize_with(index + 1, || None);
        }
        self.entered[index] = Some(live);
    }

    fn position(&self, span_id: SpanId) -> Option<usize> {
        self.entered.iter().rposition(|live| {
            live.as_ref()
                .is_some_and(|live| live.context.span_id == span_id)
        })
    }
}

/// OTLP's flags: W3C's in the low byte, then that it is known whether the parent is remote, then
/// whether it is.
fn otlp_flags(context: &Context, parent: &Context) -> u32 {
    let sampled = u32::from(context.is(SAMPLED));
    sampled | 1 << 8 | u32::from(parent.is(REMOTE)) << 9
}

/// Begins a span. It is not entered and not announced yet.
#[inline]
pub(crate) fn begin(name: &str, start: Start) -> Started {
    let mut parent = start.parent.unwrap_or_else(context::get);
    if !tracer::is_on(parent.tracer) || parent.is(SILENT) {
        return Started::Off;
    }
    if start.root {
        parent = Context {
            tracer: parent.tracer,
            scope: parent.scope,
            ..Context::NONE
        };
    }
    if parent.has_span() && !parent.is_sampled() {
        return Started::Off;
    }
    with(|local| local.begin(name, parent, start)).unwrap_or(Started::Off)
}

/// The present time by the clock of a tracer, in Unix nanoseconds.
pub(crate) fn now(tracer: u16) -> u64 {
    with(|local| local.tracer(tracer).map(|tracer| tracer.now().unix_nanos))
        .flatten()
        .unwrap_or_else(|| clock::now().unix_nanos)
}

/// Moves the start of a span to this moment.
pub(crate) fn restart(live: &mut Live) {
    with(|local| {
        if let Some(tracer) = local.tracer(live.context.tracer) {
            live.start = tracer.now();
            live.encoder.set_start(live.start.unix_nanos);
        }
    });
}

/// Makes an open span known to readers, if the tracer wants that.
#[inline]
pub(crate) fn announce(live: &mut Live) {
    with(|local| local.announce(live));
}

/// Ends a span now, or at the given time, and hands its record over.
#[inline]
pub(crate) fn end(live: Box<Live>, end_unix_nanos: Option<u64>) {
    with(|local| local.end(live, end_unix_nanos));
}

/// Drops a span as if it had never been.
pub(crate) fn forget(live: Box<Live>) {
    if live.context.mailbox != 0 {
        mailbox::close(live.context.mailbox);
    }
    with(|local| local.recycle(live));
}

/// Hands a change of a trace to the tracer.
pub(crate) fn append(tracer: u16, record: &[u8]) {
    with(|local| local.append(tracer, record));
}

/// Puts a span into the thread and makes it the present one. Gives its place; nothing when the
/// thread is ending, and the span with it.
#[inline]
pub(crate) fn enter(mut live: Box<Live>) -> Option<usize> {
    live.previous = context::replace(live.context);
    with(|local| {
        local.entered.push(Some(live));
        local.entered.len() - 1
    })
}

/// Takes a span out of the thread, which goes back to where it was before.
#[inline]
pub(crate) fn leave(index: usize) -> Option<Box<Live>> {
    let live = with(|local| local.take(index)).flatten()?;
    if context::get().span_id == live.context.span_id {
        context::replace(live.previous);
    } else {
        // Left out of order: what was entered meanwhile must not go back to this span.
        with(|local| {
            for later in local.entered.iter_mut().flatten() {
                if later.previous.span_id == live.context.span_id {
                    later.previous = live.previous;
                }
            }
        });
    }
    Some(live)
}

/// Changes the entered span at a place. Code of the program may run inside.
#[inline]
pub(crate) fn change_at(index: usize, change: impl FnOnce(&mut Live)) {
    let live = with(|local| local.entered.get_mut(index)?.take()).flatten();
    if let Some(mut live) = live {
        change(&mut live);
        with(|local| local.put(index, live));
    }
}

/// Changes the span of a context, wherever it lies.
pub(crate) fn change(context: &Context, change: impl FnOnce(&mut Live)) {
    match with(|local| local.position(context.span_id)).flatten() {
        Some(index) => change_at(index, change),
        None if context.mailbox != 0 => {
            let Some(mut live) = with(Local::pooled) else {
                return;
            };
            live.prepare_letter(context);
            change(&mut live);
            mailbox::post(context.mailbox, &live);
            with(|local| local.recycle(live));
        }
        None => {}
    }
}

/// The context with a mailbox, so that other threads can change its span. A span that does not
/// lie in this thread was given one when its context was taken.
pub(crate) fn share(context: Context) -> Context {
    if !context.is_sampled() || context.mailbox != 0 {
        return context;
    }
    let shared = with(|local| {
        let index = local.position(context.span_id)?;
        let live = local.entered.get_mut(index)?.as_mut()?;
        Some(live.share())
    });
    match shared.flatten() {
        Some(shared) => {
            let shared = Context {
                scope: context.scope,
                ..shared
            };
            context::replace(shared);
            shared
        }
        None => context,
    }
}

/// Ends every span that is entered in this thread, innermost first, and waits until they are
/// stored: the process is about to abort.
#[cfg(panic = "abort")]
pub(crate) fn abandon(write: impl Fn(&mut Live)) {
    let mut tracers = Vec::new();
    with(|local| {
        while let Some(live) = local.entered.pop() {
            if let Some(mut live) = live {
                write(&mut live);
                let index = live.context.tracer;
                local.end(live, None);
                tracers.extend(local.tracer(index).cloned());
            }
        }
    });
    for tracer in tracers {
        // The abort that follows says more than a failed flush could.
        tracer.flush().unwrap_or_default();
    }
}

/// Gives up the thread's lane, so that the store it belongs to can be closed.
pub(crate) fn let_go() {
    with(|local| {
        local.lane = None;
        local.tracer = None;
        local.generation = 0;
    });
}

impl Default for Live {
    fn default() -> Self {
        Self {
            encoder: SpanEncoder::new(),
            context: Context::NONE,
            parent: Context::NONE,
            previous: Context::NONE,
            start: Stamp::fixed(0),
            status: StatusCode::Unset,
            has_outputs: false,
            was_panicking: false,
            redact: None,
            open: None,
        }
    }
}

impl Live {
    /// Whether it is the first span of its trace in this process.
    pub(crate) fn is_root(&self) -> bool {
        !self.parent.has_span() || self.parent.is(REMOTE)
    }

    /// The context with a mailbox.
    pub(crate) fn share(&mut self) -> Context {
        if self.context.mailbox == 0 {
            self.context.mailbox = mailbox::open();
        }
        self.context
    }

    /// The present time, in Unix nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        now(self.context.tracer)
    }

    /// Makes this a sheet on which changes for another span are written.
    fn prepare_letter(&mut self, context: &Context) {
        self.encoder.begin(&SpanHead {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_span_id: None,
            start_time_unix_nano: 0,
            flags: 0,
        });
        self.status = StatusCode::Unset;
        self.has_outputs = false;
        with(|local| {
            if let Some(tracer) = local.tracer(context.tracer) {
                self.encoder
                    .set_value_limit_bytes(tracer.rules.value_limit_bytes);
                self.redact.clone_from(&tracer.rules.redact);
            }
        });
    }

    /// Takes over what was said of a span that this one replaces.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.encoder.set_kind(other.encoder.kind());
        self.absorb(&Letter {
            fields: other.encoder.fields().to_vec(),
            status: other.status,
            has_outputs: other.has_outputs,
        });
    }

    /// Takes over what another sheet says.
    pub(crate) fn absorb(&mut self, letter: &Letter) {
        self.encoder.append_fields(&letter.fields);
        self.has_outputs |= letter.has_outputs;
        if letter.status != StatusCode::Unset {
            self.status = letter.status;
            self.encoder.set_status(letter.status);
        }
    }
}
