use spanlite_export::{Credentials, ExportJob, OtlpEndpoint, RunOptions, Target, run};

use crate::fake::FakeServer;
use crate::fixtures::{id, options, store_of};

#[tokio::test]
async fn what_a_backend_took_part_of_is_not_sent_again() {
    let server = FakeServer::start();
    {
        let mut contents = server.contents.lock().unwrap();
        contents
            .poison
            .extend([id(2), id(5)].map(|id| id.to_string()));
        contents.partial_success = true;
    }
    let (_folder, store) = store_of(6);
    let endpoint = OtlpEndpoint {
        url: server.url(),
        headers: vec![("x-scope-orgid".to_owned(), "tenant".to_owned())],
        credentials: Credentials::None,
        ca_file: None,
    };
    let job = ExportJob::new("tempo", Target::Otlp(endpoint));
    let options = RunOptions {
        connections: 1,
        batch_traces: 3,
        ..options()
    };
    let report = run(&store, &job, options.clone()).await.unwrap();
    // The newest go first. Of their request nobody knows which arrived; the others went one by one.
    assert_eq!((report.n_sent, report.n_refused), (2, 4), "{report:?}");
    let reasons: Vec<String> = job
        .problems(&store)
        .unwrap()
        .into_iter()
        .map(|problem| problem.reason)
        .collect();
    let unsure = "in a request with 3 traces, 1 spans rejected: bad";
    assert_eq!(reasons, ["1 spans rejected: bad", unsure, unsure, unsure]);
    let again = run(&store, &job, options).await.unwrap();
    assert_eq!((again.n_unchanged, again.n_refused), (2, 4));
    let contents = server.contents.lock().unwrap();
    assert_eq!(contents.spans.len(), 8);
    assert!(contents.spans.values().all(|n_times| *n_times == 1));
    assert_eq!(contents.requests.len(), 4);
    for request in &contents.requests {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.headers["x-scope-orgid"], "tenant");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_whole_is_tried_by_halves() {
    let server = FakeServer::start();
    {
        let mut contents = server.contents.lock().unwrap();
        contents.poison.insert(id(2).to_string());
        contents.poison_answer = Some((400, "no".to_owned()));
    }
    let (_folder, store) = store_of(6);
    let endpoint = OtlpEndpoint {
        url: server.url(),
        headers: Vec::new(),
        credentials: Credentials::None,
        ca_file: None,
    };
    let job = ExportJob::new("tempo", Target::Otlp(endpoint));
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_refused), (5, 1), "{report:?}");
    assert_eq!(job.problems(&store).unwrap()[0].trace_id, id(2));
}
