//! Input that is wrong, cut, huge or meant to hurt: a clear error or faithful storage.

use std::error::Error as _;
use std::slice::from_ref;

use spanlite_formats::{ReadFailure, encode_otlp, read, read_otlp_protobuf, write_otlp_json};
use spanlite_model::{Forest, Span, SpanId, Trace, TraceId, Value};

/// The error of a file as people read it: place and reasons.
fn error(bytes: &[u8]) -> String {
    let error = read(bytes, "f").unwrap_err();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}

/// An OTLP document with one span that has these fields beside its ids.
fn document(fields: &str) -> String {
    let ids = r#""traceId":"7692c3ad3540bb803c020b3aee66cd88","spanId":"00f067aa0ba902b7""#;
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids},{fields}}}]}}]}}]}}"#)
}

fn one_span(bytes: &[u8]) -> Span {
    let parsed = read(bytes, "f").unwrap();
    assert!(parsed.skipped.is_empty());
    parsed.traces[0].spans[0].clone()
}

#[test]
fn files_that_are_no_traces_are_named() {
    assert_eq!(error(b""), "f: it is empty");
    assert_eq!(error(b" \n\t "), "f: it is empty");
    assert_eq!(
        error(b"hello there, this is no trace\n"),
        "f: it begins with `hello there, thi` and is neither JSON nor OTLP protobuf"
    );
    assert_eq!(
        error(b"\x1b[31m\x00"),
        r"f: it begins with `\x1b[31m\x00` and is neither JSON nor OTLP protobuf"
    );
    assert_eq!(
        error(b"\x1f\x8b\x08\x00"),
        "f: it is compressed with gzip; unpack it first"
    );
    assert_eq!(
        error(b"{\"a\": 1, \"\\u001b[2J\": 2}"),
        "f, line 1: it is JSON of no known trace format; its keys are `\\u{1b}[2J`, `a`"
            .replace("`\\u{1b}[2J`, `a`", "`a`, `\\u{1b}[2J`")
    );
}

#[test]
fn faults_are_shown_where_they_are() {
    let cut = document("\"name\":\"x\"");
    assert_eq!(
        error(&cut.as_bytes()[..60]),
        "f, line 1: EOF while parsing a string at column 60"
    );
    assert_eq!(
        error(document("\n\"startTimeUnixNano\": -5").as_bytes()),
        "f, line 2: invalid value: integer `-5`, expected an integer that fits its field, as a \
         number or a text at column 23"
    );
    let negative_text = error(document("\"endTimeUnixNano\": \"-5\"").as_bytes());
    assert!(negative_text.contains("string \"-5\""), "{negative_text}");
    let short = document("\"parentSpanId\":\"abcd\"");
    assert!(error(short.as_bytes()).contains("an id of 16 hex digits was expected, `abcd` has 4"));
    let kind = error(document("\"name\":\"x\",\"kind\":9").as_bytes());
    assert_eq!(
        kind,
        "f, line 1: kind 9 of span `x` is none that OTLP defines"
    );
}

#[test]
fn a_bad_line_is_skipped_and_its_neighbours_are_read() {
    let good = document("\"name\":\"good\"");
    let file = format!("{good}\n{{\"resourceSpans\": [\n\n{good}\nnonsense\n{good}");
    let parsed = read(file.as_bytes(), "f").unwrap();
    assert_eq!(parsed.traces[0].spans.len(), 3);
    let lines: Vec<_> = parsed.skipped.iter().map(|error| error.line).collect();
    assert_eq!(lines, [Some(2), Some(5)]);
    let first_cut = format!("{}\n{good}\n", good.split_at(50).0);
    let parsed = read(first_cut.as_bytes(), "f").unwrap();
    assert_eq!((parsed.traces.len(), parsed.skipped.len()), (1, 1));
}

#[test]
fn documents_over_several_lines_follow_one_another() {
    let pretty = document("\n\"name\":\n\"x\"");
    let file = format!("\u{feff}{pretty}{pretty}\n\n{pretty}\n{{\n \"resourceSpans\": 7}}");
    let parsed = read(file.as_bytes(), "f").unwrap();
    assert_eq!(parsed.traces[0].spans.len(), 3);
    assert_eq!(parsed.skipped.len(), 1);
    assert_eq!(parsed.skipped[0].line, Some(11));
}

#[test]
fn nothing_of_a_document_is_taken_when_one_span_of_it_is_bad() {
    let good = document("\"name\":\"good\"");
    let two = good.replace(
        "}]}]}]}",
        r#"},{"traceId":"00","spanId":"00f067aa0ba902b7"}]}]}]}"#,
    );
    let file = format!("{good}\n{two}\n");
    let parsed = read(file.as_bytes(), "f").unwrap();
    assert_eq!(parsed.traces.len(), 1);
    assert_eq!(parsed.skipped[0].line, Some(2));
}

#[test]
fn large_and_many_attributes_are_kept() {
    let large = "x".repeat(20_000_000);
    let text = document(&format!(
        r#""attributes":[{{"key":"large","value":{{"stringValue":"{large}"}}}}]"#
    ));
    assert_eq!(
        one_span(text.as_bytes()).attributes.get_str("large"),
        Some(&*large)
    );
    let mut span = Span::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([1; 8]),
        "many",
    );
    for n in 0..10_000 {
        span.attributes.push(format!("key{n}"), n);
    }
    let bytes = encode_otlp(&[Trace::new(span.trace_id, vec![span.clone()])]);
    assert_eq!(one_span(&bytes).attributes, span.attributes);
}

#[test]
fn deep_values_are_refused_or_kept_as_text_and_deep_trees_are_read() {
    let deep = r#"{"arrayValue":{"values":["#.repeat(5_000) + &"]}}".repeat(5_000);
    let text = document(&format!(r#""attributes":[{{"key":"k","value":{deep}}}]"#));
    assert!(error(text.as_bytes()).contains("recursion limit exceeded"));

    let json = "[".repeat(5_000) + &"]".repeat(5_000);
    let field = |key: &str| {
        document(&format!(
            r#""attributes":[{{"key":"{key}","value":{{"stringValue":"{json}"}}}}]"#
        ))
    };
    let inputs = one_span(field("mlflow.spanInputs").as_bytes()).inputs;
    assert_eq!(inputs.unwrap().as_text(), json);
    let kept = one_span(field("other").as_bytes());
    assert_eq!(kept.attributes.get_str("other"), Some(json.as_str()));

    let trace_id = TraceId::from_bytes([7; 16]);
    let spans = (1..=5_000_u64).map(|n| {
        let mut span = Span::new(trace_id, SpanId::from_bytes(n.to_be_bytes()), "deep");
        span.parent_span_id = (n > 1).then(|| SpanId::from_bytes((n - 1).to_be_bytes()));
        span
    });
    let trace = Trace::new(trace_id, spans.collect());
    let back = read(&encode_otlp(&[trace])[..], "f").unwrap();
    let forest = Forest::of(&back.traces[0].spans);
    assert_eq!(forest.node(4_999).depth, 4_999);
}

#[test]
fn odd_times_are_kept() {
    let end_first = document(r#""startTimeUnixNano":"2000","endTimeUnixNano":1000"#);
    let span = one_span(end_first.as_bytes());
    assert_eq!(span.start_time_unix_nano, 2000);
    assert_eq!(span.end_time_unix_nano, Some(1000));
    let far = document(r#""startTimeUnixNano":"18446744073709551615""#);
    assert_eq!(one_span(far.as_bytes()).start_time_unix_nano, u64::MAX);
    assert_eq!(one_span(far.as_bytes()).end_time_unix_nano, None);
}

#[test]
fn names_with_control_characters_and_invalid_utf8() {
    let span = one_span(document(r#""name":"a\u0000\u001b[31mb""#).as_bytes());
    assert_eq!(span.name, "a\0\u{1b}[31mb");
    let mut bytes = document("\"name\":\"x\"").into_bytes();
    let place = bytes.iter().position(|byte| *byte == b'x').unwrap();
    bytes[place] = 0xff;
    assert!(matches!(
        *read(&bytes[..], "f").unwrap_err().reason,
        ReadFailure::Utf8(_)
    ));
    let message = encode_otlp(&[Trace::new(span.trace_id, vec![span])]);
    let mut broken = message;
    let place = broken.windows(2).position(|pair| pair == b"a\0").unwrap();
    broken[place] = 0xff;
    assert!(matches!(
        read_otlp_protobuf(&broken),
        Err(ReadFailure::Protobuf(_))
    ));
}

#[test]
fn every_cut_and_every_flipped_byte_ends_in_an_answer() {
    let mut span = Span::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([1; 8]),
        "name",
    );
    span.attributes
        .push("k", Value::Array(vec![Value::Double(1.5), Value::Null]));
    span.attributes.push("mlflow.spanInputs", "{\"a\": [1]}");
    let trace = Trace::new(span.trace_id, vec![span]);
    let mut json = Vec::new();
    write_otlp_json(from_ref(&trace), &mut json).unwrap();
    let mlflow = spanlite_formats::mlflow_json(&trace).unwrap().to_string();
    for bytes in [encode_otlp(from_ref(&trace)), json, mlflow.into_bytes()] {
        for place in 0..bytes.len() {
            drop(read(&bytes[..place], "f"));
            for bit in [1_u8, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[place] ^= bit;
                drop(read(&flipped[..], "f"));
                drop(read_otlp_protobuf(&flipped));
            }
        }
    }
}
