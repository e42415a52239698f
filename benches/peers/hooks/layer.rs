//! A span of `tracing`, by who listens; and a span that nobody wants.

use std::hint::black_box;

use opentelemetry::trace::TracerProvider as _;
use spanlite_auto::{Targets, layer_for};
use spanlite_benches::{measure as cost_of, median, print_goal, print_table, rounds};
use spanlite_peers::{Shape, Texts, layer, otel, own};
use tracing::{Dispatch, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use super::Fault;

const SPANS: u64 = 20_000;
const IGNORED: u64 = 1_000_000;
const ROUNDS: usize = 21;
const NAMES: [&str; 4] = [
    "spanlite-auto, stored",
    "tracing-opentelemetry",
    "registry alone",
    "spanlite without tracing",
];

pub(super) fn measure() -> Result<(), Fault> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracing = spanlite::init(folder.path().join("traces.spans"))?;
    let provider = otel::provider();
    drop(provider.tracer("bench"));
    let subscribers = [
        Dispatch::new(tracing_subscriber::registry().with(layer_for(Targets::all()))),
        otel::dispatch(&provider),
        Dispatch::new(tracing_subscriber::registry()),
    ];
    let texts = Texts::default();
    for shape in Shape::ALL {
        let results = rounds(ROUNDS, NAMES.len(), |contender| {
            let run = || layer::run(shape, &texts, SPANS);
            let ((), cost) = cost_of(|| match subscribers.get(contender) {
                Some(subscriber) => tracing::dispatcher::with_default(subscriber, run),
                None => own::run(shape, &texts, SPANS),
            });
            match contender {
                0 | 3 => drop(spanlite::flush()),
                1 => drop(provider.force_flush()),
                _ => {}
            }
            cost.thread_cpu.as_nanos() as f64 / SPANS as f64
        });
        let [ours, bridge, registry] = [0, 1, 2].map(|contender| best(&results[contender]));
        print(&format!("layer: {}", shape.name()), &NAMES, results);
        print_goal("ns more than the registry, best", ours - registry, 250.0);
        print_goal("to tracing-opentelemetry, best", ours / bridge, 1.0);
    }
    // A call site that some subscriber wants is asked about each time.
    drop(subscribers);
    let ignoring = Dispatch::new(tracing_subscriber::registry().with(spanlite_auto::layer()));
    let results = rounds(ROUNDS, 2, |contender| {
        let run = || {
            for number in 0..IGNORED {
                drop(black_box(
                    info_span!(target: "elsewhere", "step", number).entered(),
                ));
            }
        };
        let ((), cost) = match contender {
            0 => cost_of(|| tracing::dispatcher::with_default(&ignoring, run)),
            _ => cost_of(run),
        };
        cost.thread_cpu.as_nanos() as f64 / IGNORED as f64
    });
    let ignored = best(&results[0]);
    print(
        "a span that is not recorded",
        &["spanlite-auto", "no subscriber"],
        results,
    );
    print_goal("ns, best", ignored, 5.0);
    tracing.close()?;
    Ok(())
}

fn best(nanos: &[f64]) -> f64 {
    nanos.iter().copied().fold(f64::INFINITY, f64::min)
}

fn print(title: &str, names: &[&str], results: Vec<Vec<f64>>) {
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(results)
        .map(|(name, mut nanos)| {
            vec![
                (*name).to_owned(),
                format!("{:.1}", median(&mut nanos)),
                format!("{:.1}", best(&nanos)),
            ]
        })
        .collect();
    print_table(title, &["ns of the thread a span", "median", "best"], &rows);
}
