//! The command as a user starts it: whole processes on a store of 1,000,000 small spans.
//!
//! Needs the release build of the command (`cargo build --release -p spanlite-cli`); another one
//! is named by `SPANLITE_BIN`. `SPANLITE_BENCH_SPANS` makes a smaller store, `SPANLITE_BENCH_STORE`
//! keeps it for the next run. Times are medians from start to the first byte and to the end.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads its environment, prints, and ends when something fails"
)]

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::slice;
use std::time::{Duration, Instant};

use spanlite_benches::median;
use spanlite_generate::{Profile, Workload};
use spanlite_model::{Json, Span, SpanId, Trace, TraceId};
use spanlite_store::{OpenOptions, Store};

const ROUNDS: usize = 7;
/// Spans that are written while `tail -f` runs.
const SPANS_FOLLOWED: usize = 60;
/// Spans of the trace that is shown.
const LARGE_TRACE_SPANS: u64 = 1_000;
const SMALL_TRACE_SPANS: u64 = 10;

fn main() {
    let binary = env::var_os("SPANLITE_BIN").map_or_else(beside, PathBuf::from);
    let n_spans = env::var("SPANLITE_BENCH_SPANS").map_or(1_000_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let kept = env::var_os("SPANLITE_BENCH_STORE").map(PathBuf::from);
    let path = kept.unwrap_or_else(|| folder.path().join("traces.spans"));
    let large = fill(&path, n_spans);
    let bytes = std::fs::metadata(&binary).unwrap().len();
    println!(
        "binary {:.1} MB, store of {n_spans} spans",
        bytes as f64 / 1e6
    );
    println!("{:<34} {:>12} {:>12}", "command", "first byte", "whole");
    let large = large.to_string();
    for args in [
        &["version"][..],
        &["list"],
        &["list", "{ status = error }"],
        &["show", &large],
        &["show", "@"],
        &["stats"],
        &["stats", "--by", "name"],
        &["values", "name"],
        &["info"],
        &["tail"],
    ] {
        let (mut first, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (to_first, to_end) = run(&binary, &path, args);
            first.push(to_first.as_secs_f64() * 1e3);
            whole.push(to_end.as_secs_f64() * 1e3);
        }
        let line = args.join(" ");
        let (first, whole) = (median(&mut first), median(&mut whole));
        println!("{line:<34} {first:>9.1} ms {whole:>9.1} ms");
    }
    let mut late = follow(&binary, &path);
    let median = median(&mut late);
    let most = late.iter().copied().fold(0.0, f64::max);
    println!("tail -f behind the writer: median {median:.0} ms, at most {most:.0} ms");
}

/// How long after the end of each of some spans `tail -f` shows it, in milliseconds. This process
/// is the writer; what it traces stays in the store.
fn follow(binary: &Path, store: &Path) -> Vec<f64> {
    let tracing = spanlite::builder().path(store).init().unwrap();
    spanlite::span("before").start().end();
    spanlite::flush().unwrap();
    let mut tail = Command::new(binary)
        .args(["tail", "-f", "-n", "1", "--store"])
        .arg(store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut until = |part: &str| while !lines.next().unwrap().unwrap().contains(part) {};
    until("before");
    let late = (0..SPANS_FOLLOWED).map(|number| {
        // At different places between two looks of the follower.
        std::thread::sleep(Duration::from_millis(37));
        let name = format!("followed {number} ");
        spanlite::span(&name).start().end();
        let ended = Instant::now();
        until(&name);
        ended.elapsed().as_secs_f64() * 1e3
    });
    let late = late.collect();
    tail.kill().unwrap();
    tail.wait().unwrap();
    tracing.close().unwrap();
    late
}

/// The command in the folder that the benchmark was built into.
fn beside() -> PathBuf {
    let own = env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("spanlite")
}

/// Fills a store, if it is empty, and gives the id of a trace of a thousand spans.
fn fill(path: &Path, n_spans: u64) -> TraceId {
    let store = Store::open(path, OpenOptions::default()).unwrap();
    let large = large();
    if store.snapshot().unwrap().count_traces().unwrap() == 0 {
        store.write(slice::from_ref(&large)).unwrap();
        let traces = Workload::new(Profile::Small, 1, n_spans / SMALL_TRACE_SPANS);
        let mut traces = traces.into_iter().peekable();
        while traces.peek().is_some() {
            let chunk: Vec<_> = traces.by_ref().take(1_000).collect();
            store.write(&chunk).unwrap();
        }
        while store.seal().unwrap() {}
    }
    store.close().unwrap();
    large.trace_id
}

/// A trace of a thousand spans, five below each.
fn large() -> Trace {
    let trace_id = TraceId::from_bytes([0xee; 16]);
    let id = |number: u64| SpanId::from_bytes(number.to_be_bytes());
    let spans = (1..=LARGE_TRACE_SPANS).map(|number| {
        let name = ["plan", "chat", "search", "read_file"][number as usize % 4];
        let mut span = Span::new(trace_id, id(number), name);
        span.parent_span_id = (number > 1).then(|| id(number / 5 + 1).min(id(number - 1)));
        span.start_time_unix_nano = 1_786_569_488_000_000_000 + number * 1_000_000;
        span.end_time_unix_nano = Some(span.start_time_unix_nano + 5_000_000);
        span.inputs = Json::from_text(format!("{{\"question\": {number}}}")).ok();
        span
    });
    Trace::new(trace_id, spans.collect())
}

/// Runs the command once: the time to its first byte, and to its end.
fn run(binary: &Path, store: &Path, args: &[&str]) -> (Duration, Duration) {
    let began = Instant::now();
    let mut child = Command::new(binary)
        .args(args)
        .arg("--store")
        .arg(store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut byte = [0];
    let read = stdout.read(&mut byte).unwrap();
    let first = began.elapsed();
    assert!(read > 0, "{args:?} prints something");
    std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{args:?}: {status}");
    (first, began.elapsed())
}
