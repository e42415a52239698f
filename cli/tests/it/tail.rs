//! Follows what this process traces.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::support::Place;

#[test]
fn what_begins_and_ends_is_shown_as_it_happens() {
    let place = Place::empty();
    let store = place.path("traces.spans");
    let _tracing = spanlite::builder()
        .path(&store)
        .open_spans(spanlite::OpenSpans::All)
        .init()
        .unwrap();
    spanlite::span("before").start().end();
    spanlite::flush().unwrap();
    let mut tail = place
        .command(&["tail", "-f", "-n", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().contains("✓"), "the last thing that happened before");

    let turn = spanlite::span("support.turn")
        .span_type(spanlite::SpanType::Agent)
        .start();
    let began = line();
    assert!(
        began.contains("▶") && began.contains("AGENT support.turn"),
        "{began}"
    );
    {
        let tool = spanlite::span("get_order")
            .span_type(spanlite::SpanType::Tool)
            .start();
        let began = line();
        assert!(
            began.contains("▶") && began.contains("│ TOOL get_order"),
            "{began}"
        );
        tool.set_error("no order 7");
    }
    let ended = line();
    assert!(
        ended.contains("✗") && ended.contains("! no order 7"),
        "{ended}"
    );
    drop(turn);
    let ended = line();
    assert!(
        ended.contains("✓") && ended.contains("support.turn"),
        "{ended}"
    );

    let told = Command::new("kill")
        .args(["-INT", &tail.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    let output = tail.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "1 trace, 2 spans, 1 error since start\n");
}

#[test]
fn only_what_fits_a_query_is_shown() {
    let place = Place::with_agents();
    let shown = place.done(&["tail", "-n", "100", "span.type = 'TOOL'"]);
    assert!(shown.lines().count() >= 2);
    assert!(shown.lines().all(|line| line.contains("TOOL")), "{shown}");
}
