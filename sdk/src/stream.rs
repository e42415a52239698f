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
use crate::live::Live;
use crate::span::{Part, Polled, Span};

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
        if self.count < EVENTS && live.has_room(Part::Event) {
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
            && live.has_room(Part::Whole)
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

/// What comes out of an iterator or a stream.
#[derive(Debug)]
pub enum Step<'i, T> {
    /// One more item.
    Item(&'i T),
    /// Nothing more: the outputs are to be set.
    End,
}

/// What is done with the items of type `T`, one after the other, and at their end.
pub trait Record<T>: FnMut(Step<'_, T>, &mut Items) {}

impl<T, F: FnMut(Step<'_, T>, &mut Items)> Record<T> for F {}

/// The items with what is done with them.
#[derive(Debug)]
struct Recording<R> {
    items: Items,
    record: R,
}

impl<R> Recording<R> {
    /// Records what came out; nothing is the end.
    fn see<T>(&mut self, item: Option<&T>)
    where
        R: Record<T>,
    {
        match item {
            Some(item) if self.items.span.is_recording() => {
                (self.record)(Step::Item(item), &mut self.items);
            }
            None if !self.items.done => self.end(true),
            _ => {}
        }
    }

    fn end<T>(&mut self, completed: bool)
    where
        R: Record<T>,
    {
        self.items.done = true;
        if self.items.span.is_recording() {
            (self.record)(Step::End, &mut self.items);
        }
        self.items.finish(completed);
    }

    /// Ends what was dropped before its end, or forgets what never began.
    fn abandon<T>(&mut self)
    where
        R: Record<T>,
    {
        let items = &mut self.items;
        if items.done {
            return;
        }
        if !items.started {
            std::mem::take(&mut items.span).forget();
        } else if std::thread::panicking() {
            // What drops it runs while the thread unwinds: no code of the program is called.
            items.list_outputs();
            items.finish(false);
        } else {
            self.end(false);
        }
    }
}

/// An iterator whose items are recorded.
#[derive(Debug)]
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct TracedIterator<I: Iterator, R: Record<I::Item>> {
    iterator: I,
    recording: Recording<R>,
}

impl<I: Iterator, R: Record<I::Item>> TracedIterator<I, R> {
    pub(crate) fn new(items: Items, iterator: I, record: R) -> Self {
        let recording = Recording { items, record };
        Self {
            iterator,
            recording,
        }
    }

    fn take(&mut self, next: impl FnOnce(&mut I) -> Option<I::Item>) -> Option<I::Item> {
        let iterator = &mut self.iterator;
        let item = self.recording.items.run(|| next(iterator));
        self.recording.see(item.as_ref());
        item
    }
}

impl<I: Iterator, R: Record<I::Item>> Iterator for TracedIterator<I, R> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.take(I::next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iterator.size_hint()
    }
}

impl<I: DoubleEndedIterator, R: Record<I::Item>> DoubleEndedIterator for TracedIterator<I, R> {
    fn next_back(&mut self) -> Option<I::Item> {
        self.take(I::next_back)
    }
}

impl<I: ExactSizeIterator, R: Record<I::Item>> ExactSizeIterator for TracedIterator<I, R> {}

impl<I: Iterator, R: Record<I::Item>> Drop for TracedIterator<I, R> {
    fn drop(&mut self) {
        self.recording.abandon();
    }
}

pin_project! {
    /// A stream whose items are recorded.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct TracedStream<T: Stream, R: Record<T::Item>> {
        #[pin]
        stream: T,
        recording: Recording<R>,
    }

    impl<T: Stream, R: Record<T::Item>> PinnedDrop for TracedStream<T, R> {
        fn drop(this: Pin<&mut Self>) {
            this.project().recording.abandon();
        }
    }
}

impl<T: Stream, R: Record<T::Item>> TracedStream<T, R> {
    pub(crate) fn new(items: Items, stream: T, record: R) -> Self {
        let recording = Recording { items, record };
        Self { stream, recording }
    }
}

impl<T: Stream, R: Record<T::Item>> Stream for TracedStream<T, R> {
    type Item = T::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        let polled = this.recording.items.run(|| this.stream.poll_next(task));
        if let Poll::Ready(item) = &polled {
            this.recording.see(item.as_ref());
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
