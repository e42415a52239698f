//! The attribute: functions become spans, calls inside of calls become children.
//!
//! `cargo run -p spanlite --example decorator` writes into `./traces.spans`, as all of these do.

use spanlite::trace;

#[trace(span_type = "func", attributes("key" = "value"))]
fn add_1(x: i64) -> i64 {
    x + 1
}

#[trace(span_type = "func", attributes("key1" = "value1"))]
fn minus_1(x: i64) -> i64 {
    x - 1
}

#[trace(name = "Trace Test")]
fn trace_test(x: i64) -> i64 {
    minus_1(add_1(x))
}

pub(crate) fn run() {
    assert_eq!(trace_test(4), 4);
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
