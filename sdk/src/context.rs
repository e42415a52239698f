//! Where the running code stands in a trace, and how that place goes to other threads, tasks and
//! closures.

use std::cell::Cell;
use std::marker::PhantomData;

use spanlite_model::{SpanId, TraceId};

use crate::live;
use crate::scope::Hold;

/// A place in a trace: the span that new spans become children of.
///
/// It is small and `Copy`. Inside one thread, and inside futures and streams that were traced, it
/// is carried along by itself; take [`Context::current`] to carry it to another thread or task.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub(crate) trace_id: TraceId,
    /// Zero where no span is open.
    pub(crate) span_id: SpanId,
    /// Flags in the low byte, the tracer in 16 bits from [`TRACER_SHIFT`] on, the scope from
    /// [`SCOPE_SHIFT`] on: one word, because a word that is written in parts and read whole at
    /// once makes the processor wait.
    bits: u64,
}

const TRACER_SHIFT: u32 = 16;
const SCOPE_SHIFT: u32 = 32;

/// W3C: the trace is recorded.
pub(crate) const SAMPLED: u8 = 1;
/// The span ran in another process.
pub(crate) const REMOTE: u8 = 1 << 1;
/// Nothing is recorded here, by the user's word.
pub(crate) const SILENT: u8 = 1 << 2;
/// Spans are kept back until the trace is known to have failed.
pub(crate) const HELD: u8 = 1 << 3;
/// Others than the span's owner may know this place, and leave changes of the span in the mail.
pub(crate) const SHARED: u8 = 1 << 4;

/// In one line of the processor's cache: each poll writes it as a whole and reads it back.
#[repr(align(32))]
struct Present(Cell<Context>);

thread_local! {
    static PRESENT: Present = const { Present(Cell::new(Context::NONE)) };
}

/// The present context, as it is.
#[inline]
pub(crate) fn get() -> Context {
    PRESENT
        .try_with(|present| present.0.get())
        .unwrap_or(Context::NONE)
}

/// Changes the present context and returns the one before.
#[inline]
pub(crate) fn replace(context: Context) -> Context {
    PRESENT
        .try_with(|present| present.0.replace(context))
        .unwrap_or(Context::NONE)
}

impl Context {
    /// No place: new spans begin new traces.
    pub const NONE: Self = Self {
        trace_id: TraceId::from_bytes([0; 16]),
        span_id: SpanId::from_bytes([0; 8]),
        bits: 0,
    };

    /// Where the calling code stands.
    pub fn current() -> Self {
        live::share(get())
    }

    /// The trace; nothing where no span is open.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.has_span().then_some(self.trace_id)
    }

    /// The innermost open span.
    pub fn span_id(&self) -> Option<SpanId> {
        self.has_span().then_some(self.span_id)
    }

    /// Returns whether spans made here are recorded, as far as sampling decides it.
    pub fn is_sampled(&self) -> bool {
        self.is(SAMPLED | HELD)
    }

    /// A place of a trace, in the tracer of the calling code.
    pub(crate) fn at(trace_id: TraceId, span_id: SpanId, flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            bits: u64::from(flags) | get().bits & 0xffff << TRACER_SHIFT,
        }
    }

    /// Where the first span of a trace begins that leaves this place's trace.
    #[inline]
    pub(crate) fn outside(&self) -> Self {
        Self {
            bits: self.bits & !0xff,
            ..Self::NONE
        }
    }

    /// The place of a span's children, which have tracer and scope in common with it.
    #[inline]
    pub(crate) fn inside(&self, trace_id: TraceId, span_id: SpanId, flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            bits: self.bits & !0xff | u64::from(flags),
        }
    }

    /// Which tracer spans go to: 0 is the program's, others are captures of tests.
    #[inline]
    pub(crate) fn tracer(&self) -> u16 {
        (self.bits >> TRACER_SHIFT) as u16
    }

    pub(crate) fn with_tracer(self, tracer: u16) -> Self {
        let bits = self.bits & !(0xffff << TRACER_SHIFT) | u64::from(tracer) << TRACER_SHIFT;
        Self { bits, ..self }
    }

    /// Defaults for new traces, by their place in the table of scopes; 0 is none.
    #[inline]
    pub(crate) fn scope(&self) -> u32 {
        (self.bits >> SCOPE_SHIFT) as u32
    }

    pub(crate) fn with_scope(self, scope: u32) -> Self {
        let bits = self.bits & 0xffff_ffff | u64::from(scope) << SCOPE_SHIFT;
        Self { bits, ..self }
    }

    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        self.bits as u8
    }

    #[inline]
    pub(crate) fn with(self, flag: u8) -> Self {
        Self {
            bits: self.bits | u64::from(flag),
            ..self
        }
    }

    #[inline]
    pub(crate) fn has_span(&self) -> bool {
        !self.span_id.is_zero()
    }

    #[inline]
    pub(crate) fn is(&self, flag: u8) -> bool {
        self.flags() & flag != 0
    }

    /// Makes this the place of the calling thread until the guard is dropped.
    ///
    /// ```
    /// let context = spanlite::Context::current();
    /// std::thread::spawn(move || {
    ///     let _attached = context.attach();
    ///     // Spans made here are children of the span that was open above.
    /// });
    /// ```
    pub fn attach(self) -> Attached {
        let mut attached = self.attach_briefly();
        // What is inside of the same scope already is held by whoever entered that.
        if self.scope() != attached.previous.scope() {
            attached.scope = Hold::new(self.scope());
        }
        attached
    }

    /// Attaches it without a hold on its scope: for as long as a closure runs or a future is
    /// polled.
    #[inline]
    pub(crate) fn attach_briefly(self) -> Attached {
        Attached {
            context: self,
            previous: replace(self),
            scope: Hold::NONE,
            not_send: PhantomData,
        }
    }

    /// Runs a closure at this place.
    pub fn run<R>(self, closure: impl FnOnce() -> R) -> R {
        let _attached = self.attach_briefly();
        closure()
    }

    /// Gives a closure that runs at this place, on whatever thread, as often as it may.
    ///
    pub fn wrap<R>(self, closure: impl Fn() -> R) -> impl Fn() -> R {
        move || self.run(&closure)
    }

    /// Gives a closure of one argument that runs at this place: for the parallel iterators of
    /// rayon, whose threads know nothing of the caller's place, and the like.
    ///
    /// ```
    /// # struct Items; impl Items { fn map<R>(&self, f: impl Fn(u64) -> R + Sync) -> R { f(2) } }
    /// # let items = Items;
    /// let here = spanlite::Context::current();
    /// // items.par_iter().map(…)
    /// let squares = items.map(here.wrap_each(|item| item * item));
    /// ```
    pub fn wrap_each<A, R>(self, closure: impl Fn(A) -> R) -> impl Fn(A) -> R {
        move |argument| {
            let _attached = self.attach_briefly();
            closure(argument)
        }
    }
}

/// Places are the same wherever they have been handed to.
impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.trace_id == other.trace_id
            && self.span_id == other.span_id
            && self.with(SHARED).bits == other.with(SHARED).bits
    }
}

impl Eq for Context {}

impl Default for Context {
    fn default() -> Self {
        Self::NONE
    }
}

/// Keeps a thread at a place it was attached to; dropping it goes back.
#[derive(Debug)]
#[must_use = "dropping it goes back to where the thread was"]
pub struct Attached {
    context: Context,
    previous: Context,
    scope: Hold,
    not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // Dropped out of order: whoever attached later goes back by himself.
        if get() == self.context {
            replace(self.previous);
        }
    }
}

/// Starts a thread that stands where the calling code stands. For a pool or a runtime use
/// [`wrap`], or [`in_current_context`](crate::InSpanExt::in_current_context) on futures.
pub fn spawn<R: Send + 'static>(
    closure: impl FnOnce() -> R + Send + 'static,
) -> std::thread::JoinHandle<R> {
    std::thread::spawn(wrap(closure))
}

/// Gives a closure that runs where the calling code stands, for a thread or a pool.
///
/// ```
/// let worker = std::thread::spawn(spanlite::wrap(|| 1 + 1));
/// assert_eq!(worker.join().unwrap(), 2);
/// ```
pub fn wrap<R>(closure: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let context = Context::current();
    move || context.run(closure)
}
