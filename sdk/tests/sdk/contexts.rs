//! Parents and children across threads, tasks and processes.

use std::collections::BTreeMap;

use spanlite::testing::capture;
use spanlite::{Context, InSpanExt as _, current_span, in_span, span, trace};

use crate::{block_on, yield_once};

#[trace]
fn work(n: u8) -> u8 {
    n
}

#[test]
fn a_context_is_carried_by_hand_to_threads() {
    let capture = capture();
    in_span("main", |_| {
        let context = Context::current();
        std::thread::spawn(move || {
            let _attached = context.attach();
            work(1)
        })
        .join()
        .unwrap();
        std::thread::spawn(spanlite::wrap(|| work(2)))
            .join()
            .unwrap();
        spanlite::spawn(|| work(3)).join().unwrap();
        std::thread::scope(|threads| {
            let wrapped = context.wrap(|| work(4));
            threads.spawn(wrapped);
        });
    });
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn the_threads_of_rayon_are_given_the_place() {
    use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

    let capture = capture();
    in_span("main", |_| {
        let here = Context::current();
        let total: u8 = (0..4).into_par_iter().map(here.wrap_each(work)).sum();
        assert_eq!(total, 6);
        rayon::join(spanlite::wrap(|| work(4)), spanlite::wrap(|| work(5)));
        rayon::scope(|scope| {
            scope.spawn(move |_| {
                here.run(|| work(6));
            });
        });
    });
    let spans = capture.spans();
    let main = spans.iter().find(|span| span.name == "main").unwrap();
    let children = spans
        .iter()
        .filter(|span| span.parent_span_id == Some(main.span_id));
    assert_eq!((spans.len(), children.count()), (8, 7));
}

#[test]
fn what_is_said_before_a_span_ends_is_in_it() {
    const SPEAKERS: i64 = 4;
    for _ in 0..50 {
        let capture = capture();
        let mut span = span("worked on").start_detached();
        let context = span.context();
        let speakers: Vec<_> = (0..SPEAKERS)
            .map(|speaker| {
                std::thread::spawn(move || {
                    let _attached = context.attach();
                    for number in 0..20 {
                        current_span().set_attribute(&format!("{speaker}"), number);
                    }
                    speaker
                })
            })
            .collect();
        // The others still speak when it ends; who was heard out before has been heard.
        let mut heard = Vec::new();
        for speaker in speakers.into_iter().take(2) {
            heard.push(speaker.join().unwrap());
        }
        drop(span);
        let spans = capture.spans();
        for speaker in heard {
            let said = spans[0].attributes.get(&speaker.to_string());
            assert_eq!(said, Some(&spanlite::Value::Int(19)));
        }
    }
}

#[test]
fn other_threads_write_to_a_span_they_were_given() {
    let capture = capture();
    in_span("main", |span| {
        span.set_attribute("a", 1);
        spanlite::spawn(|| {
            current_span().set_attribute("a", 2);
            current_span().set_error("seen elsewhere");
        })
        .join()
        .unwrap();
    });
    insta::assert_snapshot!(capture.tree(), @r"
    main ERROR seen elsewhere
      a: 2
    ");
}

#[test]
fn a_future_may_move_between_threads() {
    let capture = capture();
    let mut future = Box::pin(
        async {
            work(1);
            yield_once().await;
            current_span().set_attribute("thread", "second");
            work(2);
        }
        .in_span("task"),
    );
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    assert_eq!(Context::current().span_id(), None);
    std::thread::spawn(move || block_on(future)).join().unwrap();
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn a_spawned_future_can_stay_where_it_was_made() {
    let capture = capture();
    let future = in_span("request", |_| async { work(1) }.in_current_context());
    std::thread::spawn(move || block_on(future)).join().unwrap();
    insta::assert_snapshot!(capture.tree());
}

#[test]
fn guards_dropped_out_of_order_leave_the_thread_where_it_was() {
    let capture = capture();
    let outer = span("outer").start();
    let inner = span("inner").start();
    drop(outer);
    in_span("in inner", |_| ());
    drop(inner);
    assert_eq!(Context::current().span_id(), None);
    in_span("after", |_| ());
    insta::assert_snapshot!(capture.tree(), @r"
    outer
    └─ inner
       └─ in inner
    after
    ");
}

#[test]
fn a_context_travels_in_headers() {
    let capture = capture();
    let mut headers = http::HeaderMap::new();
    spanlite::inject(&mut headers);
    assert!(headers.is_empty());
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", caller.parse().unwrap());
    headers.insert("tracestate", "vendor=1".parse().unwrap());
    headers.insert("baggage", "session.id=s%201".parse().unwrap());
    let mut onward = BTreeMap::new();
    spanlite::extract(&headers).unwrap().run(|| {
        in_span("serve", |_| {
            assert_eq!(spanlite::baggage("session.id").as_deref(), Some("s 1"));
            spanlite::inject(&mut onward);
        });
    });
    let served = &capture.spans()[0];
    assert_eq!(served.trace_id.to_hex(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        served.parent_span_id.unwrap().to_string(),
        "b7ad6b7169203331"
    );
    assert_eq!(served.trace_state, "vendor=1");
    assert_eq!(served.flags, 0x301);
    assert_eq!(onward["tracestate"], "vendor=1");
    assert_eq!(onward["baggage"], "session.id=s%201");
    let info = &capture.traces()[0].info;
    assert_eq!((info.session.as_deref(), &info.user), (Some("s 1"), &None));
    assert!(onward["traceparent"].contains(&served.span_id.to_string()));
}

#[test]
fn a_scope_names_session_and_user_before_its_baggage_does() {
    let capture = capture();
    let sent = spanlite::scope()
        .baggage("user.id", "ada")
        .baggage("session.id", "sent");
    sent.session("named").run(|| in_span("first", |_| ()));
    let outer = spanlite::scope().user("outer");
    outer.run(|| {
        let inner = spanlite::scope().baggage("user.id", "inner");
        inner.run(|| in_span("second", |_| ()));
    });
    let traces = capture.traces();
    let who = |index: usize| {
        let info = &traces[index].info;
        (info.session.as_deref(), info.user.as_deref())
    };
    assert_eq!(who(0), (Some("named"), Some("ada")));
    assert_eq!(who(1), (None, Some("inner")));
}

#[test]
fn a_caller_that_did_not_sample_is_followed() {
    let capture = capture();
    let headers = BTreeMap::from([(
        "Traceparent".to_owned(),
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
    )]);
    spanlite::extract(&headers).unwrap().run(|| {
        in_span("serve", |_| ());
        let mut onward = BTreeMap::new();
        spanlite::inject(&mut onward);
        assert!(onward["traceparent"].ends_with("-00"));
    });
    assert!(capture.spans().is_empty());
}

#[test]
fn what_a_capture_does_not_cover_is_not_captured() {
    let capture = capture();
    std::thread::spawn(|| work(1)).join().unwrap();
    assert!(capture.traces().is_empty());
}
