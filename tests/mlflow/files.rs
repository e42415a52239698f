//! A server without a database: spans go as a document.

use spanlite_export::{RunOptions, run};
use spanlite_model::{Span, SpanId, Trace, TraceChange, TraceUpdate};
use spanlite_tests::mlflow::{MlflowServer, differences};

use super::fixtures::agent_run;
use super::replicate::{job, store_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_traces_in_files_gets_them_too() {
    let Some(server) = MlflowServer::start_with_files() else {
        return;
    };
    let traces: Vec<Trace> = (1..=6).map(agent_run).collect();
    let (_folder, store) = store_of(&traces);
    let job = job(server.url());
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert!(report.is_complete() && report.n_sent == 6, "{report:?}");
    let api = server.api();
    for trace in &traces {
        let id = trace.trace_id.to_string();
        let wrong = differences(trace, &api.spans(&id));
        assert!(wrong.is_empty(), "{id}: {wrong:#?}");
        let info = api.info(&id);
        assert_eq!(info["tags"]["changed"], "old");
        let assessments = info["assessments"].as_array().unwrap();
        assert_eq!(assessments.len(), 1, "{info}");
        assert_eq!(assessments[0]["feedback"]["value"], true);
    }

    // As after a kill before anything was noted: all is sent again and nothing is there twice.
    job.forget_sent(&store).unwrap();
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert!(report.is_complete() && report.n_sent == 6, "{report:?}");
    assert_eq!(api.search(&api.experiment_id("agents"), "").len(), 6);

    // A late span inside the trace, a tag that changed here, one that was edited there.
    let first = &traces[0];
    let id = first.trace_id.to_string();
    api.set_tag(&id, "edited", "there");
    let mut late = Span::new(first.trace_id, SpanId::from_bytes([9; 8]), "late");
    late.parent_span_id = Some(first.spans[0].span_id);
    late.start_time_unix_nano = first.spans[0].start_time_unix_nano + 5;
    late.end_time_unix_nano = Some(late.start_time_unix_nano + 5);
    store
        .write(&[Trace::new(first.trace_id, vec![late])])
        .unwrap();
    let tag = |key: &str| TraceUpdate {
        trace_id: first.trace_id,
        time_unix_nano: first.end_time_unix_nano().unwrap() + 1,
        change: TraceChange::Tag {
            key: key.to_owned(),
            value: "new".to_owned(),
        },
    };
    store.update(&[tag("changed"), tag("edited")]).unwrap();
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!((report.n_updated, report.n_spans), (1, 1), "{report:?}");
    assert_eq!((report.n_kept_edits, report.n_refused), (1, 0));
    let whole = store
        .snapshot()
        .unwrap()
        .trace(first.trace_id)
        .unwrap()
        .unwrap();
    let wrong = differences(&whole, &api.spans(&id));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let info = api.info(&id);
    assert_eq!(info["tags"]["changed"], "new");
    assert_eq!(info["tags"]["edited"], "there");
    assert_eq!(info["assessments"].as_array().unwrap().len(), 1, "{info}");
}
