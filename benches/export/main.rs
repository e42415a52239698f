//! What a following job costs the program it runs in while its server is away: CPU time of the
//! thread that traces for each span, with the job and without.
//!
//! `cargo bench -p spanlite-benches --bench export`; with `-- memory 20000`, what a run over so many
//! traces takes of memory as it goes on.

mod memory;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use spanlite::span;
use spanlite_benches::{measure, median, print_table, rounds};
use spanlite_export::{Credentials, ExportJob, JobHandle, MlflowServer, Schedule, Target, spawn};
use tokio::runtime::Runtime;

const TRACES: u64 = 2_000;
const CHILDREN: u64 = 9;
const ROUNDS: usize = 21;

fn produce() {
    for number in 0..TRACES {
        let root = span("turn").start();
        root.set_inputs("what is the answer?");
        for step in 0..CHILDREN {
            let child = span("step").start();
            child.set_attribute("number", number);
            child.set_attribute("step", step);
        }
    }
}

/// An address where nobody listens.
fn dead_url() -> std::io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(format!("http://{}", listener.local_addr()?))
}

fn follow(store: &spanlite::Store, url: String) -> JobHandle {
    let server = MlflowServer {
        url,
        experiment: "bench".to_owned(),
        workspace: None,
        credentials: Credentials::None,
        ca_file: None,
    };
    let mut job = ExportJob::new("bench", Target::Mlflow(server));
    job.schedule = Schedule::Follow {
        interval_seconds: 1,
    };
    spawn(store, job)
}

/// Thread CPU and wall clock of the spans of one round.
fn round(path: &Path, with_job: bool) -> Result<(Duration, Duration), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let tracing = spanlite::init(path)?;
    // Something for the job to be at.
    produce();
    spanlite::flush()?;
    let store = tracing.store().ok_or("tracing has a store")?;
    let job = with_job
        .then(|| dead_url().map(|url| runtime.block_on(async { follow(store, url) })))
        .transpose()?;
    // It reads and packs, then meets the server that is away.
    std::thread::sleep(Duration::from_millis(300));
    let ((), cost) = measure(produce);
    if let Some(job) = job {
        let report = runtime.block_on(job.stop())?;
        if report.n_selected != TRACES || report.n_sent != 0 {
            return Err(format!("the job was not at work: {report:?}").into());
        }
    }
    tracing.close()?;
    Ok((cost.thread_cpu, cost.wall))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().position(|argument| argument == "memory") {
        None => beside_tracing(),
        Some(at) => {
            let n_traces = arguments
                .get(at + 1)
                .map_or(Ok(20_000), |text| text.parse())?;
            of_memory(n_traces)
        }
    }
}

fn of_memory(n_traces: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tenths = memory::run_over(&folder.path().join("traces.spans"), n_traces)?;
    let rows: Vec<Vec<String>> = tenths
        .iter()
        .enumerate()
        .map(|(n, kib)| vec![format!("{}0 %", n + 1), kib.to_string()])
        .collect();
    print_table(
        &format!("a run over {n_traces} traces"),
        &["sent", "resident KiB"],
        &rows,
    );
    Ok(())
}

fn beside_tracing() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut number = 0;
    let results = rounds(ROUNDS, 2, |contender| {
        number += 1;
        let path = folder.path().join(format!("{number}.spans"));
        let measured = round(&path, contender == 1).map_err(|error| error.to_string());
        drop(std::fs::remove_dir_all(&path));
        measured
    });
    let n_spans = (TRACES * (CHILDREN + 1)) as f64;
    let mut rows = Vec::new();
    for (name, runs) in ["no job", "a job, its server away"].iter().zip(results) {
        let runs = runs.into_iter().collect::<Result<Vec<_>, String>>()?;
        let per_span = |times: Vec<Duration>| -> Vec<f64> {
            times
                .iter()
                .map(|time| time.as_nanos() as f64 / n_spans)
                .collect()
        };
        let mut cpu = per_span(runs.iter().map(|run| run.0).collect());
        let mut wall = per_span(runs.iter().map(|run| run.1).collect());
        let best = cpu.iter().copied().fold(f64::INFINITY, f64::min);
        rows.push(vec![
            (*name).to_owned(),
            format!("{:.0}", median(&mut cpu)),
            format!("{best:.0}"),
            format!("{:.0}", median(&mut wall)),
        ]);
    }
    print_table(
        "tracing beside a following job",
        &["ns a span", "thread", "best", "wall"],
        &rows,
    );
    Ok(())
}
