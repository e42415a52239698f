use spanlite_export::{ExportJob, adopt_deliveries, bundle, run};
use spanlite_model::{TraceChange, TraceUpdate};
use spanlite_store::{OpenOptions, Store, TimeRange};

use crate::fake::FakeServer;
use crate::fixtures::{START_UNIX_NANO, id, mlflow_job, options, store_of};

fn tag(number: u8) -> TraceUpdate {
    TraceUpdate {
        trace_id: id(number),
        time_unix_nano: START_UNIX_NANO + 10_000_000_000,
        change: TraceChange::Tag {
            key: "new".to_owned(),
            value: "v".to_owned(),
        },
    }
}

/// Reads a bundle into a store as `spanlite import` does.
fn import(file: &std::path::Path, into: &Store) -> u64 {
    let from = Store::open(file, OpenOptions::read_only()).unwrap();
    let traces: Result<Vec<_>, _> = from
        .snapshot()
        .unwrap()
        .traces(TimeRange::default())
        .collect();
    into.write(&traces.unwrap()).unwrap();
    adopt_deliveries(&from, into).unwrap()
}

#[tokio::test]
async fn a_bundle_knows_what_was_sent() {
    let server = FakeServer::start();
    let (folder, here) = store_of(5);
    let job = mlflow_job(server.url());
    job.add(&here).unwrap();
    assert_eq!(run(&here, &job, options()).await.unwrap().n_sent, 5);
    let ids: Vec<_> = (1..=4).map(id).collect();
    let file = folder.path().join("b.spans");
    bundle(&here, &file, ids).unwrap();

    let (_other_folder, there) = store_of(0);
    assert_eq!(import(&file, &there), 4);
    assert_eq!(import(&file, &there), 0, "nothing is new the second time");
    there.update(&[tag(2)]).unwrap();
    let same_place = mlflow_job(format!("{}/", server.url()));
    assert_ne!(same_place.id, job.id);
    same_place.add(&there).unwrap();
    let report = run(&there, &same_place, options()).await.unwrap();
    assert_eq!(
        (
            report.n_sent,
            report.n_updated,
            report.n_unchanged,
            report.n_spans
        ),
        (0, 1, 3, 0),
        "{report:?}"
    );
    assert_eq!(same_place.status(&there).unwrap().n_sent, 4);

    // What the other side did comes back the same way.
    let back = folder.path().join("back.spans");
    bundle(&there, &back, (1..=4).map(id)).unwrap();
    assert_eq!(import(&back, &here), 4);
    let report = run(&here, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_unchanged), (0, 4), "{report:?}");

    let elsewhere = FakeServer::start();
    let report = run(&there, &mlflow_job(elsewhere.url()), options())
        .await
        .unwrap();
    assert_eq!((report.n_sent, report.n_unchanged), (4, 0), "{report:?}");
}

#[tokio::test]
async fn jobs_to_one_place_know_of_each_other() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(3);
    let kept = mlflow_job(server.url());
    kept.add(&store).unwrap();
    assert_eq!(run(&store, &kept, options()).await.unwrap().n_sent, 3);
    let once = ExportJob::once(kept.target.clone());
    let report = run(&store, &once, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_unchanged), (0, 3), "{report:?}");
    assert!(kept.is_kept(&store).unwrap() && !once.is_kept(&store).unwrap());
}

#[tokio::test]
async fn a_server_that_lost_everything_gets_it_again() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(3);
    let job = mlflow_job(server.url());
    run(&store, &job, options()).await.unwrap();
    assert_eq!(job.forget_sent(&store).unwrap(), 3);
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_sent, report.n_unchanged), (3, 0), "{report:?}");
}

/// What a mark remembers of where its trace stands in the store.
fn stamps(store: &Store) -> Vec<u64> {
    let kept = store.state().list("export.sent", b"").unwrap();
    kept.iter()
        .map(|(_, value)| {
            let mark: serde_json::Value = serde_json::from_slice(&value.bytes).unwrap();
            mark["stamp"].as_u64().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_trace_that_stands_in_a_block_is_not_read_again_until_it_changes() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(3);
    let mut job = mlflow_job(server.url());
    assert_eq!(run(&store, &job, options()).await.unwrap().n_sent, 3);
    store.seal().unwrap();
    assert_eq!(run(&store, &job, options()).await.unwrap().n_unchanged, 3);
    let before = stamps(&store);
    assert!(before.iter().all(|stamp| *stamp != 0), "{before:?}");
    assert_eq!(run(&store, &job, options()).await.unwrap().n_unchanged, 3);
    assert_eq!(stamps(&store), before);

    store.update(&[tag(2)]).unwrap();
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_updated, report.n_unchanged), (1, 2), "{report:?}");
    // Another way to prepare a trace makes another trace of it.
    job.number_repeats = true;
    let report = run(&store, &job, options()).await.unwrap();
    assert_eq!((report.n_updated, report.n_unchanged), (3, 0), "{report:?}");
}
