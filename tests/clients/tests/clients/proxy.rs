//! The recording proxy between clients and a server on the loopback device.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use serde_json::{Value, json};
use spanlite::testing::{Capture, capture};
use spanlite::{Context, SpanType, StatusCode};
use spanlite_model::Span;
use spanlite_server::{Proxy, ProxyOptions, ProxyTotals, Token, Upstream};

use crate::server::{Answer, Server, piece};

/// Runs a proxy before a server, and what is to be done with it, all on this thread, where spans
/// are captured.
fn with_proxy<F: Future<Output = ()>>(
    server: &Server,
    token: Option<Token>,
    what: impl FnOnce(String) -> F,
) -> (ProxyTotals, Capture) {
    crate::choose_tls();
    let capture = capture();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let totals = runtime.block_on(async {
        let proxy = Proxy::bind(ProxyOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            token,
            upstreams: vec![
                Upstream::new("openai", &server.url("")).unwrap(),
                Upstream::new("anthropic", &server.url("/deep")).unwrap(),
                Upstream::new("nobody", "http://127.0.0.1:1").unwrap(),
            ],
            ..ProxyOptions::default()
        });
        let proxy = proxy.await.unwrap();
        let url = format!("http://{}", proxy.addresses()[0]);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(proxy.run(async move {
            let _told = stopped.await;
        }));
        what(url).await;
        stop.send(()).unwrap();
        running.await.unwrap()
    });
    (totals, capture)
}

fn only(capture: &Capture) -> Span {
    let mut spans = capture.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

fn post(url: &str, body: &Value) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .post(url)
        .header("authorization", "Bearer secret")
        .header("x-api-key", "secret")
        .header("accept-encoding", "gzip")
        .header("content-type", "application/json")
        .body(body.to_string())
}

fn answer() -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "4"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
}

#[test]
fn a_client_that_knows_only_the_address_is_recorded() {
    let server = Server::start(vec![Answer::json(200, &answer())]);
    let (totals, capture) = with_proxy(&server, None, |url| async move {
        let config = OpenAIConfig::new()
            .with_api_base(format!("{url}/openai/v1"))
            .with_api_key("secret");
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "2+2?"}]});
        let answer = Client::with_config(config)
            .chat()
            .create(serde_json::from_value(request).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("4"));
    });
    let call = only(&capture);
    assert_eq!((call.name.as_str(), call.model()), ("chat m", Some("m-1")));
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert_eq!(call.outputs.as_ref().unwrap().to_value().unwrap(), answer());
    assert_eq!(
        (totals.requests, totals.calls, totals.unanswered),
        (1, 1, 0)
    );
    assert!(
        server.heads.recv().unwrap().contains("bearer secret"),
        "the key is sent on"
    );
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn headers_reach_the_server_and_the_place_in_the_trace_counts() {
    let parent =
        Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let parent = parent.unwrap();
    let server = Server::start(vec![Answer::json(200, &json!({"content": []}))]);
    let (_, capture) = with_proxy(&server, None, |url| async move {
        let url = format!("{url}/anthropic/v1/messages?beta=true&key=secret");
        let response = post(&url, &json!({"model": "claude"}))
            .header("traceparent", parent.traceparent().unwrap())
            .header("connection", "x-mine")
            .header("x-mine", "1")
            .send()
            .await
            .unwrap();
        assert_eq!(response.text().await.unwrap(), "{\"content\":[]}");
    });
    let call = only(&capture);
    assert_eq!(Some(call.trace_id), parent.trace_id());
    assert_eq!(call.parent_span_id, parent.span_id());
    assert_eq!(call.provider(), Some("anthropic"));
    let head = server.heads.recv().unwrap();
    assert!(
        head.starts_with("post /deep/v1/messages?beta=true&key=secret http/1.1"),
        "{head}"
    );
    assert!(head.contains("x-api-key: secret\n"), "{head}");
    assert!(head.contains("accept-encoding: identity\n"), "{head}");
    assert!(
        head.contains(&format!("host: {}\n", server.address)),
        "{head}"
    );
    assert!(!head.contains("x-mine"), "{head}");
    assert!(!format!("{call:?}").contains("secret"));
}

#[test]
fn chunks_pass_before_the_next_one_is_sent() {
    let chunks = [piece("4"), piece("2"), "data: [DONE]\n\n".to_owned()];
    let (answer, word) = Answer::events(&chunks.each_ref().map(String::as_str)).gated();
    let server = Server::start(vec![answer]);
    let (_, capture) = with_proxy(&server, None, |url| async move {
        let url = format!("{url}/openai/v1/chat/completions");
        let mut response = post(&url, &json!({"model": "m", "stream": true}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        for chunk in &chunks {
            let mut seen = Vec::new();
            while seen.len() < chunk.len() {
                seen.extend(response.chunk().await.unwrap().unwrap());
            }
            assert_eq!(seen, chunk.as_bytes());
            // The server sends the next one only now.
            let _listens = word.send(());
        }
        assert_eq!(response.chunk().await.unwrap(), None);
    });
    let call = only(&capture);
    let outputs = call.outputs.as_ref().unwrap().to_value().unwrap();
    assert_eq!(outputs["choices"][0]["message"]["content"], "42");
    assert!(
        call.attributes
            .get("gen_ai.response.time_to_first_chunk")
            .is_some()
    );
}

#[test]
fn a_stream_that_breaks_off_breaks_off_for_the_client_too() {
    let mut answer = Answer::events(&[&piece("par")]);
    answer.cut = true;
    let server = Server::start(vec![answer]);
    let (_, capture) = with_proxy(&server, None, |url| async move {
        let url = format!("{url}/openai/v1/chat/completions");
        let response = post(&url, &json!({"model": "m", "stream": true}))
            .send()
            .await
            .unwrap();
        assert!(response.bytes().await.is_err());
    });
    let call = only(&capture);
    assert_eq!(call.error_type(), Some("BodyError"));
    assert!(call.outputs.as_ref().unwrap().as_text().contains("par"));
}

#[test]
fn a_client_that_goes_away_leaves_what_came() {
    let chunks = [piece("4"), piece("2")];
    let (answer, word) = Answer::events(&chunks.each_ref().map(String::as_str)).gated();
    let server = Server::start(vec![answer]);
    let (_, capture) = with_proxy(&server, None, |url| async move {
        let url = format!("{url}/openai/v1/chat/completions");
        let mut response = post(&url, &json!({"model": "m", "stream": true}))
            .send()
            .await
            .unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        drop(response);
    });
    drop(word);
    let call = only(&capture);
    assert_eq!(call.status.code, StatusCode::Unset);
    assert_eq!(
        call.attributes.get("spanlite.stopped_early"),
        Some(&true.into())
    );
    assert!(call.outputs.as_ref().unwrap().as_text().contains('4'));
}

#[test]
fn errors_of_the_server_pass_as_they_are() {
    let refusal = json!({"error": {"type": "rate_limit_error", "message": "slow down"}});
    let server = Server::start(vec![Answer::json(429, &refusal)]);
    let (totals, capture) = with_proxy(&server, None, |url| async move {
        let call = format!("{url}/openai/v1/chat/completions");
        let response = post(&call, &json!({"model": "m"})).send().await.unwrap();
        assert_eq!(response.status(), 429);
        let text = response.text().await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), refusal);

        let nobody = format!("{url}/nobody/v1/chat/completions?key=secret");
        let response = post(&nobody, &json!({"model": "n"})).send().await.unwrap();
        assert_eq!(response.status(), 502);
        let text = response.text().await.unwrap();
        assert!(
            text.contains("spanlite_unanswered") && !text.contains("secret"),
            "{text}"
        );

        let wrong = post(&format!("{url}/v1/chat/completions"), &json!({}));
        assert_eq!(wrong.send().await.unwrap().status(), 404);
    });
    let spans = capture.spans();
    let errors: Vec<_> = spans.iter().map(Span::error_type).collect();
    assert_eq!(errors, [Some("rate_limit_error"), Some("ConnectError")]);
    assert_eq!(
        (totals.requests, totals.calls, totals.unanswered),
        (2, 2, 1)
    );
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn other_requests_pass_unrecorded_and_a_token_is_kept() {
    let server = Server::start(vec![Answer::json(200, &json!({"data": []}))]);
    let token = Token::new("0123456789abcdef").unwrap();
    let (totals, capture) = with_proxy(&server, Some(token), |url| async move {
        let models = reqwest::Client::new().get(format!("{url}/openai/v1/models"));
        let refused = models.try_clone().unwrap().bearer_auth("0123456789abcdef");
        assert_eq!(refused.send().await.unwrap().status(), 401);
        let allowed = models.header("x-spanlite-token", "0123456789abcdef");
        let response = allowed.bearer_auth("secret").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "{\"data\":[]}");
    });
    assert_eq!((totals.requests, totals.calls), (1, 0));
    assert!(capture.spans().is_empty());
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("get /v1/models http/1.1"), "{head}");
    assert!(!head.contains("0123456789abcdef"), "{head}");
}
