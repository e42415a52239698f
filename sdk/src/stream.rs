//! Streams and iterators inside of spans, item by item.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use serde::Serialize;
use spanlite_model::keys;
use spanlite_store::record::ValueList;

use crate::failure::Sheet;
use crate::future::InSpan;
use crate::live::{self, Live};
use crate::span::{Polled, Span};

/// How many items of a stream become events. The outputs hold all of them, up to the limit of a
/// captured value.
const EVENTS: u64 = 1_000;

/// Attribute: how many items came out of a stream.
const ITEMS: &str = "stream.items";
/// Attribute: false where a stream was dropped before its end.
const COMPLETED: &str = "stream.completed";

/// The span of a stream or an iterator, and the items that came out so far.
#[derive(Debug)]
pub struct Items {
    span: Span,
    started: bool,
    done: bool,
    count: u64,
    list: ValueList,
    event: String,
}

/// Where the outputs of a span are written.
pub struct Outputs<'l>(&'l mut Live);

impl std::fmt::Debug for Outputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outputs").finish_non_exhaustive()
    }
}

impl Outputs<'_> {
    /// Writes them.
    pub fn outputs<T: Serialize>(&mut self, outputs: &T) {
        self.0.outputs(outputs);
    }
}

impl Items {
    pub(crate) fn new(span: Span, started: bool) -> Self {
        Self {
            span,
            started,
            done: false,
            count: 0,
            list: ValueList::default(),
            event: String::new(),
        }
    }

    /// Runs the producer inside of the span, which starts with the first run.
    #[inline]
    fn run<R>(&mut self, produce: impl FnOnce() -> R) -> R {
        if !self.started {
            self.started = true;
            self.span.restart();
        }
        let _polled = Polled::new(&mut self.span);
        produce()
    }

    /// Records an item.
    pub fn push<T: Serialize + ?Sized>(&mut self, item: &T) {
        let Some(live) = self.span.live() else {
            return;
        };
        let redact = live.redact.clone();
        let redact = redact.as_deref().map(|redact| redact as _);
        let limit = live.encoder.value_limit_bytes();
        let value = self.list.push(item, limit, redact);
        if self.count < EVENTS {
            self.event.clear();
            // Writing into a `String` cannot fail.
            write!(
                self.event,
                "{}{}",
                keys::MLFLOW_CHUNK_EVENT_PREFIX,
                self.count
            )
            .unwrap_or_default();
            let now = live.now();
            live.encoder
                .add_event(&self.event, now)
                .attribute_quoted(keys::MLFLOW_CHUNK_VALUE, value);
        }
        self.count += 1;
    }

    /// Records an error that came out as an item.
    pub fn fail(&mut self, record: impl FnOnce(&mut Sheet<'_>)) {
        self.span.change(|live| record(&mut Sheet(live)));
        self.count += 1;
    }

    /// Sets the outputs to what was made of the items, which `write` captures; to the items if
    /// making it panics.
    pub fn reduce<T>(
        &mut self,
        reduce: impl FnOnce() -> T,
        write: impl FnOnce(&mut Outputs<'_>, &T),
    ) {
        // The reducer sees items only; what it leaves behind when it panics is dropped.
        let reduced = catch_unwind(AssertUnwindSafe(reduce));
        match (reduced, self.span.live()) {
            (Ok(outputs), Some(live)) if !live.has_outputs => write(&mut Outputs(live), &outputs),
            (Ok(_), _) => {}
            (Err(_), _) => self.list_outputs(),
        }
    }

    /// Sets the outputs to the list of the items.
    pub fn list_outputs(&mut self) {
        if let Some(live) = self.span.live()
            && !live.has_outputs
        {
            live.encoder.set_outputs_list(&self.list);
        }
    }

    /// Ends the span.
    fn finish(&mut self, completed: bool) {
        let count = self.count;
        self.span.change(|live| {
            live.attribute(ITEMS, &count);
            if !completed {
                live.attribute(COMPLETED, &false);
            }
        });
        drop(std::mem::take(&mut self.span));
    }
}

impl Span {
    /// Moves the start to this moment, and makes the span known.
    fn restart(&mut self) {
        if let Some(live) = self.live() {
            live::restart(live);
            live::announce(live);
        }
    }
}

pin_project! {
    /// A future whose span starts with its first poll.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Deferred<F, R> {
        #[pin]
        inner: InSpan<F>,
        started: bool,
        record: Option<R>,
    }

    impl<F, R> PinnedDrop for Deferred<F, R> {
        fn drop(this: Pin<&mut Self>) {
            if !this.started {
                this.project().inner.forget();
            }
        }
    }
}

impl<F, R> Deferred<F, R> {
    pub(crate) fn new(span: Span, future: F, record: R) -> Self {
        Self {
            inner: InSpan::new(future, span),
            started: false,
            record: Some(record),
        }
    }
}

impl<F: Future, R: FnOnce(&F::Output, &mut Span)> Future for Deferred<F, R> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if !*this.started {
            *this.started = true;
            this.inner.as_mut().span().restart();
        }
        this.inner.poll_parts(task).map(|(output, mut span)| {
            if let Some(record) = this.record.take() {
                record(&output, &mut span);
            }
            output
        })
    }
}

/// What is done with the items: `S` is kept from item to item, `C` records one, `E` sets the
/// outputs at the end.
#[derive(Debug)]
struct Rules<S, C, E> {
    state: S,
    on_item: C,
    on_end: Option<E>,
}

impl<S, C, E: FnOnce(S, &mut Items)> Rules<S, C, E>
where
    S: Default,
{
    fn end(&mut self, items: &mut Items, completed: bool) {
        if let Some(on_end) = self.on_end.take() {
            if items.span.is_recording() {
                on_end(std::mem::take(&mut self.state), items);
            }
            items.finish(completed);
        }
    }

    /// Ends what was dropped before its end, or forgets what never began.
    fn abandon(&mut self, items: &mut Items) {
        if items.done {
            return;
        }
        if items.started {
            if std::thread::panicking() {
                // What drops it runs while the thread unwinds: no code of the program is called.
                items.list_outputs();
                items.finish(false);
            } else {
                self.end(items, false);
            }
        } else {
            std::mem::take(&mut items.span).forget();
        }
    }
}

/// An iterator whose items are recorded.
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct TracedIterator<I, S, C, E>
where
    S: Default,
    E: FnOnce(S, &mut Items),
{
    iterator: I,
    items: Items,
    rules: Rules<S, C, E>,
}

impl<I, S, C, E> TracedIterator<I, S, C, E>
where
    I: Iterator,
    S: Default,
    C: FnMut(&I::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
    pub(crate) fn new(items: Items, iterator: I, on_item: C, on_end: E) -> Self {
        Self {
            iterator,
            items,
            rules: Rules {
                state: S::default(),
                on_item,
                on_end: Some(on_end),
            },
        }
    }

    fn take(&mut self, next: impl FnOnce(&mut I) -> Option<I::Item>) -> Option<I::Item> {
        let (items, iterator) = (&mut self.items, &mut self.iterator);
        let item = items.run(|| next(iterator));
        match &item {
            Some(item) if items.span.is_recording() => {
                (self.rules.on_item)(item, &mut self.rules.state, items);
            }
            Some(_) => {}
            None => {
                items.done = true;
                self.rules.end(items, true);
            }
        }
        item
    }
}

impl<I, S, C, E> Iterator for TracedIterator<I, S, C, E>
where
    I: Iterator,
    S: Default,
    C: FnMut(&I::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.take(I::next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iterator.size_hint()
    }
}

impl<I, S, C, E> DoubleEndedIterator for TracedIterator<I, S, C, E>
where
    I: DoubleEndedIterator,
    S: Default,
    C: FnMut(&I::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
    fn next_back(&mut self) -> Option<I::Item> {
        self.take(I::next_back)
    }
}

impl<I, S, C, E> ExactSizeIterator for TracedIterator<I, S, C, E>
where
    I: ExactSizeIterator,
    S: Default,
    C: FnMut(&I::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
}

impl<I, S, C, E> Drop for TracedIterator<I, S, C, E>
where
    S: Default,
    E: FnOnce(S, &mut Items),
{
    fn drop(&mut self) {
        self.rules.abandon(&mut self.items);
    }
}

pin_project! {
    /// A stream whose items are recorded.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct TracedStream<T, S, C, E>
    where
        S: Default,
        E: FnOnce(S, &mut Items),
    {
        #[pin]
        stream: T,
        items: Items,
        rules: Rules<S, C, E>,
    }

    impl<T, S, C, E> PinnedDrop for TracedStream<T, S, C, E>
    where
        S: Default,
        E: FnOnce(S, &mut Items),
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.rules.abandon(this.items);
        }
    }
}

impl<T, S, C, E> TracedStream<T, S, C, E>
where
    T: Stream,
    S: Default,
    C: FnMut(&T::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
    pub(crate) fn new(items: Items, stream: T, on_item: C, on_end: E) -> Self {
        Self {
            stream,
            items,
            rules: Rules {
                state: S::default(),
                on_item,
                on_end: Some(on_end),
            },
        }
    }
}

impl<T, S, C, E> Stream for TracedStream<T, S, C, E>
where
    T: Stream,
    S: Default,
    C: FnMut(&T::Item, &mut S, &mut Items),
    E: FnOnce(S, &mut Items),
{
    type Item = T::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        let (items, stream) = (this.items, this.stream);
        let polled = items.run(|| stream.poll_next(task));
        match &polled {
            Poll::Ready(Some(item)) if items.span.is_recording() => {
                (this.rules.on_item)(item, &mut this.rules.state, items);
            }
            Poll::Ready(None) => {
                items.done = true;
                this.rules.end(items, true);
            }
            _ => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S: Stream> Stream for InSpan<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        self.poll_item(task)
    }
}
