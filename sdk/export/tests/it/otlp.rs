use spanlite_export::{Credentials, ExportJob, OtlpEndpoint, Target, run};

use crate::fake::FakeServer;
use crate::fixtures::{id, options, store_of};

#[tokio::test]
async fn any_backend_takes_spans_and_may_reject_some() {
    let server = FakeServer::start();
    {
        let mut contents = server.contents.lock().unwrap();
        contents.poison.insert(id(2).to_string());
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
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_refused), (5, 1), "{report:?}");
    assert_eq!(
        job.problems(&store).unwrap()[0].reason,
        "1 spans rejected: bad"
    );
    let again = run(&store, &job, options()).await.unwrap();
    assert_eq!((again.n_unchanged, again.n_refused), (5, 1));
    let contents = server.contents.lock().unwrap();
    assert_eq!(contents.spans.len(), 10);
    for request in &contents.requests {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.headers["x-scope-orgid"], "tenant");
    }
}
