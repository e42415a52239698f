//! Guards, closures, wrapped functions, the client, and what is said of traces.

use spanlite::model::{AssessmentValue, TraceState};
use spanlite::testing::capture;
use spanlite::{
    Client, InSpanExt as _, SourceType, SpanKind, SpanType, StatusCode, Value, current_trace,
    expectation, feedback, in_span, span, traced, traced_async, try_traced, try_traced_async,
};

use crate::{block_on, yield_once};

#[test]
fn a_guard_takes_everything_there_is_to_say() {
    let capture = capture();
    let guard = span("guard")
        .attribute("first", [1, 2])
        .span_type(SpanType::Llm)
        .kind(SpanKind::Client)
        .root()
        .start();
    guard.set_inputs([("x", 1)]);
    guard.set_outputs("y");
    guard.set_attributes([("n", 1.5)]);
    guard.set_attribute("shown", spanlite::display("text"));
    guard.set_name("renamed");
    guard.add_event("event", [("k", Value::from(1))]);
    guard.add_link(guard.context(), [("rel", Value::from("self"))]);
    guard.set_ok();
    drop(guard);
    let span = &capture.spans()[0];
    assert_eq!(span.kind, SpanKind::Client);
    assert_eq!(span.status.code, StatusCode::Ok);
    assert_eq!(span.links[0].span_id, span.span_id);
    insta::assert_snapshot!(capture.tree());
}

fn two(a: u8, b: &str) -> String {
    format!("{a}{b}")
}

#[expect(
    clippy::too_many_arguments,
    clippy::many_single_char_names,
    reason = "as many as can be wrapped"
)]
fn eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    a + b + c + d + e + f + g + h
}

async fn later(x: u8) -> u8 {
    yield_once().await;
    x
}

#[test]
fn functions_of_others_can_be_wrapped() {
    let capture = capture();
    assert_eq!(traced("none", || 1)(), 1);
    assert_eq!(traced("two", two)(1, "b"), "1b");
    assert_eq!(traced("eight", eight)(1, 2, 3, 4, 5, 6, 7, 8), 36);
    assert!(try_traced("parse", str::parse::<u8>)("x").is_err());
    assert_eq!(block_on(traced_async("later", later)(5)), 5);
    let fails = |x: u8| async move { if x > 1 { Err("too much") } else { Ok(x) } };
    assert!(block_on(try_traced_async("fails", fails)(2)).is_err());
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn a_client_starts_and_ends_spans_anywhere() {
    let capture = capture();
    let client = Client::new();
    let trace = client.start_trace(span("request").inputs("q"));
    let step = client.start_span("step", trace);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let inner = client.start_span("inner", step);
            client.change(inner, |span| span.set_outputs(1));
            client.end_span(inner);
        });
    });
    assert_eq!(spanlite::Context::current().span_id(), None);
    client.change(trace, |span| span.set_outputs("a"));
    client.end_trace(trace);
    client.end_span(step);
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn what_a_client_is_told_while_it_changes_a_span_is_not_lost() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::channel;

    let capture = capture();
    let owner = Client::new();
    let client = &owner;
    let [changed, ended, panics] =
        ["changed", "ended", "panics"].map(|name| client.start_trace(name));
    let (inside, is_inside) = channel();
    let (go_on, may_go_on) = channel::<()>();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            client.change(changed, |span| {
                span.set_attribute("first", 1);
                inside.send(()).unwrap();
                may_go_on.recv().unwrap();
                // The client can be used inside.
                client.change(ended, |span| {
                    client.change(ended, |_| unreachable!("it is taken"));
                    client.end_span(ended);
                    client.change(ended, |_| unreachable!("it has ended"));
                    span.set_attribute("last", 1);
                });
            });
        });
        is_inside.recv().unwrap();
        threads.spawn(move || client.change(changed, |span| span.set_attribute("second", 2)));
        go_on.send(()).unwrap();
    });
    client.end_span(changed);
    catch_unwind(AssertUnwindSafe(|| {
        client.change(panics, |_| panic!("half-way"));
    }))
    .unwrap_err();
    client.change(panics, |_| unreachable!("it has ended"));
    insta::assert_snapshot!(capture.tree(), @r#"
    changed
      first: 1
      second: 2
    ended
      last: 1
    panics ERROR half-way
      event exception exception.type="panic" exception.message="half-way"
    "#);
    let spans = capture.spans().len();
    drop(owner);
    assert_eq!(capture.spans().len(), spans, "all had ended");
}

#[test]
fn a_detached_span_ends_on_another_thread_at_a_time_of_its_own() {
    let capture = capture();
    let mut detached = span("detached").start_time_unix_nano(100).start_detached();
    detached.set_attribute("k", "v");
    std::thread::spawn(move || detached.end_at(250))
        .join()
        .unwrap();
    let span = &capture.spans()[0];
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (100, Some(250))
    );
}

#[test]
fn everything_can_be_said_of_a_trace() {
    let capture = capture();
    let trace_id = in_span("work", |span| {
        current_trace()
            .set_tags([("fruit", "apple"), ("env", "x")])
            .remove_tag("env")
            .set_metadata("version", "1")
            .set_name("named")
            .set_session("s")
            .set_user("u")
            .set_client_request_id("c")
            .set_request_preview("in")
            .set_response_preview("out")
            .set_state(TraceState::Error)
            .set_model_id("m-1");
        span.context().trace_id().unwrap()
    });
    assert_eq!(spanlite::last_trace_id_of_thread(), Some(trace_id));
    let finished = spanlite::trace_of(trace_id);
    let first = finished.log(feedback("helpful", false).source(SourceType::Human, "ada"));
    finished.log(
        feedback("helpful", true)
            .overrides(first)
            .rationale("changed my mind"),
    );
    finished.log(expectation("answer", 42).metadata("by", "test"));
    finished.log(spanlite::failed_feedback("judge", "TIMEOUT", "no answer"));

    let info = &capture.traces()[0].info;
    assert_eq!(info.tags.len(), 1);
    assert_eq!(info.tags["fruit"], "apple");
    assert_eq!(info.metadata["mlflow.modelId"], "m-1");
    assert_eq!(info.name.as_deref(), Some("named"));
    assert_eq!(info.session.as_deref(), Some("s"));
    assert_eq!(info.user.as_deref(), Some("u"));
    assert_eq!(info.client_request_id.as_deref(), Some("c"));
    assert_eq!(info.request_preview.as_deref(), Some("in"));
    assert_eq!(info.response_preview.as_deref(), Some("out"));
    assert_eq!(info.state, Some(TraceState::Error));
    let valid: Vec<bool> = info.assessments.iter().map(|one| one.valid).collect();
    assert_eq!(valid, [false, true, true, true]);
    assert!(
        matches!(&info.assessments[2].value, AssessmentValue::Expectation { value }
        if value.as_text() == "42")
    );
}

#[test]
fn futures_and_closures_are_put_into_spans() {
    let capture = capture();
    block_on(
        async {
            yield_once().await;
            in_span("closure", |_| ());
        }
        .in_span(span("future").attribute("k", 1)),
    );
    insta::assert_snapshot!(capture.tree(), @r"
    future
    │ k: 1
    └─ closure
    ");
}

#[test]
fn without_an_open_span_nothing_is_said_and_nothing_breaks() {
    let capture = capture();
    spanlite::current_span().set_attribute("k", 1);
    current_trace().set_tag("k", "v");
    assert_eq!(spanlite::current_span().trace_id(), None);
    assert!(capture.traces().is_empty());
}
