//! Spans that start and end in different functions and threads, named by their context.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite_model::SpanId;

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
    open: Mutex<HashMap<SpanId, Span>>,
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

    fn open(&self) -> MutexGuard<'_, HashMap<SpanId, Span>> {
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
            self.open().insert(context.span_id, span);
        }
        context
    }

    /// Changes an open span. One that has ended, or that another client began, is left alone.
    pub fn change(&self, context: Context, change: impl FnOnce(&mut Span)) {
        // Taken out meanwhile: the closure may use the client.
        let taken = self.open().remove(&context.span_id);
        if let Some(mut span) = taken {
            change(&mut span);
            self.open().insert(context.span_id, span);
        }
    }

    /// Ends a span.
    pub fn end_span(&self, context: Context) {
        let ended = self.open().remove(&context.span_id);
        drop(ended);
    }

    /// Ends what is open of a trace, the given span last.
    pub fn end_trace(&self, context: Context) {
        let mut open = self.open();
        let first = open.remove(&context.span_id);
        let inner: Vec<(SpanId, Span)> = open
            .extract_if(|_, span| span.context().trace_id == context.trace_id)
            .collect();
        drop(open);
        drop(inner);
        drop(first);
    }
}
