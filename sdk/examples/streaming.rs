//! Iterators and streams: each item is an event, and a reducer makes the outputs of them.

use serde_json::{Value, json};
use spanlite::{SpanType, reducers, trace};

#[trace]
fn count() -> impl Iterator<Item = u8> {
    0..5
}

#[trace(output_reducer = |letters| letters.join(","))]
fn spell(word: &str) -> impl Iterator<Item = String> {
    word.chars().map(String::from)
}

// The same works on `impl Stream`, which most clients of models return.
#[trace(span_type = SpanType::ChatModel, output_reducer = reducers::openai_chat)]
fn predict(question: &str) -> impl Iterator<Item = Value> {
    let chunk = |delta: Value| json!({"id": "chat-1", "choices": [{"index": 0, "delta": delta}]});
    let answer = format!("You asked {question:?}");
    let mut chunks = vec![chunk(json!({"role": "assistant"}))];
    chunks.extend(
        answer
            .split_inclusive(' ')
            .map(|word| chunk(json!({"content": word}))),
    );
    chunks.into_iter()
}

#[trace]
fn streams() {
    assert_eq!(count().count(), 5);
    assert_eq!(spell("hello").count(), 5);
    assert_eq!(predict("why?").count(), 4);
    // A stream that is dropped early leaves a finished span with what was seen.
    assert_eq!(count().next(), Some(0));
}

pub(crate) fn run() {
    streams();
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
