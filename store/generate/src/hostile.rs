//! Traces that nobody should make and that must not break anything.

use spanlite_model::{Json, SpanType, StatusCode, Trace, Value};

use crate::draft::Draft;
use crate::text::text;

/// How many sorts of trouble there are; trace number n is of sort n modulo this.
pub(crate) const SORTS: u64 = 8;

/// One of: 45,000 spans, a chain of 2,000, an attribute of 650 KB to 20 MB, 1,000 attributes,
/// times that run backwards, a cycle of parents, names of control characters, deep JSON.
pub(crate) fn trouble(seed: u64, index: u64) -> Trace {
    let mut draft = Draft::new(seed, index, "hostile", "hostile");
    let root = draft.open(None, format!("unique-{index}"), SpanType::Unknown);
    match index % SORTS {
        0 => many(&mut draft, root),
        1 => chain(&mut draft, root),
        2 => large(&mut draft, root),
        3 => wide(&mut draft, root, index),
        4 => backwards(&mut draft, root),
        5 => cycle(&mut draft, root),
        6 => names(&mut draft, root),
        _ => deep(&mut draft, root),
    }
    for span in &mut draft.trace.spans {
        span.status.code = StatusCode::Error;
    }
    draft.trace
}

fn many(draft: &mut Draft, root: usize) {
    for n in 0..45_000 {
        draft.pass(1_000.0);
        draft.open(Some(root), format!("span-{n}"), SpanType::Unknown);
    }
}

fn chain(draft: &mut Draft, root: usize) {
    let mut parent = root;
    for n in 0..2_000 {
        parent = draft.open(Some(parent), format!("level-{n}"), SpanType::Chain);
        draft.close(parent);
    }
}

fn large(draft: &mut Draft, root: usize) {
    let bytes = draft.random.between(650_000, 20_000_000) as usize;
    let value = text(&mut draft.random, bytes);
    draft.span(root).attributes.push("large", value);
}

fn wide(draft: &mut Draft, root: usize, index: u64) {
    for n in 0..1_000 {
        let value = draft.random.next() as i64;
        let key = format!("key-{index}-{n}");
        draft.span(root).attributes.push(key, value);
    }
}

fn backwards(draft: &mut Draft, root: usize) {
    let child = draft.open(Some(root), "ends before it begins", SpanType::Tool);
    let start = draft.now;
    draft.span(child).end_time_unix_nano = Some(start - 5_000_000_000);
    let child = draft.open(Some(root), "takes no time", SpanType::Tool);
    draft.span(child).end_time_unix_nano = Some(start);
    let child = draft.open(Some(root), "begins in the far future", SpanType::Tool);
    draft.span(child).start_time_unix_nano = u64::MAX;
    let child = draft.open(Some(root), "began in 1970", SpanType::Tool);
    draft.span(child).start_time_unix_nano = 0;
}

fn cycle(draft: &mut Draft, root: usize) {
    let a = draft.open(Some(root), "a", SpanType::Agent);
    let b = draft.open(Some(a), "b", SpanType::Agent);
    let id = draft.span(b).span_id;
    draft.span(a).parent_span_id = Some(id);
    let own = draft.span(root).span_id;
    draft.span(root).parent_span_id = Some(own);
}

fn names(draft: &mut Draft, root: usize) {
    for name in [
        "",
        "\0",
        "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}",
        "line\nfeed\rreturn",
        "\u{202e}right to left",
        "e\u{301}\u{301}\u{301}\u{301}",
        "\u{fffd}",
        "'; DROP TABLE spans; --",
    ] {
        let place = draft.open(Some(root), name, SpanType::from(name));
        draft.span(place).attributes.push(name, name);
        draft.close(place);
    }
}

fn deep(draft: &mut Draft, root: usize) {
    let text = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    draft.span(root).inputs = Some(Json::from_trusted_text(text));
    let nested = (0..40).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    draft.span(root).attributes.push("nested", nested);
}
