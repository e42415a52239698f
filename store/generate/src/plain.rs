//! Regular traces of ten spans, for comparing stores and query engines.

use spanlite_model::{Json, SpanType, Trace, keys};

use crate::draft::{Draft, MILLISECOND};
use crate::random::Random;
use crate::text::{name, text, words};

const SPANS: usize = 10;

const MODELS: &[&str] = &[
    "m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "m-6", "m-7", "m-8", "m-9", "m-10", "m-11",
];

/// Ten spans of six attributes in two shapes; with `payload`, 1 KiB of inputs and outputs each.
/// Every trace has tags of four sorts; ten of all the traces have the tag `incident`.
pub(crate) fn regular(seed: u64, index: u64, traces: u64, payload: bool) -> Trace {
    let mut draft = Draft::new(seed, index, "bench", "bench");
    let mut parent = None;
    let mut earlier = String::new();
    for n in 0..SPANS {
        let which = draft.random.zipf(200);
        let model_call = n % 2 == 1;
        let span_type = if model_call {
            SpanType::Llm
        } else {
            SpanType::Tool
        };
        let place = draft.open(parent, name("op", which), span_type);
        let model = draft.random.pick(MODELS);
        let (a, b) = (
            draft.random.below(4_000) as i64,
            draft.random.below(800) as i64,
        );
        let share = draft.random.unit();
        let attributes = &mut draft.span(place).attributes;
        if model_call {
            attributes.push("gen_ai.operation.name", "chat");
            attributes.push(keys::GEN_AI_REQUEST_MODEL, model);
            attributes.push("gen_ai.usage.input_tokens", a);
            attributes.push("gen_ai.usage.output_tokens", b);
            attributes.push("gen_ai.request.temperature", share);
            attributes.push("stream", share < 0.5);
        } else {
            attributes.push("gen_ai.tool.name", name("tool", which % 40));
            attributes.push("http.response.status_code", 200);
            attributes.push("server.port", 8_000 + a % 10);
            attributes.push("retry", b % 3);
            attributes.push("score", share);
            attributes.push("cached", share < 0.2);
        }
        if payload {
            earlier = exchange(&mut draft, place, &earlier);
        }
        let took = draft.random.log_normal(40.0, 400.0);
        draft.pass(took * MILLISECOND);
        if draft.random.chance(0.005) {
            draft.fail(place, "Timeout", "deadline exceeded");
        } else {
            draft.close(place);
        }
        if n % 3 == 0 {
            parent = Some(place);
        }
    }
    draft.close(0);
    tags(&mut draft, index, traces);
    draft.trace
}

fn exchange(draft: &mut Draft, place: usize, earlier: &str) -> String {
    let which = draft.random.below(20);
    let system = text(&mut Random::new(which, 300), 300);
    let earlier: String = earlier.chars().take(300).collect();
    let new = text(&mut draft.random, 340);
    let output = text(&mut draft.random, 1_000);
    let inputs = serde_json::json!({ "system": system, "context": earlier, "question": new });
    let span = draft.span(place);
    span.inputs = Some(Json::from(&inputs));
    span.outputs = Some(Json::string(&output));
    output
}

fn tags(draft: &mut Draft, index: u64, traces: u64) {
    let user = draft.random.below((traces / 10).max(1));
    let experiment = draft.random.below(10);
    let env = draft.random.pick(&["prod", "stage", "dev"]);
    let tags = &mut draft.trace.info.tags;
    let mut put = |key: &str, value: String| tags.insert(key.to_owned(), value);
    put("env", env.to_owned());
    put("user.id", format!("u-{user}"));
    put("experiment", format!("e-{experiment}"));
    let every = (traces / 10).max(1);
    if index.is_multiple_of(every) && index / every < 10 {
        put("incident", "yes".to_owned());
    }
}

/// Twenty words, so that three given ones stand side by side in 4.6 % of the traces.
const VOCABULARY: &[&str] = &[
    "refund", "policy", "order", "ticket", "customer", "invoice", "shipping", "address", "return",
    "payment", "account", "email", "delivery", "product", "price", "discount", "support",
    "question", "status", "update",
];

/// Ten spans with 40 words of input and 30 of output, made so that known queries match known
/// shares of traces: 1 % of spans fail, half of these with `Timeout`; 20 services, 1,000 users.
pub(crate) fn searched(seed: u64, index: u64) -> Trace {
    let mut random = Random::new(seed ^ 0x5eed, index);
    let service = format!("svc-{}", random.below(20));
    let mut draft = Draft::new(seed, index, &service, "bench");
    let user = format!("u-{}", draft.random.below(1_000));
    let env = draft.random.pick(&["prod", "stage", "dev", "test"]);
    for n in 0..SPANS {
        let (name, span_type) = match (n, draft.random.below(5)) {
            (0, _) => ("agent.run", SpanType::Agent),
            (_, 0) => ("llm.generate", SpanType::Llm),
            (_, 1) => ("tool.call", SpanType::Tool),
            (_, 2) => ("retrieve", SpanType::Retriever),
            (_, 3) => ("rerank", SpanType::Reranker),
            _ => ("parse", SpanType::Parser),
        };
        let parent = (n > 0).then(|| draft.random.below(n as u64) as usize);
        let place = draft.open(parent, name, span_type);
        let tool = draft.random.below(10);
        let tokens = draft.random.below(4_000) as i64;
        let model = draft.random.pick(MODELS);
        let input = words(&mut draft.random, VOCABULARY, 40);
        let output = words(&mut draft.random, VOCABULARY, 30);
        let attributes = &mut draft.span(place).attributes;
        attributes.push("input", input);
        attributes.push("output", output);
        attributes.push("user.id", user.as_str());
        attributes.push("env", env);
        attributes.push(keys::GEN_AI_REQUEST_MODEL, model);
        attributes.push("gen_ai.usage.input_tokens", tokens);
        if name == "tool.call" {
            attributes.push("tool.name", format!("tool{tool}"));
        }
        let took = draft.random.log_normal(30.0, 220.0);
        draft.pass(took * MILLISECOND);
        if draft.random.chance(0.01) {
            let timeout = draft.random.chance(0.5);
            let class = if timeout { "Timeout" } else { "RateLimit" };
            draft.fail(place, class, "the call failed");
            draft.span(place).attributes.push(keys::ERROR_TYPE, class);
        } else {
            draft.close(place);
        }
    }
    draft.trace
}
