//! Chats, agents and long sessions.

use std::collections::BTreeMap;

use serde_json::json;
use spanlite_model::{
    Assessment, AssessmentId, AssessmentSource, AssessmentValue, Json, SourceType, SpanType, Trace,
    TraceState,
};

use crate::conversation::{Call, Conversation, Tool};
use crate::draft::{Draft, MILLISECOND, SECOND};
use crate::text::text;

/// A question to a chat model, in most cases with documents looked up for it.
pub(crate) fn chat(seed: u64, index: u64) -> Trace {
    let mut draft = Draft::new(seed, index, "assistant", "rag");
    let root = draft.open(None, crate::text::name("chat", index % 30), SpanType::Chain);
    let system_bytes = draft.random.between(500, 4_000) as usize;
    let mut conversation = Conversation::new(&mut draft, system_bytes);
    let question_bytes = draft.random.between(40, 400) as usize;
    let question = text(&mut draft.random, question_bytes);
    let calls = 1 + draft.random.geometric(0.4, 7);
    let mut well = true;
    for turn in 0..calls {
        if draft.random.chance(0.7) {
            let found = retrieve(&mut draft, root, &question);
            conversation.push("user", &found);
        }
        let bytes = draft.random.between(300, 2_000) as usize;
        let asked = if turn == 0 {
            question.clone()
        } else {
            text(&mut draft.random, bytes)
        };
        conversation.push("user", &asked);
        well = conversation.call(
            &mut draft,
            root,
            &Call {
                answer_bytes: bytes,
                seconds_p50: 1.3,
                seconds_p90: 3.9,
                error_share: 0.01,
            },
        );
    }
    finish(&mut draft, root, &question, well);
    sessions(&mut draft, index, 0.05);
    end(draft, 0.01)
}

fn retrieve(draft: &mut Draft, root: usize, question: &str) -> String {
    let place = draft.open(Some(root), "retrieve", SpanType::Retriever);
    let embed = draft.open(Some(place), "embed", SpanType::Embedding);
    draft.pass(8.0 * MILLISECOND);
    draft.close(embed);
    let documents: Vec<_> = (0..draft.random.between(2, 5))
        .map(|n| {
            let bytes = draft.random.between(200, 900) as usize;
            json!({ "page_content": text(&mut draft.random, bytes), "metadata": { "rank": n } })
        })
        .collect();
    let took = draft.random.log_normal(20.0, 90.0);
    draft.pass(took * MILLISECOND);
    let found = json!(documents);
    draft.span(place).inputs = Some(Json::string(question));
    draft.span(place).outputs = Some(Json::from(&found));
    draft.close(place);
    draft.decorate(place);
    found.to_string()
}

/// What tells agents apart.
pub(crate) struct Agent {
    pub(crate) service: &'static str,
    /// Middle and 90th percentile of model calls, and their least and most.
    pub(crate) calls: (f64, f64, f64, f64),
    /// Bytes of the system prompt, least and most.
    pub(crate) system_bytes: (u64, u64),
    /// Bytes of an answer.
    pub(crate) answer_bytes: f64,
    /// Middle, 90th percentile and most bytes of a tool's result.
    pub(crate) result_bytes: (f64, f64, f64),
    pub(crate) tools: u64,
    pub(crate) tool_error_share: f64,
    pub(crate) model_seconds: (f64, f64),
    pub(crate) overlap_share: f64,
    /// Share of traces with agents below agents.
    pub(crate) sub_agent_share: f64,
    /// After how many calls the context is put together.
    pub(crate) compact_every: u64,
    /// Share of turns that bring a picture.
    pub(crate) image_share: f64,
    /// Share of traces that fail in the end, and that are killed.
    pub(crate) ends: (f64, f64),
    pub(crate) feedback_share: f64,
}

pub(crate) const TOOL_AGENT: Agent = Agent {
    service: "booking-agent",
    calls: (11.0, 20.0, 1.0, 60.0),
    system_bytes: (6_000, 6_000),
    answer_bytes: 250.0,
    result_bytes: (500.0, 1_500.0, 5_000.0),
    tools: 20,
    tool_error_share: 0.06,
    model_seconds: (1.3, 3.9),
    overlap_share: 0.24,
    sub_agent_share: 0.0,
    compact_every: u64::MAX,
    image_share: 0.0,
    ends: (0.04, 0.02),
    feedback_share: 0.1,
};

pub(crate) const CODING_AGENT: Agent = Agent {
    service: "coding-agent",
    calls: (15.0, 40.0, 1.0, 120.0),
    system_bytes: (8_000, 20_000),
    answer_bytes: 650.0,
    result_bytes: (400.0, 4_000.0, 25_000.0),
    tools: 15,
    tool_error_share: 0.12,
    model_seconds: (3.0, 15.0),
    overlap_share: 0.3,
    sub_agent_share: 0.2,
    compact_every: 80,
    image_share: 0.0,
    ends: (0.07, 0.05),
    feedback_share: 0.2,
};

pub(crate) const LONG_SESSION: Agent = Agent {
    service: "coding-agent",
    calls: (230.0, 390.0, 120.0, 400.0),
    system_bytes: (20_000, 40_000),
    answer_bytes: 650.0,
    result_bytes: (2_000.0, 12_000.0, 50_000.0),
    tools: 15,
    tool_error_share: 0.12,
    model_seconds: (3.0, 15.0),
    overlap_share: 0.3,
    sub_agent_share: 1.0,
    compact_every: u64::MAX,
    image_share: 0.01,
    ends: (0.1, 0.1),
    feedback_share: 0.2,
};

/// How large the context of a session may grow before it is put together.
const MAX_CONTEXT_BYTES: usize = 500_000;

/// A run of an agent that calls a model and tools in turns.
pub(crate) fn agent(seed: u64, index: u64, kind: &Agent) -> Trace {
    let mut draft = Draft::new(seed, index, kind.service, "agents");
    let root = draft.open(None, "agent.run", SpanType::Agent);
    let (first, last) = kind.system_bytes;
    let system_bytes = draft.random.between(first, last) as usize;
    let mut conversation = Conversation::new(&mut draft, system_bytes);
    let task = text(&mut draft.random, 200);
    conversation.push("user", &task);
    let (median, p90, least, most) = kind.calls;
    let calls = draft.random.log_normal(median, p90).clamp(least, most) as u64;
    let nested = draft.random.chance(kind.sub_agent_share);
    let mut parents = vec![root];
    let mut well = true;
    for call in 1..=calls {
        if nested && draft.random.chance(0.08) && parents.len() < 6 {
            let parent = parents.last().copied();
            parents.push(draft.open(parent, "agent.delegate", SpanType::Agent));
        }
        let parent = parents.last().copied().unwrap_or(root);
        let size = draft
            .random
            .log_normal(kind.answer_bytes, kind.answer_bytes * 2.3);
        well = conversation.call(
            &mut draft,
            parent,
            &Call {
                answer_bytes: size.min(8_000.0) as usize,
                seconds_p50: kind.model_seconds.0,
                seconds_p90: kind.model_seconds.1,
                error_share: 0.015,
            },
        );
        if call < calls {
            act(&mut draft, &mut conversation, parent, kind);
        }
        if parents.len() > 1 && draft.random.chance(0.15) {
            parents
                .pop()
                .into_iter()
                .for_each(|place| draft.close(place));
        }
        let full = conversation.bytes() > MAX_CONTEXT_BYTES;
        if full || call % kind.compact_every == 0 {
            conversation.compact(&mut draft);
        }
    }
    while parents.len() > 1 {
        parents
            .pop()
            .into_iter()
            .for_each(|place| draft.close(place));
    }
    well &= !draft.random.chance(kind.ends.0);
    finish(&mut draft, root, &task, well);
    sessions(&mut draft, index, kind.feedback_share);
    end(draft, kind.ends.1)
}

/// One to three tools, what a user adds, and pauses.
fn act(draft: &mut Draft, conversation: &mut Conversation, parent: usize, kind: &Agent) {
    let (median, p90, most) = kind.result_bytes;
    for _ in 0..=draft.random.geometric(0.75, 2) {
        let size = draft.random.log_normal(median, p90).min(most);
        let tool = Tool {
            names: kind.tools,
            result_bytes: size as usize,
            quick_ms: 5.0,
            slow_s: 1.0,
            error_share: kind.tool_error_share,
            overlap_share: kind.overlap_share,
        };
        conversation.tool(draft, parent, &tool);
    }
    if draft.random.chance(kind.image_share) {
        let bytes = draft.random.between(100_000, 400_000) as usize;
        let image = base64(&mut draft.random, bytes);
        conversation.push("user", &format!("data:image/png;base64,{image}"));
    }
    if kind.image_share > 0.0 && draft.random.chance(0.05) {
        let minutes = draft.random.between(1, 10) as f64;
        draft.pass(minutes * 60.0 * SECOND);
    }
}

fn base64(random: &mut crate::random::Random, bytes: usize) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..bytes)
        .map(|_| char::from(random.pick(DIGITS)))
        .collect()
}

/// Ends the root with the last answer, or with the error that the run ended with.
fn finish(draft: &mut Draft, root: usize, task: &str, well: bool) {
    let answer = draft.trace.spans.iter().rev().find_map(|span| {
        let model = span.span_type == SpanType::ChatModel;
        span.outputs.clone().filter(|_| model)
    });
    draft.span(root).inputs = Some(Json::from(&json!({ "task": task })));
    draft.span(root).outputs = answer;
    if well {
        draft.close(root);
    } else {
        draft.fail(root, "RunError", "the run did not reach its goal");
    }
}

/// Puts the trace into a session of one of 2,000 users, with feedback in this share of cases.
fn sessions(draft: &mut Draft, index: u64, feedback_share: f64) {
    let user = draft.random.zipf(2_000);
    let length = 1 + user % 20;
    let info = &mut draft.trace.info;
    info.user = Some(format!("user-{user}"));
    info.session = Some(format!("session-{user}-{}", index / length / 100));
    let env = draft.random.pick(&["prod", "prod", "prod", "stage", "dev"]);
    let tags = &mut draft.trace.info.tags;
    tags.insert("env".to_owned(), env.to_owned());
    tags.insert("release".to_owned(), format!("v{}", index / 500));
    if draft.random.chance(feedback_share) {
        let good = draft.random.chance(0.7);
        let id = format!("a-{:016x}{:016x}", draft.random.next(), draft.random.next());
        draft.trace.info.assessments.push(Assessment {
            assessment_id: AssessmentId::from(id.as_str()),
            name: "helpful".to_owned(),
            value: AssessmentValue::Feedback {
                value: Some(Json::from(&json!(good))),
                error: None,
            },
            source: AssessmentSource {
                source_type: SourceType::Human,
                source_id: Some(format!("user-{user}")),
            },
            span_id: None,
            rationale: (!good).then(|| text(&mut draft.random, 60)),
            metadata: BTreeMap::new(),
            create_time_unix_nano: draft.now,
            update_time_unix_nano: draft.now,
            valid: true,
            overrides: None,
        });
    }
}

/// Gives the trace out, in some cases as a kill would leave it.
fn end(mut draft: Draft, killed_share: f64) -> Trace {
    if draft.random.chance(killed_share) {
        draft.kill();
        draft.trace.info.state = Some(TraceState::Interrupted);
    }
    draft.trace
}
