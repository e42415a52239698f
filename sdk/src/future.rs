//! Futures inside of spans.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use spanlite_model::{StatusCode, Value};

use crate::context::Context;
use crate::scope::Hold;
use crate::span::{Polled, Span};

pin_project! {
    /// A future that runs inside of a span, which ends with it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InSpan<F> {
        #[pin]
        future: Option<F>,
        span: Span,
    }

    impl<F> PinnedDrop for InSpan<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                // Dropped inside of the span, so that what its destructors trace is a child.
                this.span.in_scope(|| this.future.set(None));
                cancelled(this.span);
            }
        }
    }
}

/// Marks a span whose work was dropped before it was done.
pub(crate) fn cancelled(span: &mut Span) {
    span.change(|live| {
        if live.status == StatusCode::Unset && !std::thread::panicking() {
            live.attribute("cancelled", &true);
            let now = live.now();
            live.event("cancelled", now, std::iter::empty::<(&str, Value)>());
        }
    });
}

impl<F> InSpan<F> {
    pub(crate) fn new(future: F, span: Span) -> Self {
        Self {
            future: Some(future),
            span,
        }
    }
}

impl<F> InSpan<F> {
    pub(crate) fn span(self: Pin<&mut Self>) -> &mut Span {
        self.project().span
    }

    /// Drops the span as if it had never been.
    pub(crate) fn forget(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.future.set(None);
        std::mem::take(this.span).forget();
    }
}

impl<S: Stream> InSpan<S> {
    /// Polls the stream; the span ends with it.
    pub(crate) fn poll_item(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = {
            let _polled = Polled::new(this.span);
            stream.poll_next(task)
        };
        if let Poll::Ready(None) = polled {
            this.span.in_scope(|| this.future.set(None));
            drop(std::mem::take(this.span));
        }
        polled
    }
}

impl<F: Future> InSpan<F> {
    /// Polls the future, and gives the span back with what came out.
    #[inline]
    pub(crate) fn poll_parts(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<(F::Output, Span)> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Polled again after it was done, which the contract of `Future` forbids.
            return Poll::Pending;
        };
        let polled = {
            let _polled = Polled::new(this.span);
            future.poll(task)
        };
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(output) => {
                this.span.in_scope(|| this.future.set(None));
                Poll::Ready((output, std::mem::take(this.span)))
            }
        }
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.poll_parts(task).map(|(output, _span)| output)
    }
}

pin_project! {
    /// A future inside of a span that records what comes out.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Recorded<F, R> {
        #[pin]
        inner: InSpan<F>,
        started: bool,
        record: Option<R>,
    }

    impl<F, R> PinnedDrop for Recorded<F, R> {
        fn drop(this: Pin<&mut Self>) {
            if !this.started {
                this.project().inner.forget();
            }
        }
    }
}

impl<F, R> Recorded<F, R> {
    /// The span of a future that has not `started` starts with the first poll, and is forgotten
    /// if there is none.
    pub(crate) fn new(span: Span, started: bool, future: F, record: R) -> Self {
        Self {
            inner: InSpan::new(future, span),
            started,
            record: Some(record),
        }
    }
}

impl<F: Future, R: FnOnce(&F::Output, &mut Span)> Future for Recorded<F, R> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if !*this.started {
            *this.started = true;
            this.inner.as_mut().span().restart();
        }
        this.inner.poll_parts(task).map(|(output, mut span)| {
            if let Some(record) = this.record.take()
                && span.is_recording()
            {
                record(&output, &mut span);
            }
            output
        })
    }
}

pin_project! {
    /// A future that runs at a place in a trace.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        #[pin]
        future: F,
        context: Context,
        scope: Hold,
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _attached = this.context.attach_briefly();
        this.future.poll(task)
    }
}

/// Puts futures and streams into spans and contexts.
pub trait InSpanExt: Sized {
    /// Runs it inside of a span, which ends with it: a [`Span`], or the name of one that starts
    /// here. What a future returns is not looked at; [`in_span!`](macro@crate::in_span) records
    /// an `Err`.
    fn in_span(self, span: impl Into<Span>) -> InSpan<Self> {
        InSpan::new(self, span.into())
    }

    /// Runs it at a place of a trace.
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext {
            future: self,
            context,
            scope: Hold::new(context.scope()),
        }
    }

    /// Runs it where the calling code stands, for `tokio::spawn` and the like.
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(Context::current())
    }
}

impl<T> InSpanExt for T {}

impl From<&str> for Span {
    /// Starts a span of this name.
    fn from(name: &str) -> Self {
        crate::span(name).start_detached()
    }
}

impl From<crate::SpanBuilder<'_>> for Span {
    fn from(builder: crate::SpanBuilder<'_>) -> Self {
        builder.start_detached()
    }
}
