//! One line sets a program up. A process has one subscriber, hence a test binary of its own.

#[test]
fn one_line_records_model_libraries_and_nothing_else() {
    spanlite_auto::install().unwrap();
    let capture = spanlite::testing::capture();
    spanlite::in_span("manual", |_| {
        tracing::info_span!(target: "rig::completions", "chat", gen_ai.operation.name = "chat")
            .in_scope(|| tracing::info_span!(target: "hyper", "connect").in_scope(|| ()));
    });
    let spans = capture.spans();
    let [chat, manual] = &spans[..] else {
        panic!("{}", capture.tree());
    };
    assert_eq!(
        (manual.name.as_str(), chat.name.as_str()),
        ("manual", "chat")
    );
    assert_eq!(chat.span_type, spanlite::SpanType::ChatModel);
    assert_eq!(chat.parent_span_id, Some(manual.span_id));

    let again = spanlite_auto::install().unwrap_err();
    assert!(again.to_string().contains("subscriber already"));
    assert!(std::error::Error::source(&again).is_some());
}
