use std::collections::{BTreeMap, BTreeSet};

use spanlite_export::{
    Credentials, ExportJob, MlflowServer as Address, RunEnd, RunOptions, Target, run,
};
use spanlite_model::{SpanId, Trace, TraceChange, TraceUpdate};
use spanlite_store::{OpenOptions, Store};
use spanlite_tests::mlflow::{MlflowServer, differences, python_readback};
use tempfile::TempDir;

use super::recordings;

pub(crate) fn job(url: String) -> ExportJob {
    let address = Address {
        url,
        experiment: "agents".to_owned(),
        workspace: None,
        credentials: Credentials::None,
        ca_file: None,
    };
    ExportJob::new("prod", Target::Mlflow(address))
}

pub(crate) fn store_of(traces: &[Trace]) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.spans");
    let store = Store::open(path, OpenOptions::default()).unwrap();
    store.write(traces).unwrap();
    (folder, store)
}

/// The recordings, pushed and read back by the interface the server's page uses and by MLflow's
/// own client: what MLflow keeps is what the store holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_arrive_whole() {
    let Some(traces) = recordings::traces() else {
        return;
    };
    let Some(server) = MlflowServer::start() else {
        return;
    };
    let (_folder, store) = store_of(&traces);
    let job = ExportJob {
        include_interrupted: true,
        ..job(server.url())
    };
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(report.end, RunEnd::Complete, "{report:?}");
    let problems = job.problems(&store).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(report.n_sent, traces.len() as u64, "{report:?}");

    let api = server.api();
    let snapshot = store.snapshot().unwrap();
    let mut wrong = Vec::new();
    let mut by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut by_state: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = Vec::new();
    for trace in &traces {
        let id = trace.trace_id.to_string();
        let trace = snapshot.trace(trace.trace_id).unwrap().unwrap();
        for difference in differences(&trace, &api.spans(&id)) {
            wrong.push(format!("{id}: {difference}"));
        }
        let n_decoded = api.n_decoded_spans(&id);
        if n_decoded != trace.spans.len() {
            wrong.push(format!("{id}: {n_decoded} spans decode"));
        }
        let info = api.info(&id);
        for (key, value) in &trace.info.tags {
            if !key.starts_with("mlflow.") && info["tags"][key] != **value {
                wrong.push(format!("{id}: tag {key}"));
            }
        }
        let mut spans = trace.spans.iter();
        let state = if spans.any(|span| span.end_time_unix_nano.is_none()) {
            "ERROR".to_owned()
        } else {
            trace.state().as_str().to_owned()
        };
        if info["state"] != *state {
            wrong.push(format!("{id}: state {}", info["state"]));
        }
        for span in &trace.spans {
            let ids = by_type
                .entry(span.span_type.as_str().to_owned())
                .or_default();
            if ids.last() != Some(&id) {
                ids.push(id.clone());
            }
        }
        by_state.entry(state).or_default().push(id.clone());
        ids.push(id);
    }
    assert!(wrong.is_empty(), "{} differences: {wrong:#?}", wrong.len());

    let by_type = by_type
        .into_iter()
        .map(|(span_type, ids)| (format!("span.type = '{span_type}'"), ids));
    let by_state = by_state
        .into_iter()
        .map(|(state, ids)| (format!("status = '{state}'"), ids));
    python_sees(&server, &traces, &ids, by_type.chain(by_state).collect());

    let again = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(again.n_unchanged, ids.len() as u64, "{again:?}");
    assert_eq!((again.n_sent, again.n_updated, again.n_bytes), (0, 0, 0));
}

/// MLflow's own client reads every trace, and its filters find those they should.
fn python_sees(
    server: &MlflowServer,
    traces: &[Trace],
    ids: &[String],
    filters: BTreeMap<String, Vec<String>>,
) {
    let experiment_id = server.api().experiment_id("agents");
    let asked: Vec<String> = filters.keys().cloned().collect();
    let (seen, hits) = python_readback(server, &experiment_id, ids, &asked);
    assert_eq!(seen.len(), ids.len());
    for (filter, mut expected) in filters {
        expected.sort();
        assert_eq!(hits[&filter], expected, "{filter}");
    }
    for (trace, seen) in traces.iter().zip(&seen) {
        // Some formats give one id to both sides of a call; the store keeps one span of it.
        let here: BTreeSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
        let there = seen["spans"].as_array().unwrap();
        assert_eq!(there.len(), here.len(), "{}", trace.trace_id);
    }
}

/// What changed here is sent; what changed there stays, unless the job says otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_sent_and_edits_on_the_server_stay() {
    let Some(server) = MlflowServer::start() else {
        return;
    };
    let trace = super::fixtures::agent_run(1);
    let id = trace.trace_id.to_string();
    let (_folder, store) = store_of(std::slice::from_ref(&trace));
    let mut job = job(server.url());
    let sent = run(&store, &job, RunOptions::default()).await.unwrap();
    assert!(sent.is_complete(), "{sent:?}");
    let api = server.api();

    let tag = |key: &str, value: &str, time_unix_nano| TraceUpdate {
        trace_id: trace.trace_id,
        time_unix_nano,
        change: TraceChange::Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        },
    };
    api.set_tag(&id, "edited", "there");
    api.set_tag(&id, "only-there", "x");
    let later = trace.end_time_unix_nano().unwrap() + 1;
    store
        .update(&[
            tag("edited", "here", later),
            tag("changed", "new", later),
            tag("added", "1", later),
        ])
        .unwrap();
    let updated = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!((updated.n_updated, updated.n_spans), (1, 0), "{updated:?}");
    assert_eq!(updated.n_kept_edits, 1);
    let tags = &api.info(&id)["tags"];
    assert_eq!(tags["edited"], "there");
    assert_eq!(tags["only-there"], "x");
    assert_eq!(tags["changed"], "new");
    assert_eq!(tags["added"], "1");
    assert_eq!(api.spans(&id).len(), trace.spans.len());

    job.overwrite_edits = true;
    store
        .update(&[tag("edited", "here again", later + 1)])
        .unwrap();
    let updated = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(updated.n_updated, 1, "{updated:?}");
    assert_eq!(api.info(&id)["tags"]["edited"], "here again");
}
