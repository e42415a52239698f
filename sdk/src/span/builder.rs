use serde::Serialize;

use super::guard::SpanGuard;
use super::owned::Span;
use crate::SpanKind;
use crate::context::Context;
use crate::live::{self, Live, Place, Start, Started};
use crate::tracer;

/// A span that is being made.
#[must_use = "a span begins with `start`"]
pub struct SpanBuilder<'a> {
    name: &'a str,
    start: Start,
    begun: Begun,
}

/// What is begun already, because something was said of the span: forgotten if it is not started.
struct Begun(Option<Started>);

/// Makes a span of this name, a child of the one that is open in the calling code.
///
/// ```
/// let span = spanlite::span("sum").start();
/// span.set_inputs([1, 2]);
/// span.set_outputs(3);
/// ```
#[inline]
pub fn span(name: &str) -> SpanBuilder<'_> {
    SpanBuilder {
        name,
        start: Start::PLAIN,
        begun: Begun(None),
    }
}

impl SpanBuilder<'_> {
    /// Makes it the child of another span than the present one.
    pub fn parent(mut self, parent: Context) -> Self {
        self.start.parent = Some(parent);
        self.restarted()
    }

    /// Begins a trace of its own.
    pub fn root(mut self) -> Self {
        self.start.root = true;
        self.restarted()
    }

    /// Records this share of traces, between 0 and 1, if it begins one. Its children follow.
    pub fn sampling(mut self, ratio: f64) -> Self {
        self.start.sampling = Some(ratio);
        self.restarted()
    }

    /// Says when it started, in Unix nanoseconds, where that is not now.
    pub fn start_time_unix_nano(mut self, nanos: u64) -> Self {
        self.start.start_unix_nanos = Some(nanos);
        self.restarted()
    }

    /// Begins anew if something was said of the span already, at the place that is known only
    /// now. What was said where nothing is recorded is lost.
    fn restarted(mut self) -> Self {
        if let Some(Started::Live(said)) = self.begun.0.take() {
            if let Some(live) = self.live() {
                live.take_over(&said);
            }
            live::forget(said);
        }
        self
    }

    #[inline]
    fn live(&mut self) -> Option<&mut Live> {
        if !tracer::any() {
            return None;
        }
        match self
            .begun
            .0
            .get_or_insert_with(|| live::begin(self.name, &self.start))
        {
            Started::Live(live) => Some(live),
            Started::Off | Started::Unsampled(_) => None,
        }
    }

    /// Returns whether what is said of it is recorded.
    #[inline]
    pub fn is_recording(&mut self) -> bool {
        self.live().is_some()
    }

    #[inline]
    fn with(mut self, change: impl FnOnce(&mut Live)) -> Self {
        if let Some(live) = self.live() {
            change(live);
        }
        self
    }

    /// Sets MLflow's role: a [`SpanType`](crate::SpanType) or any name.
    #[inline]
    pub fn span_type(self, span_type: impl AsRef<str>) -> Self {
        self.with(|live| live.span_type(span_type.as_ref()))
    }

    /// Sets OpenTelemetry's role.
    pub fn kind(self, kind: SpanKind) -> Self {
        self.with(|live| live.encoder.set_kind(kind))
    }

    /// Sets an attribute.
    #[inline]
    pub fn attribute<T: Serialize>(self, key: &str, value: T) -> Self {
        self.with(|live| live.attribute(key, &value))
    }

    /// Sets what goes in.
    #[inline]
    pub fn inputs<T: Serialize>(self, inputs: T) -> Self {
        self.with(|live| live.inputs(&inputs))
    }

    /// Adds a pointer to another span.
    pub fn link(self, to: Context) -> Self {
        self.with(|live| live.link(to, std::iter::empty::<(&str, crate::Value)>()))
    }

    /// Starts it and makes it the present span of the thread until the guard is dropped.
    #[inline]
    pub fn start(self) -> SpanGuard {
        if tracer::any() {
            self.start_recorded()
        } else {
            SpanGuard::at(Place::Nowhere)
        }
    }

    #[inline(never)]
    fn start_recorded(self) -> SpanGuard {
        match self.begun.0 {
            None => SpanGuard::at(live::begin_entered(self.name, &self.start)),
            Some(_) => SpanGuard::enter(self.start_detached()),
        }
    }

    /// Starts it without making it the present span: for work that ends on another thread, and
    /// for futures and streams, which enter it whenever they run.
    #[inline]
    pub fn start_detached(self) -> Span {
        let mut started = self.into_started();
        if let Started::Live(live) = &mut started {
            live::announce(live);
        }
        Span::from_started(started)
    }

    /// The started span, not announced yet: the macro captures the inputs first.
    #[inline]
    pub(crate) fn into_started(mut self) -> Started {
        if !tracer::any() {
            return Started::Off;
        }
        let begun = self.begun.0.take();
        begun.unwrap_or_else(|| live::begin(self.name, &self.start))
    }
}

impl Drop for Begun {
    #[inline]
    fn drop(&mut self) {
        if let Some(Started::Live(live)) = self.0.take() {
            live::forget(live);
        }
    }
}

impl std::fmt::Debug for SpanBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanBuilder")
            .field("name", &self.name)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
