//! How fast a job is beside a bare client that sends the same bytes, and how much memory it takes.
//!
//! `cargo test --release -p spanlite-tests --test mlflow -- --ignored --nocapture rate::` prints
//! the figures; `SPANLITE_RATE_TRACES` says of how many traces, 10,000 if unset, and
//! `SPANLITE_RATE_BATCHES` how many batches are sent at once, if not as many as usually.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spanlite_export::{ExportJob, RunEvent, RunOptions, run};
use spanlite_model::Trace;
use spanlite_store::Store;
use spanlite_tests::mlflow::{BadProxy, MlflowServer, Mode, replay};

use super::fixtures::agent_run;
use super::replicate::{job, store_of};

/// As many as a job has open at once: its batches under way, four calls of each.
const CONNECTIONS: usize = 12;

fn number(variable: &str, otherwise: usize) -> usize {
    let set = std::env::var_os(variable);
    let set = set.and_then(|text| text.to_str()?.parse().ok());
    set.unwrap_or(otherwise)
}

/// Memory of this process that is in RAM, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A server that has answered before: what it loads with the first request counts for nobody.
fn warm_server() -> Option<MlflowServer> {
    let server = MlflowServer::start()?;
    server.api().create_experiment("agents");
    Some(server)
}

/// Runs a job and returns how long it took, and the memory after each tenth of the traces.
fn timed(store: &Store, job: &ExportJob, n_traces: u64) -> (Duration, Vec<u64>) {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&memory);
    let usual = RunOptions::default();
    let options = RunOptions {
        connections: number("SPANLITE_RATE_BATCHES", usual.connections),
        on_event: Some(Arc::new(move |event| {
            if let RunEvent::Progress(report) = event {
                let mut seen = seen.lock().unwrap();
                if report.n_done() * 10 / n_traces >= seen.len() as u64 {
                    seen.push(resident_kib());
                }
            }
        })),
        ..usual
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begin = Instant::now();
    let report = runtime.block_on(run(store, job, options)).unwrap();
    let took = begin.elapsed();
    assert!(
        report.is_complete() && report.n_sent == n_traces,
        "{report:?}"
    );
    let memory = memory.lock().unwrap().clone();
    (took, memory)
}

#[test]
#[ignore = "takes long; prints figures"]
fn a_job_keeps_up_with_a_bare_client() {
    let n_traces = number("SPANLITE_RATE_TRACES", 10_000) as u64;
    let traces: Vec<Trace> = (1..=n_traces).map(agent_run).collect();
    let (_folder, store) = store_of(&traces);
    drop(traces);

    let Some(server) = warm_server() else {
        return;
    };
    let proxy = BadProxy::before(server.port());
    proxy.set(Mode::Record);
    // What is recorded is kept by this process, so that its memory says nothing here.
    let (took, _) = timed(&store, &job(proxy.url()), n_traces);
    let recorded = proxy.recorded();
    drop((proxy, server));

    let Some(server) = warm_server() else {
        return;
    };
    // By the same way as the job.
    let proxy = BadProxy::before(server.port());
    let begin = Instant::now();
    replay(proxy.port(), &recorded, CONNECTIONS);
    let bare = begin.elapsed();
    drop(proxy);
    let there = server
        .api()
        .search(&server.api().experiment_id("agents"), "")
        .len();
    assert_eq!(there as u64, n_traces, "the bare client sent the same");
    drop(server);

    let Some(server) = warm_server() else {
        return;
    };
    let proxy = BadProxy::before(server.port());
    proxy.set(Mode::Delay(Duration::from_millis(25)));
    let (delayed, memory) = timed(&store, &job(proxy.url()), n_traces);

    let rate = |took: Duration| n_traces as f64 / took.as_secs_f64();
    println!(
        "{n_traces} traces of 3 spans, {} connections one after the other",
        recorded.len()
    );
    println!("bare client          {:.1} traces/s", rate(bare));
    println!(
        "job                  {:.1} traces/s, {:.0} % of the bare client",
        rate(took),
        100.0 * rate(took) / rate(bare)
    );
    println!(
        "job, 50 ms latency   {:.1} traces/s, {:.0} % of the bare client without",
        rate(delayed),
        100.0 * rate(delayed) / rate(bare)
    );
    println!("resident KiB after each tenth: {memory:?}");
}
