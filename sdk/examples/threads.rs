//! One trace over several threads: the context is carried by hand.

use spanlite::{Context, SpanType, trace};

#[trace(span_type = SpanType::ChatModel)]
fn worker(question: &str) -> String {
    format!("an answer to {question:?}")
}

#[trace]
fn ask_all(questions: &[&str]) -> Vec<String> {
    let context = Context::current();
    std::thread::scope(|threads| {
        let mut workers = Vec::new();
        for question in questions {
            workers.push(threads.spawn(move || {
                let _attached = context.attach();
                worker(question)
            }));
        }
        // `spanlite::spawn` and `spanlite::wrap` do the same for threads and closures.
        workers
            .into_iter()
            .filter_map(|worker| worker.join().ok())
            .collect()
    })
}

pub(crate) fn run() {
    let answers = ask_all(&["What is the capital of France?", "And of Germany?"]);
    assert_eq!(answers.len(), 2);
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
