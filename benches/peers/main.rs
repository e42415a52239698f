//! `cargo bench -p spanlite-peers`: what a span costs with Spanlite and with other libraries, all in
//! one run: CPU time of the thread that makes it, CPU time of the whole process until everything
//! is handed over, allocations of the thread. Spanlite and the raw file store what they are given
//! on disk, the others throw it away.
//!
//! Each row stands beside its ratio to Spanlite in the same round, above 1 where Spanlite is the
//! cheaper one; below each table stand the goals, and what misses them.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use spanlite_benches::{measure, median, print_goal, print_table, rounds};
use spanlite_peers::{Shape, Texts, fastrace, layer, logfire, otel, own, raw};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Spans a run; fewer than the longest queue of a peer.
const SPANS: u64 = 20_000;
const ROUNDS: usize = 15;
const NAMES: [&str; 7] = [
    "spanlite, stored",
    "raw append, fsync",
    "fastrace",
    "tracing + keeping layer",
    "opentelemetry_sdk",
    "tracing-opentelemetry",
    "logfire",
];

/// What one run took.
struct Run {
    thread: Duration,
    process: Duration,
    allocations: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracing = spanlite::init(folder.path().join("traces.spans"))?;
    let mut file = raw::Raw::new(folder.path())?;
    fastrace::set_up();
    let provider = otel::provider();
    let tracer = provider.tracer("bench");
    let kept = layer::dispatch();
    let bridged = otel::dispatch(&provider);
    let logfire = logfire::set_up()?;
    let texts = Texts::default();
    for shape in Shape::ALL {
        let mut failed = None;
        let results = rounds(ROUNDS, NAMES.len(), |contender| {
            let region = Region::new(ALLOCATOR);
            let mut allocations = 0;
            let (thread, cost) = measure(|| {
                let run = || match contender {
                    0 => own::run(shape, &texts, SPANS),
                    1 => file.run(shape, &texts, SPANS),
                    2 => fastrace::run(shape, &texts, SPANS),
                    3 => tracing::dispatcher::with_default(&kept, || {
                        layer::run(shape, &texts, SPANS);
                    }),
                    4 => otel::run(&tracer, shape, &texts, SPANS),
                    5 => tracing::dispatcher::with_default(&bridged, || {
                        layer::run(shape, &texts, SPANS);
                    }),
                    _ => logfire::run(&logfire, shape, &texts, SPANS),
                };
                let thread = measure(run).1.thread_cpu;
                allocations = region.change().allocations;
                let flushed = match contender {
                    0 => spanlite::flush().is_ok(),
                    1 => file.flush(),
                    2 => {
                        fastrace::flush();
                        true
                    }
                    3 => true,
                    4 | 5 => provider.force_flush().is_ok(),
                    _ => logfire.force_flush().is_ok(),
                };
                if !flushed {
                    failed = NAMES.get(contender);
                }
                thread
            });
            Run {
                thread,
                process: cost.process_cpu,
                allocations,
            }
        });
        if let Some(name) = failed {
            return Err(format!("{name} did not hand everything over").into());
        }
        print(shape, &results);
    }
    tracing.close()?;
    Ok(())
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64 / SPANS as f64
}

fn all(runs: &[Run], part: fn(&Run) -> Duration) -> Vec<f64> {
    runs.iter().map(|run| nanos(part(run))).collect()
}

/// The median of the ratios of each round.
fn ratio(one: &[f64], to: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = one.iter().zip(to).map(|(one, to)| one / to).collect();
    median(&mut ratios)
}

fn print(shape: Shape, results: &[Vec<Run>]) {
    let thread = |contender: usize| all(&results[contender], |run| run.thread);
    let process = |contender: usize| all(&results[contender], |run| run.process);
    let best = |contender| thread(contender).into_iter().fold(f64::INFINITY, f64::min);
    let rows: Vec<Vec<String>> = NAMES
        .iter()
        .enumerate()
        .map(|(contender, name)| {
            let fewest = results[contender].iter().map(|run| run.allocations).min();
            vec![
                (*name).to_owned(),
                format!("{:.0}", median(&mut thread(contender))),
                format!("{:.0}", best(contender)),
                format!("{:.1}", ratio(&thread(contender), &thread(0))),
                format!("{:.0}", median(&mut process(contender))),
                format!("{:.1}", ratio(&process(contender), &process(0))),
                format!("{:.2}", fewest.unwrap_or(0) as f64 / SPANS as f64),
            ]
        })
        .collect();
    print_table(
        shape.name(),
        &[
            "ns a span",
            "thread",
            "best",
            "ratio",
            "process",
            "ratio",
            "allocations",
        ],
        &rows,
    );
    print_goal("ns of thread CPU, best run", best(0), shape.goal_nanos());
    // The raw file is no tracing library.
    for (contender, name) in NAMES.iter().enumerate().skip(2) {
        let ratio = ratio(&thread(0), &thread(contender));
        print_goal(&format!("thread CPU to {name}"), ratio, 1.0);
    }
    if shape != Shape::Bare {
        let ratio = ratio(&process(0), &process(1));
        print_goal("process CPU to raw append", ratio, 1.3);
    }
    let allocations = results[0].iter().map(|run| run.allocations).min();
    let allocations = allocations.unwrap_or(0) as f64 / SPANS as f64;
    print_goal(
        "allocations a span, to two digits",
        (allocations * 100.0).floor() / 100.0,
        0.0,
    );
}
