use std::collections::{BTreeMap, BTreeSet};

use spanlite_export::{
    Credentials, ExportJob, MlflowServer as Address, RunEnd, RunOptions, Target, run,
};
use spanlite_model::{Assessment, AssessmentId, Span, SpanType, Trace, TraceChange, TraceUpdate};
use spanlite_store::{OpenOptions, Store};
use spanlite_tests::mlflow::{MlflowServer, client_differences, differences, python_readback};
use tempfile::TempDir;

use super::fixtures::agent_run;
use super::recordings;

pub(crate) fn job(url: String) -> ExportJob {
    job_to(url, "agents")
}

/// Servers are shared between tests: each has an experiment of its own.
pub(crate) fn job_to(url: String, experiment: &str) -> ExportJob {
    let address = Address {
        url,
        experiment: experiment.to_owned(),
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
    let Some(mut traces) = recordings::traces() else {
        return;
    };
    // The recordings have few tags and sessions.
    traces.extend((1..=5).map(agent_run));
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let (_folder, store) = store_of(&traces);
    let job = ExportJob {
        include_interrupted: true,
        ..job_to(server.url(), "recordings")
    };
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(report.end, RunEnd::Complete, "{report:?}");
    let problems = job.problems(&store).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(report.n_sent, traces.len() as u64, "{report:?}");

    let api = server.api();
    let snapshot = store.snapshot().unwrap();
    let mut wrong = Vec::new();
    let mut filters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut stored = Vec::new();
    // The server makes tags of resource attributes as well.
    let resources = traces.iter().flat_map(|trace| &trace.spans);
    let of_resources: BTreeSet<String> = resources
        .flat_map(|span| span.resource.attributes.iter())
        .map(|(key, _)| key.to_owned())
        .collect();
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
        for filter in filters_of(&trace, &of_resources) {
            filters.entry(filter).or_default().insert(id.clone());
        }
        stored.push(trace);
    }
    assert!(wrong.is_empty(), "{} differences: {wrong:#?}", wrong.len());
    python_sees(&server, "recordings", &stored, &filters);

    let again = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(again.n_unchanged, traces.len() as u64, "{again:?}");
    assert_eq!((again.n_sent, again.n_updated, again.n_bytes), (0, 0, 0));
}

/// Filters of MLflow that must find a trace, and of all traces only those that give the same.
fn filters_of(trace: &Trace, of_resources: &BTreeSet<String>) -> BTreeSet<String> {
    let is_plain = |text: &str| {
        text.chars()
            .all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
    };
    let mut filters = BTreeSet::new();
    for span in &trace.spans {
        // Where no type is known the server works one out.
        if span.span_type != SpanType::Unknown {
            filters.insert(format!("span.type = '{}'", span.span_type.as_str()));
        }
    }
    let is_open = |span: &Span| span.end_time_unix_nano.is_none();
    let state = if trace.spans.iter().any(is_open) {
        "ERROR"
    } else {
        trace.state().as_str()
    };
    filters.insert(format!("status = '{state}'"));
    if let Some(session) = trace.info.session.as_deref().filter(|text| is_plain(text)) {
        filters.insert(format!("metadata.`mlflow.trace.session` = '{session}'"));
    }
    for (key, value) in &trace.info.tags {
        let is_own = !key.starts_with("mlflow.") && !of_resources.contains(key);
        if is_own && is_plain(key) && is_plain(value) && !value.is_empty() {
            filters.insert(format!("tags.`{key}` = '{value}'"));
        }
    }
    filters
}

/// MLflow's own client reads every trace as it is, and its filters find those they should.
pub(crate) fn python_sees(
    server: &MlflowServer,
    experiment: &str,
    traces: &[Trace],
    filters: &BTreeMap<String, BTreeSet<String>>,
) {
    for kind in ["span.type", "status", "tags.", "metadata."] {
        let of_kind = filters.keys().filter(|filter| filter.starts_with(kind));
        assert!(filters.is_empty() || of_kind.count() > 0, "{kind}");
    }
    let experiment_id = server.api().experiment_id(experiment);
    let ids: Vec<String> = traces.iter().map(|one| one.trace_id.to_string()).collect();
    let asked: Vec<String> = filters.keys().cloned().collect();
    let (seen, hits) = python_readback(server, &experiment_id, &ids, &asked);
    assert_eq!(seen.len(), traces.len());
    let mut wrong = Vec::new();
    for (trace, seen) in traces.iter().zip(&seen) {
        for difference in client_differences(trace, seen) {
            wrong.push(format!("{}: {difference}", trace.trace_id));
        }
    }
    for (filter, expected) in filters {
        let found: BTreeSet<String> = hits[filter].iter().cloned().collect();
        if found != *expected {
            wrong.push(format!("{filter}: {expected:?} but {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences: {wrong:#?}", wrong.len());
}

/// What changed here is sent; what changed there stays, unless the job says otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_sent_and_edits_on_the_server_stay() {
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let trace = agent_run(101);
    let id = trace.trace_id.to_string();
    let (_folder, store) = store_of(std::slice::from_ref(&trace));
    let mut job = job_to(server.url(), "edits");
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

/// The server says itself what is overridden, also after what is overridden was sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_overridden_here_is_overridden_there() {
    let Some(server) = MlflowServer::shared() else {
        return;
    };
    let mut trace = agent_run(102);
    let first = trace.info.assessments.remove(0);
    let judged = |number: u64, overrides: Option<u64>, valid| {
        let id = |number: u64| AssessmentId::from(format!("a-{number:032x}").as_str());
        let create_time_unix_nano = first.create_time_unix_nano + number * 1_000_000;
        Assessment {
            assessment_id: id(number),
            overrides: overrides.map(id),
            valid,
            create_time_unix_nano,
            update_time_unix_nano: create_time_unix_nano,
            ..first.clone()
        }
    };
    trace.info.assessments = vec![
        judged(10_202, Some(10_201), false),
        judged(10_201, None, false),
        judged(10_203, Some(10_202), true),
    ];
    let id = trace.trace_id.to_string();
    let (_folder, store) = store_of(std::slice::from_ref(&trace));
    let job = job_to(server.url(), "overrides");
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let valid = || {
        let info = server.api().info(&id);
        let there = info["assessments"].as_array().unwrap().iter();
        let there = there.map(|one| (one["assessment_id"].to_string(), one["valid"] == true));
        there
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect::<Vec<_>>()
    };
    assert_eq!(valid(), [false, false, true]);

    let mut changed = trace.info.assessments[1].clone();
    changed.rationale = Some("on second thoughts".to_owned());
    changed.update_time_unix_nano += 1_000_000_000;
    store
        .update(&[TraceUpdate {
            trace_id: trace.trace_id,
            time_unix_nano: trace.end_time_unix_nano().unwrap() + 1,
            change: TraceChange::PutAssessment(Box::new(changed)),
        }])
        .unwrap();
    let report = run(&store, &job, RunOptions::default()).await.unwrap();
    assert_eq!(report.n_updated, 1, "{report:?}");
    assert_eq!(valid(), [false, false, true]);
    let info = server.api().info(&id);
    assert!(info.to_string().contains("on second thoughts"), "{info}");
}
