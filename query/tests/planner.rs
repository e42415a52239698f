//! The planner against the fool: over random stores, sealed and not, every random query finds by
//! columns what looking at every whole trace finds.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use spanlite_model::{
    Attributes, Event, Json, Link, Resource, Span, SpanId, SpanKind, SpanType, Status, StatusCode,
    Trace, TraceChange, TraceId, TraceUpdate, Value,
};
use spanlite_query::{Query, RunOptions, SpanSet};
use spanlite_store::{OpenOptions, Snapshot, Store, TimeRange};

const NOW: u64 = 1_700_000_000_000_000_000;
const MILLI: u64 = 1_000_000;

/// A small generator of numbers, so that a failing case is told by its seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.roll(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

const WORDS: [&str; 6] = [
    "refund",
    "policy",
    "Größe",
    "x",
    "",
    "the Refund policy of x",
];

fn value(dice: &mut Dice) -> Value {
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

fn attributes(dice: &mut Dice) -> Attributes {
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

fn payload(dice: &mut Dice) -> Option<Json> {
    let text = match dice.roll(6) {
        0 => return None,
        1 => Json::string(dice.pick(&WORDS)),
        2 => Json::from_text("7").unwrap(),
        3 => Json::from_text(r#"["x", 1, null]"#).unwrap(),
        4 => Json::from_text(r#"{"q": "the refund Policy", "n": [{"role": "x"}]}"#).unwrap(),
        _ => Json::string(&format!("{} {}", "filler ".repeat(60), dice.pick(&WORDS))),
    };
    Some(text)
}

fn span(dice: &mut Dice, trace_id: TraceId, number: u8, start: u64) -> Span {
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

fn trace(dice: &mut Dice, number: u8) -> Trace {
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

fn leaf(dice: &mut Dice) -> String {
    let text = *dice.pick(&[&"`x`", &"`refund`", &"``", &"`Größe`"]);
    let number = *dice.pick(&[&"0", &"1", &"1.5", &"-1", &"2"]);
    let compare = *dice.pick(&[&"=", &"!=", &"<", &">=", &">"]);
    let attribute = *dice.pick(&[
        &"span.a",
        &".a",
        &".b",
        &"resource.a",
        &"event.a",
        &"link.a",
        &"tag.env",
        &"metadata.m",
    ]);
    let matching = *dice.pick(&[
        &"has",
        &"contains",
        &"like",
        &"ilike",
        &"rlike",
        &"startswith",
        &"endswith",
    ]);
    let texts = *dice.pick(&[
        &"name",
        &"input",
        &"output",
        &"text",
        &"span.a",
        &"statusMessage",
        &"tag.env",
        &"trace:name",
        &"rootName",
    ]);
    match dice.roll(26) {
        0..=3 => format!("{attribute} {compare} {text}"),
        4..=7 => format!("{attribute} {compare} {number}"),
        8 => format!("{number} {compare} {attribute}"),
        9 => format!("{attribute} = nil"),
        10 => format!("{attribute} != nil"),
        11 => format!("{attribute} in ({text}, {number})"),
        12 => format!("{attribute} =~ `x.*|re.*`"),
        13 => format!("{attribute} !~ `x`"),
        14 => format!("{texts} {matching} {text}"),
        15 => format!("input.n[*].role = {text}"),
        16 => format!("duration {compare} {}ms", dice.roll(100)),
        17 => format!("trace:duration {compare} {}ms", dice.roll(100)),
        18 => format!(
            "status {} {}",
            dice.pick(&["=", "!="]),
            dice.pick(&["ok", "error", "unset"])
        ),
        19 => format!("kind = {}", dice.pick(&["server", "client"])),
        20 => format!("span:type {} `llm`", dice.pick(&["=", "!="])),
        21 => format!("name {compare} {}", dice.pick(&["`a`", "`run`", "``"])),
        22 => format!(
            "trace:state = `{}`",
            dice.pick(&["OK", "ERROR", "IN_PROGRESS"])
        ),
        23 => format!("event:name = {}", dice.pick(&["`note`", "`exception`"])),
        24 => format!("span:errorType = {text}"),
        _ => (*dice.pick(&[
            &"resource.service.name = `api`",
            &"trace:session = `s`",
            &"rootName = `run`",
            &"trace:spanCount > 3",
            &"trace:errorCount = 0",
            &"span:childCount = 0",
            &"nestedSetParent < 0",
            &"span.a + 1 > 1",
            &"span.a = span.b",
            &"length(input) > 30",
            &"lower(span.a) = `x`",
            &"event:timeSinceStart > 3ms",
            &"span:depth > 1",
            &"span.a",
            &"span.b between 0 and 1",
            &"trace:name != `a`",
        ]))
        .to_owned(),
    }
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 1 } else { 6 }) {
        1 | 2 => format!(
            "({} and {})",
            condition(dice, depth - 1),
            condition(dice, depth - 1)
        ),
        3 => format!(
            "({} or {})",
            condition(dice, depth - 1),
            condition(dice, depth - 1)
        ),
        4 => format!("!({})", condition(dice, depth - 1)),
        _ => leaf(dice),
    }
}

fn spans(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 2 } else { 8 }) {
        0..=3 => format!("{{ {} }}", condition(dice, 2)),
        4 => format!("!({})", spans(dice, depth - 1)),
        _ => {
            let op = dice.pick(&[
                "&&", "||", ">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<",
                "&>>", "&<<", "&~",
            ]);
            format!(
                "({}) {op} ({})",
                spans(dice, depth - 1),
                spans(dice, depth - 1)
            )
        }
    }
}

fn query(dice: &mut Dice) -> String {
    if dice.one_in(6) {
        let clause = |dice: &mut Dice| {
            (*dice.pick(&[
                &"tag.env = 'x'",
                &"span.type = 'LLM'",
                &"status = 'ERROR'",
                &"NOT span.status = 'ERROR'",
                &"span.attributes.a = 'x'",
                &"\"refund policy\"",
                &"execution_time > 40",
                &"name = 'a'",
                &"NOT tag.env = 'x'",
            ]))
            .to_owned()
        };
        return format!(
            "{} {} {}",
            clause(dice),
            dice.pick(&["AND", "OR"]),
            clause(dice)
        );
    }
    let mut query = spans(dice, 2);
    match dice.roll(8) {
        0 => {
            query = format!(
                "{query} | count() {} {}",
                dice.pick(&[">", "=", "<="]),
                dice.roll(4)
            );
        }
        1 => query = format!("{query} | by(name) | count() > 1"),
        2 => query = format!("{query} | avg(duration) > 30ms"),
        3 => query = format!("{query} | {{ {} }}", condition(dice, 1)),
        4 => query = format!("{query} | since {}s", dice.roll(40)),
        5 => query = format!("({query} | count() > 1) && ({})", spans(dice, 1)),
        _ => {}
    }
    query
}

fn options(use_indexes: bool) -> RunOptions {
    RunOptions {
        now_unix_nano: NOW,
        use_indexes,
        ..RunOptions::default()
    }
}

type Found = BTreeMap<TraceId, Vec<SpanSet>>;

fn by_rows(query: &Query, snapshot: &Snapshot, use_indexes: bool) -> Found {
    let rows = query.run(snapshot, options(use_indexes)).unwrap();
    rows.map(|row| row.unwrap())
        .map(|row| (row.trace.trace_id, row.span_sets))
        .collect()
}

fn by_looking(query: &Query, snapshot: &Snapshot) -> Found {
    let traces = snapshot
        .traces(TimeRange::default())
        .map(|trace| trace.unwrap());
    traces
        .map(|trace| (trace.trace_id, query.evaluate(&trace, NOW).unwrap()))
        .filter(|(_, sets)| !sets.is_empty())
        .collect()
}

fn check_store(seed: u64, n_queries: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    let traces: Vec<Trace> = (1..=40).map(|number| trace(&mut dice, number)).collect();
    let (sealed, loose) = traces.split_at(30);
    for part in sealed.chunks(15) {
        store.write(part).unwrap();
        store.seal().unwrap();
    }
    store.write(loose).unwrap();
    for number in [3, 12, 35] {
        let tag = TraceChange::Tag {
            key: "env".to_owned(),
            value: "x".to_owned(),
        };
        let update = TraceUpdate {
            trace_id: TraceId::from_bytes([number; 16]),
            time_unix_nano: NOW,
            change: tag,
        };
        store.update(&[update]).unwrap();
    }
    // A span that comes late to a trace that stands in a block.
    let late = span(&mut dice, TraceId::from_bytes([5; 16]), 77, NOW);
    store
        .write(&[Trace::new(late.trace_id, vec![late])])
        .unwrap();

    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.blocks().unwrap().len() >= 2, "nothing was sealed");
    let mut matched = 0;
    for _ in 0..n_queries {
        let text = query(&mut dice);
        let query = Query::parse(&text).unwrap();
        let looked = by_looking(&query, &snapshot);
        let planned = by_rows(&query, &snapshot, true);
        assert!(
            planned == looked,
            "seed {seed}: {text}\nplanned {planned:#?}\nlooked {looked:#?}"
        );
        assert_eq!(
            by_rows(&query, &snapshot, false),
            looked,
            "seed {seed}: {text}"
        );
        let mut ids = Vec::new();
        query
            .find_ids(&snapshot, &options(true), |trace_id, _| ids.push(trace_id))
            .unwrap();
        ids.sort();
        assert_eq!(
            ids,
            looked.keys().copied().collect::<Vec<_>>(),
            "seed {seed}: {text}"
        );
        matched += usize::from(!looked.is_empty() && looked.len() < 40);
    }
    assert!(
        matched * 5 > n_queries,
        "only {matched} of {n_queries} queries told traces apart"
    );
    store.close().unwrap();
}

#[test]
fn columns_find_what_looking_at_every_trace_finds() {
    for seed in 1..=3 {
        check_store(seed, 50);
    }
}

/// The long form: `cargo test --release -p spanlite-query --test planner -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn columns_find_what_looking_at_every_trace_finds_in_many_stores() {
    for seed in 100..140 {
        check_store(seed, 500);
    }
}
