//! rig, whose agents speak by `tracing`, against a server on the loopback device.

use futures_util::StreamExt as _;
use rig_agent::prelude::*;
use rig_agent::tool::ToolContext;
use rig_core::providers::openai::{OpenAIConfig, Route};
use rig_reqwest::ReqwestClient;
use serde_json::{Value, json};
use spanlite::testing::{Capture, capture};
use spanlite::{InSpanExt as _, SpanType};
use spanlite_model::{Span, TokenUsage};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::server::{Answer, Server};

/// A tool with a manual span inside.
struct Add;

impl Tool for Add {
    const NAME: &'static str = "add";
    type Args = Value;
    type Output = i64;
    type Error = std::io::Error;

    fn description(&self) -> String {
        "Adds two numbers.".to_owned()
    }

    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}})
    }

    async fn call(&self, _: &mut ToolContext, numbers: Value) -> Result<i64, std::io::Error> {
        spanlite::in_span("sum", |_| {
            let number = |key: &str| numbers[key].as_i64();
            let sum = number("x").zip(number("y")).map(|(x, y)| x + y);
            sum.ok_or_else(|| std::io::Error::other("no numbers"))
        })
    }
}

fn agent(server: &Server) -> Agent {
    crate::choose_tls();
    let model = OpenAIConfig::new("secret")
        .with_base_url(server.url("/v1"))
        .with_route(Route::Chat)
        .connect(ReqwestClient::from(reqwest::Client::new()))
        .completion("m");
    AgentBuilder::new(model)
        .preamble("Be brief.")
        .record_content_telemetry(true)
        .tool(Add)
        .build()
}

/// Runs inside of a manual span, with the layer that a program would have.
fn run(answers: Vec<Answer>, what: impl AsyncFnOnce(Agent)) -> (Capture, Server) {
    let subscriber = tracing_subscriber::registry().with(spanlite_auto::layer());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let capture = capture();
    let server = Server::start(answers);
    let agent = agent(&server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(what(agent).in_span("ask"));
    assert_eq!(capture.traces().len(), 1, "one tree: {}", capture.tree());
    assert!(!format!("{:?}", capture.spans()).contains("secret"));
    (capture, server)
}

fn all(capture: &Capture, span_type: &SpanType) -> Vec<Span> {
    let spans = capture.spans().into_iter();
    spans.filter(|span| span.span_type == *span_type).collect()
}

fn one(capture: &Capture, name: &str) -> Span {
    let spans = capture.spans();
    let found = spans.into_iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {}", capture.tree()))
}

fn completion(message: &Value, reason: &str) -> Answer {
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m-1",
        "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}});
    Answer::json(200, &answer)
}

fn wish(arguments: &str) -> Answer {
    let call = json!({"id": "t-1", "type": "function",
        "function": {"name": "add", "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    completion(&message, "tool_calls")
}

#[test]
fn an_agent_its_calls_and_its_tools_are_one_tree() {
    let last = completion(&json!({"role": "assistant", "content": "four"}), "stop");
    let answers = vec![wish("{\"x\":2,\"y\":2}"), last];
    let (capture, _server) = run(answers, async |agent| {
        let answer = agent.prompt("2+2?").max_turns(3).await.unwrap();
        assert_eq!(answer.output(), "four");
    });
    let asking = one(&capture, "ask");
    let agents = all(&capture, &SpanType::Agent);
    assert_eq!(agents.len(), 1, "{}", capture.tree());
    assert_eq!(agents[0].parent_span_id, Some(asking.span_id));
    let calls = all(&capture, &SpanType::ChatModel);
    assert_eq!(calls.len(), 2, "{}", capture.tree());
    for call in &calls {
        assert_eq!(call.model(), Some("m-1"), "{}", capture.tree());
        assert_eq!(TokenUsage::of(call).input_tokens, Some(9));
        assert!(call.inputs.as_ref().unwrap().as_text().contains("2+2?"));
    }
    let said = calls.iter().filter_map(|call| call.outputs.as_ref());
    assert!(said.clone().any(|json| json.as_text().contains("four")));
    assert!(said.clone().any(|json| json.as_text().contains("add")));
    let tools = all(&capture, &SpanType::Tool);
    assert_eq!(tools.len(), 1, "{}", capture.tree());
    assert!(tools[0].outputs.as_ref().unwrap().as_text().contains('4'));
    let sum = one(&capture, "sum");
    assert_eq!(sum.parent_span_id, Some(tools[0].span_id));
}

#[test]
fn a_streamed_answer_is_joined() {
    let piece = |choice: Value| {
        let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "m-1", "choices": [choice]});
        format!("data: {event}\n\n")
    };
    let text = |text: &str| piece(json!({"index": 0, "delta": {"content": text}}));
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
        "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}});
    let events = [
        text("fo"),
        text("ur"),
        piece(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        format!("data: {usage}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ];
    let answer = Answer::events(&events.each_ref().map(String::as_str));
    let (capture, _server) = run(vec![answer], async |agent| {
        let mut items = agent.prompt("2+2?").stream();
        let mut said = None;
        while let Some(item) = items.next().await {
            if let MultiTurnStreamItem::FinalResponse(last) = item.unwrap() {
                said = Some(last.output().clone());
            }
        }
        assert_eq!(said.as_deref(), Some("four"));
    });
    let calls = all(&capture, &SpanType::ChatModel);
    assert_eq!(calls.len(), 1, "{}", capture.tree());
    assert_eq!(TokenUsage::of(&calls[0]).output_tokens, Some(4));
    let outputs = calls[0].outputs.as_ref().unwrap().as_text();
    assert!(outputs.contains("four"), "{outputs}");
}

#[test]
fn an_error_of_the_server_leaves_the_tree_whole() {
    let refusal = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
    let answers = vec![Answer::json(400, &refusal)];
    let (capture, _server) = run(answers, async |agent| {
        assert!(agent.prompt("2+2?").await.is_err());
    });
    let asking = one(&capture, "ask");
    assert!(!asking.is_error(), "the caller went on");
    let calls = all(&capture, &SpanType::ChatModel);
    assert_eq!(calls.len(), 1, "{}", capture.tree());
}
