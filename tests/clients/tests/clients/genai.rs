//! genai, whose spans come by `tracing`, against a server on the loopback device.

use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatRequest, Tool};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use serde_json::json;
use spanlite::testing::{Capture, capture};
use spanlite::{InSpanExt as _, SpanType};
use spanlite_model::{Span, TokenUsage};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::server::{Answer, Server};

/// What genai asks for, once a process, before it tells contents.
const CAPTURE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

#[test]
fn calls_of_genai_stand_below_manual_spans() {
    let tests = std::env::current_exe().unwrap();
    let status = Command::new(tests)
        .args(["--exact", "genai::calls", "--ignored", "--nocapture"])
        .env(CAPTURE, "true")
        .status();
    assert!(status.unwrap().success());
}

fn client(server: &Server, kind: AdapterKind) -> Client {
    let base = server.url("/v1/");
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(base.clone()),
                auth: AuthData::from_single("secret"),
                model: ModelIden::new(kind, target.model.model_name),
            })
        },
    );
    let builder = Client::builder().with_service_target_resolver(resolver);
    builder.build().unwrap()
}

/// Asks inside of a manual span, and gives the manual span and that of the call.
fn ask(answer: Answer, kind: AdapterKind, stream: bool) -> (Span, Span) {
    crate::choose_tls();
    let subscriber = tracing_subscriber::registry().with(spanlite_auto::layer());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let capture: Capture = capture();
    let server = Server::start(vec![answer]);
    let client = client(&server, kind);
    let tool = Tool::new("add").with_schema(json!({"type": "object"}));
    let question = ChatRequest::new(vec![ChatMessage::user("2+2?")]).with_tools(vec![tool]);
    let asking = async {
        if stream {
            let answer = client.exec_chat_stream("m", question, None).await;
            let mut events = answer.unwrap().stream;
            // A stream that breaks off ends with an error.
            while let Some(Ok(_)) = events.next().await {}
        } else {
            drop(client.exec_chat("m", question, None).await);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(asking.in_span("ask"));
    let spans = capture.spans();
    assert!(!format!("{spans:?}").contains("secret"));
    let named = |name| spans.iter().find(|span| span.name == name).cloned();
    let found = (named("ask"), named("chat m"));
    let (Some(ask), Some(call)) = found else {
        panic!("{}", capture.tree());
    };
    assert_eq!(call.parent_span_id, Some(ask.span_id));
    (ask, call)
}

#[test]
#[ignore = "run by the test above, with a variable that genai reads"]
fn calls() {
    let answer = json!({"id": "c", "model": "m-1", "choices": [{"index": 0,
        "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    let (_, call) = ask(Answer::json(200, &answer), AdapterKind::OpenAI, false);
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert_eq!(call.model(), Some("m-1"));
    assert_eq!(TokenUsage::of(&call).input_tokens, Some(3));
    assert!(call.inputs.as_ref().unwrap().as_text().contains("2+2?"));
    assert!(call.outputs.as_ref().unwrap().as_text().contains('4'));

    let answer = json!({"id": "a", "model": "claude-1", "type": "message", "role": "assistant",
        "content": [{"type": "text", "text": "four"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 2}});
    let (_, call) = ask(Answer::json(200, &answer), AdapterKind::Anthropic, false);
    assert_eq!(call.provider(), Some("anthropic"));
    assert_eq!(TokenUsage::of(&call).output_tokens, Some(2));
    assert!(call.outputs.as_ref().unwrap().as_text().contains("four"));

    let piece = json!({"id": "c", "model": "m-1", "choices": [{"index": 0,
        "delta": {"content": "4"}}]});
    let events = [format!("data: {piece}\n\n"), "data: [DONE]\n\n".to_owned()];
    let events = Answer::events(&events.each_ref().map(String::as_str));
    let (_, call) = ask(events, AdapterKind::OpenAI, true);
    assert_eq!(call.span_type, SpanType::ChatModel);
    assert!(
        call.attributes
            .get("gen_ai.response.time_to_first_chunk")
            .is_some()
    );

    let busy = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
    let (asking, call) = ask(Answer::json(429, &busy), AdapterKind::OpenAI, false);
    assert!(call.is_error(), "{call:?}");
    assert!(!asking.is_error(), "the caller went on");

    let called = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "t-1",
        "type": "function", "function": {"name": "add", "arguments": "{\"x\":2,\"y\":2}"}}]});
    let answer = json!({"id": "c", "model": "m-1", "choices": [{"index": 0,
        "finish_reason": "tool_calls", "message": called}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}});
    let (_, call) = ask(Answer::json(200, &answer), AdapterKind::OpenAI, false);
    let outputs = call.outputs.as_ref().unwrap().as_text();
    assert!(
        outputs.contains("t-1") && outputs.contains("add"),
        "{outputs}"
    );
    assert!(call.attributes.get("gen_ai.tool.definitions").is_some());

    let (_, call) = ask(anthropic_stream(), AdapterKind::Anthropic, true);
    assert_eq!(call.provider(), Some("anthropic"));
    assert!(!call.is_error(), "{call:?}");

    let (slow, word) = anthropic_stream().gated();
    let giving = std::thread::spawn(move || {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(20));
            // The server waits for each of them.
            word.send(()).unwrap();
        }
    });
    let (_, call) = ask(slow, AdapterKind::Anthropic, true);
    assert!(!call.is_error(), "{call:?}");
    giving.join().unwrap();

    let mut cut = Answer::events(&[&format!("data: {piece}\n\n")]);
    cut.cut = true;
    let (asking, call) = ask(cut, AdapterKind::OpenAI, true);
    assert!(call.is_error(), "{call:?}");
    assert!(!asking.is_error(), "the caller went on");
}

fn anthropic_stream() -> Answer {
    let events = [
        json!({"type": "message_start", "message": {"id": "a", "model": "claude-1",
            "role": "assistant", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "four"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let events = events.map(|event| {
        let kind = event["type"].as_str().unwrap();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    Answer::events(&events.each_ref().map(String::as_str))
}
