//! Sampling, redaction, limits, scopes.

use spanlite::testing::{capture, capture_with};
use spanlite::{Redaction, builder, current_trace, in_span, scope, span, trace};

#[test]
fn sampling_is_decided_where_a_trace_begins() {
    let capture = capture_with(&builder().sampling(0.0));
    in_span("unsampled", |span| {
        assert!(!span.is_recording());
        in_span("child", |span| assert!(!span.is_recording()));
    });
    span("sampled after all").sampling(1.0).start().end();
    assert_eq!(capture.tree(), "sampled after all\n");
}

#[test]
fn a_function_can_begin_a_trace_of_its_own() {
    #[trace(root, sampling = 1.0)]
    fn own() {}
    #[trace(root, sampling = 0.0)]
    fn never() {}
    let capture = capture_with(&builder().sampling(0.5));
    in_span("caller", |_| {
        own();
        never();
    });
    let spans = capture.spans();
    assert!(
        spans
            .iter()
            .any(|span| span.name == "own" && span.parent_span_id.is_none())
    );
    assert!(spans.iter().all(|span| span.name != "never"));
}

#[test]
fn traces_that_fail_are_kept_if_that_is_wanted() {
    let capture = capture_with(&builder().sampling(0.0).keep_errors(true));
    in_span("good", |_| in_span("child", |_| ()));
    in_span("bad", |_| {
        in_span("before", |_| ());
        in_span!("fails", |_| Err::<(), _>("no")).unwrap_err();
        in_span("after", |_| ());
    });
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn redaction_comes_before_anything_is_kept() {
    let redaction = Redaction::new().key("api_key").pattern("sk-*");
    let capture = capture_with(&builder().redaction(redaction));
    #[trace(attributes("header" = "Bearer sk-12"))]
    fn call(api_key: &str, prompt: &str) -> Result<String, String> {
        spanlite::current_span().add_event("sent", [("body", prompt.into())]);
        Err(format!("refused {api_key}"))
    }
    call("sk-1", "with sk-2 inside").unwrap_err();
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn a_value_beyond_the_limit_is_cut_and_marked() {
    let capture = capture_with(&builder().value_limit_bytes(16));
    in_span("large", |span| span.set_inputs("x".repeat(100)));
    insta::assert_snapshot!(capture.tree(), @r#"
    large
      inputs: "xxxxxxxxxxxxxxxx… [cut, 100 bytes in all]"
      spanlite.cut: true
    "#);
}

#[test]
fn a_span_has_a_size_of_its_own() {
    let capture = capture();
    let text = "x".repeat(1 << 20);
    in_span("large", |span| {
        for number in 0..40 {
            span.set_attribute(&format!("{number}"), &text);
            span.add_event("event", [("text", text.as_str().into())]);
        }
        // In a small span after it everything has room again.
        in_span("small", |span| span.set_attribute("k", 1));
        span.set_outputs("what counts");
    });
    let [small, large] = &capture.spans()[..] else {
        panic!("two spans");
    };
    assert_eq!(
        (small.dropped_attributes_count, small.dropped_events_count),
        (0, 0)
    );
    assert_eq!(large.attributes.get("spanlite.cut"), Some(&true.into()));
    assert_eq!(large.attributes.get("7"), Some(&text.as_str().into()));
    assert_eq!((large.events.len(), large.dropped_events_count), (8, 32));
    assert_eq!(large.dropped_attributes_count, 32);
    assert_eq!(large.outputs.as_ref().unwrap().as_text(), "\"what counts\"");
}

#[test]
fn what_is_said_from_elsewhere_has_no_more_room() {
    let capture = capture();
    let mut span = span("polled").start_detached();
    let context = span.context();
    context.run(|| {
        for _ in 0..25_000 {
            spanlite::current_span().add_event::<&str>("event", []);
        }
    });
    drop(span);
    in_span("later", |_| ());
    let [span, later] = &capture.spans()[..] else {
        panic!("two spans");
    };
    assert_eq!(
        (span.events.len(), span.dropped_events_count),
        (10_000, 15_000)
    );
    assert_eq!(later.dropped_events_count, 0);
}

#[test]
fn the_events_of_a_stream_leave_room_for_its_outputs() {
    #[trace]
    fn items() -> impl Iterator<Item = String> {
        (0..40).map(|_| "x".repeat(900_000))
    }
    let capture = capture();
    assert_eq!(items().count(), 40);
    let span = &capture.spans()[0];
    assert_eq!(span.events.len() + span.dropped_events_count as usize, 40);
    assert!(
        (18..25).contains(&span.events.len()),
        "{}",
        span.events.len()
    );
    assert!(span.outputs.is_some());
}

#[test]
fn a_scope_gives_its_defaults_to_traces_that_begin_in_it() {
    let capture = capture();
    {
        let _outer = scope().session("s-1").tag("env", "test").enter();
        in_span("one", |_| in_span("child", |_| ()));
        scope()
            .user("ada")
            .tag("env", "inner")
            .run(|| in_span("two", |_| ()));
        scope().enabled(false).run(|| {
            in_span("nothing", |_| ());
            current_trace().set_tag("nowhere", "x");
        });
        spanlite::spawn(|| in_span("three", |_| ())).join().unwrap();
    }
    in_span("four", |_| ());
    let infos: Vec<_> = capture
        .traces()
        .into_iter()
        .map(|trace| {
            let env = trace.info.tags.get("env").cloned();
            (
                trace.spans.last().unwrap().name.clone(),
                trace.info.session,
                trace.info.user,
                env,
            )
        })
        .collect();
    insta::assert_debug_snapshot!(infos);
}

#[test]
fn the_scope_of_the_program_outlives_those_of_its_requests() {
    let capture = capture();
    let _program = scope().tag("env", "prod").enter();
    for number in 0..10_000 {
        let _request = scope().user(format!("user {number}")).enter();
    }
    // Ten thousand others were entered elsewhere, none of them inside of this one.
    std::thread::spawn(|| {
        for number in 0..10_000 {
            let _request = scope().user(format!("other {number}")).enter();
        }
    })
    .join()
    .unwrap();
    scope().user("last").run(|| in_span("work", |_| ()));
    let info = &capture.traces()[0].info;
    assert_eq!(info.user.as_deref(), Some("last"));
    assert_eq!(info.tags.get("env").map(String::as_str), Some("prod"));
}
