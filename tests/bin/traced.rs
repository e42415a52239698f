//! A traced program for tests: says on standard output what has ended and what it flushed.
//!
//! `traced STORE endless` writes traces until it is killed.

use std::io::Write as _;

use spanlite::SpanType;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let store = arguments.next().ok_or("the store is the first argument")?;
    let _tracing = spanlite::init(&store)?;
    let mut out = std::io::stdout().lock();
    for round in 0_u64.. {
        let trace_id = {
            let root = spanlite::span("round").span_type(SpanType::Agent).start();
            root.set_inputs(round);
            let trace = spanlite::current_trace();
            trace.set_tag("round", round.to_string());
            let tool = spanlite::span("look up").span_type(SpanType::Tool).start();
            tool.set_attribute("round", round);
            if round % 7 == 3 {
                tool.record_error(&std::io::Error::other("the tool broke"));
            }
            drop(tool);
            trace.trace_id().ok_or("the root span is not recorded")?
        };
        writeln!(out, "ended {trace_id}")?;
        if round % 50 == 49 {
            spanlite::flush()?;
            writeln!(out, "flushed {}", round + 1)?;
        }
        out.flush()?;
    }
    Ok(())
}
