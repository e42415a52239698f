use std::time::{Duration, Instant};

use spanlite_export::{
    ExportError, ExportJob, JobError, LockError, RunEnd, Schedule, dry_run, run, spawn,
};
use spanlite_model::{Span, SpanId, Trace};

use crate::fake::{FakeServer, Fault};
use crate::fixtures::{id, mlflow_job, options, store_of, trace};

#[test]
fn jobs_are_kept_by_name() {
    let (_folder, store) = store_of(1);
    let job = mlflow_job("http://127.0.0.1:1".to_owned());
    job.add(&store).unwrap();
    assert!(matches!(job.add(&store), Err(JobError::Exists { .. })));
    assert_eq!(ExportJob::find(&store, "prod").unwrap(), job);
    assert_eq!(ExportJob::list(&store).unwrap(), std::slice::from_ref(&job));
    job.remove(&store).unwrap();
    assert!(matches!(
        ExportJob::find(&store, "prod"),
        Err(JobError::NoSuchJob { .. })
    ));
}

#[test]
fn a_dry_run_counts_and_sends_nothing() {
    let (_folder, store) = store_of(3);
    let mut open = Span::new(id(9), SpanId::from_bytes([1; 8]), "open");
    open.start_time_unix_nano = u64::MAX / 2;
    store.write(&[Trace::new(id(9), vec![open])]).unwrap();
    let job = mlflow_job("http://127.0.0.1:1".to_owned());
    let report = dry_run(&store, &job, &options()).unwrap();
    assert_eq!(
        (report.n_selected, report.n_sent, report.n_interrupted),
        (4, 3, 1),
        "nobody writes the open one"
    );
    assert_eq!(report.n_spans, 6);
    assert!(report.n_bytes > 3_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_once_at_a_time() {
    let server = FakeServer::start();
    let (_folder, store) = store_of(1);
    let mut job = mlflow_job(server.url());
    job.schedule = Schedule::Follow {
        interval_seconds: 3_600,
    };
    let running = spawn(&store, job.clone());
    wait_until(|| job.status(&store).unwrap().n_sent == 1);
    assert!(job.status(&store).unwrap().is_running);
    assert!(matches!(
        run(&store, &job, options()).await,
        Err(ExportError::Lock(LockError::Running { .. }))
    ));
    assert!(matches!(
        job.remove(&store),
        Err(JobError::Lock(LockError::Running { .. }))
    ));
    let report = running.stop().await.unwrap();
    assert_eq!((report.end, report.n_sent), (RunEnd::Stopped, 1));
    // A process that another test starts in this moment holds the lock until it is itself.
    wait_until(|| !job.status(&store).unwrap().is_running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_follows_sends_what_comes_and_survives_a_dead_server() {
    let server = FakeServer::start();
    let unavailable = Fault::Status(503, String::new());
    server.fault("/v1/traces", &[unavailable.clone(), unavailable]);
    let (_folder, store) = store_of(1);
    let mut job = mlflow_job(server.url());
    job.schedule = Schedule::Follow {
        interval_seconds: 1,
    };
    let running = spawn(&store, job.clone());
    wait_until(|| job.status(&store).unwrap().n_sent == 1);
    let mut new = trace(2);
    for span in &mut new.spans {
        // A following run looks back over an hour only.
        let now = chrono::Utc::now().timestamp_nanos_opt().unwrap() as u64;
        span.start_time_unix_nano = now;
        span.end_time_unix_nano = Some(now + 1);
    }
    store.write(&[new]).unwrap();
    wait_until(|| job.status(&store).unwrap().n_sent == 2);
    let report = running.stop().await.unwrap();
    assert_eq!((report.end, report.n_sent), (RunEnd::Stopped, 2));
    let last = job.status(&store).unwrap().last_run.unwrap();
    assert_eq!(last.report, report);
}

/// Looks until something is so; what never becomes so fails the test.
fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_query_selects() {
    let (_folder, store) = store_of(3);
    let mut tagged = trace(9);
    tagged.info.tags.insert("env".to_owned(), "test".to_owned());
    store.write(&[tagged]).unwrap();
    let mut job = mlflow_job("http://127.0.0.1:1".to_owned());
    job.query = Some("tags.env = 'test'".to_owned());
    let report = dry_run(&store, &job, &options()).unwrap();
    assert_eq!((report.n_selected, report.n_sent), (1, 1));
    job.query = Some("tags.env =".to_owned());
    let error = dry_run(&store, &job, &options()).unwrap_err();
    assert_eq!(error.to_string(), "the query `tags.env =` cannot be used");
}
