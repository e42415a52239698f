//! Name, role and attributes of a span, given in the attribute or while it runs.

use spanlite::{SpanType, current_span, trace};

#[trace(
    name = "call-local-llm",
    span_type = SpanType::Llm,
    attributes("model" = "small-1"),
    skip(api_key)
)]
fn invoke(prompt: &str, api_key: &str) -> String {
    assert!(!api_key.is_empty(), "the key is needed, and never stored");
    format!("an answer to {prompt:?}")
}

#[trace(span_type = SpanType::Llm)]
fn invoke_chosen(prompt: &str) -> String {
    let model = if prompt.len() > 20 {
        "large-1"
    } else {
        "small-1"
    };
    current_span().set_attribute("model", model);
    current_span().set_attributes([("temperature", 0.2), ("top_p", 0.9)]);
    format!("{model} says yes")
}

#[trace]
fn ask() {
    invoke("why?", "secret");
    invoke_chosen("is it?");
}

pub(crate) fn run() {
    ask();
}

fn main() -> Result<(), spanlite::InitError> {
    let _tracing = spanlite::builder().init()?;
    run();
    Ok(())
}
