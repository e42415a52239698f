//! What is recorded when something goes wrong.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use spanlite::testing::capture;
use spanlite::{in_span, span, trace};

use crate::{block_on, yield_once};

#[derive(Debug, thiserror::Error)]
#[error("cannot answer")]
struct CannotAnswer {
    source: std::num::ParseIntError,
}

fn cannot_answer() -> CannotAnswer {
    CannotAnswer {
        source: "x".parse::<u8>().unwrap_err(),
    }
}

#[trace]
fn typed() -> Result<u8, CannotAnswer> {
    Err(cannot_answer())
}

#[trace]
fn boxed_shared() -> Result<u8, Box<dyn Error + Send + Sync>> {
    Err(cannot_answer().into())
}

#[trace]
fn boxed() -> Result<u8, Box<dyn Error>> {
    Err(cannot_answer().into())
}

#[trace]
fn any() -> anyhow::Result<u8> {
    use anyhow::Context as _;
    Err(cannot_answer()).context("outer")
}

#[trace]
fn text() -> Result<u8, String> {
    Err("a text".to_owned())
}

#[derive(Debug)]
struct Shown;

#[trace]
fn shown() -> Result<u8, Shown> {
    Err(Shown)
}

struct Opaque;

#[trace]
fn opaque() -> Result<Opaque, Opaque> {
    Err(Opaque)
}

#[trace]
fn shared() -> Result<u8, Arc<CannotAnswer>> {
    Err(Arc::new(cannot_answer()))
}

#[trace(err = ignore)]
fn ignored() -> Result<u8, CannotAnswer> {
    Err(cannot_answer())
}

#[test]
fn an_err_of_any_type_is_recorded_with_what_caused_it() {
    let capture = capture();
    assert!(typed().is_err());
    assert!(boxed_shared().is_err());
    assert!(boxed().is_err());
    assert!(any().is_err());
    assert!(text().is_err());
    assert!(shown().is_err());
    assert!(opaque().is_err());
    assert!(shared().is_err());
    assert!(ignored().is_err());
    let spans = capture.spans();
    let stacks: Vec<String> = spans
        .iter()
        .filter_map(|span| {
            let event = span.exception()?;
            let stack = event.attributes.get_str("exception.stacktrace")?;
            Some(format!("{}: {}: {stack}", span.name, span.error_type()?))
        })
        .collect();
    insta::assert_snapshot!(stacks.join("\n"));
    assert!(!spans[8].is_error());
}

#[trace]
fn outer(x: u8) -> u8 {
    spanlite::current_span().set_attribute("before", true);
    inner(x)
}

#[trace]
fn inner(x: u8) -> u8 {
    assert!(x > 1, "{x} is too small");
    x
}

#[test]
fn a_panic_is_recorded_on_every_span_it_goes_through() {
    let capture = capture();
    assert!(catch_unwind(|| outer(1)).is_err());
    assert_eq!(outer(2), 2);
    let spans = capture.spans();
    let failed: Vec<&str> = spans
        .iter()
        .filter(|span| span.is_error())
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(failed, ["inner", "outer"]);
    assert_eq!(spans[1].error_message(), Some("1 is too small"));
    assert_eq!(spans[1].error_type(), Some("panic"));
    let event = spans[0].exception().unwrap();
    let place = event.attributes.get_str("exception.stacktrace").unwrap();
    assert!(place.starts_with("at sdk/tests/sdk/errors.rs:"), "{place}");
    assert_eq!(spans[1].inputs.as_ref().unwrap().as_text(), r#"{"x":1}"#);
    assert!(spans[1].attributes.get("before").is_some());
}

struct TracesInDrop;

impl Drop for TracesInDrop {
    fn drop(&mut self) {
        in_span("clean up", |_| ());
    }
}

#[test]
fn a_span_made_and_ended_while_unwinding_did_not_fail() {
    let capture = capture();
    let panicked = catch_unwind(|| {
        let _guard = span("work").start();
        let _clean_up = TracesInDrop;
        panic!("no");
    });
    assert!(panicked.is_err());
    insta::assert_snapshot!(capture.tree(), @r#"
    work ERROR no
    │ event exception exception.type="panic" exception.message="no"
    └─ clean up
    "#);
}

#[trace]
async fn waits(n: u8) {
    let _clean_up = TracesInDrop;
    for _ in 0..n {
        yield_once().await;
    }
}

#[test]
fn a_future_dropped_half_way_leaves_a_finished_span() {
    let capture = capture();
    let mut future = Box::pin(waits(9));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);
    drop(waits(1));
    insta::assert_snapshot!(capture.tree(), @r#"
    waits
    │ inputs: {"n":9}
    │ cancelled: true
    │ event cancelled
    └─ clean up
    "#);
}

#[test]
fn closures_and_futures_record_their_err() {
    let capture = capture();
    let failed = in_span!("closure", |_| "x".parse::<u8>());
    assert!(failed.is_err());
    let failed = in_span!("any", |_| -> anyhow::Result<()> { anyhow::bail!("no") });
    assert!(failed.is_err());
    let future = in_span!("future", async { Err::<(), _>("text".to_owned()) });
    assert!(block_on(future).is_err());
    let name = "of any type".to_owned();
    let no = Opaque;
    let failed = in_span!(span(&name).attribute("n", 1), move |_| Err::<Panics, _>(no));
    assert!(failed.is_err());
    // What is no `Result` passes, whatever it is.
    let value: fn() -> u8 = in_span!("no result", |span| {
        span.set_outputs("a function");
        || 1
    });
    assert_eq!(value(), 1);
    assert_eq!(block_on(in_span!("no result", async { 2 })), 2);
    let early = in_span!("early", |_| {
        "3".parse::<u8>()?;
        "x".parse::<u8>()
    });
    assert!(early.is_err());
    let guard = span("guard").start();
    guard.record_error(&cannot_answer());
    drop(guard);
    insta::assert_snapshot!(capture.tree());
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in the program's own `Debug`")
    }
}

#[trace]
fn takes(bad: Panics, good: u8) -> u8 {
    let _ = bad;
    good
}

#[test]
fn a_value_that_cannot_be_captured_breaks_nothing() {
    let capture = capture();
    assert_eq!(
        catch_unwind(AssertUnwindSafe(|| takes(Panics, 2))).ok(),
        Some(2)
    );
    insta::assert_snapshot!(capture.tree(), @r#"
    takes
      inputs: {"bad":"[panicked while it was captured]","good":2}
      outputs: 2
    "#);
}
