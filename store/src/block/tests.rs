use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use spanlite_model::{Event, Json, Span, SpanId, Trace, TraceId, TraceInfo, TraceState, Value};

use super::*;
use crate::record::{Record, RecordRef, arbitrary, encode_record};

/// The sections of an encoded block, to be read.
pub(super) fn load(
    block: &EncodedBlock,
) -> impl Fn(u32, Section) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + '_ {
    |number, _| Ok(block.sections[number as usize].clone())
}

fn decode_all(block: &EncodedBlock) -> Result<Vec<Trace>, BlockError> {
    let reader = BlockReader::open(BlockHeader::read(&block.header)?, load(block))?;
    let decoder = reader.decoder()?;
    for number in 0..block.sections.len() {
        reader.section(number as u32)?;
    }
    (0..reader.n_traces())
        .map(|place| decoder.trace(place))
        .collect()
}

/// The trace with its spans in pre-order, as blocks give it back.
pub(super) fn in_order(trace: &Trace) -> Trace {
    let forest = trace.forest();
    let spans = forest
        .nodes()
        .iter()
        .map(|node| trace.spans[node.span].clone());
    Trace {
        spans: spans.collect(),
        ..trace.clone()
    }
}

/// Debug text, because NaN is not equal to itself.
fn same(left: &[Trace], right: &[Trace]) -> bool {
    left == right || format!("{left:?}") == format!("{right:?}")
}

fn check(traces: &[Trace]) -> EncodedBlock {
    let block = encode_block(traces).unwrap();
    let expected: Vec<Trace> = traces.iter().map(in_order).collect();
    let decoded = decode_all(&block).unwrap();
    assert!(
        same(&decoded, &expected),
        "{decoded:#?}\nis not\n{expected:#?}"
    );

    // Backwards and one by one: nothing depends on the order of asking.
    let reader =
        BlockReader::open(BlockHeader::read(&block.header).unwrap(), load(&block)).unwrap();
    let decoder = reader.decoder().unwrap();
    for (place, trace) in expected.iter().enumerate().rev() {
        let alone = decoder.trace(place).unwrap();
        assert!(same(
            std::slice::from_ref(&alone),
            std::slice::from_ref(trace)
        ));
        assert!(reader.header().may_have_trace(trace.trace_id));
        assert!(reader.find(trace.trace_id).unwrap().contains(&place));
        // Some of the spans, and none.
        assert_eq!(
            format!("{:?}", reader.info(place).unwrap()),
            format!("{:?}", trace.info)
        );
        let is_wanted = |span_id: SpanId| span_id.as_bytes()[7].is_multiple_of(2);
        let some = decoder.trace_with(place, is_wanted).unwrap();
        let mut expected = trace.clone();
        expected.spans.retain(|span| is_wanted(span.span_id));
        assert!(same(&[some], &[expected]));
    }
    drop(decoder);
    drop(reader);
    block
}

prop_compose! {
    fn infos()(
        texts in vec(option::of(".{0,300}"), 6),
        tags in btree_map(".{0,6}", ".{0,300}", 0..4),
        metadata in btree_map(".{0,6}", ".{0,6}", 0..4),
        state in option::of(0..5usize),
        numbers in any::<[Option<u64>; 2]>(),
        assessments in vec(arbitrary::assessments(), 0..3),
        pinned in any::<bool>(),
        extra in btree_map(".{0,6}", arbitrary::json(), 0..2),
    ) -> TraceInfo {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        TraceInfo {
            name: next(),
            session: next(),
            user: next(),
            client_request_id: next(),
            request_preview: next(),
            response_preview: next(),
            tags,
            metadata,
            state: state.map(|state| TraceState::ALL[state]),
            request_time_unix_nano: numbers[0],
            execution_duration_nanos: numbers[1],
            assessments,
            pinned,
            extra,
        }
    }
}

prop_compose! {
    pub(super) fn traces()(
        id in any::<[u8; 16]>(),
        info in infos(),
        spans in vec((arbitrary::spans(), option::of(0..6usize), ".{0,400}"), 0..6),
    ) -> Trace {
        let trace_id = TraceId::from_bytes(id);
        let ids: Vec<SpanId> = spans.iter().map(|(span, ..)| span.span_id).collect();
        let spans = spans.into_iter().map(|(mut span, parent, text)| {
            span.trace_id = trace_id;
            if let Some(parent) = parent.and_then(|parent| ids.get(parent)) {
                span.parent_span_id = Some(*parent);
            }
            if text.len() > 100 {
                span.attributes.push("long", text);
                span.attributes.push("twice", f64::NAN);
                span.attributes.push("twice", 1);
                span.attributes.push("twice", -0.0);
            }
            span
        });
        Trace { trace_id, info, spans: spans.collect() }
    }
}

/// A block with something in most columns.
fn rich_block() -> EncodedBlock {
    let traces: Vec<Trace> = (0..20u64)
        .map(|trace| {
            let spans = (1..8).map(|number| {
                let mut span = plain_span(trace * 10 + number);
                span.trace_id = TraceId::from_bytes([trace as u8; 16]);
                span.parent_span_id = (number > 2).then(|| SpanId::from_bytes([7; 8]));
                span.attributes
                    .push("model", ["a", "b"][(trace % 2) as usize]);
                span.attributes.push("cost", trace as f64 / 100.0);
                span.attributes
                    .push("nested", Value::Array(vec![Value::Int(1)]));
                span.inputs = Some(Json::string(&format!("question {trace} ").repeat(40)));
                span.events.push(Event {
                    name: "exception".to_owned(),
                    ..Event::default()
                });
                span
            });
            Trace::new(TraceId::from_bytes([trace as u8; 16]), spans.collect())
        })
        .collect();
    check(&traces)
}

#[test]
fn every_flipped_byte_is_an_error() {
    let block = rich_block();
    for section in 0..block.sections.len() {
        for at in 0..block.sections[section].len() {
            let mut damaged = block.clone();
            damaged.sections[section][at] ^= 1 << (at % 8);
            let error = decode_all(&damaged).unwrap_err();
            let BlockError::SectionChecksum { section: found } = error else {
                panic!("{error}");
            };
            assert_eq!(found as usize, section);
        }
    }
    for at in 0..block.header.len() {
        let mut damaged = block.clone();
        damaged.header[at] ^= 1 << (at % 8);
        assert!(matches!(
            decode_all(&damaged),
            Err(BlockError::HeaderChecksum)
        ));
    }
}

/// What it finds in a forged block does not matter.
fn look_words_up(block: &EncodedBlock) {
    let header = BlockHeader::read(&block.header).unwrap();
    if let Ok(reader) = BlockReader::open(header, load(block)) {
        for word in ["question", "3", "exception"] {
            let _either = reader.traces_with_words(&[word]);
        }
    }
}

#[test]
fn traces_beside_a_damaged_text_come_back() {
    let traces: Vec<Trace> = (1..=4u8)
        .map(|number| {
            let trace_id = TraceId::from_bytes([number; 16]);
            let mut span = plain_span(u64::from(number));
            span.trace_id = trace_id;
            span.attributes.push("before", i64::from(number));
            span.attributes
                .push("text", format!("{number} ").repeat(50_000));
            span.attributes.push("after", i64::from(number) * 10);
            Trace::new(trace_id, vec![span])
        })
        .collect();
    let block = encode_block(&traces).unwrap();
    let header = BlockHeader::read(&block.header).unwrap();
    let of_texts = header.sections().iter().zip(0..);
    let of_texts = of_texts.filter(|(section, _)| section.kind == SectionKind::Texts);
    let of_texts: Vec<usize> = of_texts.map(|(_, number)| number).collect();
    // The second damaged costs its own trace; the first one, which the others are compressed
    // like, costs all.
    for (damaged, readable) in [(1, [true, false, true, true]), (0, [false; 4])] {
        let mut block = block.clone();
        block.sections[of_texts[damaged]][10] ^= 1;
        let reader = BlockReader::open(header.clone(), load(&block)).unwrap();
        let decoder = reader.decoder().unwrap();
        for _ in 0..2 {
            for (place, readable) in readable.into_iter().enumerate() {
                match decoder.trace(place) {
                    Ok(trace) => assert!(readable && trace == traces[place]),
                    Err(error) => {
                        assert!(!readable);
                        let number = of_texts[damaged] as u32;
                        assert!(
                            matches!(error, BlockError::SectionChecksum { section } if section == number)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn texts_in_many_frames_come_back_in_any_order() {
    let words = ["refund", "policy", "order", "answer", "question", "tool"];
    let traces: Vec<Trace> = (0..120u64)
        .map(|number| {
            let mut span = plain_span(number + 1);
            span.trace_id = TraceId::from_bytes([number as u8 + 1; 16]);
            // Some are longer than a chunk, and one is longer than chunks may be.
            let n_words = match number {
                70 => 400_000,
                number if number % 25 == 3 => 30_000,
                number => 300 + number * 7,
            };
            let text: Vec<String> = (0..n_words)
                .map(|at| format!("{}{}", words[((at * at + number) % 6) as usize], at % 17))
                .collect();
            span.attributes.push("text", text.join(" "));
            Trace::new(span.trace_id, vec![span])
        })
        .collect();
    let block = check(&traces);
    let bytes: usize = block.sections.iter().map(Vec::len).sum();
    assert!(bytes < 1_500_000, "{bytes} bytes");
}

/// The first bytes of a block's texts are taken for no dictionary of zstd's own form.
#[test]
fn texts_that_begin_like_a_dictionary_come_back() {
    let traces: Vec<Trace> = (1..=40u8)
        .map(|number| {
            let mut span = plain_span(u64::from(number));
            span.trace_id = TraceId::from_bytes([number; 16]);
            let bytes = [0x37, 0xa4, 0x30, 0xec, number].repeat(2_000);
            span.attributes.push("bytes", Value::Bytes(bytes));
            Trace::new(span.trace_id, vec![span])
        })
        .collect();
    check(&traces);
}

/// The block with other bytes in one section, and the checksums as if they belonged there.
fn forged(block: &EncodedBlock, section: usize, bytes: Vec<u8>) -> EncodedBlock {
    let mut header = BlockHeader::read(&block.header).unwrap();
    header.sections[section].checksum = xxhash_rust::xxh3::xxh3_64(&bytes);
    header.sections[section].length = bytes.len() as u32;
    let mut forged = block.clone();
    forged.header = header.to_bytes();
    forged.sections[section] = bytes;
    forged
}

#[test]
fn forged_bytes_never_panic() {
    let block = rich_block();
    let mut n_errors = 0;
    for section in 0..block.sections.len() {
        for at in 0..block.sections[section].len() {
            let mut bytes = block.sections[section].clone();
            bytes[at] ^= [1, 0x80, 0xff][at % 3];
            let forged = forged(&block, section, bytes);
            n_errors += u32::from(decode_all(&forged).is_err());
            look_words_up(&forged);
        }
    }
    assert!(n_errors > 100, "{n_errors} errors");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn random_sections_never_panic(
        section in any::<prop::sample::Index>(), bytes in vec(any::<u8>(), 0..300),
    ) {
        static BLOCK: std::sync::OnceLock<EncodedBlock> = std::sync::OnceLock::new();
        let block = BLOCK.get_or_init(rich_block);
        let section = section.index(block.sections.len());
        let forged = forged(block, section, bytes.clone());
        let _either = decode_all(&forged);
        let mut header = bytes;
        let checksum = xxhash_rust::xxh3::xxh3_64(&header);
        header.extend_from_slice(&checksum.to_le_bytes());
        let _either = BlockHeader::read(&header);
    }

    #[test]
    fn any_traces_come_back(traces in vec(traces(), 0..6)) {
        check(&traces);
    }

    #[test]
    fn a_block_of_records_is_the_block_of_their_spans(
        spans in vec(arbitrary::spans(), 0..6), origin in arbitrary::origins(), kind in 0usize..4,
    ) {
        let records: Vec<Vec<u8>> = spans.into_iter().map(|span| {
            let mut bytes = Vec::new();
            let key = span.attributes.iter().next().map(|(key, _)| key.to_owned());
            encode_record(&Record::Span(Box::new(span)), &origin, &mut bytes);
            // What only programs write: an attribute in place of another, values that are no JSON
            // text, a name that comes twice.
            let key = key.unwrap_or_default();
            let set = [&[key.len() as u8][..], key.as_bytes(), &[3, 8]].concat();
            let more = [(5, set), (6, vec![10, 7, 1, b'a', 3, 2, 15]), (7, vec![12, 1]), (1, b"again".to_vec())];
            for (tag, field) in more.into_iter().take(kind + 1) {
                bytes.push(tag);
                bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&field);
            }
            bytes
        }).collect();
        let trace_id = TraceId::default();
        let mut input = BlockInput::default();
        input.begin_trace(trace_id, std::borrow::Cow::Owned(TraceInfo::default()));
        let mut decoded = Vec::new();
        for bytes in &records {
            let Ok(RecordRef::Span(span)) = RecordRef::parse(bytes) else {
                panic!("a record is no span");
            };
            input.push_record(span, &origin).unwrap();
            decoded.push(span.to_span(&origin).unwrap());
        }
        let block = encode_input(&input).unwrap();
        prop_assert_eq!(block, encode_block(&[Trace::new(trace_id, decoded)]).unwrap());
        for bytes in &records {
            // A record that is cut off leaves nothing behind.
            let mut again = BlockInput::default();
            again.begin_trace(trace_id, std::borrow::Cow::Owned(TraceInfo::default()));
            if let Ok(RecordRef::Span(span)) = RecordRef::parse(&bytes[..bytes.len() - 1]) {
                prop_assert!(again.push_record(span, &origin).is_err());
                prop_assert_eq!(
                    encode_input(&again).unwrap().sections,
                    encode_block(&[Trace::new(trace_id, Vec::new())]).unwrap().sections
                );
            }
        }
    }
}

#[test]
fn an_empty_block_is_a_block() {
    check(&[]);
    check(&[Trace::new(TraceId::default(), Vec::new())]);
}

pub(super) fn plain_span(number: u64) -> Span {
    let id = SpanId::from_bytes(number.to_be_bytes());
    let mut span = Span::new(TraceId::default(), id, format!("span {}", number % 7));
    span.start_time_unix_nano = 1_700_000_000_000_000_000 + number * 1_000;
    span.end_time_unix_nano = Some(span.start_time_unix_nano + number % 50 * 1_000);
    span
}

#[test]
fn forty_five_thousand_spans_in_one_trace() {
    let spans = (1..=45_000).map(|number| {
        let mut span = plain_span(number);
        span.parent_span_id = (number > 1).then(|| SpanId::from_bytes((number / 2).to_be_bytes()));
        span.attributes.push("n", number as i64);
        span
    });
    let block = check(&[Trace::new(TraceId::default(), spans.collect())]);
    let bytes: usize = block.sections.iter().map(Vec::len).sum();
    assert!(bytes < 45_000 * 20, "{bytes} bytes");
}

#[test]
fn ten_thousand_attributes_of_one_span() {
    let mut span = plain_span(1);
    for number in 0..10_000 {
        span.attributes
            .push(format!("key {number}"), format!("value {number}"));
    }
    check(&[Trace::new(TraceId::default(), vec![span])]);
}

#[test]
fn odd_texts_come_back() {
    let mut span = plain_span(1);
    span.name = "a\0b".to_owned();
    for value in [
        Value::from(""),
        Value::from("\0"),
        Value::Bytes(vec![0xff; 1000]),
        Value::Array(vec![Value::from("x".repeat(1000)), Value::Null]),
        Value::Double(f64::NEG_INFINITY),
        Value::Double(-0.0),
        Value::Double(0.1),
        Value::Int(i64::MIN),
    ] {
        span.attributes.push("", value);
    }
    let info = TraceInfo {
        tags: BTreeMap::from([(String::new(), String::new())]),
        ..TraceInfo::default()
    };
    check(&[Trace {
        trace_id: TraceId::default(),
        info,
        spans: vec![span],
    }]);
}
