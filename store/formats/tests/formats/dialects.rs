//! The same agents written down by different hands: one tree, one set of types, one total.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use spanlite_formats::read;
use spanlite_model::{Json, Span, Trace, trace_usage};

use crate::files::{folder, traces};

/// What must not depend on the dialect.
fn tree(trace: &Trace) -> BTreeMap<String, (String, Option<String>, String)> {
    let one = |span: &Span| {
        let parent = span.parent_span_id.map(|id| id.to_string());
        let facts = (
            span.name.clone(),
            parent,
            span.span_type.as_str().to_owned(),
        );
        (span.span_id.to_string(), facts)
    };
    trace.spans.iter().map(one).collect()
}

fn payloads(trace: &Trace) -> BTreeMap<String, (Value, Value)> {
    let value = |json: &Option<Json>| json.as_ref().map_or(Value::Null, |j| j.to_value().unwrap());
    let one = |span: &Span| {
        (
            span.span_id.to_string(),
            (value(&span.inputs), value(&span.outputs)),
        )
    };
    trace.spans.iter().map(one).collect()
}

fn one(folder: &Path, file: &str) -> Trace {
    let mut traces = traces(&folder.join(file));
    assert_eq!(traces.len(), 1, "{file}");
    traces.remove(0)
}

#[test]
fn an_agent_is_the_same_in_its_own_dialect_and_as_mlflow_translated_it() {
    let Some(folder) = folder() else { return };
    for (own, translated) in [
        (
            "otel_spans_strands_evals/otel_genai_convention_spans.json",
            "mlflow_trace_json/tr-a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4.json",
        ),
        (
            "otel_spans_strands_evals/smolagents_live_spans.json",
            "mlflow_trace_json/tr-f63de90470d666fccdf71a2b9cb7d089.json",
        ),
    ] {
        let (own, translated) = (one(&folder, own), one(&folder, translated));
        assert_eq!(own.trace_id, translated.trace_id);
        assert_eq!(tree(&own), tree(&translated));
        // MLflow leaves out what stands in events only; what it has is the same.
        let ours = payloads(&own);
        for (id, (inputs, outputs)) in payloads(&translated) {
            assert!(inputs.is_null() || inputs == ours[&id].0, "{id}");
            assert!(outputs.is_null() || outputs == ours[&id].1, "{id}");
        }
        let usage = trace_usage(&own);
        assert!(usage.total_tokens.is_some());
        assert_eq!(usage, trace_usage(&translated));
        assert_eq!(own.info.session, translated.info.session);
        assert!(own.spans.iter().any(|span| span.derived.inputs));
        assert!(translated.spans.iter().any(|span| !span.derived.inputs));
    }
}

/// One exchange of two model calls and a tool, in two dialects of OTLP.
fn exchange(agent: &str, chat: &str, tool: &str) -> Trace {
    let span = |id: u8, parent: &str, attributes: &str| {
        format!(
            r#"{{"traceId":"{:032x}","spanId":"{id:016x}","parentSpanId":"{parent}","name":"s",
            "startTimeUnixNano":"{id}","endTimeUnixNano":"9","attributes":[{attributes}]}}"#,
            7
        )
    };
    let root = format!("{:016x}", 1);
    let spans = [
        span(1, "", agent),
        span(2, &root, chat),
        span(3, &root, tool),
        span(4, &root, chat),
    ];
    let document = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    );
    read(document.as_bytes(), "f").unwrap().traces.remove(0)
}

fn attributes(entries: &[(&str, &str)]) -> String {
    let one = |(key, value): &(&str, &str)| {
        let value = match value.parse::<i64>() {
            Ok(number) => serde_json::json!({"key": key, "value": {"intValue": number}}),
            Err(_) => serde_json::json!({"key": key, "value": {"stringValue": value}}),
        };
        value.to_string()
    };
    entries.iter().map(one).collect::<Vec<_>>().join(",")
}

#[test]
fn a_roll_up_on_the_agent_is_counted_once_in_both_dialects() {
    let arguments = r#"{"city":"Paris"}"#;
    let open_inference = exchange(
        &attributes(&[
            ("openinference.span.kind", "AGENT"),
            ("session.id", "s-1"),
            ("user.id", "alice"),
        ]),
        &attributes(&[
            ("openinference.span.kind", "LLM"),
            ("llm.token_count.prompt", "10"),
            ("llm.token_count.completion", "5"),
        ]),
        &attributes(&[
            ("openinference.span.kind", "TOOL"),
            ("input.value", arguments),
            ("output.value", "grey"),
        ]),
    );
    let gen_ai = exchange(
        &attributes(&[
            ("gen_ai.operation.name", "invoke_agent"),
            ("gen_ai.conversation.id", "s-1"),
            ("user.id", "alice"),
            ("gen_ai.usage.input_tokens", "20"),
            ("gen_ai.usage.output_tokens", "10"),
        ]),
        &attributes(&[
            ("gen_ai.operation.name", "generate_content"),
            ("gen_ai.usage.prompt_tokens", "10"),
            ("gen_ai.usage.completion_tokens", "5"),
        ]),
        &attributes(&[
            ("gen_ai.operation.name", "execute_tool"),
            ("gen_ai.tool.call.arguments", arguments),
            ("gen_ai.tool.call.result", "grey"),
        ]),
    );
    assert_eq!(tree(&open_inference), tree(&gen_ai));
    assert_eq!(payloads(&open_inference), payloads(&gen_ai));
    assert_eq!(trace_usage(&open_inference), trace_usage(&gen_ai));
    assert_eq!(trace_usage(&gen_ai).total_tokens, Some(30));
    assert_eq!(open_inference.info, gen_ai.info);
    assert_eq!(gen_ai.info.session.as_deref(), Some("s-1"));
    assert_eq!(gen_ai.info.user.as_deref(), Some("alice"));
}
