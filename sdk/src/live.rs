//! Open spans.
//!
//! A span that is entered lies in its thread's [`Local`], where [`current_span`](crate::current_span)
//! finds it without a lock; one that is not entered lies in whoever owns it. The span of a future
//! or a stream stays there while it is polled. Whoever speaks of a span that does not lie in his
//! thread leaves it in a mailbox, which the span empties when a poll or the span ends.

use std::sync::Arc;

use spanlite_model::StatusCode;
use spanlite_store::OpenSpan;
use spanlite_store::record::{Redact, SpanEncoder, SpanHead};

use crate::clock::{self, Stamp};
use crate::context::{self, Context, SHARED, SILENT};
use crate::local::{Local, with};
use crate::mailbox::{self, Letter};
use crate::span::{Counts, UNCOUNTED_BYTES};
use crate::{panics, tracer};

/// An open span.
pub(crate) struct Live {
    pub(crate) encoder: SpanEncoder,
    /// The place of its children.
    pub(crate) context: Context,
    /// Where the thread it was entered in goes back to.
    pub(crate) previous: Context,
    pub(crate) start: Stamp,
    /// Whether it is the first span of its trace in this process.
    pub(crate) is_root: bool,
    pub(crate) status: StatusCode,
    pub(crate) has_outputs: bool,
    /// Until it is this long nothing that is said of it is counted.
    pub(crate) uncounted_bytes: usize,
    pub(crate) counts: Counts,
    /// The process it was made in, as forks count them: a child leaves its parent's spans alone.
    pub(crate) process: u64,
    /// Whether the thread was panicking when it was made.
    pub(crate) was_panicking: bool,
    pub(crate) redact: Option<Arc<dyn Redact + Send + Sync>>,
    /// Where readers see it while it is open.
    pub(crate) open: Option<OpenSpan>,
}

/// How a span is made that does not simply begin here and now.
#[derive(Debug, Clone, Copy)]
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

impl Start {
    /// Here and now.
    pub(crate) const PLAIN: Self = Self {
        parent: None,
        root: false,
        sampling: None,
        start_unix_nanos: None,
    };
}

/// What became of a span that was asked for.
pub(crate) enum Started {
    /// Nothing is recorded, and nothing has to be remembered.
    Off,
    /// A trace that is not recorded begins here; its spans have to know.
    Unsampled(Context),
    Live(Box<Live>),
}

/// The place where a span begins; nothing where none is recorded.
#[inline]
fn place(start: &Start) -> Option<Context> {
    let mut parent = start.parent.unwrap_or_else(context::get);
    if !tracer::is_on(parent.tracer()) || parent.is(SILENT) {
        return None;
    }
    if start.root {
        parent = parent.outside();
    }
    (parent.is_sampled() || !parent.has_span()).then_some(parent)
}

/// Begins a span. It is not entered and not announced yet.
pub(crate) fn begin(name: &str, start: &Start) -> Started {
    match place(start) {
        Some(parent) => with(|local| local.begin(name, &parent, start)).unwrap_or(Started::Off),
        None => Started::Off,
    }
}

/// Begins a span, announces it and enters it.
pub(crate) fn begin_entered(name: &str, start: &Start) -> Place {
    let Some(parent) = place(start) else {
        return Place::Nowhere;
    };
    let begun = with(|local| match local.begin(name, &parent, start) {
        Started::Off => Place::Nowhere,
        Started::Unsampled(context) => Place::unsampled(context),
        Started::Live(mut live) => {
            local.announce(&mut live);
            Place::Index(local.enter(live))
        }
    });
    begun.unwrap_or(Place::Nowhere)
}

/// Ends the span that is entered at a place.
pub(crate) fn end_entered(index: usize) {
    if std::thread::panicking() {
        if let Some(mut live) = leave(index) {
            panics::record(&mut live);
            end(live, None);
        }
        return;
    }
    with(|local| {
        if let Some(live) = local.leave(index) {
            local.end(live, None);
        }
    });
}

/// Where a guard's span lies.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nothing is recorded.
    Nowhere,
    /// Inside a trace that is not recorded; where the thread was before.
    Unsampled(Context),
    /// Among the entered spans of the thread.
    Index(usize),
}

impl Place {
    /// Goes into a trace that is not recorded.
    pub(crate) fn unsampled(context: Context) -> Self {
        Self::Unsampled(context::replace(context))
    }
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
        if let Some(tracer) = local.tracer(live.context.tracer()) {
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
pub(crate) fn forget(mut live: Box<Live>) {
    live.counts = Counts::default();
    mailbox::close(&live.context);
    mailbox::take(&live.context);
    with(|local| local.recycle(live));
}

/// Hands a change of a trace to the tracer.
pub(crate) fn append(index: u16, record: &[u8]) {
    if tracer::is_on(index) {
        with(|local| local.append(index, record));
    }
}

/// Puts a span into the thread and makes it the present one. Gives its place; nothing when the
/// thread is ending, and the span with it.
#[inline]
pub(crate) fn enter(live: Box<Live>) -> Option<usize> {
    with(|local| local.enter(live))
}

/// Takes a span out of the thread, which goes back to where it was before.
#[inline]
pub(crate) fn leave(index: usize) -> Option<Box<Live>> {
    with(|local| local.leave(index)).flatten()
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
        None if context.is(SHARED) && tracer::get(context.tracer()).is_some() => {
            let Some(mut live) = with(Local::pooled) else {
                return;
            };
            live.prepare_letter(context);
            change(&mut live);
            let dropped = mailbox::post(context, &live);
            live.uncounted_bytes = UNCOUNTED_BYTES;
            live.counts = Counts::default();
            with(|local| {
                if dropped > 0
                    && let Some(tracer) = local.tracer(context.tracer())
                {
                    tracer.count_dropped(dropped);
                }
                local.recycle(live);
            });
        }
        None => {}
    }
}

/// The context in a form that other threads can change its span by. A span that does not lie in
/// this thread was told so when its context was taken.
pub(crate) fn share(context: Context) -> Context {
    if !context.is_sampled() || context.is(SHARED) {
        return context;
    }
    let found = with(|local| {
        let index = local.position(context.span_id)?;
        local.entered.get_mut(index)?.as_mut()?.share();
        Some(())
    });
    if found.flatten().is_none() {
        return context;
    }
    let shared = context.with(SHARED);
    context::replace(shared);
    shared
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
                let index = live.context.tracer();
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
    with(Local::let_go);
}

impl Default for Live {
    fn default() -> Self {
        Self {
            encoder: SpanEncoder::new(),
            context: Context::NONE,
            previous: Context::NONE,
            start: Stamp::fixed(0),
            is_root: false,
            process: 0,
            status: StatusCode::Unset,
            has_outputs: false,
            uncounted_bytes: UNCOUNTED_BYTES,
            counts: Counts::default(),
            was_panicking: false,
            redact: None,
            open: None,
        }
    }
}

impl Live {
    /// The context in a form that other threads can change the span by.
    #[inline]
    pub(crate) fn share(&mut self) -> Context {
        // Read at every poll: a word that was not written just now is read faster.
        if !self.context.is(SHARED) {
            self.context = self.context.with(SHARED);
        }
        self.context
    }

    /// Takes over what others left for it.
    #[inline]
    pub(crate) fn read_mail(&mut self) {
        if let Some(letter) = mailbox::take(&self.context) {
            self.absorb(&letter);
        }
    }

    /// The present time, in Unix nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        now(self.context.tracer())
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
        self.uncounted_bytes = 0;
        with(|local| {
            if let Some(tracer) = local.tracer(context.tracer()) {
                self.encoder
                    .set_value_limit_bytes(tracer.rules.value_limit_bytes);
                self.redact.clone_from(&tracer.rules.redact);
            }
        });
    }

    /// Takes over what was said of a span that this one replaces.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.encoder.set_kind(other.encoder.kind());
        self.absorb(&Letter::of(other));
    }

    /// Takes over what another sheet says.
    pub(crate) fn absorb(&mut self, letter: &Letter) {
        let is_whole = letter.has_outputs || letter.status != StatusCode::Unset;
        if self.has_room_for(letter.fields.len(), &letter.counts, is_whole) {
            self.count(&letter.counts);
            self.encoder.append_fields(&letter.fields);
        } else {
            self.encoder.mark_cut();
            self.counts.leave_out(&letter.counts);
        }
        if letter.is_cut {
            self.encoder.mark_cut();
        }
        self.has_outputs |= letter.has_outputs;
        if letter.status != StatusCode::Unset {
            self.status = letter.status;
            self.encoder.set_status(letter.status);
        }
    }
}
