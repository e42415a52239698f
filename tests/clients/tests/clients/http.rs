//! Calls of models through reqwest, against a server on the loopback device.

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::{Value, json};
use spanlite::testing::{Capture, capture};
use spanlite::{InSpanExt as _, SpanType, StatusCode};
use spanlite_auto::{ModelCallLayer, ModelCalls, Targets, layer_for};
use spanlite_model::Span;
use tower_layer::Layer as _;
use tower_service::Service as _;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::server::{Answer, Server, piece};

/// Runs a future on this thread, where spans are captured.
fn run<T>(future: impl Future<Output = T>) -> (T, Capture) {
    crate::choose_tls();
    let capture = capture();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    (runtime.block_on(future), capture)
}

fn client() -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(ModelCalls)
        .build()
}

fn request(
    client: &ClientWithMiddleware,
    url: String,
    body: &Value,
) -> reqwest_middleware::RequestBuilder {
    client
        .post(url)
        .header("authorization", "Bearer secret")
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn only(capture: &Capture) -> Span {
    let mut spans = capture.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

fn answer() -> Value {
    json!({"id": "c", "model": "m-1", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "4"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
}

const CHAT: &str = "/v1/chat/completions?key=secret";

#[test]
fn a_call_is_a_child_of_the_manual_span_and_holds_no_key() {
    let server = Server::start(vec![Answer::json(200, &answer())]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "2+2?"}]});
    let (text, capture) = run(async {
        let client = client();
        async {
            let response = request(&client, server.url(CHAT), &body)
                .send()
                .await
                .unwrap();
            assert_eq!(response.url().as_str(), server.url(CHAT));
            response.text().await.unwrap()
        }
        .in_span("ask")
        .await
    });
    assert_eq!(text, answer().to_string());
    assert_eq!(server.requests.recv().unwrap(), body.to_string());
    let spans = capture.spans();
    let [call, ask] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!((ask.name.as_str(), call.name.as_str()), ("ask", "chat m"));
    assert_eq!(call.parent_span_id, Some(ask.span_id));
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert_eq!(call.inputs.as_ref().unwrap().to_value().unwrap(), body);
    assert_eq!(call.outputs.as_ref().unwrap().to_value().unwrap(), answer());
    assert_eq!(call.model(), Some("m-1"));
    assert_eq!(spanlite_model::TokenUsage::of(call).total_tokens, Some(4));
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn a_stream_passes_untouched_and_is_joined() {
    let (one, two) = (piece("4"), piece("2"));
    let (head, tail) = two.split_at(10);
    let chunks = [one.as_str(), head, tail, "data: [DONE]\n\n"];
    let server = Server::start(vec![Answer::events(&chunks)]);
    let body = json!({"model": "m", "stream": true});
    let (bytes, capture) = run(async {
        let response = request(&client(), server.url(CHAT), &body)
            .send()
            .await
            .unwrap();
        response.bytes().await.unwrap()
    });
    assert_eq!(bytes, chunks.concat());
    let call = only(&capture);
    let outputs = call.outputs.as_ref().unwrap().to_value().unwrap();
    assert_eq!(outputs["choices"][0]["message"]["content"], "42");
    assert!(
        call.attributes
            .get("gen_ai.response.time_to_first_chunk")
            .is_some()
    );
    assert_eq!(call.attributes.get("spanlite.stopped_early"), None);
    assert!(call.end_time_unix_nano.is_some());
}

#[test]
fn a_stream_that_is_dropped_keeps_what_came() {
    let first = piece("4");
    let server = Server::start(vec![Answer::events(&[
        &first,
        &piece("2"),
        "data: [DONE]\n\n",
    ])]);
    let ((), capture) = run(async {
        let body = json!({"model": "m", "stream": true});
        let mut response = request(&client(), server.url(CHAT), &body)
            .send()
            .await
            .unwrap();
        let mut seen = Vec::new();
        while seen.len() < first.len() {
            seen.extend(response.chunk().await.unwrap().unwrap());
        }
    });
    let call = only(&capture);
    let outputs = call.outputs.as_ref().unwrap().to_value().unwrap();
    let content = outputs["choices"][0]["message"]["content"]
        .as_str()
        .unwrap();
    assert!(content.starts_with('4'), "{content}");
    assert_eq!(call.status.code, StatusCode::Unset);
}

#[test]
fn a_stream_that_breaks_off_is_an_error_with_what_came() {
    let mut answer = Answer::events(&[&piece("par")]);
    answer.cut = true;
    let server = Server::start(vec![answer]);
    let (failed, capture) = run(async {
        let body = json!({"model": "m", "stream": true});
        let response = request(&client(), server.url(CHAT), &body)
            .send()
            .await
            .unwrap();
        response.bytes().await.is_err()
    });
    assert!(failed);
    let call = only(&capture);
    assert_eq!(call.error_type(), Some("BodyError"));
    assert!(call.outputs.as_ref().unwrap().as_text().contains("par"));
}

#[test]
fn refusals_and_unreachable_servers_are_errors_without_keys() {
    let refusal = json!({"error": {"type": "rate_limit_error", "message": "slow down"}});
    let server = Server::start(vec![Answer::json(429, &refusal)]);
    let (status, capture) = run(async {
        let response = request(&client(), server.url(CHAT), &json!({}))
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        drop(response.bytes().await.unwrap());
        status
    });
    assert_eq!(status, 429);
    let call = only(&capture);
    assert_eq!(call.error_type(), Some("rate_limit_error"));
    assert_eq!(call.error_message(), Some("slow down"));

    let (error, capture) = run(async {
        let url = format!("http://127.0.0.1:1{CHAT}");
        request(&client(), url, &json!({}))
            .send()
            .await
            .unwrap_err()
    });
    assert!(error.is_connect());
    let call = only(&capture);
    assert_eq!(call.error_type(), Some("ConnectError"));
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn other_requests_pass_unrecorded() {
    let server = Server::start(vec![Answer::json(200, &json!({}))]);
    let (status, capture) = run(async {
        let response = request(&client(), server.url("/health"), &json!({}))
            .send()
            .await;
        response.unwrap().status().as_u16()
    });
    assert_eq!(status, 200);
    assert!(capture.spans().is_empty());
}

#[test]
fn the_tower_layer_records_a_plain_client() {
    let server = Server::start(vec![Answer::json(200, &answer())]);
    let ((), capture) = run(async {
        let client = reqwest::Client::new();
        let request = client
            .post(server.url("/v1/messages"))
            .body("{\"model\":\"claude\"}");
        let mut service = ModelCallLayer.layer(client);
        let response = service.call(request.build().unwrap()).await.unwrap();
        drop(response.text().await.unwrap());
    });
    let call = only(&capture);
    assert_eq!(call.name, "chat claude");
    assert_eq!(call.provider(), Some("anthropic"));
}

#[test]
fn a_call_that_tracing_sees_too_is_one_span() {
    let subscriber = tracing_subscriber::registry().with(layer_for(Targets::models()));
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let server = Server::start(vec![Answer::json(200, &answer())]);
    let ((), capture) = run(async {
        let body = json!({"model": "m", "messages": []});
        let client = client();
        let span = tracing::info_span!(
            target: "rig::completions",
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.usage.input_tokens = 3,
        );
        let call = async {
            let response = request(&client, server.url(CHAT), &body)
                .send()
                .await
                .unwrap();
            drop(response.text().await.unwrap());
        };
        call.instrument(span).await;
    });
    let call = only(&capture);
    assert_eq!(call.name, "chat");
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert_eq!(call.outputs.as_ref().unwrap().to_value().unwrap(), answer());
    assert_eq!(call.model(), Some("m-1"));
    assert_eq!(
        call.attributes.get("gen_ai.usage.output_tokens"),
        Some(&1.into())
    );
}
