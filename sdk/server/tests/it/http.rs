//! OTLP over HTTP and MLflow's calls.

use std::io::Write as _;

use serde_json::json;
use spanlite_model::TokenUsage;
use spanlite_server::{ReceiveOptions, Receiver, ServeError, Token};
use spanlite_store::{OpenOptions, Store};

use crate::scene::{A, B, C, Reply, options, protobuf, request, with_receiver};

#[test]
fn what_is_acknowledged_is_stored_with_its_meaning() {
    let totals = with_receiver(&options(), |scene| async move {
        let reply = scene.post_json("/v1/traces", &request(A, 3)).await;
        assert_eq!((reply.status, reply.json()), (200, json!({})));
        assert_eq!(scene.spans(A), 3);

        let kind = "application/x-protobuf";
        let reply = scene.post("/v1/traces", kind, protobuf(B)).await;
        assert_eq!((reply.status, reply.bytes.len()), (200, 0));
        assert_eq!(reply.headers["content-type"], kind);
        let again = scene.post("/v1/traces", kind, protobuf(B)).await;
        assert_eq!(again.status, 200);
        assert_eq!(scene.spans(B), 2);

        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed
            .write_all(request(C, 1).to_string().as_bytes())
            .unwrap();
        let gzip = scene
            .client
            .post(format!("{}/v1/traces", scene.url))
            .header("content-type", "application/json; charset=utf-8")
            .header("content-encoding", "gzip")
            .body(packed.finish().unwrap());
        assert_eq!(Reply::of(gzip).await.status, 200);
        let id = C.parse().unwrap();
        let trace = scene.store.snapshot().unwrap().trace(id).unwrap().unwrap();
        assert_eq!(trace.spans[0].span_type.as_str(), "CHAT_MODEL");
        assert_eq!(TokenUsage::of(&trace.spans[0]).input_tokens, Some(7));
    });
    assert_eq!((totals.requests, totals.spans, totals.new_spans), (4, 8, 6));
    assert_eq!((totals.refused_spans, totals.refused_requests), (0, 0));
}

#[test]
fn bad_spans_are_left_out_and_bad_requests_refused() {
    let totals = with_receiver(&options(), |scene| async move {
        let mut mixed = request(A, 2);
        mixed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"] = json!("");
        let reply = scene.post_json("/v1/traces", &mixed).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.json(),
            json!({"partialSuccess": {"rejectedSpans": "1",
                "errorMessage": "span `chat` has no span id"}})
        );
        assert_eq!(scene.spans(A), 1);

        for (kind, body, status) in [
            ("text/plain", "{}", 415),
            ("application/json", "{", 400),
            ("application/x-protobuf", "{", 400),
        ] {
            let reply = scene.post("/v1/traces", kind, body).await;
            assert_eq!(reply.status, status, "{kind}");
            assert!(!reply.headers.contains_key("retry-after"));
        }
        assert_eq!(scene.post_json("/v1/logs", &json!({})).await.status, 404);
    });
    assert_eq!((totals.requests, totals.spans), (1, 1));
    assert_eq!((totals.refused_spans, totals.refused_requests), (1, 3));
}

#[test]
fn bodies_and_memory_are_bounded() {
    let bounds = ReceiveOptions {
        max_body_bytes: 100_000,
        memory_bytes: 80_000,
        ..options()
    };
    with_receiver(&bounds, |scene| async move {
        let post = async |bytes| {
            let spaces = vec![b' '; bytes];
            scene.post("/v1/traces", "application/json", spaces).await
        };
        let large = post(100_001).await;
        assert_eq!(large.status, 413);
        let alone = post(90_000).await;
        assert_eq!(alone.status, 413, "it would have no room if it were alone");
        assert!(!alone.headers.contains_key("retry-after"));
        let held = scene.hold(60_000, 30_000).await;
        let beside = post(30_000).await;
        assert_eq!(beside.status, 429);
        assert_eq!(beside.headers["retry-after"], "1");
        assert_eq!(beside.json()["code"], 8, "RESOURCE_EXHAUSTED");
        drop(held);
        while post(30_000).await.status == 429 {}
        let reply = scene.post_json("/v1/traces", &request(A, 1)).await;
        assert_eq!(reply.status, 200, "what was refused gave its memory back");
    });
    let small = ReceiveOptions {
        max_body_bytes: 1_000,
        ..options()
    };
    with_receiver(&small, |scene| async move {
        let reply = scene.post_json("/v1/traces", &request(A, 9)).await;
        assert_eq!(reply.status, 413);
        assert!(!reply.headers.contains_key("retry-after"));
    });
}

#[test]
fn what_becomes_of_a_body_is_bounded_too() {
    let bounds = ReceiveOptions {
        memory_bytes: 4 << 20,
        ..options()
    };
    let totals = with_receiver(&bounds, |scene| async move {
        let many = vec!["{}"; 20_000].join(",");
        let spans = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{many}]}}]}}]}}"#);
        let info = format!(r#"{{"trace":{{"trace_info":{{"trace_id":"{A}","x":[{many}]}}}}}}"#);
        for (path, body) in [("/v1/traces", spans), ("/api/3.0/mlflow/traces", info)] {
            let reply = scene.post(path, "application/json", body).await;
            assert_eq!(reply.status, 413, "{path}");
            let text = String::from_utf8(reply.bytes).unwrap();
            assert!(text.contains("bytes of memory"), "{text}");
        }
        let empty = b"\x12\x00".repeat(16_383);
        let message = [&b"\x0a\x82\x80\x02\x12\xfe\xff\x01"[..], &empty].concat();
        let kind = "application/x-protobuf";
        let reply = scene.post("/v1/traces", kind, message).await;
        assert_eq!(reply.status, 413);
    });
    assert_eq!((totals.requests, totals.refused_requests), (0, 3));
}

#[test]
fn a_store_that_cannot_be_written_acknowledges_nothing() {
    with_receiver(&options(), |scene| async move {
        scene.store.close().unwrap();
        let reply = scene.post_json("/v1/traces", &request(A, 1)).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.headers["retry-after"], "1");
        assert!(reply.json()["message"].as_str().unwrap().contains("closed"));
    });
}

#[test]
fn a_token_is_asked_for_everywhere() {
    let token = ReceiveOptions {
        token: Some(Token::new("0123456789abcdef").unwrap()),
        ..options()
    };
    with_receiver(&token, |scene| async move {
        for path in [
            "/v1/traces",
            "/api/3.0/mlflow/traces",
            "/api/2.0/mlflow/experiments/create",
            "/api/3.0/mlflow/traces/tr-1/assessments",
        ] {
            let reply = scene.post_json(path, &request(A, 1)).await;
            assert_eq!(reply.status, 401, "{path}");
        }
        assert_eq!(scene.spans(A), 0);
        let allowed = scene
            .client
            .post(format!("{}/v1/traces", scene.url))
            .bearer_auth("0123456789abcdef")
            .header("content-type", "application/json")
            .body(request(A, 1).to_string());
        assert_eq!(Reply::of(allowed).await.status, 200);
        assert_eq!(scene.spans(A), 1);
    });
    let open = ReceiveOptions {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        ..ReceiveOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let refused = runtime.unwrap().block_on(Receiver::bind(store, &open));
    assert!(matches!(refused, Err(ServeError::NeedsToken { .. })));
}

#[test]
fn a_client_of_mlflow_logs_a_trace() {
    let totals = with_receiver(&options(), |scene| async move {
        let by_name = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=mine";
        let get = scene.client.get(format!("{}{by_name}", scene.url));
        let reply = Reply::of(get.try_clone().unwrap()).await;
        assert_eq!(reply.status, 404);
        assert_eq!(reply.json()["error_code"], "RESOURCE_DOES_NOT_EXIST");
        let create = "/api/2.0/mlflow/experiments/create";
        let made = scene.post_json(create, &json!({"name": "mine"})).await;
        assert_eq!(made.json(), json!({"experiment_id": "1"}));
        let again = scene.post_json(create, &json!({"name": "mine"})).await;
        assert_eq!(again.json()["error_code"], "RESOURCE_ALREADY_EXISTS");
        let found = Reply::of(get).await.json();
        assert_eq!(found["experiment"]["experiment_id"], "1");

        let id = format!("tr-{A}");
        let info = json!({"trace": {"trace_info": {"trace_id": id, "state": "OK",
            "trace_location": {"type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": "1"}},
            "request_time": "2026-11-22T05:53:21.917Z", "execution_duration": "1.500s",
            "trace_metadata": {"mlflow.trace.session": "s-1"},
            "tags": {"mlflow.traceName": "answer", "k": "v"}}}});
        let reply = scene.post_json("/api/3.0/mlflow/traces", &info).await;
        let tags = &reply.json()["trace"]["trace_info"]["tags"];
        assert_eq!(tags["mlflow.trace.spansLocation"], "TRACKING_STORE");
        scene.post_json("/v1/traces", &request(A, 1)).await;
        let tag = scene
            .client
            .patch(format!("{}/api/2.0/mlflow/traces/{id}/tags", scene.url))
            .body(json!({"key": "later", "value": "1"}).to_string());
        assert_eq!(Reply::of(tag).await.status, 200);
        let assessment = json!({"assessment": {"assessment_name": "good", "trace_id": id,
            "source": {"source_type": "HUMAN", "source_id": "bob"},
            "feedback": {"value": true}}});
        let path = format!("/api/3.0/mlflow/traces/{id}/assessments");
        let reply = scene.post_json(&path, &assessment).await;
        assert!(reply.json()["assessment"]["assessment_id"].is_string());

        let snapshot = scene.store.snapshot().unwrap();
        let trace = snapshot.trace(A.parse().unwrap()).unwrap().unwrap();
        assert_eq!(trace.spans.len(), 1);
        assert_eq!(trace.name(), Some("answer"));
        assert_eq!(trace.info.session.as_deref(), Some("s-1"));
        assert_eq!(trace.info.tags["k"], "v");
        assert_eq!(trace.info.tags["later"], "1");
        assert!(!trace.info.tags.contains_key("mlflow.trace.spansLocation"));
        assert_eq!(trace.info.assessments[0].name, "good");

        let bad = scene.post(&path, "application/json", "{").await;
        assert_eq!(bad.json()["error_code"], "INVALID_PARAMETER_VALUE");
        scene.store.close().unwrap();
        let closed = scene.post_json(&path, &assessment).await;
        assert_eq!(closed.json()["error_code"], "TEMPORARILY_UNAVAILABLE");
        assert_eq!(closed.headers["retry-after"], "1");
    });
    assert_eq!(totals.requests, 4);
    assert_eq!(totals.refused_requests, 2, "what is not there is an answer");
}

#[test]
fn requests_that_come_together_share_writes() {
    let totals = with_receiver(&options(), |scene| async move {
        let mut sending = tokio::task::JoinSet::new();
        for n in 0..64_u64 {
            let scene = scene.clone();
            sending.spawn(async move {
                let id = format!("{n:032x}").replacen('0', "f", 1);
                let reply = scene.post_json("/v1/traces", &request(&id, 2)).await;
                assert_eq!(reply.status, 200);
                assert_eq!(scene.spans(&id), 2);
            });
        }
        sending.join_all().await;
    });
    assert_eq!((totals.requests, totals.new_spans), (64, 128));
    assert!(totals.writes < 64, "{totals:?}");
}
