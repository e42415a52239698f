//! Spans of OpenTelemetry and of Spanlite in one tree.

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{
        SpanKind as OtelKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
    };
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use spanlite::testing::capture;
    use spanlite::{SpanKind, SpanType, StatusCode, Value};
    use spanlite_auto::{OtelProcessor, otel_context};

    #[test]
    fn spans_nest_both_ways_and_keep_what_they_say() {
        let capture = capture();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(OtelProcessor::new())
            .build();
        let tracer = provider.tracer("test");
        spanlite::in_span("manual", |_| {
            let builder = tracer.span_builder("chat").with_kind(OtelKind::Client);
            let builder = builder.with_attributes([
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.input.messages", "[1]"),
                KeyValue::new("gen_ai.usage.input_tokens", 3),
            ]);
            let context = Context::current_with_span(tracer.build(builder));
            let _active = context.clone().attach();
            let child = tracer.start("child");
            drop(child);
            otel_context().run(|| spanlite::in_span("inner", |_| ()));
            let span = context.span();
            span.add_event("half way", vec![KeyValue::new("n", 1)]);
            span.set_status(Status::error("boom"));
            span.end();
        });
        let spans = capture.spans();
        let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let (manual, chat) = (named("manual"), named("chat"));
        assert_eq!(chat.parent_span_id, Some(manual.span_id));
        assert_eq!(chat.trace_id, manual.trace_id);
        assert_eq!(named("child").parent_span_id, Some(chat.span_id));
        assert_eq!(named("inner").parent_span_id, Some(chat.span_id));
        assert_eq!(chat.kind, SpanKind::Client);
        assert_eq!(chat.span_type, SpanType::ChatModel);
        assert_eq!(chat.inputs.as_ref().unwrap().as_text(), "[1]");
        assert_eq!(
            chat.attributes.get("gen_ai.usage.input_tokens"),
            Some(&Value::Int(3))
        );
        assert_eq!(chat.events[0].name, "half way");
        assert_eq!(chat.status.code, StatusCode::Error);
        assert_eq!(chat.status.message, "boom");
        assert!(
            chat.attributes
                .get_str("otel.trace_id")
                .is_some_and(|id| id.len() == 32)
        );
        assert!(chat.end_time_unix_nano >= Some(chat.start_time_unix_nano));
    }
}
