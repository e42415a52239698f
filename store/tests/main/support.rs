use std::sync::Arc;
use std::time::Duration;

use spanlite_model::{
    Json, Resource, Span, SpanId, Status, Trace, TraceChange, TraceId, TraceUpdate,
};
use spanlite_store::record::{Origin, Record, encode_record};
use spanlite_store::{Appended, Lane, OpenOptions, Store, TimeRange};

/// Options under which nothing is committed before it is asked for.
pub(crate) fn patient() -> OpenOptions {
    OpenOptions {
        commit_interval: Duration::from_secs(3600),
        ..OpenOptions::default()
    }
}

/// How often a test does something: the number in a variable, which makes for its long form.
pub(crate) fn times(variable: &str, otherwise: u64) -> u64 {
    let set = std::env::var_os(variable).and_then(|set| set.into_string().ok());
    set.map_or(otherwise, |set| set.parse().unwrap())
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    TraceId::from_bytes((0xabcd_u128 << 112 | u128::from(number)).to_be_bytes())
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes())
}

/// An ended span of trace `trace`; number 1 is the root, the others hang from it.
pub(crate) fn span(trace: u64, number: u64) -> Span {
    let mut span = Span::new(trace_id(trace), span_id(number), format!("span {number}"));
    span.parent_span_id = (number > 1).then(|| span_id(1));
    span.start_time_unix_nano = 1_000_000 * trace + number;
    span.end_time_unix_nano = Some(1_000_000 * trace + number + 500);
    span.attributes.set("number", number as i64);
    if number == 3 {
        span.status = Status::error("three");
    }
    span
}

/// A root span that is large from time to time: each tenth has 3 KB of inputs, each hundredth 90.
pub(crate) fn sized_span(number: u64) -> Span {
    let mut span = span(number, 1);
    let len = match number % 100 {
        50 => 90_000,
        rest if rest % 10 == 5 => 3_000,
        _ => 0,
    };
    if len > 0 {
        span.inputs = Some(Json::from_text(format!("\"{}\"", "x".repeat(len))).unwrap());
    }
    span
}

pub(crate) fn trace(number: u64, spans: u64) -> Trace {
    let spans = (1..=spans).map(|one| span(number, one)).collect();
    Trace::new(trace_id(number), spans)
}

pub(crate) fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, &Origin::default(), &mut bytes);
    bytes
}

pub(crate) fn encoded_span(span: &Span) -> Vec<u8> {
    encoded(&Record::Span(Box::new(span.clone())))
}

pub(crate) fn append(lane: &Lane, span: &Span) {
    assert_eq!(lane.append(&encoded_span(span)), Appended::Stored);
}

pub(crate) fn service(name: &str) -> Arc<Resource> {
    let mut resource = Resource::default();
    resource.attributes.set("service.name", name);
    Arc::new(resource)
}

/// Every trace of the store, newest first.
pub(crate) fn all(store: &Store) -> Vec<Trace> {
    let snapshot = store.snapshot().unwrap();
    let traces: Result<Vec<Trace>, _> = snapshot.traces(TimeRange::default()).collect();
    let traces = traces.unwrap();
    assert_eq!(snapshot.damage().len(), 0, "{:?}", snapshot.damage());
    traces
}

/// A tag `k` of a trace, set at a time.
pub(crate) fn tag(trace: u64, value: &str, time_unix_nano: u64) -> TraceUpdate {
    TraceUpdate {
        trace_id: trace_id(trace),
        time_unix_nano,
        change: TraceChange::Tag {
            key: "k".to_owned(),
            value: value.to_owned(),
        },
    }
}
