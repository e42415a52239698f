//! Agent runs that repeat their messages: raw JSON against the bytes of blocks.

use std::path::PathBuf;

use spanlite_benches::print_table;
use spanlite_model::{Json, Span, SpanId, SpanType, Trace, TraceId};
use spanlite_store::block::encode_block;

/// The folder with traces of real programs, which is not part of the repository.
fn traces_folder() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark has no settings of its own"
    )]
    let folder = std::env::var("SPANLITE_TRACES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|_| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces"))
    });
    folder.is_dir().then_some(folder)
}

/// One trace a run: a span for every call of the model, with all messages before as inputs.
fn trace_of(number: u64, messages: &[serde_json::Value]) -> Trace {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let trace_id = TraceId::from_bytes(id);
    let mut spans: Vec<Span> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] != "assistant" {
            continue;
        }
        let span_id = SpanId::from_bytes((number << 16 | (index as u64 + 1)).to_be_bytes());
        let mut span = Span::new(trace_id, span_id, "chat");
        span.span_type = SpanType::ChatModel;
        span.start_time_unix_nano = 1_760_000_000_000_000_000 + index as u64 * 1_300_000_000;
        span.end_time_unix_nano = Some(span.start_time_unix_nano + 1_300_000_000);
        span.parent_span_id = spans.first().map(|first| first.span_id);
        let inputs = serde_json::json!({ "messages": &messages[..index] });
        span.inputs = Some(Json::from(&inputs));
        span.outputs = Some(Json::from(message));
        spans.push(span);
    }
    Trace::new(trace_id, spans)
}

fn row(name: &str, traces: &[Trace]) -> Vec<String> {
    let texts = traces.iter().flat_map(|trace| &trace.spans);
    let texts = texts
        .flat_map(|span| [&span.inputs, &span.outputs])
        .flatten();
    let raw: usize = texts.map(|json| json.as_text().len()).sum();
    let mut stored = 0;
    for chunk in traces.chunks(250) {
        if let Ok(block) = encode_block(chunk) {
            stored += block.header.len() + block.sections.iter().map(Vec::len).sum::<usize>();
        }
    }
    vec![
        name.to_owned(),
        traces
            .iter()
            .map(|trace| trace.spans.len())
            .sum::<usize>()
            .to_string(),
        raw.to_string(),
        stored.to_string(),
        format!("1/{:.0}", raw as f64 / stored as f64),
    ]
}

pub(crate) fn print() {
    let read = |folder: PathBuf| {
        let file = folder.join("agent_runs_tau_bench/gpt-4o-airline.trials_0_1.json");
        let text = std::fs::read_to_string(file).ok()?;
        serde_json::from_str::<Vec<serde_json::Value>>(&text).ok()
    };
    let Some(runs) = traces_folder().and_then(read) else {
        print_table(
            "agent runs: skipped, the folder of real traces is absent",
            &[],
            &[],
        );
        return;
    };
    let messages: Vec<&Vec<serde_json::Value>> = runs
        .iter()
        .filter_map(|run| run["traj"].as_array())
        .collect();
    let traces: Vec<Trace> = messages
        .iter()
        .zip(0..)
        .map(|(run, n)| trace_of(n, run))
        .collect();
    // One long conversation: the messages of many runs in a row, up to 120 calls.
    let mut session: Vec<serde_json::Value> = Vec::new();
    let mut calls = 0;
    for message in messages.iter().copied().flatten() {
        if calls == 120 {
            break;
        }
        calls += usize::from(message["role"] == "assistant");
        if message["role"] != "system" || session.is_empty() {
            session.push(message.clone());
        }
    }
    let session = [trace_of(1 << 20, &session)];
    print_table(
        "agent runs",
        &["", "spans", "raw JSON bytes", "stored bytes", "ratio"],
        &[
            row("tau-bench runs", &traces),
            row("session of 120 calls", &session),
        ],
    );
}
