//! The examples of manual and automatic spans together, against a server on the loopback device.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::ChatCompletionRequestUserMessage;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use spanlite::testing::{Capture, capture};
use spanlite_auto::traced_openai;
use spanlite_model::Span;

use crate::server::{Answer, Server};

#[path = "../../examples/aggregate.rs"]
#[expect(dead_code, reason = "the example has a `main` of its own")]
mod aggregate;
#[path = "../../examples/chat_session.rs"]
#[expect(dead_code, reason = "the example has a `main` of its own")]
mod chat_session;
#[path = "../../examples/combined.rs"]
#[expect(dead_code, reason = "the example has a `main` of its own")]
mod combined;

fn answer(text: &str) -> Answer {
    let message = json!({"role": "assistant", "content": text});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}});
    Answer::json(200, &answer)
}

fn run<T>(
    answers: Vec<Answer>,
    example: impl AsyncFnOnce(Client<OpenAIConfig>) -> T,
) -> (T, Capture) {
    crate::choose_tls();
    let capture = capture();
    let server = Server::start(answers);
    let config = OpenAIConfig::new()
        .with_api_base(server.url("/v1"))
        .with_api_key("secret");
    let client = traced_openai(Client::with_config(config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    (runtime.unwrap().block_on(example(client)), capture)
}

/// Name, type and parent's name of each span, in the order they began.
fn tree(capture: &Capture) -> Vec<(String, String, Option<String>)> {
    let mut spans = capture.spans();
    spans.sort_by_key(|span| (span.start_time_unix_nano, span.span_id));
    let name_of = |id| spans.iter().find(|span| Some(span.span_id) == id);
    let row = |span: &Span| {
        let parent = name_of(span.parent_span_id).map(|parent| parent.name.clone());
        (
            span.name.clone(),
            span.span_type.as_str().to_owned(),
            parent,
        )
    };
    assert_eq!(capture.traces().len(), 1, "one tree");
    assert!(!format!("{spans:?}").contains("secret"));
    spans.iter().map(row).collect()
}

fn row(name: &str, span_type: &str, parent: &str) -> (String, String, Option<String>) {
    let parent = (!parent.is_empty()).then(|| parent.to_owned());
    (name.to_owned(), span_type.to_owned(), parent)
}

fn named(capture: &Capture, name: &str) -> Span {
    let spans = capture.spans();
    spans.into_iter().find(|span| span.name == name).unwrap()
}

fn outputs(span: &Span) -> Value {
    span.outputs.as_ref().unwrap().to_value().unwrap()
}

#[test]
fn functions_stand_around_the_call() {
    let (said, capture) = run(vec![answer("A platform.")], async |client| {
        combined::run(&client, "What is MLflow?").await.unwrap()
    });
    assert_eq!(said.as_deref(), Some("A platform."));
    assert_eq!(
        tree(&capture),
        [
            row("run", "CHAIN", ""),
            row("build_messages", "UNKNOWN", "run"),
            row("chat gpt-4o-mini", "CHAT_MODEL", "run"),
            row("parse_response", "UNKNOWN", "run"),
        ]
    );
    assert_eq!(outputs(&named(&capture, "parse_response")), "A platform.");
    let inputs = named(&capture, "run").inputs.unwrap().to_value().unwrap();
    assert_eq!(inputs, json!({"question": "What is MLflow?"}));
    let call = named(&capture, "chat gpt-4o-mini");
    let messages = &call.inputs.as_ref().unwrap().to_value().unwrap()["messages"];
    assert_eq!(messages, &outputs(&named(&capture, "build_messages")));
    assert_eq!(call.model(), Some("m-1"));
    assert_eq!(spanlite_model::TokenUsage::of(&call).total_tokens, Some(25));
}

#[test]
fn the_guide_shows_the_example() {
    let guide = include_str!("../../../../sdk/GUIDE.md");
    let example = include_str!("../../examples/combined.rs");
    let shown = guide.split("```rust,ignore\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    assert!(shown.contains("traced_openai"), "{shown}");
    for line in shown.lines().map(str::trim) {
        assert!(example.contains(line), "not in the example: {line}");
    }
}

#[test]
fn a_session_has_turns_and_calls() {
    let ((), capture) = run(vec![answer("Hi."), answer("Fine.")], async |client| {
        let lines = ["Hello", "How are you?", "BYE"].map(str::to_owned);
        let mut lines = lines.into_iter();
        chat_session::start_session(&client, &mut lines)
            .await
            .unwrap();
    });
    let user = row("User", "UNKNOWN", "start_session");
    let call = row("chat gpt-4o-mini", "CHAT_MODEL", "start_session");
    assert_eq!(
        tree(&capture),
        [
            row("start_session", "CHAIN", ""),
            user.clone(),
            call.clone(),
            user.clone(),
            call,
            user,
        ]
    );
}

#[test]
fn chunks_become_one_completion() {
    let piece = |text: &str| {
        let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "m-1", "choices": [{"index": 0, "delta": {"content": text},
                "finish_reason": null}]});
        format!("data: {event}\n\n")
    };
    let events = Answer::events(&[&piece("Hel"), &piece("lo."), "data: [DONE]\n\n"]);
    let (count, capture) = run(vec![events], async |client| {
        let hello = ChatCompletionRequestUserMessage::from("Hello").into();
        aggregate::predict(client, vec![hello]).count().await
    });
    assert_eq!(count, 2);
    assert_eq!(
        tree(&capture),
        [
            row("predict", "UNKNOWN", ""),
            row("chat gpt-4o-mini", "CHAT_MODEL", "predict"),
        ]
    );
    for name in ["predict", "chat gpt-4o-mini"] {
        let outputs = outputs(&named(&capture, name));
        assert_eq!(
            outputs["choices"][0]["message"]["content"], "Hello.",
            "{name}"
        );
    }
}
