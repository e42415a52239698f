use super::methods::span_methods;
use crate::context::{self, Context};
use crate::live::{self, Live, Place, Started};
#[cfg(not(panic = "abort"))]
use crate::mailbox;
use crate::panics;

/// A span that is not the present one of a thread. It may go to other threads, and ends when it
/// is dropped.
#[derive(Debug, Default)]
#[must_use = "the span ends when it is dropped"]
pub struct Span(State);

#[derive(Default)]
pub(super) enum State {
    #[default]
    Off,
    /// In a box, so that spans stay small where they are handed on.
    Unsampled(Box<Context>),
    Live(Box<Live>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Unsampled(context) => f.debug_tuple("Unsampled").field(context).finish(),
            Self::Live(live) => f.debug_tuple("Live").field(&live.context).finish(),
        }
    }
}

span_methods!(Span, self, &mut self);

impl Span {
    /// A span that records nothing.
    pub const fn none() -> Self {
        Self(State::Off)
    }

    #[inline]
    pub(crate) fn from_started(started: Started) -> Self {
        Self(match started {
            Started::Off => State::Off,
            Started::Unsampled(context) => State::Unsampled(Box::new(context)),
            Started::Live(live) => State::Live(live),
        })
    }

    #[inline]
    pub(crate) fn live(&mut self) -> Option<&mut Live> {
        match &mut self.0 {
            State::Live(live) => Some(live),
            State::Off | State::Unsampled(_) => None,
        }
    }

    #[inline]
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Live)) {
        if let Some(live) = self.live() {
            change(live);
        }
    }

    /// Returns whether what is said of it is recorded.
    pub fn is_recording(&self) -> bool {
        matches!(self.0, State::Live(_))
    }

    /// The place of its children.
    pub fn context(&mut self) -> Context {
        match &mut self.0 {
            State::Live(live) => live.share(),
            State::Unsampled(context) => **context,
            State::Off => context::get(),
        }
    }

    /// Takes the state out, which leaves a span that records nothing.
    pub(super) fn take(&mut self) -> State {
        std::mem::take(&mut self.0)
    }

    /// Runs a closure inside of it.
    #[inline]
    pub fn in_scope<R>(&mut self, closure: impl FnOnce() -> R) -> R {
        let _entered = Entered::new(self);
        closure()
    }

    /// Makes it the present span of the thread until the guard is dropped, which ends it.
    pub fn enter(self) -> super::SpanGuard {
        super::SpanGuard::enter(self)
    }

    /// Ends it now.
    pub fn end(self) {
        drop(self);
    }

    /// Ends it at a time in Unix nanoseconds.
    pub fn end_at(mut self, end_time_unix_nano: u64) {
        if let State::Live(live) = self.take() {
            live::end(live, Some(end_time_unix_nano));
        }
    }

    /// Moves the start to this moment, and makes the span known.
    pub(crate) fn restart(&mut self) {
        if let Some(live) = self.live() {
            live::restart(live);
            live::announce(live);
        }
    }

    /// Drops it as if it had never been.
    pub(crate) fn forget(mut self) {
        if let State::Live(live) = self.take() {
            live::forget(live);
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let State::Live(_) = self.0 {
            self.finish();
        }
    }
}

impl Span {
    #[inline(never)]
    fn finish(&mut self) {
        if let State::Live(mut live) = self.take() {
            panics::record(&mut live);
            live::end(live, None);
        }
    }
}

/// A span that lies in the thread for a while: for one poll, or one call of an iterator.
pub(crate) struct Entered<'s> {
    span: &'s mut Span,
    place: Place,
}

impl<'s> Entered<'s> {
    #[inline]
    pub(crate) fn new(span: &'s mut Span) -> Self {
        let place = match &span.0 {
            State::Off => Place::Nowhere,
            State::Unsampled(_) | State::Live(_) => Self::enter(span),
        };
        Self { span, place }
    }

    // Apart, like `leave`, so that a traced function of a program without tracing stays small.
    #[inline(never)]
    fn enter(span: &mut Span) -> Place {
        match span.take() {
            State::Off => Place::Nowhere,
            State::Unsampled(context) => {
                let place = Place::unsampled(*context);
                span.0 = State::Unsampled(context);
                place
            }
            State::Live(live) => live::enter(live).map_or(Place::Nowhere, Place::Index),
        }
    }

    #[inline(never)]
    fn leave(&mut self) {
        match self.place {
            Place::Nowhere => {}
            Place::Unsampled(previous) => {
                context::replace(previous);
            }
            Place::Index(index) => {
                self.span.0 = live::leave(index).map_or(State::Off, State::Live);
            }
        }
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.place, Place::Nowhere) {
            self.leave();
        }
    }
}

/// A span that is the present one for a poll, and stays where it is meanwhile: what is said of it
/// inside comes by its mailbox.
#[cfg(not(panic = "abort"))]
pub(crate) struct Polled<'s> {
    span: &'s mut Span,
    previous: Option<Context>,
}

#[cfg(not(panic = "abort"))]
impl<'s> Polled<'s> {
    #[inline]
    pub(crate) fn new(span: &'s mut Span) -> Self {
        let context = match &mut span.0 {
            State::Off => None,
            State::Unsampled(context) => Some(**context),
            State::Live(live) => Some(live.share()),
        };
        Self {
            span,
            previous: context.map(context::replace),
        }
    }
}

#[cfg(not(panic = "abort"))]
impl Polled<'_> {
    #[cold]
    fn read_mail(&mut self) {
        if let State::Live(live) = &mut self.span.0 {
            live.read_mail();
        }
    }
}

#[cfg(not(panic = "abort"))]
impl Drop for Polled<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            context::replace(previous);
            if mailbox::any() {
                self.read_mail();
            }
        }
    }
}
