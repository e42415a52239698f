//! A chat: the attribute around the session, a guard around each turn of the user.

use serde_json::{Value, json};
use spanlite::{SpanType, span, trace};

#[trace(span_type = SpanType::ChatModel)]
fn complete(messages: &[Value]) -> String {
    format!("That was message {}.", messages.len())
}

#[trace(span_type = SpanType::Chain, skip(lines))]
fn start_session(lines: &mut dyn Iterator<Item = String>) {
    let mut messages = vec![json!({"role": "system", "content": "You are a friendly bot."})];
    loop {
        let user = span("User").start();
        user.set_inputs(&messages);
        let Some(line) = lines.next() else {
            break;
        };
        user.set_outputs(&line);
        drop(user);
        if line == "BYE" {
            break;
        }
        messages.push(json!({"role": "user", "content": line}));
        let answer = complete(&messages);
        messages.push(json!({"role": "assistant", "content": answer}));
    }
}

pub(crate) fn run() {
    // A real program reads `std::io::stdin().lines()`.
    let lines = ["Hello", "And now?", "BYE"].map(str::to_owned);
    start_session(&mut lines.into_iter());
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
