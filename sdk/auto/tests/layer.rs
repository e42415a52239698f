//! Spans of `tracing` and of Spanlite in one tree.

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use spanlite::testing::{Capture, capture};
    use spanlite::{SpanType, StatusCode, trace};
    use spanlite_auto::{Targets, layer, layer_for};
    use spanlite_model::Span;
    use tracing::subscriber::{DefaultGuard, set_default};
    use tracing::{Instrument as _, error, info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;

    fn recording(targets: Targets) -> (DefaultGuard, Capture) {
        let subscriber = tracing_subscriber::registry().with(layer_for(targets));
        (set_default(subscriber), capture())
    }

    fn named(spans: &[Span], name: &str) -> Span {
        spans.iter().find(|span| span.name == name).unwrap().clone()
    }

    #[trace]
    fn manual(x: i64) -> i64 {
        info_span!(target: "rig::completions", "inner").in_scope(|| x + 1)
    }

    #[test]
    fn spans_nest_both_ways() {
        let (_subscriber, capture) = recording(Targets::models());
        spanlite::in_span("outer", |_| {
            let span = info_span!(target: "rig::agent", "invoke_agent");
            span.in_scope(|| manual(1));
        });
        assert_eq!(
            capture.tree(),
            "outer\n└─ invoke_agent\n   └─ manual\n      │ inputs: {\"x\":1}\n      │ outputs: 2\n      \
             └─ inner\n"
        );
    }

    #[test]
    fn spans_of_two_subscribers_are_told_apart_by_more_than_their_ids() {
        let dispatch = || {
            let layer = layer_for(Targets::models());
            tracing::Dispatch::new(tracing_subscriber::registry().with(layer))
        };
        let (one, other) = (dispatch(), dispatch());
        let capture = capture();
        let make = |dispatch: &tracing::Dispatch, name: &str| {
            tracing::dispatcher::with_default(
                dispatch,
                || info_span!(target: "rig", "made", otel.name = name),
            )
        };
        let first = make(&one, "first");
        let second = make(&other, "second");
        assert_eq!(first.id(), second.id(), "their registries count alike");
        tracing::dispatcher::with_default(&one, || {
            first.in_scope(|| spanlite::in_span("in the first", |_| ()));
        });
        drop((first, second));
        let (first, inner) = {
            let spans = capture.spans();
            (named(&spans, "first"), named(&spans, "in the first"))
        };
        assert_eq!(inner.parent_span_id, Some(first.span_id));
    }

    #[test]
    fn a_span_can_be_entered_while_its_thread_ends() {
        struct Last(RefCell<Option<tracing::Span>>);
        impl Drop for Last {
            fn drop(&mut self) {
                if let Some(span) = self.0.take() {
                    span.in_scope(|| ());
                }
            }
        }
        thread_local! {
            static LAST: Last = const { Last(RefCell::new(None)) };
        }
        let (_subscriber, capture) = recording(Targets::models());
        let context = spanlite::Context::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::spawn(move || {
            // The registry cannot be entered either once its own locals are gone: those first.
            let registry = tracing_subscriber::registry();
            tracing::subscriber::with_default(registry, || info_span!("first").in_scope(|| ()));
            let _subscriber = tracing::dispatcher::set_default(&dispatch);
            let _attached = context.attach();
            let span = info_span!(target: "rig", "last");
            // Locals are destroyed the other way round than they were made.
            LAST.with(|last| last.0.replace(Some(span.clone())));
            span.in_scope(|| ());
        });
        thread.join().unwrap();
        assert_eq!(capture.tree(), "last\n");
    }

    #[test]
    fn an_async_span_is_the_present_one_only_while_it_runs() {
        let (_subscriber, capture) = recording(Targets::models());
        let work = async {
            spanlite::in_span("first", |_| ());
            Yield(false).await;
            spanlite::in_span("second", |_| ());
        };
        let future = work.instrument(info_span!(target: "rig", "call"));
        let mut future = Box::pin(future);
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
        spanlite::in_span("between", |_| ());
        assert!(future.as_mut().poll(&mut task).is_ready());
        drop(future);
        let spans = capture.spans();
        let call = named(&spans, "call");
        assert_eq!(named(&spans, "first").parent_span_id, Some(call.span_id));
        assert_eq!(named(&spans, "second").parent_span_id, Some(call.span_id));
        assert_eq!(named(&spans, "between").parent_span_id, None);
    }

    struct Yield(bool);

    impl Future for Yield {
        type Output = ();

        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        }
    }

    #[test]
    fn fields_of_the_conventions_give_type_inputs_and_outputs() {
        let (_subscriber, capture) = recording(Targets::models());
        let messages = r#"[{"role":"user","parts":[{"type":"text","content":"2+2?"}]}]"#;
        let span = info_span!(
            target: "anything",
            "chat",
            gen_ai.operation.name = "chat",
            gen_ai.request.model = "gpt-4o",
            gen_ai.input.messages = messages,
            gen_ai.output.messages = tracing::field::Empty,
            gen_ai.usage.input_tokens = 12_u64,
            gen_ai.usage.output_tokens = tracing::field::Empty,
            otel.name = "chat gpt-4o",
            otel.kind = "client",
        );
        span.record("gen_ai.output.messages", "[]");
        span.record("gen_ai.usage.output_tokens", 3_i64);
        drop(span);
        let span = named(&capture.spans(), "chat gpt-4o");
        assert_eq!(span.span_type, SpanType::ChatModel);
        assert_eq!(span.kind, spanlite::SpanKind::Client);
        assert_eq!(span.inputs.as_ref().unwrap().as_text(), messages);
        assert_eq!(span.outputs.as_ref().unwrap().as_text(), "[]");
        assert_eq!(span.model(), Some("gpt-4o"));
        assert_eq!(spanlite_model::TokenUsage::of(&span).total_tokens, Some(15));
        assert_eq!(
            span.attributes.get_str("gen_ai.input.messages"),
            Some(messages)
        );
    }

    #[test]
    fn spans_of_langchain_are_known_by_name() {
        let (_subscriber, capture) = recording(Targets::models());
        info_span!(target: "langchain_rust::llm", "llm.generate", model = "m", prompt_tokens = 2)
            .in_scope(|| info_span!(target: "langchain_rust", "tool.call", tool = "t"));
        let spans = capture.spans();
        let call = named(&spans, "llm.generate");
        assert_eq!(call.span_type, SpanType::Llm);
        assert_eq!(call.model(), Some("m"));
        assert_eq!(spanlite_model::TokenUsage::of(&call).input_tokens, Some(2));
        assert_eq!(named(&spans, "tool.call").span_type, SpanType::Tool);
    }

    #[test]
    fn events_errors_and_links() {
        let (_subscriber, capture) = recording(Targets::models().with("app"));
        let first = info_span!(target: "app", "first");
        let second = info_span!(target: "app::inner", "second");
        second.follows_from(&first);
        second.in_scope(|| {
            info!(target: "app", tokens = 3, "half way");
            let broken = std::io::Error::other("broken pipe");
            error!(target: "app", error = &broken as &dyn std::error::Error, "it failed");
        });
        drop((first, second));
        let spans = capture.spans();
        let span = named(&spans, "second");
        assert_eq!(span.links[0].span_id, named(&spans, "first").span_id);
        assert_eq!(span.events[0].name, "half way");
        assert_eq!(span.events[0].attributes.get("tokens"), Some(&3.into()));
        assert_eq!(span.status.code, StatusCode::Error);
        assert_eq!(span.error_message(), Some("broken pipe"));
    }

    #[test]
    fn strangers_are_left_alone_and_stay_visible_to_others() {
        let subscriber = tracing_subscriber::registry()
            .with(layer())
            .with(tracing_subscriber::layer::Identity::new());
        let _subscriber = set_default(subscriber);
        let capture = capture();
        let stranger = info_span!(target: "hyper", "connect");
        stranger.in_scope(|| {
            let span = info_span!(target: "genai::otel", "genai.chat");
            span.in_scope(|| info!(target: "hyper", "not ours"));
        });
        drop(stranger);
        let spans = capture.spans();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id, None);
        assert!(spans[0].events.is_empty());
    }

    #[test]
    fn explicit_parents_and_roots_are_kept() {
        let (_subscriber, capture) = recording(Targets::all());
        let parent = info_span!("parent");
        spanlite::in_span("manual", |_| {
            drop(info_span!(parent: &parent, "child"));
            drop(info_span!(parent: None, "below"));
            let inner = info_span!("inner").entered();
            drop(info_span!(parent: None, "root"));
            drop(inner);
        });
        drop(parent);
        let spans = capture.spans();
        let parent = named(&spans, "parent");
        assert_eq!(named(&spans, "child").parent_span_id, Some(parent.span_id));
        let manual = named(&spans, "manual");
        // All that `tracing` says is that none of its own spans is the parent.
        assert_eq!(named(&spans, "below").parent_span_id, Some(manual.span_id));
        let root = named(&spans, "root");
        assert_eq!(root.parent_span_id, None);
        assert_ne!(root.trace_id, manual.trace_id);
    }
}
