//! How fast a job is beside a bare client that sends the same requests, and how much memory it
//! takes.
//!
//! `cargo test --release -p spanlite-tests --test mlflow -- --ignored --nocapture rate::` prints
//! the figures; `SPANLITE_RATE_TRACES` says of how many traces, 10,000 if unset,
//! `SPANLITE_RATE_ROUNDS` how often job and bare client take turns, once if unset, and
//! `SPANLITE_RATE_BATCHES` how many batches are sent at once, if not as many as usually.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use spanlite_export::{ExportJob, RunEvent, RunOptions, run};
use spanlite_model::Trace;
use spanlite_store::Store;
use spanlite_tests::mlflow::{BadProxy, MlflowServer, Mode, replay};

use super::fixtures::agent_run;
use super::replicate::{job, store_of};

/// As many as a job has open at once: its batches under way, four calls of each.
const CONNECTIONS: usize = 12;

pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
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

/// Runs a job and returns the memory after each tenth of the traces, in KiB.
fn run_job(store: &Store, job: &ExportJob, n_traces: u64) -> Vec<u64> {
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
    let report = runtime.block_on(run(store, job, options)).unwrap();
    assert!(
        report.is_complete() && report.n_sent == n_traces,
        "{report:?}"
    );
    memory.lock().unwrap().clone()
}

/// What a phase took.
struct Took {
    wall: Duration,
    server_cpu: Duration,
    own_cpu: Duration,
}

impl Took {
    fn of(server: &MlflowServer, act: impl FnOnce()) -> Self {
        let (server_before, own_before) = (server.cpu_time(), own_cpu());
        let begin = Instant::now();
        act();
        Self {
            wall: begin.elapsed(),
            server_cpu: server.cpu_time().saturating_sub(server_before),
            own_cpu: own_cpu().saturating_sub(own_before),
        }
    }

    fn rate(&self, n_traces: u64) -> f64 {
        n_traces as f64 / self.wall.as_secs_f64()
    }

    fn print(&self, who: &str, n_traces: u64) {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / n_traces as f64;
        println!(
            "{who:20} {:.1} traces/s; CPU a trace: server {:.1} ms, this process {:.2} ms",
            self.rate(n_traces),
            each(self.server_cpu),
            each(self.own_cpu)
        );
    }
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

#[test]
#[ignore = "takes long; prints figures"]
fn a_job_keeps_up_with_a_bare_client() {
    let n_traces = number("SPANLITE_RATE_TRACES", 10_000) as u64;
    let traces: Vec<Trace> = (1..=n_traces).map(agent_run).collect();
    let (_folder, store) = store_of(&traces);
    drop(traces);

    // A run of its own: what the proxy does would count against the job.
    let Some(server) = warm_server() else {
        return;
    };
    let proxy = BadProxy::before(server.port());
    proxy.set(Mode::Record);
    run_job(&store, &job(proxy.url()), n_traces);
    let requests = proxy.recorded();
    drop((proxy, server));
    println!(
        "{n_traces} traces of 3 spans in {} requests",
        requests.len()
    );

    let mut shares = Vec::new();
    let mut rates = Vec::new();
    for _ in 0..number("SPANLITE_RATE_ROUNDS", 1) {
        let server = warm_server().unwrap();
        let mut memory = Vec::new();
        let by_job = Took::of(&server, || {
            memory = run_job(&store, &job(server.url()), n_traces);
        });
        drop(server);
        by_job.print("job", n_traces);
        println!("  resident KiB after each tenth: {memory:?}");

        let server = warm_server().unwrap();
        let bare = Took::of(&server, || replay(server.port(), &requests, CONNECTIONS));
        let api = server.api();
        let there = api.search(&api.experiment_id("agents"), "").len();
        assert_eq!(there as u64, n_traces, "the bare client sent the same");
        drop(server);
        bare.print("bare client", n_traces);
        rates.push(bare.rate(n_traces));
        shares.push(by_job.rate(n_traces) / bare.rate(n_traces));
        println!(
            "  job of bare client: {:.0} %",
            100.0 * shares[shares.len() - 1]
        );
    }
    println!(
        "job of bare client, median: {:.0} %",
        100.0 * median(&mut shares)
    );

    let server = warm_server().unwrap();
    let proxy = BadProxy::before(server.port());
    proxy.set(Mode::Delay(Duration::from_millis(25)));
    let delayed = Took::of(&server, || {
        run_job(&store, &job(proxy.url()), n_traces);
    });
    delayed.print("job, 50 ms latency", n_traces);
    println!(
        "  of bare client without, median: {:.0} %",
        100.0 * delayed.rate(n_traces) / median(&mut rates)
    );
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
