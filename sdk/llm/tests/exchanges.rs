//! Whole exchanges of each interface, plain and streamed, in chunks of every size.

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use spanlite_llm::{End, Endpoint, Limits, LlmExchange};
    use spanlite_model::{Span, SpanId, SpanType, TraceId, keys};

    const JSON: &str = "application/json; charset=utf-8";
    const EVENTS: &str = "text/event-stream";

    /// Runs an exchange with the body in chunks of `size` bytes, one a millisecond.
    fn run(url: &str, request: &Value, kind: &str, body: &str, size: usize) -> LlmExchange {
        let endpoint = Endpoint::of("POST", url).unwrap();
        let mut recording = endpoint.begin(request.to_string().as_bytes(), Limits::default());
        recording.respond(200, kind);
        for (n, chunk) in body.as_bytes().chunks(size).enumerate() {
            recording.feed(chunk, || (n as u64 + 1) * 1_000_000);
        }
        recording.finish(End::Complete)
    }

    /// The exchange, after checking that cuts make no difference but to the first token's time.
    fn exchange(url: &str, request: &Value, kind: &str, body: &str) -> LlmExchange {
        let whole = run(url, request, kind, body, usize::MAX);
        for size in [1, 7, 100] {
            let mut cut = run(url, request, kind, body, size);
            assert_eq!(
                cut.time_to_first_token_nanos.is_some(),
                whole.time_to_first_token_nanos.is_some()
            );
            cut.time_to_first_token_nanos = whole.time_to_first_token_nanos;
            assert_eq!(cut, whole, "chunks of {size}");
        }
        whole
    }

    fn events(events: &[Value]) -> String {
        let lines: Vec<String> = events
            .iter()
            .map(|one| format!("data: {one}\n\n"))
            .collect();
        lines.concat()
    }

    fn outputs(exchange: &LlmExchange) -> Value {
        exchange.outputs.as_ref().unwrap().to_value().unwrap()
    }

    const CHAT: &str = "https://api.openai.com/v1/chat/completions";

    #[test]
    fn a_chat_completion_is_read_whole() {
        let request = json!({
            "model": "gpt-4o", "messages": [{"role": "user", "content": "2+2?"}],
            "temperature": 0.5, "max_completion_tokens": 10, "tools": [{"type": "function"}],
        });
        let answer = json!({
            "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": "4"}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13,
                      "prompt_tokens_details": {"cached_tokens": 8}},
        });
        let exchange = exchange(CHAT, &request, JSON, &answer.to_string());
        assert_eq!(exchange.name(), "chat gpt-4o");
        assert_eq!(exchange.inputs.to_value().unwrap(), request);
        assert_eq!(outputs(&exchange), answer);
        assert_eq!(
            exchange.response_model.as_deref(),
            Some("gpt-4o-2024-08-06")
        );
        assert_eq!(exchange.usage.total_tokens, Some(13));
        assert_eq!(exchange.usage.cache_read_input_tokens, Some(8));
        assert_eq!(exchange.finish_reasons, ["stop"]);
        assert_eq!(exchange.time_to_first_token_nanos, None);
        assert_eq!(exchange.max_tokens, Some(10));
        let mut span = Span::new(TraceId::default(), SpanId::default(), "");
        exchange.apply(&mut span);
        assert_eq!(span.span_type, SpanType::ChatModel);
        assert_eq!(span.model(), Some("gpt-4o-2024-08-06"));
        assert_eq!(
            span.attributes.get_str(keys::MLFLOW_LLM_PROVIDER),
            Some("openai")
        );
        assert_eq!(spanlite_model::TokenUsage::of(&span), exchange.usage);
        assert!(!span.is_error());
    }

    #[test]
    fn a_streamed_chat_is_joined_with_its_tool_calls() {
        let chunk = |delta: Value, reason: Value| {
            json!({"id": "c", "model": "m", "choices": [
                {"index": 0, "delta": delta, "finish_reason": reason}]})
        };
        let call = |index: u64, id: Value, name: Value, arguments: &str| {
            json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                "function": {"name": name, "arguments": arguments}}]})
        };
        let body = events(&[
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
            chunk(json!({"content": "Let me "}), Value::Null),
            chunk(json!({"content": "lööök 🙂."}), Value::Null),
            chunk(
                call(0, json!("call_1"), json!("weather"), "{\"ci"),
                Value::Null,
            ),
            chunk(call(0, Value::Null, Value::Null, "ty\":1}"), Value::Null),
            chunk(call(1, json!("call_2"), json!("time"), "{}"), Value::Null),
            chunk(json!({}), json!("tool_calls")),
            json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}),
        ]) + ": a comment\n\ndata: [DONE]\n\n";
        let request = json!({"model": "m", "stream": true});
        let exchange = exchange(CHAT, &request, EVENTS, &body);
        let message = &outputs(&exchange)["choices"][0]["message"];
        assert_eq!(message["content"], "Let me lööök 🙂.");
        assert_eq!(message["tool_calls"][0]["id"], "call_1");
        assert_eq!(
            message["tool_calls"][0]["function"]["arguments"],
            "{\"city\":1}"
        );
        assert_eq!(message["tool_calls"][1]["function"]["name"], "time");
        assert_eq!(exchange.finish_reasons, ["tool_calls"]);
        assert_eq!(exchange.usage.total_tokens, Some(12));
        assert!(exchange.stream && exchange.complete);
        assert_eq!(exchange.time_to_first_token_nanos, Some(1_000_000));
    }

    #[test]
    fn the_end_is_the_last_event_and_not_the_end_of_the_body() {
        let endpoint = Endpoint::of("POST", CHAT).unwrap();
        let mut recording = endpoint.begin(b"{}", Limits::default());
        recording.respond(200, EVENTS);
        recording.feed(
            b"data: {\"choices\":[{\"delta\":{\"content\":\"4\"}}]}\n\n",
            || 5,
        );
        assert!(!recording.is_complete());
        recording.feed(b"data: [DO", || 6);
        recording.feed(b"NE]\n", || 7);
        assert!(recording.is_complete());
        let exchange = recording.finish(End::Dropped);
        assert!(exchange.complete);
        assert_eq!(exchange.time_to_first_token_nanos, Some(5));
        assert_eq!(outputs(&exchange)["choices"][0]["message"]["content"], "4");
    }

    #[test]
    fn what_came_before_a_drop_or_a_cut_is_kept() {
        let start = |end: End| {
            let endpoint = Endpoint::of("POST", CHAT).unwrap();
            let mut recording = endpoint.begin(b"{\"stream\":true}", Limits::default());
            recording.respond(200, EVENTS);
            recording.feed(
                b"data: {\"choices\":[{\"delta\":{\"content\":\"par\"}}]}\n\ndata: {\"cho",
                || 5,
            );
            recording.finish(end)
        };
        let dropped = start(End::Dropped);
        assert!(!dropped.complete && dropped.error.is_none());
        assert_eq!(outputs(&dropped)["choices"][0]["message"]["content"], "par");
        let failed = start(End::Failed {
            class: "BodyError".to_owned(),
            message: "connection reset".to_owned(),
        });
        assert_eq!(failed.error.unwrap().class, "BodyError");
    }

    #[test]
    fn responses_are_taken_from_their_last_event_or_from_their_pieces() {
        let url = "https://api.openai.com/v1/responses";
        let created =
            json!({"type": "response.created", "response": {"id": "r", "model": "gpt-5"}});
        let delta = json!({"type": "response.output_text.delta", "delta": "4"});
        let item = json!({"type": "response.output_item.done", "output_index": 0,
            "item": {"type": "function_call", "name": "f"}});
        let whole = json!({"id": "r", "model": "gpt-5", "status": "completed", "output": [],
            "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}});
        let last = json!({"type": "response.completed", "response": whole});
        let request = json!({"model": "gpt-5", "input": "2+2?", "stream": true});
        let all = events(&[created.clone(), delta.clone(), item.clone(), last]);
        let complete = exchange(url, &request, EVENTS, &all);
        assert_eq!(outputs(&complete), whole);
        assert_eq!(complete.usage.total_tokens, Some(4));
        assert_eq!(complete.finish_reasons, ["completed"]);
        let cut = exchange(url, &request, EVENTS, &events(&[created, delta, item]));
        assert_eq!(
            outputs(&cut),
            json!({"id": "r", "model": "gpt-5", "output_text": "4",
                   "output": [{"type": "function_call", "name": "f"}]})
        );
    }

    #[test]
    fn anthropics_events_become_a_message() {
        let url = "https://api.anthropic.com/v1/messages";
        let body = events(&[
            json!({"type": "message_start", "message": {"id": "msg", "type": "message",
                "role": "assistant", "model": "claude", "content": [],
                "usage": {"input_tokens": 10, "cache_read_input_tokens": 4,
                          "cache_creation_input_tokens": 2, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": "Hi"}}),
            json!({"type": "content_block_start", "index": 1,
                "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
            json!({"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
                "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]);
        let exchange = exchange(
            url,
            &json!({"model": "claude", "stream": true}),
            EVENTS,
            &body,
        );
        assert_eq!(
            outputs(&exchange)["content"],
            json!([{"type": "text", "text": "Hi"},
                   {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}])
        );
        assert_eq!(exchange.usage.input_tokens, Some(16));
        assert_eq!(exchange.usage.output_tokens, Some(9));
        assert_eq!(exchange.usage.cache_creation_input_tokens, Some(2));
        assert_eq!(exchange.finish_reasons, ["tool_use"]);
        assert!(exchange.complete);
    }

    #[test]
    fn geminis_parts_are_joined_from_events_and_from_a_list() {
        let parts = [
            json!({"candidates": [{"content": {"role": "model",
                "parts": [{"text": "think", "thought": true}]}}]}),
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "4"}]}}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "2"}]}, "finishReason": "STOP"}],
                "modelVersion": "gemini-2.5-flash",
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2,
                                  "thoughtsTokenCount": 5, "totalTokenCount": 10}}),
        ];
        let base = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash";
        let url = format!("{base}:streamGenerateContent?key=secret");
        let request = json!({"contents": []});
        let streamed = exchange(&url, &request, EVENTS, &events(&parts));
        let listed = exchange(&url, &request, JSON, &json!(parts).to_string());
        assert_eq!(outputs(&streamed), outputs(&listed));
        assert_eq!(
            outputs(&streamed)["candidates"][0]["content"]["parts"],
            json!([{"text": "think", "thought": true}, {"text": "42"}])
        );
        assert_eq!(streamed.model.as_deref(), Some("gemini-2.5-flash"));
        assert_eq!(streamed.usage.output_tokens, Some(7));
        assert_eq!(streamed.usage.total_tokens, Some(10));
        assert!(streamed.stream && streamed.complete);
        assert!(!format!("{streamed:?}").contains("secret"));
    }

    #[test]
    fn ollamas_lines_are_joined() {
        let body = [
            json!({"model": "llama", "message": {"role": "assistant", "content": "4"}, "done": false}),
            json!({"model": "llama", "message": {"role": "assistant", "content": "2"}, "done": false}),
            json!({"model": "llama", "message": {"role": "assistant", "content": ""}, "done": true,
                "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 2}),
        ];
        let body: Vec<String> = body.iter().map(|line| format!("{line}\n")).collect();
        let body = body.concat();
        let request = json!({"model": "llama", "messages": []});
        let url = "http://localhost:11434/api/chat";
        let exchange = exchange(url, &request, "application/x-ndjson", &body);
        assert_eq!(outputs(&exchange)["message"]["content"], "42");
        assert_eq!(exchange.usage.total_tokens, Some(11));
        assert_eq!(exchange.finish_reasons, ["stop"]);
        assert_eq!(exchange.port, Some(11434));
        assert!(exchange.stream && exchange.complete);
    }

    #[test]
    fn embeddings_count_what_went_in() {
        let answer = json!({"data": [{"embedding": [0.25]}], "model": "e",
            "usage": {"prompt_tokens": 8, "total_tokens": 8}});
        let request = json!({"model": "e", "input": "text"});
        let url = "https://api.openai.com/v1/embeddings";
        let exchange = exchange(url, &request, JSON, &answer.to_string());
        assert_eq!(exchange.operation().span_type(), SpanType::Embedding);
        assert_eq!(exchange.usage.total_tokens, Some(8));
        assert_eq!(outputs(&exchange), answer);
    }

    #[test]
    fn errors_are_told_by_status_body_and_stream() {
        let run = |status: u16, kind: &str, body: &str| {
            let endpoint = Endpoint::of("POST", CHAT).unwrap();
            let mut recording = endpoint.begin(b"{\"model\":\"m\"}", Limits::default());
            recording.respond(status, kind);
            recording.feed(body.as_bytes(), || 1);
            recording.finish(End::Complete).error
        };
        let told = r#"{"error":{"type":"rate_limit_error","message":"slow down","code":null}}"#;
        let error = run(429, JSON, told).unwrap();
        assert_eq!(
            (error.class.as_str(), error.message.as_str()),
            ("rate_limit_error", "slow down")
        );
        assert_eq!(run(502, "text/html", "<html>").unwrap().class, "502");
        let streamed = run(200, EVENTS, &format!("data: {told}\n\n")).unwrap();
        assert_eq!(streamed.class, "rate_limit_error");
        assert_eq!(run(200, JSON, "{}"), None);
    }

    #[test]
    fn capture_is_bounded_marked_and_still_counts() {
        let limits = Limits {
            request_bytes: 20,
            response_bytes: 200,
        };
        let endpoint = Endpoint::of("POST", CHAT).unwrap();
        let request = json!({"model": "m", "messages": "x".repeat(100)}).to_string();
        let mut recording = endpoint.begin(request.as_bytes(), limits);
        assert_eq!(recording.name(), "chat m");
        assert!(
            recording
                .inputs()
                .as_text()
                .ends_with(&format!("… [20 of {} bytes]\"", request.len()))
        );
        recording.respond(200, EVENTS);
        for n in 0..50 {
            let event = json!({"choices": [{"delta": {"content": format!("<{n}>")}}]});
            recording.feed(format!("data: {event}\n\n").as_bytes(), || n);
        }
        recording.feed(
            b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":50}}\n\n",
            || 51,
        );
        let exchange = recording.finish(End::Complete);
        assert!(exchange.truncated);
        assert_eq!(exchange.usage.total_tokens, Some(51));
        let text = outputs(&exchange)["choices"][0]["message"]["content"].clone();
        assert!(text.as_str().unwrap().starts_with("<0><1>"));
        assert!(text.as_str().unwrap().len() < 30, "{text}");

        let endpoint = Endpoint::of("POST", CHAT).unwrap();
        let mut plain = endpoint.begin(b"{}", limits);
        plain.respond(200, JSON);
        plain.feed(&[b'x'; 150], || 1);
        plain.feed(&[b'x'; 150], || 2);
        let exchange = plain.finish(End::Complete);
        assert!(
            exchange
                .outputs
                .unwrap()
                .as_text()
                .ends_with("… [200 of 300 bytes]\"")
        );
    }

    #[test]
    fn nonsense_never_panics() {
        for body in [
            "data: null\n\ndata: [1]\n\ndata: {\"choices\": 7}\n\n",
            "data: {\"choices\": [{\"index\": 99999999999, \"delta\": {\"content\": \"x\"}}]}\n\n",
            "data: {\"choices\": [{\"delta\": {\"tool_calls\": [{\"index\": -1}, 7]}}]}\n\n",
            "data: {\"type\": \"content_block_delta\", \"index\": 3, \"delta\": 7}\n\n",
            "\u{0}\r\r\n\n",
        ] {
            for url in [
                CHAT,
                "/v1/responses",
                "/v1/messages",
                "/m:streamGenerateContent",
                "/api/chat",
                "/v1/embeddings",
            ] {
                for kind in [EVENTS, "application/x-ndjson", JSON] {
                    run(url, &json!([1]), kind, body, 3);
                }
            }
        }
    }

    #[test]
    fn a_wrong_field_of_a_request_hides_no_other() {
        let begin = |body: &str| {
            let endpoint = Endpoint::of("POST", CHAT).unwrap();
            let recording = endpoint.begin(body.as_bytes(), Limits::default());
            recording.finish(End::Dropped)
        };
        let exchange = begin(
            r#"{"model": "m", "seed": 1e3, "max_tokens": 1.5, "max_completion_tokens": 20.0,
                "temperature": "hot", "stream": true, "tools": [1], "user": 1, "user": 2}"#,
        );
        assert_eq!(exchange.name(), "chat m");
        assert_eq!(
            (exchange.seed, exchange.max_tokens),
            (Some(1_000), Some(20))
        );
        assert_eq!((exchange.temperature, exchange.stream), (None, true));
        assert_eq!(exchange.tools.unwrap().as_text(), "[1]");
        let exchange = begin(r#"{"model": 7, "seed": 1e300, "tools": null, "top_p": 1}"#);
        assert_eq!((exchange.model, exchange.seed), (None, None));
        assert_eq!((exchange.tools, exchange.top_p), (None, Some(1.0)));
    }

    #[test]
    fn reasons_beyond_the_limit_are_bounded() {
        let endpoint = Endpoint::of("POST", CHAT).unwrap();
        let limits = Limits {
            response_bytes: 1_000,
            ..Limits::default()
        };
        let mut recording = endpoint.begin(b"{}", limits);
        recording.respond(200, EVENTS);
        let event = |reason: &str| {
            let choices = json!([{"index": 0, "finish_reason": reason, "delta": {}}]);
            events(&[json!({"choices": choices})])
        };
        recording.feed(format!(": {}\n\n", "x".repeat(1_000)).as_bytes(), || 0);
        recording.feed(event(&"y".repeat(800)).as_bytes(), || 0);
        for _ in 0..100 {
            recording.feed(event("stop").as_bytes(), || 0);
        }
        let exchange = recording.finish(End::Complete);
        assert_eq!(exchange.finish_reasons, ["stop"; 16]);
    }
}
