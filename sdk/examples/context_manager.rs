//! Any block of code as a span: by a guard, or by a closure.

use serde_json::json;
use spanlite::{SpanType, in_span, span};

pub(crate) fn run() {
    let (x, y) = (1, 2);
    let guard = span("my_span").span_type(SpanType::Chain).start();
    guard.set_inputs(json!({"x": x, "y": y}));

    let sum = in_span("add", |span| {
        span.add_event("about to add", [("terms", 2.into())]);
        x + y
    });

    guard.set_outputs(sum);
    // The guard ends the span where it is dropped.
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
