//! The low-level client: spans that start and end in different functions, with parents by hand.

use spanlite::{Client, Context, SpanType, current_trace, span};

struct Request {
    trace: Context,
    step: Context,
}

fn begin(client: &Client) -> Request {
    let trace = client.start_trace(span("request").inputs("What is MLflow?"));
    trace.run(|| current_trace().set_tag("source", "queue"));
    let step = client.start_span(span("generate").span_type(SpanType::Llm), trace);
    Request { trace, step }
}

fn end(client: &Client, request: &Request) {
    client.change(request.step, |span| span.set_outputs("A platform."));
    client.end_span(request.step);
    client.change(request.trace, |span| span.set_outputs("A platform."));
    client.end_trace(request.trace);
}

pub(crate) fn run() {
    let client = Client::new();
    let request = begin(&client);
    std::thread::scope(|threads| {
        threads.spawn(|| end(&client, &request));
    });
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
