use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanlite_export::{Credentials, ExportError, RunEnd, RunEvent, RunOptions, Target, run};
use spanlite_model::{Span, SpanId, Trace, TraceChange, TraceUpdate};

use crate::fake::{FakeServer, Fault};
use crate::fixtures::{START_UNIX_NANO, id, mlflow_job, options, store_of, trace};

const SERVER_INFO: &str = "/api/3.0/mlflow/server-info";
const SPANS: &str = "/v1/traces";
const START: &str = "/api/3.0/mlflow/traces";
const INFOS: &str = "/api/3.0/mlflow/traces/batchGetInfos";

#[tokio::test]
async fn failures_that_pass_leave_each_trace_there_once() {
    let server = FakeServer::start();
    let page = Fault::Status(500, "<html>".to_owned());
    let unavailable = Fault::Status(503, "{}".to_owned());
    server.fault(SERVER_INFO, &[Fault::Close, unavailable.clone()]);
    server.fault(
        SPANS,
        &[Fault::Truncate, page.clone(), Fault::Close, unavailable],
    );
    server.fault(
        START,
        &[Fault::Truncate, Fault::RetryAfter(0), page, Fault::Close],
    );
    server.fault(INFOS, &[Fault::Truncate]);
    let (_folder, store) = store_of(30);
    let job = mlflow_job(server.url());
    let report = run(&store, &job, options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.n_sent, report.n_spans), (30, 60));
    {
        let contents = server.contents.lock().unwrap();
        assert_eq!(contents.spans.len(), 60);
        assert_eq!(contents.infos.len(), 30);
    }
    let n_requests = server.contents.lock().unwrap().requests.len();
    let again = run(&store, &job, options()).await.unwrap();
    assert_eq!((again.n_sent, again.n_unchanged), (0, 30));
    assert_eq!(server.contents.lock().unwrap().requests.len(), n_requests);
    assert_eq!(job.status(&store).unwrap().n_sent, 30);
}

#[tokio::test]
async fn one_bad_trace_is_found_and_parked_until_it_changes_or_is_retried() {
    let server = FakeServer::start();
    let bad = id(7).to_string();
    {
        let mut contents = server.contents.lock().unwrap();
        contents.poison.insert(bad);
        let text = r#"{"detail":"Cannot convert OpenTelemetry span to MLflow span"}"#;
        contents.poison_answer = Some((422, text.to_owned()));
    }
    let (_folder, store) = store_of(20);
    let job = mlflow_job(server.url());
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_refused), (19, 1), "{report:?}");
    assert!(!report.is_complete() && report.end == RunEnd::Complete);
    let problems = job.problems(&store).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].trace_id, id(7));
    assert_eq!(
        problems[0].reason,
        "422: Cannot convert OpenTelemetry span to MLflow span"
    );

    let n_pushes = server.count(SPANS);
    let again = run(&store, &job, options()).await.unwrap();
    assert_eq!((again.n_refused, again.n_unchanged), (1, 19));
    assert_eq!(server.count(SPANS), n_pushes);

    assert_eq!(job.retry(&store, Some(&[id(7), id(8)])).unwrap(), 1);
    let again = run(&store, &job, options()).await.unwrap();
    assert_eq!((again.n_refused, again.n_sent), (1, 0));
    server.contents.lock().unwrap().poison.clear();
    assert_eq!(job.retry(&store, None).unwrap(), 1);
    let again = run(&store, &job, options()).await.unwrap();
    assert!(again.is_complete() && again.n_sent == 1, "{again:?}");
    assert!(job.problems(&store).unwrap().is_empty());
}

#[tokio::test]
async fn a_server_error_for_one_trace_stops_no_other() {
    let server = FakeServer::start();
    {
        let mut contents = server.contents.lock().unwrap();
        contents.poison.insert(id(3).to_string());
        let text = r#"{"error_code":"INTERNAL_ERROR","message":"int too large"}"#;
        contents.poison_answer = Some((500, text.to_owned()));
    }
    let (_folder, store) = store_of(5);
    let report = run(&store, &mlflow_job(server.url()), options())
        .await
        .unwrap();
    assert_eq!((report.n_sent, report.n_refused), (4, 1), "{report:?}");
}

#[tokio::test]
async fn what_the_server_forgets_without_a_word_is_noticed() {
    let server = FakeServer::start();
    server.fault(START, &[Fault::ForgetAssessments]);
    let (_folder, store) = store_of(2);
    let job = mlflow_job(server.url());
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_refused), (1, 1), "{report:?}");
    let reason = &job.problems(&store).unwrap()[0].reason;
    assert!(
        reason.starts_with("the server took it but does not give back the assessment a-"),
        "{reason}"
    );
}

#[tokio::test]
async fn credentials_and_a_workspace_travel_with_every_request() {
    for (text, header) in [
        ("Bearer t0ken\n", "Bearer t0ken"),
        ("Basic user:t0ken", "Basic dXNlcjp0MGtlbg=="),
    ] {
        travels(text, header).await;
    }
}

async fn travels(text: &str, header: &str) {
    let server = FakeServer::start();
    let (folder, store) = store_of(1);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, text).unwrap();
    let mut job = mlflow_job(server.url());
    let Target::Mlflow(address) = &mut job.target else {
        unreachable!("the job goes to MLflow")
    };
    address.credentials = Credentials::File(secret);
    address.workspace = Some("team".to_owned());
    run(&store, &job, options()).await.unwrap();
    let contents = server.contents.lock().unwrap();
    assert!(contents.requests.len() >= 5);
    for request in &contents.requests {
        let what = format!("{} {}", request.method, request.path);
        assert_eq!(request.headers["authorization"], header, "{what}");
        assert_eq!(request.headers["x-mlflow-workspace"], "team", "{what}");
    }
    let spans = contents
        .requests
        .iter()
        .find(|request| request.path == SPANS)
        .unwrap();
    assert_eq!(spans.headers["content-encoding"], "gzip");
    assert_eq!(spans.headers["x-mlflow-experiment-id"], "7");
    drop(contents);
    let kept = std::fs::read(store.path().join("state.redb")).unwrap();
    assert!(!kept.windows(5).any(|bytes| bytes == b"t0ken"));
}

#[tokio::test]
async fn servers_that_are_no_target_are_named() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(1);
    let job = mlflow_job(server.url());
    server.contents.lock().unwrap().store_type = "RestStore".to_owned();
    let error = run(&store, &job, options()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server keeps traces in a RestStore; a SQL database or files it serves are needed"
    );
    // Files at a place that the server does not serve itself.
    server.contents.lock().unwrap().store_type = "FileStore".to_owned();
    let error = run(&store, &job, options()).await.unwrap_err();
    assert!(matches!(error, ExportError::UnknownStore { .. }), "{error}");
    {
        let mut contents = server.contents.lock().unwrap();
        contents.store_type = "SqlStore".to_owned();
        contents
            .experiments
            .insert("agents".to_owned(), "deleted".to_owned());
    }
    let error = run(&store, &job, options()).await.unwrap_err();
    assert!(
        matches!(error, ExportError::ExperimentDeleted { .. }),
        "{error}"
    );
    server.contents.lock().unwrap().experiments.clear();
    let denied = Fault::Status(403, "Permission denied".to_owned());
    server.fault(SPANS, &[denied.clone(), denied]);
    let error = run(&store, &job, options()).await.unwrap_err();
    let ExportError::Target(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error.to_string(),
        "the upload of the spans was answered with 403: Permission denied"
    );
    let problems = job.problems(&store).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(!problems[0].is_refused && problems[0].attempts == 1);
}

#[tokio::test]
async fn a_server_that_is_away_leaves_everything_for_later() {
    let server = FakeServer::start();
    let url = server.url();
    drop(server);
    let (_folder, store) = store_of(3);
    let job = mlflow_job(url);
    let options = RunOptions {
        patience: Duration::from_millis(300),
        ..options()
    };
    let report = run(&store, &job, options).await.unwrap();
    assert_eq!(
        (report.end, report.n_left),
        (RunEnd::Unreachable, 3),
        "{report:?}"
    );
    assert!(
        report.trouble.unwrap().starts_with("no answer to"),
        "the reason is kept"
    );
    let status = job.status(&store).unwrap();
    assert_eq!((status.n_sent, job.count_waiting(&store).unwrap()), (0, 3));
    assert!(!status.is_running);
}

#[tokio::test]
async fn patience_is_that_of_all_connections_together() {
    let server = FakeServer::start();
    server.fault(SERVER_INFO, &vec![Fault::Close; 9]);
    let (_folder, store) = store_of(3);
    let job = mlflow_job(server.url());
    let options = RunOptions {
        connections: 3,
        batch_traces: 1,
        patience: Duration::ZERO,
        ..options()
    };
    let report = run(&store, &job, options).await.unwrap();
    assert_eq!((report.end, report.n_left), (RunEnd::Unreachable, 3));
    assert_eq!(server.count(SERVER_INFO), 1, "nobody begins anew");
}

#[tokio::test]
async fn failures_are_told_with_the_time_of_the_next_try() {
    let server = FakeServer::start();
    server.fault(SERVER_INFO, &[Fault::RetryAfter(1), Fault::Close]);
    let (_folder, store) = store_of(1);
    let job = mlflow_job(server.url());
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = RunOptions {
        on_event: Some(Arc::new(move |event| {
            if let RunEvent::Failed { error, retry_in } = event {
                let text = error.to_string();
                telling.lock().unwrap().push((text, retry_in));
            }
        })),
        ..options()
    };
    assert!(run(&store, &job, options).await.unwrap().is_complete());
    let told = told.lock().unwrap();
    let [(busy, in_a_second), (gone, soon)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(busy.ends_with("was answered with 503"), "{busy}");
    assert_eq!(*in_a_second, Duration::from_secs(1));
    assert!(gone.starts_with("no answer to"), "{gone}");
    assert!(*soon <= Duration::from_millis(40), "{soon:?}");
}

#[tokio::test]
async fn what_a_run_did_not_come_to_waits() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(3);
    let mut job = mlflow_job(server.url());
    assert_eq!(job.count_waiting(&store).unwrap(), 3, "it never ran");
    {
        let mut contents = server.contents.lock().unwrap();
        contents.poison.insert(id(2).to_string());
        contents.poison_answer = Some((400, "no".to_owned()));
    }
    run(&store, &job, options()).await.unwrap();
    let status = job.status(&store).unwrap();
    assert_eq!((status.n_sent, status.n_refused), (2, 1));
    assert_eq!(job.count_waiting(&store).unwrap(), 0);
    store.write(&[trace(4), trace(5)]).unwrap();
    assert_eq!(job.count_waiting(&store).unwrap(), 2, "they came later");
    job.query = Some("tags.env = 'test'".to_owned());
    assert_eq!(job.count_waiting(&store).unwrap(), 0);
}

#[tokio::test]
async fn only_what_changed_is_sent_again() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(1);
    let job = mlflow_job(server.url());
    run(&store, &job, options()).await.unwrap();
    let mut late = Span::new(id(1), SpanId::from_bytes([3; 8]), "late");
    late.parent_span_id = Some(SpanId::from_bytes([1; 8]));
    late.start_time_unix_nano = START_UNIX_NANO + 5;
    late.end_time_unix_nano = Some(START_UNIX_NANO + 6);
    store.write(&[Trace::new(id(1), vec![late])]).unwrap();
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_updated, report.n_spans), (1, 1), "{report:?}");
    {
        let contents = server.contents.lock().unwrap();
        let times: Vec<u64> = contents.spans.values().copied().collect();
        assert_eq!(times, [1, 1, 1]);
    }
    store
        .update(&[TraceUpdate {
            trace_id: id(1),
            time_unix_nano: START_UNIX_NANO + 10_000_000_000,
            change: TraceChange::Tag {
                key: "new".to_owned(),
                value: "v".to_owned(),
            },
        }])
        .unwrap();
    let n_pushes = server.count(SPANS);
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_updated, report.n_spans), (1, 0), "{report:?}");
    assert_eq!(server.count(SPANS), n_pushes);
    let contents = server.contents.lock().unwrap();
    let last = contents
        .requests
        .iter()
        .rev()
        .find(|request| request.path == START)
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&last.body).unwrap();
    let info = &body["trace"]["trace_info"];
    assert_eq!(info["tags"], serde_json::json!({"new": "v"}));
    assert_eq!(info["assessments"], serde_json::json!([]));
    assert_eq!(info["state"], "OK");
}

#[tokio::test]
async fn traces_of_a_clock_that_was_wrong_are_sent_once() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(1);
    let year = 365 * 24 * 3_600 * 1_000_000_000_u64;
    // A machine whose clock began in 1970, one that is decades ahead, one set back meanwhile.
    let spoiled: Vec<_> = [
        (2, 1, 5),
        (3, 200 * year, 200 * year + 5),
        (4, 50 * year, 7),
    ]
    .into_iter()
    .map(|(number, start, end)| {
        let mut trace = trace(number);
        for span in &mut trace.spans {
            span.start_time_unix_nano = start;
            span.end_time_unix_nano = Some(end);
        }
        trace
    })
    .collect();
    store.write(&spoiled).unwrap();
    let job = mlflow_job(server.url());
    let report = run(&store, &job, options()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.n_sent, 4);
    let again = run(&store, &job, options()).await.unwrap();
    assert_eq!((again.n_sent, again.n_unchanged), (0, 4));
    let contents = server.contents.lock().unwrap();
    let set_back = &contents.infos[&id(4).to_string()];
    // The server would lose this field and all later ones of one that it cannot read.
    assert_eq!(set_back["execution_duration"], "0.000s", "{set_back}");
}
