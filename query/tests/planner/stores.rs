//! Random traces.

use std::sync::Arc;

use spanlite_model::{
    Attributes, Event, Json, Link, Resource, Span, SpanId, SpanKind, SpanType, Status, StatusCode,
    Trace, TraceId, Value,
};

pub(crate) const NOW: u64 = 1_700_000_000_000_000_000;
pub(crate) const MILLI: u64 = 1_000_000;

/// A small generator of numbers, so that a failing case is told by its seed alone.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.roll(n) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

pub(crate) const WORDS: [&str; 6] = [
    "refund",
    "policy",
    "Größe",
    "x",
    "",
    "the Refund policy of x",
];

pub(crate) fn value(dice: &mut Dice) -> Value {
    match dice.roll(10) {
        0 | 1 => Value::Int(dice.roll(4) as i64 - 1),
        2 => Value::Double([0.0, 1.0, 1.5, f64::NAN][dice.roll(4)]),
        3 => Value::Bool(dice.one_in(2)),
        4 => Value::Null,
        5 => Value::Array(vec!["x".into(), Value::Int(1)]),
        6 => Value::String(format!("x{}", "long ".repeat(100))),
        7 => Value::Map(vec![("k".to_owned(), Value::Int(1))]),
        _ => Value::String(dice.pick(&WORDS).to_owned()),
    }
}

pub(crate) fn attributes(dice: &mut Dice) -> Attributes {
    let mut attributes = Attributes::new();
    for key in ["a", "b", "error.type"] {
        if !dice.one_in(3) {
            attributes.push(key, value(dice));
        }
        if dice.one_in(12) {
            attributes.push(key, value(dice));
        }
    }
    attributes
}

/// Messages that are long enough to be found again in later payloads.
const MESSAGES: [&str; 4] = [
    r#"{"role": "system", "content": "you are brief and never promise what is not there"}"#,
    r#"{"role": "user", "content": "the order came, and now I want a refund for all of it"}"#,
    r#"{"role": "x", "content": "\u0072efund\npolicy says no, and so does every other text"}"#,
    r#""a message that is a text alone, \"quoted\", about the policy of refund""#,
];

/// A list of messages that may begin or end as another one does.
pub(crate) fn messages(dice: &mut Dice) -> String {
    let first = dice.roll(MESSAGES.len());
    let n = 1 + dice.roll(MESSAGES.len());
    let picked = MESSAGES.iter().cycle().skip(first).take(n);
    let picked: Vec<&str> = picked.copied().collect();
    format!("[{}]", picked.join(dice.pick(&[",", ", "])))
}

pub(crate) fn payload(dice: &mut Dice) -> Option<Json> {
    let text = match dice.roll(10) {
        0 => return None,
        6 | 7 => Json::from_text(messages(dice)).unwrap(),
        8 => Json::from_text(format!(r#"{{"n": {}, "m": 1e3}}"#, messages(dice))).unwrap(),
        1 => Json::string(dice.pick(&WORDS)),
        2 => Json::from_text("7").unwrap(),
        3 => Json::from_text(r#"["x", 1, null]"#).unwrap(),
        4 => Json::from_text(r#"{"q": "the refund Policy", "n": [{"role": "x"}]}"#).unwrap(),
        _ => Json::string(&format!("{} {}", "filler ".repeat(60), dice.pick(&WORDS))),
    };
    Some(text)
}

pub(crate) fn span(dice: &mut Dice, trace_id: TraceId, number: u8, start: u64) -> Span {
    let mut span = Span::new(
        trace_id,
        SpanId::from_bytes([number; 8]),
        dice.pick(&["a", "b", "run", ""]),
    );
    span.parent_span_id = match dice.roll(8) {
        _ if number == 1 => None,
        0 => None,
        1 => Some(SpanId::from_bytes([99; 8])),
        _ => Some(SpanId::from_bytes(
            [1 + dice.roll(usize::from(number)) as u8; 8],
        )),
    };
    span.kind = SpanKind::ALL[dice.roll(6)];
    span.span_type = SpanType::from(dice.pick(&["LLM", "TOOL", "llm", "UNKNOWN"]));
    span.start_time_unix_nano = start + dice.roll(50) as u64 * MILLI;
    span.end_time_unix_nano = (!dice.one_in(9)).then(|| start + dice.roll(120) as u64 * MILLI);
    span.status = match dice.roll(4) {
        0 => Status::error(dice.pick(&["", "no refund", "x"])),
        1 => Status {
            code: StatusCode::Ok,
            message: String::new(),
        },
        2 => Status::error("long ".repeat(80)),
        _ => Status::default(),
    };
    span.attributes = attributes(dice);
    if dice.one_in(4) {
        // The same bytes may be an input later.
        span.attributes.push("prompt", messages(dice));
    }
    span.inputs = payload(dice);
    span.outputs = payload(dice);
    for _ in 0..dice.roll(3) {
        let time_unix_nano = span.start_time_unix_nano + dice.roll(9) as u64 * MILLI;
        let name = dice.pick(&["exception", "note", ""]).to_owned();
        let mut event = Event {
            name,
            time_unix_nano,
            attributes: attributes(dice),
            dropped_attributes_count: 0,
        };
        if dice.one_in(3) {
            event.attributes.push("exception.type", "x");
        }
        span.events.push(event);
    }
    if dice.one_in(5) {
        span.links.push(Link {
            trace_id,
            attributes: attributes(dice),
            ..Link::default()
        });
    }
    let mut resource = Resource::default();
    resource
        .attributes
        .push("service.name", dice.pick(&["api", "worker"]));
    if dice.one_in(2) {
        resource.attributes.push("a", value(dice));
    }
    span.resource = Arc::new(resource);
    span
}

pub(crate) fn trace(dice: &mut Dice, number: u8) -> Trace {
    let trace_id = TraceId::from_bytes([number; 16]);
    let start = NOW - u64::from(number) * 1_000 * MILLI;
    let spans = (1..=1 + dice.roll(6) as u8).map(|number| span(dice, trace_id, number, start));
    let mut trace = Trace::new(trace_id, spans.collect());
    let info = &mut trace.info;
    if dice.one_in(2) {
        info.tags
            .insert("env".to_owned(), dice.pick(&WORDS).to_owned());
    }
    if dice.one_in(3) {
        info.metadata
            .insert("m".to_owned(), dice.pick(&WORDS).to_owned());
    }
    info.session = dice.one_in(2).then(|| dice.pick(&["s", "t"]).to_owned());
    info.name = dice
        .one_in(3)
        .then(|| dice.pick(&["named", "a"]).to_owned());
    info.state = dice.one_in(6).then_some(spanlite_model::TraceState::Error);
    trace
}
