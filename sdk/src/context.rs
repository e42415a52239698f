//! Where the running code stands in a trace, and how that place goes to other threads, tasks and
//! closures.

use std::cell::Cell;
use std::marker::PhantomData;

use spanlite_model::{SpanId, TraceId};

use crate::live;

/// A place in a trace: the span that new spans become children of.
///
/// It is small and `Copy`. Inside one thread, and inside futures and streams that were traced, it
/// is carried along by itself; take [`Context::current`] to carry it to another thread or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub(crate) trace_id: TraceId,
    /// Zero where no span is open.
    pub(crate) span_id: SpanId,
    pub(crate) flags: u8,
    /// Which tracer spans go to: 0 is the program's, others are captures of tests.
    pub(crate) tracer: u16,
    /// Defaults for new traces, by their place in the table of scopes; 0 is none.
    pub(crate) scope: u32,
    /// Where other threads leave changes for the span; 0 is nowhere.
    pub(crate) mailbox: u64,
}

/// W3C: the trace is recorded.
pub(crate) const SAMPLED: u8 = 1;
/// The span ran in another process.
pub(crate) const REMOTE: u8 = 1 << 1;
/// Nothing is recorded here, by the user's word.
pub(crate) const SILENT: u8 = 1 << 2;
/// Spans are kept back until the trace is known to have failed.
pub(crate) const HELD: u8 = 1 << 3;

thread_local! {
    static CURRENT: Cell<Context> = const { Cell::new(Context::NONE) };
}

/// The present context, as it is.
#[inline]
pub(crate) fn get() -> Context {
    CURRENT.try_with(Cell::get).unwrap_or(Context::NONE)
}

/// Changes the present context and returns the one before.
#[inline]
pub(crate) fn replace(context: Context) -> Context {
    CURRENT
        .try_with(|cell| cell.replace(context))
        .unwrap_or(Context::NONE)
}

impl Context {
    /// No place: new spans begin new traces.
    pub const NONE: Self = Self {
        trace_id: TraceId::from_bytes([0; 16]),
        span_id: SpanId::from_bytes([0; 8]),
        flags: 0,
        tracer: 0,
        scope: 0,
        mailbox: 0,
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
        self.flags & (SAMPLED | HELD) != 0
    }

    /// The context with the tracer of the calling code.
    pub(crate) fn of_present_tracer(self) -> Self {
        Self {
            tracer: get().tracer,
            ..self
        }
    }

    pub(crate) fn has_span(&self) -> bool {
        !self.span_id.is_zero()
    }

    pub(crate) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
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
        Attached {
            context: self,
            previous: replace(self),
            not_send: PhantomData,
        }
    }

    /// Runs a closure at this place.
    pub fn run<R>(self, closure: impl FnOnce() -> R) -> R {
        let _attached = self.attach();
        closure()
    }

    /// Gives a closure that runs at this place, on whatever thread, as often as it may.
    ///
    /// For closures that take arguments, [`Context::attach`] inside of them does the same.
    pub fn wrap<R>(self, closure: impl Fn() -> R) -> impl Fn() -> R {
        move || self.run(&closure)
    }
}

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
