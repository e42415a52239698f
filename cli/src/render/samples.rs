//! Traces that the drawing tests share.

use spanlite_model::{Json, Span, SpanId, SpanType, Status, Trace, TraceId, TraceState};

use super::line::Sheet;
use super::look::{Look, Zone};

/// 2026-08-12 21:18:08 UTC.
pub(crate) const START: u64 = 1_786_569_488_000_000_000;
const MILLI: u64 = 1_000_000;

/// A span given as `(id, parent, type, name, start in ms, end in ms)`; an end of 0 is open.
pub(crate) type Row<'a> = (u8, u8, &'a str, &'a str, u64, u64);

pub(crate) fn trace(rows: &[Row<'_>]) -> Trace {
    let trace_id = TraceId::from_bytes([0xc6; 16]);
    let spans = rows
        .iter()
        .map(|&(id, parent, span_type, name, start, end)| {
            let mut span = Span::new(trace_id, SpanId::from_bytes([id; 8]), name);
            span.parent_span_id = (parent != 0).then(|| SpanId::from_bytes([parent; 8]));
            span.span_type = SpanType::from(span_type);
            span.start_time_unix_nano = START + start * MILLI;
            span.end_time_unix_nano = (end > 0).then_some(START + end * MILLI);
            span
        });
    Trace::new(trace_id, spans.collect())
}

/// An agent run with most of what a tree can show.
pub(crate) fn agent() -> Trace {
    let mut trace = trace(&[
        (1, 0, "AGENT", "support.turn", 0, 41_200),
        (2, 1, "CHAIN", "graph", 0, 41_200),
        (3, 2, "LLM", "plan", 20, 1_220),
        (4, 2, "RETRIEVER", "search docs 日本語", 1_230, 1_242),
        (5, 2, "AGENT", "researcher", 1_300, 20_100),
        (6, 5, "TOOL", "search_orders", 1_310, 4_000),
        (7, 5, "TOOL", "search_orders", 4_010, 9_000),
        (8, 5, "TOOL", "search_orders", 9_020, 12_000),
        (9, 5, "TOOL", "get_order", 19_000, 20_000),
        (10, 2, "LLM", "response", 20_200, 41_100),
        (11, 99, "TOOL", "late.child", 3_000, 3_400),
    ]);
    for (index, input, output) in [(2, 1_204, 194), (9, 182_000, 3_100)] {
        let attributes = &mut trace.spans[index].attributes;
        attributes.set("gen_ai.usage.input_tokens", input);
        attributes.set("gen_ai.usage.output_tokens", output);
        attributes.set("gen_ai.request.model", "gpt-4o");
    }
    trace.spans[8].status = Status::error("ENOENT: no such order\n\tat get_order");
    trace.spans[0].inputs = Some(Json::string("where is my order?"));
    trace.info.session = Some("s-7781".to_owned());
    trace.info.state = Some(TraceState::Error);
    trace
}

/// Names that try to break the terminal and the columns.
pub(crate) fn hostile() -> Trace {
    let huge = "x".repeat(1 << 20);
    let mut trace = trace(&[
        (
            1,
            0,
            "AGENT",
            "clear \x1b[2J\u{9b}31m screen\n\r\0",
            0,
            1_000,
        ),
        (2, 1, "TOOL", "abc\u{202e}gnp.exe", 0, 1_000),
        (
            3,
            1,
            "LLM",
            "👩‍👩‍👧‍👦 family e\u{301}e\u{301} 日本語日本語日本語日本語",
            100,
            900,
        ),
        (4, 1, &huge, &huge, 200, 100),
        (5, 1, "TOOL", "running", 300, 0),
    ]);
    trace.spans[1].status = Status::error("\x1b]0;title\x07 failed");
    trace.info.state = Some(TraceState::InProgress);
    trace
}

/// What is written for people at a width.
pub(crate) fn drawn(
    width: usize,
    ascii: bool,
    color: bool,
    write: impl FnOnce(&mut Sheet<'_>) -> std::io::Result<()>,
) -> String {
    let look = Look {
        width,
        color,
        hyperlinks: None,
        ascii,
        zone: Zone::Utc,
    };
    let mut out = Vec::new();
    write(&mut Sheet::new(&mut out, &look)).unwrap();
    String::from_utf8(out).unwrap()
}
