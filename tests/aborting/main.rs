//! Panics inside of spans that nobody ends: nothing is unwound here.

use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Waker};

use spanlite::{current_span, span, trace};

#[trace]
async fn answer(question: &str) -> u8 {
    current_span().set_attribute("tried", 1);
    assert!(!question.is_empty(), "an empty question");
    42
}

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        return ExitCode::FAILURE;
    };
    let Ok(_tracing) = spanlite::init(path) else {
        return ExitCode::FAILURE;
    };
    let _outer = span("outer").start();
    let mut task = Context::from_waker(Waker::noop());
    let answered = pin!(answer("why?")).poll(&mut task).is_ready();
    let never = pin!(answer("")).poll(&mut task).is_ready();
    ExitCode::from(u8::from(answered || never))
}
