//! The same code as everywhere, in a build that must leave no trace of tracing.

use std::process::ExitCode;

use spanlite::{Client, SpanType, current_span, current_trace, trace};

/// Cannot be captured by anyone: it would show if arguments were looked at.
struct Opaque;

#[trace(span_type = SpanType::Tool, attributes("k" = Opaque), skip(y))]
fn add(x: u8, y: u8, _opaque: Opaque) -> u8 {
    current_span().set_attribute("k", "v");
    current_trace().set_tag("k", "v");
    x + y
}

#[trace(output_reducer = <[u8]>::len)]
fn items() -> impl Iterator<Item = u8> {
    0..3
}

#[expect(clippy::print_stdout, reason = "a test reads it")]
fn main() -> ExitCode {
    let path = std::env::temp_dir().join(format!("disabled-{}.spans", std::process::id()));
    let begun = spanlite::init(&path);
    let capture = spanlite::testing::capture();
    let sum = add(1, 2, Opaque);
    let count = items().count();
    let client = Client::new();
    let traced = client.start_trace("t");
    client.end_trace(traced);
    let inner = spanlite::in_span("n", spanlite::SpanGuard::is_recording);
    println!("{} spans", capture.spans().len());
    let no_store = matches!(path.try_exists(), Ok(false));
    if begun.is_ok() && sum == 3 && count == 3 && !inner && no_store {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
