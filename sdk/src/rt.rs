//! What the expansion of `#[trace]` calls. Not for programs.

use futures_core::Stream;
use serde::Serialize;
use spanlite_model::keys;

pub use crate::capture::{
    CaptureDebug, CaptureSerialize, CaptureTypeName, Captured, Returned, SplitResult, SplitValue,
    TypeName,
};
use crate::failure::Sheet;
pub use crate::failure::{HoldsError, HoldsLocalError, IsError, IsText};
pub use crate::fault::{
    Fault, FaultDebug, FaultDisplay, FaultError, FaultHolder, FaultOpaque, FaultSharedHolder,
};
use crate::future::InSpan;
pub use crate::future::Recorded;
use crate::live::{self, Live};
pub use crate::stream::{Items, Outputs, Record, Step, TracedIterator, TracedStream};
pub use crate::traced::{Async, AsyncFallible, Fallible, Plain};
use crate::{Span, SpanGuard, span, tracer};

/// Begins the span of a call. It is not known to readers yet.
#[inline]
pub fn begin(name: &str, function: &str, root: bool, sampling: Option<f64>) -> Span {
    if tracer::any() {
        begin_recorded(name, function, root, sampling)
    } else {
        Span::none()
    }
}

fn begin_recorded(name: &str, function: &str, root: bool, sampling: Option<f64>) -> Span {
    let mut builder = span(name);
    if root {
        builder = builder.root();
    }
    if let Some(ratio) = sampling {
        builder = builder.sampling(ratio);
    }
    let mut span = Span::from_started(builder.into_started());
    if let Some(live) = span.live() {
        live.encoder
            .set_attribute(keys::MLFLOW_FUNCTION_NAME, function, None);
    }
    span
}

/// Captures the arguments of a call.
#[inline]
pub fn inputs(span: &mut Span, capture: impl FnOnce(&mut Inputs<'_>)) {
    if let Some(live) = span.live() {
        let Live {
            encoder, redact, ..
        } = live;
        capture(&mut Inputs {
            inputs: encoder.start_inputs(),
            redact: redact.as_deref().map(|redact| redact as _),
        });
    }
}

/// The arguments of a call, as far as they were captured.
#[derive(Debug)]
pub struct Inputs<'l> {
    inputs: spanlite_store::record::InputsEncoder<'l>,
    redact: Option<&'l dyn spanlite_store::record::Redact>,
}

impl Inputs<'_> {
    /// Captures one argument.
    #[inline]
    pub fn add<T: Serialize>(&mut self, name: &str, value: &T) {
        self.inputs.entry(name, value, self.redact);
    }
}

/// Runs the body of a function inside of its span.
#[inline]
pub fn call<R>(mut span: Span, body: impl FnOnce() -> R) -> (R, Span) {
    announce(&mut span);
    let returned = span.in_scope(body);
    (returned, span)
}

/// Runs a closure as it is: what it borrows may be given out again, which a closure that is
/// called at once does not allow.
#[inline]
pub fn call_once<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Enters the span of a function that never returns.
#[inline]
pub fn enter(mut span: Span) -> SpanGuard {
    announce(&mut span);
    span.enter()
}

#[inline]
fn announce(span: &mut Span) {
    if let Some(live) = span.live() {
        live::announce(live);
    }
}

/// Runs the body of an async function inside of its span.
#[inline]
pub async fn run<F: Future>(mut span: Span, body: F) -> (F::Output, Span) {
    announce(&mut span);
    let mut body = std::pin::pin!(InSpan::new(body, span));
    std::future::poll_fn(|task| body.as_mut().poll_parts(task)).await
}

/// Sets what came out, unless the body did.
#[inline]
pub fn output<T: Serialize>(span: &mut Span, value: &T) {
    if let Some(live) = span.live()
        && !live.has_outputs
    {
        live.outputs(value);
    }
}

/// Records what went wrong.
pub fn fault(span: &mut Span, record: impl FnOnce(&mut Sheet<'_>)) {
    if let Some(live) = span.live() {
        record(&mut Sheet(live));
    }
}

/// Runs a closure that is given the guard it runs under.
#[inline]
pub fn call_with<R>(guard: &SpanGuard, body: impl FnOnce(&SpanGuard) -> R) -> R {
    body(guard)
}

/// Records what went wrong under a guard.
pub fn fault_of(guard: &SpanGuard, record: impl FnOnce(&mut Sheet<'_>)) {
    guard.change(|live| record(&mut Sheet(live)));
}

/// Wraps a future whose span has started.
pub fn recorded<F: Future, R: FnOnce(&F::Output, &mut Span)>(
    span: Span,
    future: F,
    record: R,
) -> Recorded<F, R> {
    Recorded::new(span, true, future, record)
}

/// Wraps a future that a function returned. Its span starts with the first poll.
pub fn future<F: Future, R: FnOnce(&F::Output, &mut Span)>(
    span: Span,
    future: F,
    record: R,
) -> Recorded<F, R> {
    Recorded::new(span, false, future, record)
}

/// Gives the items of a stream to its reducer.
pub fn reduce<T, R>(reducer: impl FnOnce(&[T]) -> R, items: &[T]) -> R {
    reducer(items)
}

/// Wraps an iterator that a function returned.
pub fn iterator<I: Iterator, R: Record<I::Item>>(
    items: Items,
    iterator: I,
    record: R,
) -> TracedIterator<I, R> {
    TracedIterator::new(items, iterator, record)
}

/// Wraps a stream that a function returned.
pub fn stream<T: Stream, R: Record<T::Item>>(
    items: Items,
    stream: T,
    record: R,
) -> TracedStream<T, R> {
    TracedStream::new(items, stream, record)
}

/// The items of a stream whose span starts with its first poll.
pub fn items(span: Span) -> Items {
    Items::new(span, false)
}

/// The items of a stream whose span is running: an async function made it.
pub fn running_items(span: Span) -> Items {
    Items::new(span, true)
}
