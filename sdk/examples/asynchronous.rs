//! Async functions, and tasks that run on other threads.

use spanlite::{InSpanExt as _, SpanType, trace};

#[trace(span_type = SpanType::Retriever)]
async fn look_up(topic: &str) -> Vec<String> {
    tokio::task::yield_now().await;
    vec![format!("about {topic}")]
}

#[trace(span_type = SpanType::Agent)]
async fn answer(question: String) -> usize {
    // Both run by turns; each keeps its own place.
    let (first, second) = tokio::join!(look_up(&question), look_up("more"));
    // A task begins nowhere, unless it is told where.
    let third = tokio::spawn(look_up("in a task").in_current_context());
    let blocking = tokio::task::spawn_blocking(spanlite::wrap(|| spanlite::in_span("rank", |_| 1)));
    let third = third.await.map_or(0, |found| found.len());
    first.len() + second.len() + third + blocking.await.unwrap_or(0)
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    if let Ok(runtime) = runtime {
        assert_eq!(runtime.block_on(answer("rust".to_owned())), 4);
    }
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
