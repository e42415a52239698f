//! What a request takes in memory is known before it is read, whatever it is made of.

use proptest::prelude::*;
use spanlite_formats::{
    Footprint, Taken, encode_otlp, take_otlp_json, take_otlp_protobuf, write_otlp_json,
};
use spanlite_model::{Attributes, Span, SpanId, Trace, TraceId, Value};

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.capacity(),
        Value::Bytes(bytes) => bytes.capacity(),
        Value::Array(values) => {
            values.capacity() * size_of::<Value>() + values.iter().map(of_value).sum::<usize>()
        }
        Value::Map(pairs) => {
            let inner = pairs.iter().map(|(key, value)| key.len() + of_value(value));
            pairs.capacity() * size_of::<(String, Value)>() + inner.sum::<usize>()
        }
        _ => 0,
    }
}

fn of_attributes(attributes: &Attributes) -> usize {
    let pairs = attributes.iter();
    pairs
        .map(|(key, value)| size_of::<(String, Value)>() + key.len() + of_value(value))
        .sum()
}

fn of_span(span: &Span) -> usize {
    let texts = [&span.name, &span.status.message, &span.trace_state];
    let texts: usize = texts.map(String::capacity).iter().sum();
    let json = [&span.inputs, &span.outputs].into_iter().flatten();
    let json: usize = json.map(|json| json.as_text().len()).sum();
    let events = span
        .events
        .iter()
        .map(|event| size_of_val(event) + event.name.capacity() + of_attributes(&event.attributes));
    let links = span.links.iter().map(|link| {
        size_of_val(link) + link.trace_state.capacity() + of_attributes(&link.attributes)
    });
    texts + json + of_attributes(&span.attributes) + events.sum::<usize>() + links.sum::<usize>()
}

/// What traces take at least, as far as their lengths and capacities tell.
fn held(taken: &Taken) -> usize {
    let traces = taken.traces.iter().map(|trace| {
        let spans = trace.spans.capacity() * size_of::<Span>();
        spans + trace.spans.iter().map(of_span).sum::<usize>()
    });
    taken.traces.capacity() * size_of::<Trace>() + traces.sum::<usize>()
}

/// A field of a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

/// A request with these fields of a list of spans.
fn request(spans: &[u8]) -> Vec<u8> {
    field(1, &field(2, spans))
}

fn ids(number: u64) -> Vec<u8> {
    let trace_id = field(1, &u128::from(number).to_be_bytes());
    [trace_id, field(2, &number.to_be_bytes())].concat()
}

fn span_with(fields: &[u8]) -> Vec<u8> {
    request(&field(2, &[&ids(1), fields].concat()))
}

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    field(9, &[field(1, key.as_bytes()), field(2, value)].concat())
}

const MANY: usize = 20_000;

#[test]
fn messages_of_nothing_are_counted_for_what_becomes_of_them() {
    let many = |number| field(number, b"").repeat(MANY);
    let own_traces: Vec<u8> = (1..=1_000).flat_map(|n| field(2, &ids(n))).collect();
    let key = "mlflow.spanInputs";
    for (what, message) in [
        ("spans of traces of their own", request(&own_traces)),
        ("attributes", span_with(&many(9))),
        ("events", span_with(&many(11))),
        ("elements", span_with(&attribute("k", &field(5, &many(1))))),
        ("fields", span_with(&attribute("k", &field(6, &many(1))))),
        ("inputs", span_with(&attribute(key, &field(5, &many(1))))),
        (
            "inputs of fields",
            span_with(&attribute(key, &field(6, &many(1)))),
        ),
        (
            "inputs of control characters",
            span_with(&attribute(key, &field(1, &vec![1; MANY]))),
        ),
        (
            "inputs of bytes",
            span_with(&attribute(key, &field(7, &vec![0xff; MANY]))),
        ),
    ] {
        let footprint = Footprint::of_otlp_protobuf(&message);
        let taken = take_otlp_protobuf(&message).unwrap();
        let held = held(&taken);
        assert_eq!(taken.refused_spans, 0, "{what}");
        assert!(held <= footprint.held_bytes, "{what}: {held} {footprint:?}");
        assert!(held > message.len(), "{what}: {held}, it is no attack");
    }
    // What is thrown away again was there for a moment.
    for (what, message) in [
        ("spans", request(&many(2))),
        ("resources", many(1)),
        ("scopes", field(1, &many(2))),
        ("links", span_with(&many(13))),
        ("a resource", field(1, &field(1, &many(1)))),
    ] {
        let footprint = Footprint::of_otlp_protobuf(&message);
        assert!(footprint.held_bytes > MANY * 60, "{what}: {footprint:?}");
        take_otlp_protobuf(&message).unwrap();
    }
}

#[test]
fn groups_and_cut_messages_hide_nothing() {
    let spans = field(2, b"").repeat(MANY);
    let counted = |bytes: &[u8]| Footprint::of_otlp_protobuf(bytes).spans;
    let grouped = request(&[&b"\x23\x12\x00\x24"[..], &spans].concat());
    assert_eq!(counted(&grouped), MANY, "what a group holds is skipped");
    assert_eq!(
        take_otlp_protobuf(&grouped).unwrap().refused_spans,
        MANY as u64
    );
    let whole = request(&spans);
    assert!(take_otlp_protobuf(&whole[..whole.len() - 1]).is_err());
    let torn = request(&[&spans, &b"\x12\x05"[..]].concat());
    assert_eq!(counted(&torn), MANY);
    assert!(take_otlp_protobuf(&torn).is_err());
}

#[test]
fn texts_of_nothing_are_counted_for_what_becomes_of_them() {
    let many = |one: &str| [one].repeat(MANY).join(",");
    let spans = |inner: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{inner}]}}]}}"#);
    let ids = r#""traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7""#;
    let span = |inner: &str| spans(&format!(r#"{{"spans":[{{{ids},{inner}}}]}}"#));
    let list = |inner: &str| {
        let value = format!(r#"{{"arrayValue":{{"values":[{inner}]}}}}"#);
        span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#))
    };
    for (what, text, least) in [
        (
            "spans",
            spans(&format!(r#"{{"spans":[{}]}}"#, many("{}"))),
            600,
        ),
        (
            "spans without names",
            spans(&format!("[null,[{}]]", many("[]"))),
            600,
        ),
        (
            "spans under another spelling",
            spans(&format!(r#"{{"sp\u0061ns":[{}]}}"#, many("{}"))),
            600,
        ),
        ("scopes", spans(&many("{}")), 200),
        (
            "attributes",
            span(&format!(r#""attributes":[{}]"#, many("{}"))),
            112,
        ),
        (
            "events",
            span(&format!(r#""events":[{}]"#, many("{}"))),
            128,
        ),
        ("values", list(&many("null")), 64),
    ] {
        let footprint = Footprint::of_otlp_json(text.as_bytes());
        assert!(footprint.held_bytes > least * MANY, "{what}: {footprint:?}");
        let taken = take_otlp_json(text.as_bytes()).unwrap();
        assert!(held(&taken) <= footprint.held_bytes, "{what}");
    }
    let info = |key: &str| {
        let tags: Vec<String> = (0..1_000).map(|n| format!(r#"\"{n}\":\"\""#)).collect();
        let text = format!(r#"{{\"tags\":{{{}}}}}"#, tags.join(","));
        let text = span(&format!(
            r#""attributes":[{{"value":{{"stringValue":"{text}"}},"key":"{key}"}}]"#
        ));
        let taken = take_otlp_json(text.as_bytes()).unwrap();
        (Footprint::of_otlp_json(text.as_bytes()), taken)
    };
    for key in ["spanlite.trace_info", r"spanlite\u002etrace_info"] {
        let (footprint, taken) = info(key);
        assert_eq!(taken.traces[0].info.tags.len(), 1_000);
        assert!(footprint.held_bytes > 150 * 1_000, "{footprint:?}");
    }
    let tree = format!("[{}]", many(r#"{"":0}"#));
    assert!(Footprint::of_json(tree.as_bytes()).held_bytes > 640 * MANY);
}

#[test]
fn ordinary_requests_are_not_taken_for_attacks() {
    let mut span = Span::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([1; 8]),
        "chat",
    );
    let question = r#"[{"role":"user","content":"What is the weather?"}]"#.repeat(8);
    span.attributes.push("gen_ai.operation.name", "chat");
    span.attributes.push("gen_ai.request.model", "gpt-4o-mini");
    span.attributes.push("gen_ai.usage.input_tokens", 17);
    span.attributes.push("mlflow.spanInputs", question.as_str());
    let spans = (1..=500_u64).map(|number| Span {
        span_id: SpanId::from_bytes(number.to_be_bytes()),
        ..span.clone()
    });
    let traces = [Trace::new(span.trace_id, spans.collect())];
    let message = encode_otlp(&traces);
    let mut text = Vec::new();
    write_otlp_json(&traces, &mut text).unwrap();
    for (footprint, bytes) in [
        (Footprint::of_otlp_protobuf(&message), message),
        (Footprint::of_otlp_json(&text), text),
    ] {
        assert_eq!(footprint.spans, 500);
        assert!(footprint.held_bytes < 10 * bytes.len(), "{footprint:?}");
        assert!(footprint.largest_bytes < footprint.held_bytes / 400);
    }
}

proptest! {
    #[test]
    fn no_trace_takes_more_than_its_footprint(trace in crate::properties::trace()) {
        let traces = [trace];
        let message = encode_otlp(&traces);
        let taken = take_otlp_protobuf(&message).unwrap();
        prop_assert!(held(&taken) <= Footprint::of_otlp_protobuf(&message).held_bytes);
        let mut text = Vec::new();
        write_otlp_json(&traces, &mut text).unwrap();
        let taken = take_otlp_json(&text).unwrap();
        prop_assert!(held(&taken) <= Footprint::of_otlp_json(&text).held_bytes);
    }
}
