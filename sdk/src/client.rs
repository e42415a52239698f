//! Spans that start and end in different functions and threads, named by their context.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use spanlite_model::{SpanId, TraceId};

use crate::context::Context;
use crate::span::{Span, SpanBuilder, span};

/// Starts and ends spans by hand, from any thread. Nothing is found by itself: each span is given
/// its parent, and none of them is the present span of a thread. What is still open when the
/// client is dropped ends then.
///
/// ```
/// use spanlite::Client;
///
/// let client = Client::new();
/// let trace = client.start_trace("request");
/// let step = client.start_span("step", trace);
/// client.change(step, |span| span.set_outputs(42));
/// client.end_span(step);
/// client.end_trace(trace);
/// ```
#[derive(Debug, Default)]
pub struct Client {
    open: Mutex<HashMap<SpanId, Open>>,
    put_back: Condvar,
}

#[derive(Debug)]
struct Open {
    trace_id: TraceId,
    state: State,
}

#[derive(Debug)]
enum State {
    Here(Span),
    /// A closure of a thread has it. It ends when it is put back, if somebody wanted that.
    Changing {
        by: ThreadId,
        ends: bool,
    },
}

impl<'a> From<&'a str> for SpanBuilder<'a> {
    fn from(name: &'a str) -> Self {
        span(name)
    }
}

impl<'a> From<&'a String> for SpanBuilder<'a> {
    fn from(name: &'a String) -> Self {
        span(name)
    }
}

impl Client {
    /// A client without open spans.
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SpanId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a trace with a span: its name, or a [`span`](crate::span) with all that is known.
    #[expect(single_use_lifetimes, reason = "`impl Trait` takes no anonymous ones")]
    pub fn start_trace<'a>(&self, span: impl Into<SpanBuilder<'a>>) -> Context {
        self.keep(span.into().root().start_detached())
    }

    /// Begins a span inside of another one, which may have begun elsewhere.
    #[expect(single_use_lifetimes, reason = "`impl Trait` takes no anonymous ones")]
    pub fn start_span<'a>(&self, span: impl Into<SpanBuilder<'a>>, parent: Context) -> Context {
        self.keep(span.into().parent(parent).start_detached())
    }

    fn keep(&self, mut span: Span) -> Context {
        let context = span.context();
        if span.is_recording() {
            let open = Open {
                trace_id: context.trace_id,
                state: State::Here(span),
            };
            self.open().insert(context.span_id, open);
        }
        context
    }

    /// Changes an open span. One that has ended, or that another client began, is left alone.
    ///
    /// Changes of one span from several threads wait for each other. Inside of the closure the
    /// client can be used; what it is told of the same span there is ignored, but for its end,
    /// which comes after the closure.
    pub fn change(&self, context: Context, change: impl FnOnce(&mut Span)) {
        if let Some(span) = self.take(context) {
            let mut taken = Taken {
                client: self,
                context,
                span,
                is_over: false,
            };
            change(&mut taken.span);
            taken.is_over = true;
        }
    }

    /// Takes a span out for a change; waits while another thread changes it.
    fn take(&self, context: Context) -> Option<Span> {
        let here = std::thread::current().id();
        let mut open = self.open();
        loop {
            let state = &mut open.get_mut(&context.span_id)?.state;
            match state {
                State::Changing { by, ends } if *by == here || *ends => return None,
                State::Changing { .. } => {
                    let waited = self.put_back.wait(open);
                    open = waited.unwrap_or_else(PoisonError::into_inner);
                }
                State::Here(span) => {
                    let span = std::mem::take(span);
                    *state = State::Changing {
                        by: here,
                        ends: false,
                    };
                    return Some(span);
                }
            }
        }
    }

    /// Ends a span; after the change that another thread makes just now.
    pub fn end_span(&self, context: Context) {
        let mut open = self.open();
        let ended = end(&mut open, context.span_id);
        // Without the lock: what is captured may run code of the program.
        drop(open);
        drop(ended);
    }

    /// Ends what is open of a trace, the given span last.
    pub fn end_trace(&self, context: Context) {
        let mut open = self.open();
        let first = end(&mut open, context.span_id);
        let of_trace = open
            .iter()
            .filter(|(_, span)| span.trace_id == context.trace_id);
        let ids: Vec<SpanId> = of_trace.map(|(span_id, _)| *span_id).collect();
        let inner: Vec<Option<Span>> = ids.iter().map(|id| end(&mut open, *id)).collect();
        drop(open);
        drop(inner);
        drop(first);
    }
}

/// Takes out a span that ends, or marks it where it is being changed.
fn end(open: &mut HashMap<SpanId, Open>, span_id: SpanId) -> Option<Span> {
    if let State::Changing { ends, .. } = &mut open.get_mut(&span_id)?.state {
        *ends = true;
        return None;
    }
    match open.remove(&span_id)?.state {
        State::Here(span) => Some(span),
        State::Changing { .. } => None,
    }
}

/// A span that is being changed. It is put back, or ends, when the change is over; if that
/// panics, it ends.
struct Taken<'c> {
    client: &'c Client,
    context: Context,
    span: Span,
    is_over: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut open = self.client.open();
        if let Some(kept) = open.get_mut(&self.context.span_id) {
            let ends = matches!(kept.state, State::Changing { ends: true, .. });
            if ends || !self.is_over {
                open.remove(&self.context.span_id);
            } else {
                kept.state = State::Here(std::mem::take(&mut self.span));
            }
        }
        drop(open);
        self.client.put_back.notify_all();
    }
}
