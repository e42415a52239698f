//! `cargo bench -p spanlite-peers`: CPU time of the thread that makes spans, and of the whole
//! process, for each span. Spanlite stores them on disk; the others throw them away.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use spanlite_benches::{measure, median, print_table, rounds};
use spanlite_peers::{Shape, Texts, fastrace, layer, otel, own};

/// Spans a run; fewer than the longest queue of a peer.
const SPANS: u64 = 20_000;
const ROUNDS: usize = 21;
const NAMES: [&str; 5] = [
    "spanlite, stored",
    "fastrace",
    "tracing + keeping layer",
    "opentelemetry_sdk",
    "tracing-opentelemetry",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracing = spanlite::init(folder.path().join("traces.spans"))?;
    fastrace::set_up();
    let provider = otel::provider();
    let tracer = provider.tracer("bench");
    let kept = layer::dispatch();
    let bridged = otel::dispatch(&provider);
    let texts = Texts::default();
    for shape in Shape::ALL {
        let results = rounds(ROUNDS, NAMES.len(), |contender| {
            let run = || match contender {
                0 => own::run(shape, &texts, SPANS),
                1 => fastrace::run(shape, &texts, SPANS),
                2 => tracing::dispatcher::with_default(&kept, || layer::run(shape, &texts, SPANS)),
                3 => otel::run(&tracer, shape, &texts, SPANS),
                _ => tracing::dispatcher::with_default(&bridged, || {
                    layer::run(shape, &texts, SPANS);
                }),
            };
            let (thread, cost) = measure(|| {
                let thread = measure(run).1.thread_cpu;
                // Failures would show in the tests; here only the time counts.
                match contender {
                    0 => drop(spanlite::flush()),
                    1 => fastrace::flush(),
                    2 => {}
                    _ => drop(provider.force_flush()),
                }
                thread
            });
            (thread, cost.process_cpu)
        });
        print(shape, &results);
    }
    tracing.close()?;
    Ok(())
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64 / SPANS as f64
}

fn print(shape: Shape, results: &[Vec<(Duration, Duration)>]) {
    let first: Vec<f64> = results[0].iter().map(|run| nanos(run.0)).collect();
    let rows: Vec<Vec<String>> = NAMES
        .iter()
        .zip(results)
        .map(|(name, runs)| {
            let mut thread: Vec<f64> = runs.iter().map(|run| nanos(run.0)).collect();
            let best = thread.iter().copied().fold(f64::INFINITY, f64::min);
            let mut ratios: Vec<f64> = thread
                .iter()
                .zip(&first)
                .map(|(one, own)| one / own)
                .collect();
            let mut process: Vec<f64> = runs.iter().map(|run| nanos(run.1)).collect();
            vec![
                (*name).to_owned(),
                format!("{:.0}", median(&mut thread)),
                format!("{best:.0}"),
                format!("{:.1}", median(&mut ratios)),
                format!("{:.0}", median(&mut process)),
            ]
        })
        .collect();
    print_table(
        shape.name(),
        &["ns a span", "thread", "best", "ratio", "process"],
        &rows,
    );
}
