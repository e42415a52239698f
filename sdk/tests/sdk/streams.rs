//! Iterators and streams: items, outputs, and the ways to end.

use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use serde_json::json;
use spanlite::testing::capture;
use spanlite::{InSpanExt as _, reducers, trace};

use crate::block_on;

/// Gives items, and is pending before each.
struct Items<I> {
    items: I,
    ready: bool,
}

fn items<I: IntoIterator>(items: I) -> Items<I::IntoIter> {
    Items {
        items: items.into_iter(),
        ready: false,
    }
}

impl<I: Iterator + Unpin> Stream for Items<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<I::Item>> {
        self.ready = !self.ready;
        if self.ready {
            return Poll::Pending;
        }
        spanlite::in_span("produce", |_| ());
        Poll::Ready(self.items.next())
    }
}

fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    block_on(std::future::poll_fn(|task| {
        Pin::new(&mut *stream).poll_next(task)
    }))
}

#[trace]
fn numbers(n: u8) -> impl Iterator<Item = u8> {
    (0..n).inspect(|_| spanlite::in_span("produce", |_| ()))
}

#[trace(output_reducer = |letters| letters.iter().collect::<String>())]
fn letters(word: &str) -> impl DoubleEndedIterator<Item = char> {
    word.chars()
}

#[trace]
fn boxed<'a>(list: &'a [u8]) -> Box<dyn Iterator<Item = &'a u8> + 'a> {
    Box::new(list.iter())
}

#[test]
fn an_iterator_records_its_items_and_their_list() {
    let capture = capture();
    assert_eq!(numbers(2).count(), 2);
    assert_eq!(letters("abc").rev().collect::<String>(), "cba");
    assert_eq!(boxed(&[7]).count(), 1);
    drop(numbers(3));
    insta::assert_snapshot!(capture.tree());
}

#[trace]
fn stream(n: u8) -> impl Stream<Item = u8> {
    items(0..n)
}

#[trace(output_reducer = joined)]
fn boxed_stream(words: Vec<&'static str>) -> Pin<Box<dyn Stream<Item = &'static str> + Send>> {
    Box::pin(items(words))
}

fn joined(words: &[&str]) -> String {
    words.join(",")
}

#[trace]
async fn made_later(n: u8) -> impl Stream<Item = u8> + Unpin {
    items(0..n)
}

#[test]
fn a_stream_is_the_present_span_only_while_it_is_polled() {
    let capture = capture();
    spanlite::in_span("caller", |_| {
        let mut stream = Box::pin(stream(2));
        assert_eq!(next(&mut stream), Some(0));
        spanlite::in_span("between", |_| ());
        assert_eq!(next(&mut stream), Some(1));
        assert_eq!(next(&mut stream), None);
        let mut boxed = boxed_stream(vec!["h", "e"]);
        while next(&mut boxed).is_some() {}
        let mut later = block_on(made_later(1));
        while next(&mut later).is_some() {}
    });
    insta::assert_snapshot!(capture.tree());
}

#[trace]
fn failing() -> impl Iterator<Item = Result<u8, String>> {
    [Ok(1), Err("half-way".to_owned()), Ok(2)].into_iter()
}

#[trace]
fn panicking() -> impl Iterator<Item = u8> {
    (0..3).inspect(|n| assert!(*n < 1, "no more"))
}

#[trace(output_reducer = |_| -> u8 { panic!("a reducer of the program") })]
fn bad_reducer() -> impl Iterator<Item = u8> {
    0..2
}

#[test]
fn every_end_leaves_a_finished_span_with_what_was_seen() {
    let capture = capture();
    assert_eq!(failing().flatten().count(), 2);
    assert!(catch_unwind(|| panicking().count()).is_err());
    assert_eq!(bad_reducer().count(), 2);
    let mut dropped = numbers(9);
    assert_eq!(dropped.next(), Some(0));
    drop(dropped);
    let mut cancelled = Box::pin(stream(9));
    assert_eq!(next(&mut cancelled), Some(0));
    drop(cancelled);
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn many_items_become_a_bounded_number_of_events_and_one_count() {
    let capture = capture();
    #[trace]
    fn many() -> impl Iterator<Item = u32> {
        0..1_500
    }
    assert_eq!(many().count(), 1_500);
    let span = &capture.spans()[0];
    assert_eq!(span.events.len(), 1_000);
    assert_eq!(span.events[999].name, "mlflow.chunk.item.999");
    assert_eq!(
        span.events[999].attributes.get_str("mlflow.chunk.value"),
        Some("999")
    );
    assert_eq!(
        span.attributes.get("stream.items").unwrap().to_i64(),
        Some(1_500)
    );
    let outputs = span.outputs.as_ref().unwrap().to_value().unwrap();
    assert_eq!(outputs.as_array().unwrap().len(), 1_500);
}

#[trace(output_reducer = reducers::openai_chat)]
fn predict(chunks: Vec<serde_json::Value>) -> impl Stream<Item = serde_json::Value> {
    items(chunks)
}

#[test]
fn chat_chunks_become_one_message() {
    let capture = capture();
    let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let mut stream = Box::pin(predict(vec![chunk("Hel"), chunk("lo")]));
    while next(&mut stream).is_some() {}
    let spans = capture.spans();
    let span = spans.iter().find(|span| span.name == "predict").unwrap();
    let outputs = span.outputs.as_ref().unwrap().to_value().unwrap();
    assert_eq!(outputs["choices"][0]["message"]["content"], "Hello");
    assert_eq!(span.events.len(), 2);
}

#[test]
fn a_stream_can_be_put_into_a_span() {
    let capture = capture();
    let mut stream = items(0..1).in_span("outer");
    while next(&mut stream).is_some() {}
    drop(stream);
    insta::assert_snapshot!(capture.tree(), @r"
    outer
    ├─ produce
    └─ produce
    ");
}
