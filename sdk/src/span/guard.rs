use std::marker::PhantomData;

use super::methods::span_methods;
use super::owned::{Span, State};
use super::span;
use crate::SpanBuilder;
use crate::context::{self, Context};
use crate::live::{self, Live, Place};

/// The present span of a thread. It ends when this is dropped, and the thread goes back to where
/// it was.
///
/// It cannot be held across an `.await` in a task that may move to another thread; futures are
/// traced with [`in_span`](crate::InSpanExt::in_span) or `#[trace]`.
#[derive(Debug)]
#[must_use = "the span ends when the guard is dropped"]
pub struct SpanGuard {
    place: Place,
    not_send: PhantomData<*const ()>,
}

span_methods!(SpanGuard, self, &self);

impl SpanGuard {
    #[inline]
    pub(crate) fn enter(mut span: Span) -> Self {
        let place = match span.take() {
            State::Off => Place::Nowhere,
            State::Unsampled(context) => Place::unsampled(*context),
            State::Live(live) => live::enter(live).map_or(Place::Nowhere, Place::Index),
        };
        Self::at(place)
    }

    #[inline]
    pub(crate) fn at(place: Place) -> Self {
        Self {
            place,
            not_send: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn change(&self, change: impl FnOnce(&mut Live)) {
        if let Place::Index(index) = self.place {
            live::change_at(index, change);
        }
    }

    /// Returns whether what is said of it is recorded.
    pub fn is_recording(&self) -> bool {
        matches!(self.place, Place::Index(_))
    }

    /// The place of its children.
    pub fn context(&self) -> Context {
        let mut context = context::get();
        self.change(|live| context = live.share());
        context
    }

    /// Ends it now.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for SpanGuard {
    #[inline]
    fn drop(&mut self) {
        match self.place {
            Place::Nowhere => {}
            Place::Unsampled(previous) => {
                context::replace(previous);
            }
            Place::Index(index) => live::end_entered(index),
        }
    }
}

/// Runs a closure inside a span of this name.
///
/// What the closure returns is not looked at: a function cannot tell an `Err` in a type that it
/// does not know. [`in_span!`](macro@crate::in_span) is the form that records it.
///
/// ```
/// let sum = spanlite::in_span("sum", |span| {
///     span.set_inputs([1, 2]);
///     1 + 2
/// });
/// assert_eq!(sum, 3);
/// ```
pub fn in_span<R>(name: &str, closure: impl FnOnce(&SpanGuard) -> R) -> R {
    span(name).run(closure)
}

impl SpanBuilder<'_> {
    /// Runs a closure inside of the span, as [`in_span`] does.
    pub fn run<R>(self, closure: impl FnOnce(&SpanGuard) -> R) -> R {
        closure(&self.start())
    }
}
