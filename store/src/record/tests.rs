use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use spanlite_model::{
    Attributes, Json, Span, SpanId, SpanKind, Status, StatusCode, TraceId, Value,
};

use super::arbitrary::{origins, records, spans, values};
use super::*;

fn encode(record: &Record, origin: &Origin) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, origin, &mut bytes);
    bytes
}

/// Reads everything there is to read.
fn read_all(bytes: &[u8]) {
    let decoded = decode_record(bytes, &Origin::default());
    if let Ok(RecordRef::Span(span)) = RecordRef::parse(bytes) {
        let fields: Vec<_> = span.fields().collect();
        assert_eq!(span.name().is_err(), fields.iter().any(Result::is_err));
        assert!(decoded.is_err() || fields.iter().all(Result::is_ok));
    }
}

proptest! {
    #[test]
    fn records_come_back_as_they_were(record in records(), origin in origins()) {
        let bytes = encode(&record, &origin);
        prop_assert_eq!(decode_record(&bytes, &origin), Ok(Some(record)));
    }

    #[test]
    fn resource_and_scope_of_the_writer_take_no_room(span in spans()) {
        let origin = Origin { resource: Arc::clone(&span.resource), scope: Arc::clone(&span.scope) };
        let record = Record::Span(Box::new(span));
        let bytes = encode(&record, &origin);
        prop_assert!(bytes.len() <= encode(&record, &Origin::default()).len());
        prop_assert_eq!(decode_record(&bytes, &origin), Ok(Some(record)));
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..400), first in 0..3_u8) {
        read_all(&bytes);
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        if bytes.len() > 3 {
            bytes[2] %= 6;
            bytes[3] %= 3;
        }
        read_all(&bytes);
    }

    #[test]
    fn flipped_and_cut_records_never_panic(
        record in records(),
        flips in vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&record, &Origin::default());
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        read_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_all(&bytes);
    }

    #[test]
    fn captured_values_read_as_json_would_write_them(value in values()) {
        let json = value.to_json_text();
        let mut encoder = started();
        encoder.set_inputs(&value, None);
        let inputs = decode(&encoder).inputs.unwrap();
        prop_assert_eq!(inputs.as_text(), json);
    }
}

fn started() -> SpanEncoder {
    let mut encoder = SpanEncoder::new();
    encoder.begin(&SpanHead {
        trace_id: TraceId::from_bytes([1; 16]),
        span_id: SpanId::from_bytes([2; 8]),
        parent_span_id: None,
        start_time_unix_nano: 5,
        flags: 1,
    });
    encoder
}

fn decode(encoder: &SpanEncoder) -> Span {
    let bytes = encoder.as_bytes();
    match decode_record(bytes, &Origin::default()).unwrap().unwrap() {
        Record::Span(span) => *span,
        Record::Update(update) => panic!("{update:?}"),
    }
}

#[test]
fn an_encoder_changes_the_head_in_place_and_later_fields_win() {
    let mut encoder = started();
    encoder.set_name("first");
    encoder.set_attribute("k", &1, None);
    encoder.set_attribute("other", "x", None);
    encoder.set_attribute("k", &2.5, None);
    encoder.set_name("second");
    encoder.set_kind(SpanKind::Client);
    encoder.set_status(StatusCode::Error);
    encoder.set_status_message("boom");
    assert_eq!(decode(&encoder).end_time_unix_nano, None);
    encoder.set_end(9);
    let span = decode(&encoder);
    assert_eq!(span.name, "second");
    assert_eq!(span.end_time_unix_nano, Some(9));
    assert_eq!(span.kind, SpanKind::Client);
    assert_eq!(span.status, Status::error("boom"));
    let expected: Attributes = [("k", Value::Double(2.5)), ("other", "x".into())]
        .into_iter()
        .collect();
    assert_eq!(span.attributes, expected);
}

#[test]
fn an_encoder_is_used_again_without_what_it_held() {
    let mut encoder = started();
    encoder.set_name("old");
    encoder.set_inputs("old", None);
    encoder.begin(&SpanHead {
        trace_id: TraceId::from_bytes([3; 16]),
        span_id: SpanId::from_bytes([4; 8]),
        parent_span_id: Some(SpanId::from_bytes([5; 8])),
        start_time_unix_nano: 6,
        flags: 0,
    });
    let span = decode(&encoder);
    assert_eq!((span.name.as_str(), span.inputs), ("", None));
    assert_eq!(span.parent_span_id, Some(SpanId::from_bytes([5; 8])));
}

#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(u8),
    Tuple(i8, Option<f32>),
    Struct {
        raw: Box<serde_json::value::RawValue>,
    },
}

#[derive(Serialize)]
struct Everything<'a> {
    shapes: Vec<Shape>,
    by_number: BTreeMap<u64, char>,
    by_flag: BTreeMap<bool, i8>,
    text: &'a str,
    large: (u64, i128, u128),
    nothing: Option<u8>,
}

#[test]
fn every_shape_of_serde_is_captured_as_serde_json_prints_it() {
    let value = Everything {
        shapes: vec![
            Shape::Unit,
            Shape::Newtype(7),
            Shape::Tuple(-1, Some(0.1)),
            Shape::Struct {
                raw: serde_json::value::RawValue::from_string("{ \"kept\": 2.0 }".to_owned())
                    .unwrap(),
            },
        ],
        by_number: BTreeMap::from([(3, 'x'), (9, '"')]),
        by_flag: BTreeMap::from([(true, 0)]),
        text: "line\nend\u{1}\u{7f} \"é\\",
        large: (u64::MAX, i128::MIN, u128::MAX),
        nothing: None,
    };
    let mut encoder = started();
    encoder.set_inputs(&value, None);
    let inputs = decode(&encoder).inputs.unwrap();
    assert_eq!(inputs.as_text(), serde_json::to_string(&value).unwrap());
}

#[test]
fn a_value_beyond_the_limit_is_cut_with_a_mark() {
    let mut encoder = started();
    encoder.set_value_limit_bytes(40);
    encoder.set_inputs(&"é".repeat(100), None);
    encoder.set_outputs(&vec!["0123456789"; 8], None);
    assert!(encoder.is_cut());
    let span = decode(&encoder);
    let inputs = span.inputs.unwrap();
    assert_eq!(
        inputs.as_str().unwrap(),
        format!("{}… [cut, 200 bytes in all]", "é".repeat(20))
    );
    let outputs = span.outputs.unwrap();
    assert_eq!(
        outputs.as_text(),
        r#"["0123456789","0123456789","0123456789","012… [cut, 10 bytes in all]","[cut, 4 more]"]"#
    );
}

struct Nested(usize);

impl Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 0 {
            serializer.serialize_unit()
        } else {
            serializer.collect_seq([Self(self.0 - 1)])
        }
    }
}

#[test]
fn endless_nesting_ends_at_the_depth_limit() {
    let mut encoder = started();
    encoder.set_inputs(&Nested(usize::MAX), None);
    assert!(encoder.is_cut());
    let inputs = decode(&encoder).inputs.unwrap();
    let brackets = inputs
        .as_text()
        .bytes()
        .filter(|byte| *byte == b'[')
        .count();
    assert_eq!(brackets, MAX_DEPTH + 1, "{inputs}");
    Json::from_text(inputs.as_text()).unwrap();
    encoder.start_inputs().entry("n", &Nested(usize::MAX), None);
    encoder
        .add_event("e", 1)
        .attribute_json_text("n", &Nested(usize::MAX), None);
    let span = decode(&encoder);
    let nested = format!("{{\"n\":{inputs}}}");
    assert_eq!(span.inputs.unwrap().as_text(), nested);
    let quoted = span.events[0].attributes.get_str("n");
    assert_eq!(quoted, Some(inputs.as_text()));
}

#[test]
fn a_model_value_deeper_than_the_limit_is_cut() {
    let mut value = Value::Null;
    for _ in 0..MAX_DEPTH + 5 {
        value = Value::Array(vec![value]);
    }
    let mut span = Span::new(TraceId::default(), SpanId::default(), "deep");
    span.attributes.push("deep", value);
    let bytes = encode(&Record::Span(Box::new(span)), &Origin::default());
    let Ok(Some(Record::Span(span))) = decode_record(&bytes, &Origin::default()) else {
        panic!("decodes");
    };
    let text = span.attributes.get("deep").unwrap().to_json_text();
    assert!(text.contains("deeper than"), "{text}");
}

struct Fails;

impl Serialize for Fails {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element("half")?;
        Err(serde::ser::Error::custom("no"))
    }
}

struct Panics;

impl Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element("half")?;
        panic!("a `Serialize` of the program");
    }
}

#[test]
fn a_value_that_fails_or_panics_is_replaced_alone() {
    let mut encoder = started();
    let mut inputs = encoder.start_inputs();
    inputs.entry("a", &1, None);
    inputs.entry("b", &Fails, None);
    inputs.entry("c", &Panics, None);
    inputs.entry_display("d", format_args!("{:?}", Some(2)), None);
    drop(inputs);
    assert_eq!(
        decode(&encoder).inputs.unwrap().as_text(),
        r#"{"a":1,"b":"[not serialisable: no]","c":"[panicked while it was captured]","d":"Some(2)"}"#
    );
}

#[derive(Debug)]
struct Secrets;

impl Redact for Secrets {
    fn hides_key(&self, key: &str) -> bool {
        key == "api_key"
    }

    fn replace(&self, text: &str) -> Option<String> {
        text.contains("sk-").then(|| "[secret]".to_owned())
    }
}

#[test]
fn hidden_keys_and_texts_do_not_reach_the_record() {
    let secret = BTreeMap::from([("api_key", "sk-1"), ("prompt", "use sk-2"), ("model", "m")]);
    let raw = serde_json::value::to_raw_value(&secret).unwrap();
    let mut encoder = started();
    encoder.set_inputs(&secret, Some(&Secrets));
    encoder.set_outputs(&raw, Some(&Secrets));
    encoder.set_attribute("api_key", "sk-3", Some(&Secrets));
    encoder.set_attribute_display("shown", format_args!("sk-{}", 4), Some(&Secrets));
    encoder
        .add_event("e", 1)
        .attribute("a", &["sk-5"], Some(&Secrets))
        .attribute_json_text("j", &[secret], Some(&Secrets));
    let bytes = encoder.as_bytes().to_vec();
    assert!(!bytes.windows(3).any(|window| window == b"sk-"));
    let span = decode(&encoder);
    let expected = r#"{"api_key":"[redacted]","model":"m","prompt":"[secret]"}"#;
    assert_eq!(span.inputs.unwrap().as_text(), expected);
    assert_eq!(span.outputs.unwrap().as_text(), expected);
    let event = &span.events[0].attributes;
    assert_eq!(event.get_str("j"), Some(format!("[{expected}]").as_str()));
}

#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = started().as_bytes().to_vec();
    bytes.extend_from_slice(&[200, 2, 0, 0, 0, 9, 9, 1, 1, 0, 0, 0, b'n']);
    let RecordRef::Span(span) = RecordRef::parse(&bytes).unwrap() else {
        panic!("a span");
    };
    assert_eq!(span.name(), Ok("n"));
    assert!(matches!(
        span.fields().next(),
        Some(Ok(FieldRef::Unknown(200)))
    ));
}
