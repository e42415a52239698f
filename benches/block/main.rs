//! Blocks alone, without files: size, cost of encoding and decoding, one trace, scans.
//!
//! `cargo bench -p spanlite-benches --bench block`

mod ratio;

use std::hint::black_box;

use spanlite_benches::workload::{Random, SPANS_PER_TRACE, Workload};
use spanlite_benches::{Cost, measure, median, print_table, rounds};
use spanlite_model::Trace;
use spanlite_store::block::{
    AttributeKind, BlockHeader, BlockReader, ColumnValues, EncodedBlock, Section, SectionKind,
    encode_block,
};

const TRACES_PER_BLOCK: usize = 250;
const ROUNDS: usize = 5;

fn load(
    block: &EncodedBlock,
) -> impl Fn(u32, Section) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + '_ {
    |number, _| Ok(block.sections[number as usize].clone())
}

fn header(block: &EncodedBlock) -> BlockHeader {
    BlockHeader::read(&block.header).unwrap_or_else(|error| unreachable!("{error}"))
}

fn decode_all(blocks: &[EncodedBlock]) -> usize {
    let decode = |block: &EncodedBlock| {
        let reader = BlockReader::open(header(block), load(block)).ok()?;
        let decoder = reader.decoder().ok()?;
        let spans = |place| Some(decoder.trace(place).ok()?.spans.len());
        (0..reader.n_traces()).map(spans).sum::<Option<usize>>()
    };
    blocks.iter().filter_map(decode).sum()
}

/// Opens a block, as a store without any cache would, and decodes one trace.
fn decode_one(block: &EncodedBlock, place: usize) -> Option<Trace> {
    let reader = BlockReader::open(header(block), load(block)).ok()?;
    let decoder = reader.decoder().ok()?;
    decoder.trace(place).ok()
}

/// How many spans have a value of an attribute that no index knows.
fn scan_attribute(blocks: &[EncodedBlock], key: &str, value: &str) -> usize {
    let scan = |block: &EncodedBlock| {
        let reader = BlockReader::open(header(block), load(block)).ok()?;
        let attribute = reader.attribute(AttributeKind::Span, key).ok()?;
        let wanted = attribute.parts().iter().map(|part| match &part.values {
            ColumnValues::Strings(texts) => {
                texts.code_of(value.as_bytes()).map(|code| (texts, code))
            }
            _ => None,
        });
        let wanted: Vec<_> = wanted.collect();
        let mut found = 0;
        attribute.for_each(|_, part, index| {
            if let Some((texts, code)) = &wanted[part] {
                found += usize::from(texts.code(index) == *code);
            }
        });
        Some(found)
    };
    blocks.iter().filter_map(scan).sum()
}

/// How many spans have an integer attribute above a limit.
fn scan_numbers(blocks: &[EncodedBlock], key: &str, limit: i64) -> usize {
    let scan = |block: &EncodedBlock| {
        let reader = BlockReader::open(header(block), load(block)).ok()?;
        let attribute = reader.attribute(AttributeKind::Span, key).ok()?;
        let mut found = 0;
        attribute.for_each(|_, part, index| {
            if let ColumnValues::Ints(numbers) = &attribute.parts()[part].values {
                found += usize::from(numbers.get(index) > limit);
            }
        });
        Some(found)
    };
    blocks.iter().filter_map(scan).sum()
}

/// How many traces have a word.
fn count_with_word(blocks: &[EncodedBlock], word: &str) -> usize {
    let count = |block: &EncodedBlock| {
        let reader = BlockReader::open(header(block), load(block)).ok()?;
        Some(reader.traces_with_words(&[word]).ok()?.len())
    };
    blocks.iter().filter_map(count).sum()
}

fn nanos_a_span(costs: &mut [Cost], n_spans: usize) -> f64 {
    let mut nanos: Vec<f64> = costs
        .iter()
        .map(|cost| cost.thread_cpu.as_nanos() as f64 / n_spans as f64)
        .collect();
    median(&mut nanos)
}

fn measure_workload(name: &str, n_traces: u64, with_texts: bool) -> Vec<String> {
    let workload = Workload::new(n_traces, with_texts);
    let traces: Vec<Trace> = (0..n_traces).map(|number| workload.trace(number)).collect();
    let n_spans = traces.len() * SPANS_PER_TRACE;
    let encode = || -> Vec<EncodedBlock> {
        let chunks = traces.chunks(TRACES_PER_BLOCK);
        chunks
            .filter_map(|chunk| encode_block(chunk).ok())
            .collect()
    };
    let blocks = encode();
    let headers: usize = blocks.iter().map(|block| block.header.len()).sum();
    let sections: usize = blocks
        .iter()
        .flat_map(|block| &block.sections)
        .map(Vec::len)
        .sum();

    let words = blocks.iter().flat_map(|block| {
        let header = header(block);
        let lengths = header
            .sections()
            .iter()
            .filter(|one| one.kind == SectionKind::Words);
        lengths.map(|one| one.length as usize).collect::<Vec<_>>()
    });
    let words: usize = words.sum();
    let sections = sections - words;

    let mut costs = rounds(ROUNDS, 6, |step| match step {
        0 => measure(|| black_box(encode()).len()).1,
        1 => measure(|| assert_eq!(decode_all(&blocks), n_spans)).1,
        3 => measure(|| assert_ne!(scan_attribute(&blocks, "region", "eu"), 0)).1,
        4 => measure(|| assert_ne!(scan_numbers(&blocks, "gen_ai.usage.input_tokens", 3_000), 0)).1,
        5 => measure(|| assert_ne!(count_with_word(&blocks, "deadline"), 0)).1,
        _ => {
            let mut random = Random::new(1);
            measure(|| {
                for _ in 0..1_000 {
                    let trace = random.below(n_traces) as usize;
                    let block = &blocks[trace / TRACES_PER_BLOCK];
                    let found = decode_one(block, trace % TRACES_PER_BLOCK);
                    assert!(black_box(found).is_some());
                }
            })
            .1
        }
    });
    vec![
        name.to_owned(),
        format!("{:.1}", (headers + sections) as f64 / n_spans as f64),
        format!("{:.1}", words as f64 / n_spans as f64),
        format!("{:.0}", nanos_a_span(&mut costs[0], n_spans)),
        format!("{:.0}", nanos_a_span(&mut costs[1], n_spans)),
        format!("{:.1}", nanos_a_span(&mut costs[2], 1_000) / 1_000.0),
        format!("{:.0}", 1_000.0 / nanos_a_span(&mut costs[3], n_spans)),
        format!("{:.0}", 1_000.0 / nanos_a_span(&mut costs[4], n_spans)),
        format!("{:.1}", nanos_a_span(&mut costs[5], blocks.len()) / 1_000.0),
    ]
}

fn main() {
    let rows = [
        measure_workload("small", 10_000, false),
        measure_workload("with 2 KiB texts", 2_000, true),
    ];
    print_table(
        "blocks of 250 traces of 10 spans",
        &[
            "spans",
            "bytes/span",
            "words",
            "encode ns/span",
            "decode ns/span",
            "one trace us",
            "scan text M/s",
            "scan int M/s",
            "word us/block",
        ],
        &rows,
    );
    ratio::print();
}
