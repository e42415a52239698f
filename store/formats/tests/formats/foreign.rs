//! What the readers of foreign formats make of them.

use std::fs;

use spanlite_formats::read;
use spanlite_model::{SpanKind, SpanType, StatusCode, Trace, Value, trace_usage};

use crate::files::{folder, traces};

fn one(text: &str) -> Trace {
    let mut traces = read(text.as_bytes(), "f").unwrap().traces;
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

#[test]
fn the_two_sides_of_a_zipkin_call_become_two_spans() {
    let trace = one(r#"[
        {"traceId":"0a","id":"01","kind":"CLIENT","name":"get","timestamp":10,"duration":5,
         "localEndpoint":{"serviceName":"web"},"remoteEndpoint":{"serviceName":"db","port":1}},
        {"traceId":"0a","id":"01","kind":"SERVER","name":"get","timestamp":11,"duration":3,
         "shared":true,"localEndpoint":{"serviceName":"db"},"tags":{"error":"full"}},
        {"traceId":"0a","id":"02","parentId":"01","name":"read","timestamp":12,
         "localEndpoint":{"serviceName":"db"},
         "annotations":[{"timestamp":13,"value":"mark"}]}]"#);
    let [client, server, child] = &trace.spans[..] else {
        panic!("three spans");
    };
    assert_eq!(
        (client.kind, server.kind),
        (SpanKind::Client, SpanKind::Server)
    );
    assert_eq!(server.parent_span_id, Some(client.span_id));
    assert_eq!(child.parent_span_id, Some(server.span_id));
    assert_eq!(client.start_time_unix_nano, 10_000);
    assert_eq!(client.end_time_unix_nano, Some(15_000));
    assert_eq!(child.end_time_unix_nano, None);
    assert_eq!(child.events[0].time_unix_nano, 13_000);
    assert_eq!(server.status.code, StatusCode::Error);
    assert_eq!(server.status.message, "full");
    assert_eq!(client.service_name(), Some("web"));
    assert_eq!(client.attributes.get_str("peer.service"), Some("db"));
}

#[test]
fn jaeger_tags_keep_their_types_and_references_become_parents_and_links() {
    let trace = one(
        r#"{"data":[{"traceID":"0a","processes":{"p1":{"serviceName":"web","tags":[]}},"spans":[
        {"traceID":"0a","spanID":"02","operationName":"op","processID":"p1","startTime":10,
         "duration":5,"references":[
            {"refType":"FOLLOWS_FROM","traceID":"0b","spanID":"09"},
            {"refType":"CHILD_OF","traceID":"0a","spanID":"01"}],
         "tags":[{"key":"span.kind","type":"string","value":"client"},
                 {"key":"error","type":"bool","value":"true"},
                 {"key":"n","type":"int64","value":"7"},
                 {"key":"f","type":"float64","value":2},
                 {"key":"b","type":"binary","value":"AQI="}],
         "logs":[{"timestamp":11,"fields":[{"key":"event","type":"string","value":"mark"}]}]}]}]}"#,
    );
    let span = &trace.spans[0];
    assert_eq!(span.kind, SpanKind::Client);
    assert!(span.is_error());
    assert_eq!(span.parent_span_id.unwrap().to_string(), "0000000000000001");
    assert_eq!(span.links[0].span_id.to_string(), "0000000000000009");
    assert_eq!(span.attributes.get("n"), Some(&Value::Int(7)));
    assert_eq!(span.attributes.get("f"), Some(&Value::Double(2.0)));
    assert_eq!(span.attributes.get("b"), Some(&Value::Bytes(vec![1, 2])));
    assert_eq!(span.events[0].name, "mark");
    assert_eq!(span.service_name(), Some("web"));
    let error = read(
        &br#"{"traceID":"a","spans":[{"relativeStartTime":0,"process":{}}]}"#[..],
        "f",
    );
    assert!(
        error
            .unwrap_err()
            .reason
            .to_string()
            .contains("user interface")
    );
}

#[test]
fn langfuse_texts_are_unpacked_and_scores_become_assessments() {
    let trace = one(
        r#"{"trace":{"id":"080130871f53145aecf7c29d5dfb6e4c","name":"n","userId":"u",
          "sessionId":"s","tags":["dev"],"input":"\"{\\\"q\\\":1}\"","timestamp":"2025-06-11T14:01:32.598Z",
          "release":"r1","scores":[{"id":"x","name":"toxicity","value":0,"source":"EVAL","comment":"kind"}]},
         "observations":[{"id":"bded677884f031ce","type":"GENERATION","name":"call",
          "startTime":"2025-08-28T07:32:31.222Z","endTime":"2025-08-28T07:32:32.146Z",
          "input":"{\"model\": \"m\"}","output":"plain","model":"m","level":"ERROR","statusMessage":"cut",
          "usageDetails":{"input":39,"output":6,"total":45},"costDetails":{"total":6.3e-06},
          "metadata":"{\"attributes\":{\"k\":1},\"resourceAttributes\":{\"service.name\":\"web\"}}"}]}"#,
    );
    let span = &trace.spans[0];
    assert_eq!(span.span_type, SpanType::Llm);
    assert_eq!(span.inputs.as_ref().unwrap().as_text(), r#"{"model": "m"}"#);
    assert_eq!(span.outputs.as_ref().unwrap().as_text(), "\"plain\"");
    assert_eq!(span.model(), Some("m"));
    assert_eq!(span.error_message(), Some("cut"));
    assert_eq!(span.attributes.get("k"), Some(&Value::Int(1)));
    assert_eq!(span.service_name(), Some("web"));
    assert_eq!(trace_usage(&trace).total_tokens, Some(45));
    assert_eq!(trace.info.request_preview.as_deref(), Some(r#"{"q":1}"#));
    assert_eq!(trace.info.session.as_deref(), Some("s"));
    assert_eq!(trace.info.tags["dev"], "true");
    assert_eq!(trace.info.extra["langfuse.release"].as_text(), "\"r1\"");
    assert_eq!(trace.info.assessments[0].rationale.as_deref(), Some("kind"));
}

#[test]
fn console_objects_are_read_one_after_another_and_events_give_inputs() {
    let span = |id: &str| {
        format!(
            r#"{{
    "name": "call", "context": {{"trace_id": "0x0a", "span_id": "0x{id}", "trace_state": "[]"}},
    "kind": "SpanKind.CLIENT", "parent_id": null, "start_time": "2025-09-17T11:35:49.100391Z",
    "end_time": null, "status": {{"status_code": "ERROR", "description": "boom"}},
    "attributes": {{"span.type": "inference"}},
    "events": [{{"name": "data.input", "timestamp": "2025-09-17T11:35:49Z",
                 "attributes": {{"input": ["2+2?"]}}}}]
}}
"#
        )
    };
    let trace = one(&format!("{}{}", span("01"), span("02")));
    assert_eq!(trace.spans.len(), 2);
    let first = &trace.spans[0];
    assert_eq!(first.kind, SpanKind::Client);
    assert_eq!(first.span_type, SpanType::Llm);
    assert_eq!(first.start_time_unix_nano, 1_758_108_949_100_391_000);
    assert_eq!(first.end_time_unix_nano, None);
    assert_eq!(first.status.message, "boom");
    assert_eq!(first.inputs.as_ref().unwrap().as_text(), r#"["2+2?"]"#);
}

#[test]
fn log_records_of_agentcore_join_their_spans_when_they_come_together() {
    let Some(folder) = folder() else { return };
    let file = |name: &str| {
        let path = folder.join("aws_agentcore_raw_otel").join(name);
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap()
    };
    let mut entries = file("raw_otel_langchain_runtime_logs.json");
    entries.extend(file("raw_otel_langchain_spans.json"));
    let text = serde_json::to_string(&entries).unwrap();
    let joined = read(text.as_bytes(), "joined").unwrap().traces;
    let alone = traces(&folder.join("aws_agentcore_raw_otel/raw_otel_langchain_spans.json"));
    let spans = |traces: &[Trace]| traces.iter().map(|trace| trace.spans.len()).sum::<usize>();
    assert_eq!(spans(&joined), spans(&alone));
    let events = |traces: &[Trace]| -> usize {
        let spans = traces.iter().flat_map(|trace| &trace.spans);
        spans.map(|span| span.events.len()).sum()
    };
    assert_eq!(events(&joined), events(&alone) + 14);
    let chat = joined[0]
        .spans
        .iter()
        .find(|span| span.name == "ChatBedrockConverse.chat");
    let chat = chat.unwrap();
    assert_eq!(chat.span_type, SpanType::ChatModel);
    let inputs = chat.inputs.as_ref().unwrap().as_text();
    assert!(inputs.contains("find everything about me"), "{inputs}");
}
