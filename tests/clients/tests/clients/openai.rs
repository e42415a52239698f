//! Clients of async-openai, against a server on the loopback device.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::CreateChatCompletionRequest;
use serde_json::{Value, json};
use spanlite::testing::capture;
use spanlite::{SpanType, trace};
use spanlite_auto::traced_openai;

use crate::server::{Answer, Server};

fn answer() -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "4"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
}

fn client(server: &Server) -> Client<OpenAIConfig> {
    crate::choose_tls();
    let config = OpenAIConfig::new()
        .with_api_base(server.url("/v1"))
        .with_api_key("secret");
    traced_openai(Client::with_config(config))
}

fn request(stream: bool) -> CreateChatCompletionRequest {
    let request = json!({"model": "gpt-4o-mini", "stream": stream,
        "messages": [{"role": "user", "content": "2+2?"}]});
    serde_json::from_value(request).unwrap()
}

#[trace]
async fn ask(client: &Client<OpenAIConfig>) -> String {
    let answer = client.chat().create(request(false)).await.unwrap();
    answer.choices[0].message.content.clone().unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn a_call_stands_below_the_function_that_made_it() {
    let capture = capture();
    let server = Server::start(vec![Answer::json(200, &answer())]);
    let client = client(&server);
    assert_eq!(run(ask(&client)), "4");
    let spans = capture.spans();
    let [call, ask] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(ask.name, "ask");
    assert_eq!(call.parent_span_id, Some(ask.span_id));
    assert_eq!(call.name, "chat gpt-4o-mini");
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert_eq!(call.outputs.as_ref().unwrap().to_value().unwrap(), answer());
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn all_attempts_of_a_call_are_one_span() {
    let capture = capture();
    let busy = json!({"error": {"message": "busy", "type": "server_error"}});
    let server = Server::start(vec![Answer::json(503, &busy), Answer::json(200, &answer())]);
    let client = client(&server);
    let answer = run(async { client.chat().create(request(false)).await });
    assert_eq!(answer.unwrap().choices.len(), 1);
    let spans = capture.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].events[0].name, "retry");
    assert!(!spans[0].is_error());
}
