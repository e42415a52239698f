//! Queries over a store: rows, pages, metrics.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spanlite_model::{Span, SpanId, SpanType, Status, Trace, TraceId};
use spanlite_query::{Argument, Cursor, MetricOptions, Query, RunError, RunOptions};
use spanlite_store::{OpenOptions, Snapshot, Store, TimeRange};

const SECOND: u64 = 1_000_000_000;

/// Trace `n` begins at second `n`, takes `n` seconds and has a root and a model call, which fails
/// in every third trace.
fn trace(n: u8) -> Trace {
    let trace_id = TraceId::from_bytes([n; 16]);
    let mut root = Span::new(trace_id, SpanId::from_bytes([1; 8]), "run");
    root.start_time_unix_nano = u64::from(n) * SECOND;
    root.end_time_unix_nano = Some(u64::from(n) * 2 * SECOND);
    let mut call = Span::new(trace_id, SpanId::from_bytes([2; 8]), "call");
    call.parent_span_id = Some(root.span_id);
    call.span_type = SpanType::Llm;
    call.start_time_unix_nano = root.start_time_unix_nano;
    call.end_time_unix_nano = Some(root.start_time_unix_nano + 2 * SECOND);
    call.attributes
        .set("model", if n.is_multiple_of(2) { "even" } else { "odd" });
    call.attributes.set("tokens", i64::from(n));
    if n.is_multiple_of(3) {
        call.status = Status::error("no");
    }
    let mut trace = Trace::new(trace_id, vec![root, call]);
    trace.info.tags.insert("env".to_owned(), "prod".to_owned());
    trace
}

struct Filled {
    store: Store,
    _folder: tempfile::TempDir,
}

fn filled(numbers: std::ops::RangeInclusive<u8>) -> Filled {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    store
        .write(&numbers.map(trace).collect::<Vec<_>>())
        .unwrap();
    Filled {
        store,
        _folder: folder,
    }
}

fn options() -> RunOptions {
    let mut options = RunOptions::default();
    options.now_unix_nano = 100 * SECOND;
    options
}

fn numbers(text: &str, snapshot: &Snapshot) -> Vec<u8> {
    let rows = Query::parse(text)
        .unwrap()
        .run(snapshot, options())
        .unwrap();
    rows.map(|row| row.unwrap().trace.trace_id.as_bytes()[0])
        .collect()
}

#[test]
fn traces_come_newest_first_or_as_the_query_orders_them() {
    let filled = filled(1..=9);
    let snapshot = filled.store.snapshot().unwrap();
    assert_eq!(numbers("{ status = error }", &snapshot), [9, 6, 3]);
    assert_eq!(
        numbers("{ status = error } | limit 1 offset 1", &snapshot),
        [6]
    );
    assert_eq!(
        numbers("{ } | order by trace:duration | limit 3", &snapshot),
        [2, 1, 3]
    );
    assert_eq!(
        numbers("{ } | order by sum(span.tokens) desc | limit 2", &snapshot),
        [9, 8]
    );
    assert_eq!(
        numbers(
            "{ } | order by span.model desc, trace:start | limit 3",
            &snapshot
        ),
        [1, 3, 5]
    );
    assert_eq!(
        numbers(
            "{ } | since 94s | until \"1970-01-01T00:00:09Z\"",
            &snapshot
        ),
        [8, 7, 6]
    );
    assert_eq!(
        numbers(
            "tag.env = 'prod' AND NOT span.status = 'ERROR' AND execution_time > 7000",
            &snapshot
        ),
        [8]
    );
    assert_eq!(
        numbers("span.type = 'llm' ORDER BY timestamp LIMIT 2", &snapshot),
        [1, 2]
    );
}

#[test]
fn pages_neither_repeat_nor_skip_while_the_store_grows() {
    for text in [
        "{ }",
        "{ } | order by span.tokens desc",
        "{ } | order by span.model",
    ] {
        let filled = filled(2..=8);
        let query = Query::parse(text).unwrap();
        let all = numbers(text, &filled.store.snapshot().unwrap());
        let mut found = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let snapshot = filled.store.snapshot().unwrap();
            let mut options = options();
            options.limit = Some(2);
            options.after = after.take();
            let mut rows = query.run(&snapshot, options).unwrap();
            let page: Vec<u8> = rows
                .by_ref()
                .map(|row| row.unwrap().trace.trace_id.as_bytes()[0])
                .collect();
            let Some(cursor) = rows.cursor().filter(|_| !page.is_empty()) else {
                break;
            };
            after = Some(cursor.to_string().parse().unwrap());
            found.extend(page);
            filled.store.write(&[trace(9)]).unwrap();
        }
        found.retain(|n| *n != 9);
        assert_eq!(found, all, "{text}");
    }
}

#[test]
fn a_query_stops_when_it_is_told_to() {
    let filled = filled(1..=3);
    let snapshot = filled.store.snapshot().unwrap();
    let query = Query::parse("{ }").unwrap();
    let mut cancelled = options();
    cancelled.cancel = Some(Arc::new(AtomicBool::new(true)));
    let mut rows = query.run(&snapshot, cancelled).unwrap();
    assert!(matches!(rows.next(), Some(Err(RunError::Cancelled))));
    assert!(rows.next().is_none());
    let ordered = Query::parse("{ } | order by name").unwrap();
    let mut small = options();
    small.memory_limit_bytes = 100;
    let error = ordered.run(&snapshot, small).unwrap_err();
    assert!(matches!(
        error,
        RunError::TooMuchMemory { limit_bytes: 100 }
    ));
}

#[test]
fn parameters_are_bound_and_checked_as_if_they_were_written() {
    let filled = filled(1..=4);
    let snapshot = filled.store.snapshot().unwrap();
    let query = Query::parse("{ span.tokens >= $least && span.model = $model }").unwrap();
    assert_eq!(query.parameters(), ["least", "model"]);
    assert!(matches!(
        query.run(&snapshot, options()),
        Err(RunError::Query(_))
    ));
    let bound = query
        .bind("least", 2)
        .unwrap()
        .bind("model", "even")
        .unwrap();
    let found: Vec<_> = bound
        .run(&snapshot, options())
        .unwrap()
        .map(|row| row.unwrap().trace)
        .collect();
    assert_eq!(found.len(), 2);
    assert!(query.bind("other", 1).is_err());
    let wrong = Query::parse("{ duration > $d }")
        .unwrap()
        .bind("d", Argument::Text("x".into()));
    assert_eq!(wrong.unwrap_err().code.to_string(), "TypeMismatch");
}

/// Labels and points of every row.
fn table(text: &str, snapshot: &Snapshot, step_seconds: Option<u64>) -> Vec<(String, Vec<f64>)> {
    let range = TimeRange {
        start_unix_nano: 0,
        end_unix_nano: 10 * SECOND,
    };
    let options = MetricOptions {
        run: options(),
        step_nanos: step_seconds.map(|s| s * SECOND),
        range,
    };
    let table = Query::parse(text)
        .unwrap()
        .measure(snapshot, &options)
        .unwrap();
    let rows = table.series.into_iter().map(|row| {
        let labels: Vec<String> = row
            .labels
            .iter()
            .map(|(_, value)| value.to_string())
            .collect();
        let points = row
            .points
            .iter()
            .map(|point| if point.is_nan() { -1.0 } else { *point });
        (labels.join(" "), points.collect())
    });
    rows.collect()
}

#[test]
fn metrics_are_tables_and_series() {
    let filled = filled(1..=8);
    let snapshot = filled.store.snapshot().unwrap();
    let row = |label: &str, points: &[f64]| (label.to_owned(), points.to_vec());
    let calls = |rest: &str| format!("{{ span:type = \"llm\" }} | {rest}");
    let table = |text: &str, step| table(text, &snapshot, step);

    assert_eq!(table(&calls("count_over_time()"), None), [row("", &[8.0])]);
    assert_eq!(
        table(&calls("count_over_time()"), Some(5)),
        [row("", &[4.0, 4.0])]
    );
    assert_eq!(table(&calls("rate()"), Some(5)), [row("", &[0.8, 0.8])]);
    assert_eq!(
        table(
            &calls("sum_over_time(span.tokens) by (span.model)"),
            Some(5)
        ),
        [row("even", &[6.0, 14.0]), row("odd", &[4.0, 12.0])]
    );
    assert_eq!(
        table(&calls("avg_over_time(duration)"), None),
        [row("", &[2.0])]
    );
    assert_eq!(
        table(&calls("max_over_time(span.tokens)"), Some(5)),
        [row("", &[4.0, 8.0])]
    );
    assert_eq!(
        table("{ status = error } | min_over_time(span.tokens)", Some(2)),
        [row("", &[3.0, -1.0, 6.0, -1.0])]
    );
    assert_eq!(
        table(&calls("histogram_over_time(span.tokens)"), None),
        [row("2", &[1.0]), row("4", &[2.0]), row("8", &[4.0])]
    );
    assert_eq!(
        table(&calls("quantile_over_time(span.tokens, 1.0)"), None),
        [row("1", &[8.0])]
    );
    assert_eq!(
        table(
            "({ status = error } | count_over_time()) / ({ } | count_over_time()) * 100",
            None
        ),
        [row("", &[12.5])]
    );
    assert_eq!(
        table(&calls("count_over_time() by (span.tokens) | topk(1)"), None),
        [row("1", &[1.0])]
    );
    assert_eq!(
        table(
            &calls("sum_over_time(span.tokens) by (span.model) > 16"),
            None
        ),
        [row("even", &[20.0])]
    );
    assert_eq!(table("{ } | rate() by (span.model) > 100", None), []);
    let compared = table("{ } | compare({ status = error })", None);
    assert!(
        compared.contains(&row("status error selection", &[2.0])),
        "{compared:?}"
    );
    assert!(
        compared.contains(&row("name run baseline", &[8.0])),
        "{compared:?}"
    );
}

#[test]
fn a_query_that_found_nothing_says_what_nothing_has() {
    let filled = filled(1..=3);
    for seal in [false, true] {
        if seal {
            filled.store.seal().unwrap();
        }
        let snapshot = filled.store.snapshot().unwrap();
        let notes = |text: &str| {
            let notes = Query::parse(text).unwrap().notes(&snapshot).unwrap();
            let notes = notes
                .iter()
                .map(|note| format!("{} ({})", note.message, note.help.as_deref().unwrap_or("")));
            notes.collect::<Vec<_>>()
        };
        assert_eq!(
            notes("{ span.modle = `x` }"),
            ["no span has span.modle (near: span.model)"]
        );
        assert_eq!(
            notes("tag.enf = 'prod'"),
            ["no trace has tag.enf (near: tag.env)"]
        );
        assert_eq!(
            notes("{ span.name = `x` }"),
            ["no span has span.name (span:name is the built-in)"]
        );
        assert_eq!(
            notes("{ span.model = `even` && status = ok }"),
            Vec::<String>::new()
        );
        assert_eq!(
            notes("{ span.model = `evn` && status = error }"),
            [r#"no span has span.model = "evn" (near: even)"#]
        );
        assert_eq!(
            notes("{ span.tokens = `2` && name in (`cll`, `run`, `nothing`) }"),
            [
                r#"span.tokens holds numbers, not the text "2" (write 2)"#,
                r#"no span has name = "cll" (near: call)"#,
                r#"no span has name = "nothing" ()"#,
            ]
        );
        assert_eq!(
            notes("span.type = 'TOLL' AND tag.env = 'prd'"),
            [
                r#"no span has span:type = "TOLL" (near: TOOL)"#,
                r#"no trace has tag.env = "prd" (near: prod)"#,
            ]
        );
        assert_eq!(
            notes("{ span:type = `llm` && trace:state = `running` }"),
            [
                r#"trace:state is never "running" (did you mean IN_PROGRESS? (trace:state is one of OK, ERROR, IN_PROGRESS, INTERRUPTED))"#
            ]
        );
        assert_eq!(
            notes("status = 'errr' AND span.status = 'x'"),
            [
                r#"trace:status is never "errr" (did you mean ERROR? (trace:status is one of OK, ERROR, IN_PROGRESS))"#,
                r#"span:state is never "x" (span:state is one of OK, ERROR, UNSET)"#,
            ]
        );
        assert_eq!(
            notes("{ name = `ca%` || name =~ `ca*` }"),
            [
                "`=` takes `%` as it is written (did you mean like?)",
                "`*` repeats the character before it (did you mean ca.*?)",
            ]
        );
    }
}

#[test]
fn a_phrase_is_told_where_it_entered_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    let mut long = trace(1);
    let mut later = long.spans[1].clone();
    later.span_id = SpanId::from_bytes([3; 8]);
    later.start_time_unix_nano += SECOND / 2;
    later.inputs = Some(spanlite_model::Json::string(
        "earlier: my refund policy; and more",
    ));
    long.spans[1].inputs = Some(spanlite_model::Json::string("my refund policy"));
    long.spans.insert(0, later);
    store.write(&[long]).unwrap();
    let snapshot = store.snapshot().unwrap();
    let query = Query::parse("{ input has `refund policy` } | count() = 2").unwrap();
    let row = query
        .run(&snapshot, options())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(row.matched_spans().count(), 2);
    let entered: Vec<_> = row
        .entered
        .iter()
        .map(|one| (one.text.as_str(), row.trace.spans[one.index].span_id))
        .collect();
    assert_eq!(entered, [("refund policy", SpanId::from_bytes([2; 8]))]);
}

#[test]
fn a_time_beyond_what_dates_reach_is_late_sealed_or_not() {
    let filled = filled(1..=2);
    let mut late = trace(9);
    for span in &mut late.spans {
        span.start_time_unix_nano = u64::MAX - 1;
        span.end_time_unix_nano = Some(u64::MAX);
    }
    filled.store.write(&[late]).unwrap();
    for _ in 0..2 {
        let snapshot = filled.store.snapshot().unwrap();
        for of in ["span:start", "span:end", "trace:start", "trace:end"] {
            let late = format!(r#"{{ {of} > "2026-06-01" }}"#);
            assert_eq!(numbers(&late, &snapshot), [9], "{late}");
            let early = format!(r#"{{ {of} < "1975-01-01" }}"#);
            assert_eq!(numbers(&early, &snapshot), [2, 1], "{early}");
        }
        filled.store.seal().unwrap();
    }
}
