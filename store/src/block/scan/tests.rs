use proptest::collection::vec;
use proptest::prelude::*;
use spanlite_model::{Attributes, Json, Span, SpanId, Trace, TraceId, Value};

use super::super::bytes::Cursor;
use super::super::tests::{in_order, load, plain_span, traces};
use super::super::value::read_value;
use super::super::{BlockHeader, ColumnValues, Section, Term, TermField, ValueType, encode_block};
use super::*;

type Load<'a> =
    &'a dyn Fn(u32, Section) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;

fn with_block(traces: &[Trace], check: impl FnOnce(&BlockReader<Load<'_>>)) {
    let block = encode_block(traces).unwrap();
    let load = load(&block);
    let header = BlockHeader::read(&block.header).unwrap();
    check(&BlockReader::open(header, &load as Load<'_>).unwrap());
}

/// The values of an attribute by row, the slow way.
fn attribute_values(
    block: &BlockReader<Load<'_>>,
    kind: AttributeKind,
    key: &str,
    trace_of: impl Fn(usize) -> usize,
) -> Vec<(usize, Value)> {
    let reader = block.attribute(kind, key).unwrap();
    let mut found = Vec::new();
    reader.for_each(|row, part, index| {
        let part = &reader.parts()[part];
        let text = |number| {
            let mut bytes = Vec::new();
            block
                .texts(trace_of(row))
                .unwrap()
                .read(number, &mut bytes)
                .unwrap();
            bytes
        };
        let value = match (&part.values, part.value_type) {
            (ColumnValues::Null(_), _) => Value::Null,
            (ColumnValues::Doubles(rows), _) => Value::Double(rows.get(index)),
            (ColumnValues::Ints(rows), ValueType::Bool) => Value::Bool(rows.get(index) == 1),
            (ColumnValues::Ints(rows), ValueType::Int) => Value::Int(rows.get(index)),
            (ColumnValues::Ints(rows), ValueType::Text) => {
                Value::String(String::from_utf8(text(rows.get(index))).unwrap())
            }
            (ColumnValues::Ints(rows), ValueType::LongBytes) => Value::Bytes(text(rows.get(index))),
            (ColumnValues::Ints(rows), _) => {
                read_value(&mut Cursor::new(&text(rows.get(index)))).unwrap()
            }
            (ColumnValues::Strings(rows), ValueType::String) => {
                Value::from(rows.get(index).unwrap().unwrap())
            }
            (ColumnValues::Strings(rows), value_type) => {
                let bytes = rows.get_bytes(index).unwrap().unwrap();
                let mut cursor = Cursor::new(bytes);
                match value_type {
                    ValueType::Bytes => Value::Bytes(bytes.to_vec()),
                    ValueType::Overflow => {
                        assert_eq!(cursor.text().unwrap(), key);
                        read_value(&mut cursor).unwrap()
                    }
                    _ => read_value(&mut cursor).unwrap(),
                }
            }
        };
        found.push((row, value));
    });
    found
}

fn spans_where(traces: &[Trace], test: impl Fn(&Span) -> bool) -> Matches {
    let spans = traces.iter().flat_map(|trace| &trace.spans).zip(0..);
    Matches::Spans(
        spans
            .filter(|(span, _)| test(span))
            .map(|(_, row)| row)
            .collect(),
    )
}

fn check_field(
    block: &BlockReader<Load<'_>>,
    field: TermField<'_>,
    value: &str,
    expected: Matches,
) {
    assert_eq!(
        block.find_value(field, value).unwrap(),
        expected,
        "{field:?}"
    );
    let (Matches::Spans(rows) | Matches::Traces(rows)) = expected;
    let header = block.header();
    assert!(rows.is_empty() || value.is_empty() || header.may_have(Term::new(field, value)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn columns_say_what_the_traces_say(traces in vec(traces(), 0..6)) {
        let traces: Vec<Trace> = traces.iter().map(in_order).collect();
        let spans: Vec<(usize, &Span)> = traces
            .iter()
            .enumerate()
            .flat_map(|(trace, of)| of.spans.iter().map(move |span| (trace, span)))
            .collect();
        with_block(&traces, |block| {
            check_structure(block, &traces);
            let starts = block.start_times().unwrap();
            for (row, (trace, span)) in spans.iter().enumerate() {
                assert_eq!(starts[row], span.start_time_unix_nano);
                let text = |number: i64| {
                    let mut bytes = Vec::new();
                    block.texts(*trace).unwrap().read(number, &mut bytes).unwrap();
                    Json::from_text(String::from_utf8(bytes).unwrap()).unwrap()
                };
                let inputs = block.inputs().unwrap().get(row);
                assert_eq!((inputs > 0).then(|| text(inputs)), span.inputs);
                for (key, _) in span.attributes.iter() {
                    let of_key = |row: &Attributes| row.get(key).cloned();
                    let expected = spans.iter().enumerate().filter_map(|(row, (_, span))| {
                        Some((row, of_key(&span.attributes)?))
                    });
                    let found =
                        attribute_values(block, AttributeKind::Span, key, |row| spans[row].0);
                    let expected: Vec<_> = expected.collect();
                    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
                }
                let name = span.name.as_str();
                check_field(block, TermField::Name, name, spans_where(&traces, |s| s.name == name));
                for (key, value) in span.attributes.iter() {
                    if let Some(value) = value.as_str() {
                        let expected = spans_where(&traces, |span| {
                            span.attributes.get_str(key) == Some(value)
                        });
                        if value.len() < 256 {
                            check_field(block, TermField::Attribute(key), value, expected);
                        }
                    }
                }
                for (key, value) in span.resource.attributes.iter() {
                    if let Some(value) = value.as_str() {
                        let expected = spans_where(&traces, |span| {
                            span.resource.attributes.get_str(key) == Some(value)
                        });
                        check_field(block, TermField::Resource(key), value, expected);
                    }
                }
                for event in &span.events {
                    let name = event.name.as_str();
                    let expected =
                        spans_where(&traces, |span| span.events.iter().any(|e| e.name == name));
                    check_field(block, TermField::EventName, name, expected);
                }
            }
        });
    }
}

fn check_structure(block: &BlockReader<Load<'_>>, traces: &[Trace]) {
    let structure = block.structure().unwrap();
    for (place, trace) in traces.iter().enumerate() {
        let first = structure.span_starts[place];
        let forest = trace.forest();
        for (node, number) in forest.nodes().iter().zip(first..) {
            let row = number as usize;
            assert_eq!(node.span, row - first as usize);
            assert_eq!(structure.trace_of(number), place);
            let parent = node
                .parent
                .map_or(Structure::NO_PARENT, |parent| first + parent);
            assert_eq!(structure.parents[row], parent);
            assert_eq!(structure.ends[row], first + node.end);
            assert_eq!(structure.depths[row], node.depth);
            assert_eq!(structure.orphans.contains(&number), node.parent_missing);
        }
        if let Some(root) = trace.root() {
            let Matches::Traces(found) = block.find_value(TermField::RootName, &root.name).unwrap()
            else {
                panic!("root names belong to traces");
            };
            assert!(found.contains(&(place as u32)));
        }
    }
}

#[test]
fn a_word_is_found_where_it_entered_the_trace() {
    let message = |text: &str| {
        format!(
            "{{\"role\":\"user\",\"content\":\"{text} {}\"}}",
            "x".repeat(60)
        )
    };
    let mut spans: Vec<Span> = Vec::new();
    let mut messages = Vec::new();
    for (number, text) in (1..).zip(["Refund\\npolicy", "deadline", "caf\\u00e9"]) {
        messages.push(message(text));
        let mut span = plain_span(number);
        span.inputs = Some(Json::from_text(format!("[{}]", messages.join(","))).unwrap());
        spans.push(span);
    }
    spans[1].events.push(spanlite_model::Event {
        name: "exception".to_owned(),
        attributes: [("exception.message", "it broke")].into_iter().collect(),
        ..spanlite_model::Event::default()
    });
    let other = Trace::new(TraceId::from_bytes([1; 16]), vec![plain_span(9)]);
    let traces = [in_order(&Trace::new(TraceId::default(), spans)), other];
    with_block(&traces, |block| {
        let spans = |word: &str| block.spans_with_word(word).unwrap();
        for word in ["refund", "policy", "deadline", "café", "broke"] {
            assert_eq!(spans(word), [0, 1, 2], "the spans of the trace");
        }
        assert_eq!(spans("span"), [0, 1, 2, 3]);
        assert_eq!(spans("npolicy"), [0; 0]);
        let traces = |words: &[&str]| block.traces_with_words(words).unwrap();
        assert_eq!(traces(&["refund", "policy"]), [0]);
        assert_eq!(traces(&["span"]), [0, 1]);
        assert_eq!(traces(&["span", "nobody", "refund"]), [0; 0]);
    });
}

#[test]
fn a_word_that_an_attribute_had_before_is_found_where_an_input_has_it() {
    let json = format!("[{{\"content\":\"Refund {}\"}}]", "x".repeat(300));
    let inner = json
        .strip_prefix('[')
        .and_then(|json| json.strip_suffix(']'));
    let longer = format!("[{},\"policy {}\"]", inner.unwrap(), "y".repeat(60));
    let mut spans: Vec<Span> = (1..5).map(plain_span).collect();
    spans[0].attributes.push("prompt", json.as_str());
    spans[1].inputs = Some(Json::from_text(longer).unwrap());
    spans[2].inputs = Some(Json::from_text(json.clone()).unwrap());
    spans[3].outputs = Some(Json::from_text(json).unwrap());
    let traces = [in_order(&Trace::new(TraceId::default(), spans))];
    with_block(&traces, |block| {
        for word in ["refund", "policy"] {
            assert_eq!(block.traces_with_words(&[word]).unwrap(), [0]);
        }
    });
}

#[test]
fn a_word_is_found_in_the_stretch_of_a_long_trace_where_it_entered() {
    let spans = |words: &[(u64, &str)], count: u64| {
        let spans = (1..=count).map(|number| {
            let mut span = plain_span(number);
            let here = words.iter().filter(|(at, _)| *at == number);
            let here: Vec<&str> = here.map(|(_, word)| *word).collect();
            span.inputs = Some(Json::string(&format!("{} {number}", here.join(" "))));
            span
        });
        spans.collect()
    };
    let of = |number, spans| in_order(&Trace::new(TraceId::from_bytes([number; 16]), spans));
    let traces = [
        of(
            1,
            spans(&[(1, "one"), (64, "both"), (65, "two"), (200, "both")], 200),
        ),
        of(2, spans(&[], 0)),
        of(3, spans(&[(1, "two"), (3, "three")], 3)),
    ];
    with_block(&traces, |block| {
        let found = |word| block.spans_with_word(word).unwrap();
        assert_eq!(found("one"), (0..64).collect::<Vec<_>>());
        assert_eq!(found("both"), (0..64).chain(192..200).collect::<Vec<_>>());
        assert_eq!(found("two"), (64..128).chain(200..203).collect::<Vec<_>>());
        assert_eq!(found("three"), (200..203).collect::<Vec<_>>());
        assert_eq!(block.traces_with_words(&["two"]).unwrap(), [0, 2]);
        assert_eq!(block.traces_with_words(&["two", "three"]).unwrap(), [2]);
    });
}

#[test]
fn more_keys_than_columns_are_found() {
    let mut spans = Vec::new();
    for number in 1..40u64 {
        let mut span = plain_span(number);
        for key in 0..50 {
            span.attributes
                .push(format!("key {number} {key}"), format!("value {key}"));
        }
        span.attributes.push("last", number as i64);
        spans.push(span);
    }
    let traces = [in_order(&Trace::new(TraceId::default(), spans))];
    with_block(&traces, |block| {
        let expected = vec![(38, Value::from("value 7"))];
        let found = attribute_values(block, AttributeKind::Span, "key 39 7", |_| 0);
        assert_eq!(found, expected);
        check_field(
            block,
            TermField::Attribute("key 39 7"),
            "value 7",
            Matches::Spans(vec![38]),
        );
        let last = attribute_values(block, AttributeKind::Span, "last", |_| 0);
        assert_eq!(last.len(), 39);
    });
}

#[test]
fn only_new_messages_are_new() {
    let message = |n: usize| {
        format!(
            "{{\"role\":\"user\",\"content\":\"message {n} {}\"}}",
            "x".repeat(40)
        )
    };
    let list = |n: usize| {
        let messages: Vec<String> = (0..n).map(message).collect();
        format!(
            "{{\"messages\": [{}], \"model\": \"m\"}}",
            messages.join(", ")
        )
    };
    let spans = (1..20u64).map(|number| {
        let mut span = plain_span(number);
        span.span_id = SpanId::from_bytes(number.to_be_bytes());
        span.inputs = Some(Json::from_text(list(number as usize)).unwrap());
        span
    });
    let traces = [Trace::new(TraceId::default(), spans.collect())];
    with_block(&traces, |block| {
        let texts = block.texts(0).unwrap();
        assert_eq!(texts.len(), 19);
        for number in 2..=19 {
            let mut new = Vec::new();
            texts
                .read_new(number, |at, bytes| new.push((at, bytes.to_vec())))
                .unwrap();
            let whole = list(number as usize);
            let old = whole.find(&message(number as usize - 1)).unwrap() - 2;
            let expected = whole.get(old..).unwrap().as_bytes().to_vec();
            assert_eq!(new, [(old as u64, expected)]);
            let mut part = Vec::new();
            texts.read_range(number, 5..60, &mut part).unwrap();
            assert_eq!(part, &whole.as_bytes()[5..60]);
        }
    });
}
