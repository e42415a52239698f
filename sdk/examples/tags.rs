//! Tags, session and user: what belongs to the whole trace.

use spanlite::{current_trace, scope, trace};

#[trace]
fn add_1(x: i64) -> i64 {
    current_trace()
        .set_tag("fruit", "apple")
        .set_request_preview("one more");
    x + 1
}

pub(crate) fn run() {
    // Every trace that begins inside belongs to the session.
    scope()
        .session("session-1")
        .user("ada")
        .tag("env", "example")
        .run(|| add_1(1));
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
