//! What a span costs the program that is traced: CPU time of its thread for each span, by shape;
//! of the whole process with everything stored; allocations; what tracing costs that is off.
//!
//! `cargo bench -p spanlite-benches --bench capture`

use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use spanlite::{InSpanExt as _, OpenSpans, in_span, scope, span, trace};
use spanlite_benches::{measure, median, print_goal, print_table, rounds};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Spans a run, a multiple of 11 for those that nest.
const SPANS: u64 = 22_000;
const ROUNDS: usize = 31;

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    spans: u64,
    run: fn(&Texts),
}

struct Texts {
    kibibyte: String,
    model: String,
    region: String,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            kibibyte: "what is said in a prompt, "
                .repeat(41)
                .chars()
                .take(1024)
                .collect(),
            model: "large-model-2026".to_owned(),
            region: "europe-central-2 (fra1)".to_owned(),
        }
    }
}

fn roots(_: &Texts) {
    for _ in 0..SPANS {
        drop(black_box(span("step").start()));
    }
}

fn children(_: &Texts) {
    let _root = span("root").start();
    for _ in 0..SPANS {
        drop(black_box(span("step").start()));
    }
}

fn attributes(texts: &Texts) {
    let _root = span("root").start();
    for number in 0..SPANS {
        let span = span("step").start();
        span.set_attribute("model", texts.model.as_str());
        span.set_attribute("region", texts.region.as_str());
        span.set_attribute("attempt", number);
    }
}

fn texts(texts: &Texts) {
    let _root = span("root").start();
    for _ in 0..SPANS {
        let span = span("step").start();
        span.set_inputs(texts.kibibyte.as_str());
        span.set_outputs(texts.kibibyte.as_str());
    }
}

fn nested(texts: &Texts) {
    fn level(texts: &Texts, depth: i64) {
        if depth > 0 {
            let span = span("level").start();
            span.set_attribute("model", texts.model.as_str());
            span.set_attribute("region", texts.region.as_str());
            span.set_attribute("depth", depth);
            level(texts, depth - 1);
        }
    }
    for _ in 0..SPANS / 11 {
        let _root = span("root").start();
        level(texts, 10);
    }
}

#[trace]
fn add(x: u64, y: u64) -> u64 {
    x + y
}

fn calls(_: &Texts) {
    let _root = span("root").start();
    for number in 0..SPANS {
        black_box(add(number, 1));
    }
}

/// Shapes of spans, with how many spans a run makes.
const SHAPES: [Shape; 6] = [
    Shape {
        name: "bare, a trace each",
        spans: SPANS,
        run: roots,
    },
    Shape {
        name: "bare, children",
        spans: SPANS,
        run: children,
    },
    Shape {
        name: "3 attributes",
        spans: SPANS,
        run: attributes,
    },
    Shape {
        name: "2 texts of 1 KiB",
        spans: SPANS,
        run: texts,
    },
    Shape {
        name: "chain of 11, 3 attributes",
        spans: SPANS,
        run: nested,
    },
    Shape {
        name: "#[trace], 2 arguments",
        spans: SPANS,
        run: calls,
    },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    off();
    on(folder.path(), OpenSpans::Roots)?;
    on(folder.path(), OpenSpans::Never)?;
    polls(folder.path())?;
    beginnings(folder.path())?;
    Ok(())
}

/// What tracing adds to the start of a program.
fn beginnings(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let path = folder.join(format!("begin-{round}.spans"));
        for times in &mut times {
            let start = std::time::Instant::now();
            let tracing = spanlite::init(&path)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            tracing.close()?;
        }
    }
    let new_store = median(&mut times[0].clone());
    let rows: Vec<Vec<String>> = ["a new store", "a store that is there"]
        .iter()
        .zip(times)
        .map(|(name, mut times)| {
            vec![
                (*name).to_owned(),
                format!("{:.2}", median(&mut times)),
                format!("{:.2}", best(&times)),
            ]
        })
        .collect();
    print_table("ms until `init` returns", &["store", "wall", "best"], &rows);
    print_goal("ms until `init` returns, a new store", new_store, 1.0);
    Ok(())
}

fn nanos(time: Duration, count: u64) -> f64 {
    time.as_nanos() as f64 / count as f64
}

fn cells(values: &mut [f64]) -> [String; 2] {
    let best = best(values);
    [format!("{:.0}", median(values)), format!("{best:.0}")]
}

fn on(folder: &Path, open_spans: OpenSpans) -> Result<(), Box<dyn std::error::Error>> {
    let path = folder.join(format!("{open_spans:?}.spans"));
    let tracing = spanlite::builder()
        .path(path)
        .open_spans(open_spans)
        .init()?;
    let form = tracing
        .store()
        .map(spanlite::Store::info)
        .transpose()?
        .and_then(|info| info.journal);
    let texts = Texts::default();
    let results = rounds(ROUNDS, SHAPES.len(), |contender| {
        let shape = SHAPES[contender];
        let region = Region::new(ALLOCATOR);
        let mut allocations = 0;
        let (thread, cost) = measure(|| {
            let ((), cost) = measure(|| (shape.run)(&texts));
            allocations = region.change().allocations;
            // What is not stored at the end of the run is not measured.
            drop(spanlite::flush());
            cost.thread_cpu
        });
        (thread, cost.process_cpu, allocations)
    });
    let rows: Vec<Vec<String>> = SHAPES
        .iter()
        .zip(results)
        .map(|(shape, runs)| {
            let of = |part: fn(&(Duration, Duration, usize)) -> Duration| {
                runs.iter()
                    .map(|run| nanos(part(run), shape.spans))
                    .collect::<Vec<_>>()
            };
            let fewest = runs.iter().map(|run| run.2).min().unwrap_or(0);
            let mut row = vec![shape.name.to_owned()];
            row.extend(cells(&mut of(|run| run.0)));
            row.extend(cells(&mut of(|run| run.1)));
            row.push(format!("{:.3}", fewest as f64 / shape.spans as f64));
            row
        })
        .collect();
    print_table(
        &format!("spans that are stored, journal {form:?}, open spans {open_spans:?}"),
        &[
            "ns a span",
            "thread",
            "best",
            "process",
            "best",
            "allocations",
        ],
        &rows,
    );
    tracing.close()?;
    Ok(())
}

/// What is left of a span when tracing has not begun, and inside a scope that is off.
fn off() {
    let scoped = |texts: &Texts| scope().enabled(false).run(|| children(texts));
    let names = ["not begun", "#[trace], not begun", "in a scope that is off"];
    let runs: [&dyn Fn(&Texts); 3] = [&children, &calls, &scoped];
    let texts = Texts::default();
    let results = rounds(ROUNDS, runs.len(), |contender| {
        nanos(measure(|| runs[contender](&texts)).1.thread_cpu, SPANS)
    });
    let best = results.iter().map(|runs| best(runs)).collect::<Vec<_>>();
    let rows = median_and_best(&names, results);
    print_table(
        "tracing that is off",
        &["ns a span", "thread", "best"],
        &rows,
    );
    for (name, best) in names.iter().zip(best) {
        print_goal(&format!("ns, {name}"), best, 5.0);
    }
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A row for each contender: its name, the median of its values and the best of them.
fn median_and_best(names: &[&str], results: Vec<Vec<f64>>) -> Vec<Vec<String>> {
    names
        .iter()
        .zip(results)
        .map(|(name, mut values)| {
            let best = best(&values);
            vec![
                (*name).to_owned(),
                format!("{:.1}", median(&mut values)),
                format!("{best:.1}"),
            ]
        })
        .collect()
}

/// Yields a number of times.
struct Yields(u32);

impl Future for Yields {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

const DEPTH: u32 = 10;
const YIELDS: u32 = 2_000;

/// Futures in futures, in spans or not, whose innermost one yields.
fn nest(depth: u32, traced: bool, yields: u32) -> Pin<Box<dyn Future<Output = ()>>> {
    if depth == 0 {
        return Box::pin(Yields(yields));
    }
    let inner = nest(depth - 1, traced, yields);
    if traced {
        Box::pin(inner.in_span("level"))
    } else {
        #[expect(
            clippy::redundant_async_block,
            reason = "a level of futures that does nothing is what the others are compared with"
        )]
        Box::pin(async { inner.await })
    }
}

fn poll_all(mut future: Pin<Box<dyn Future<Output = ()>>>) {
    let mut task = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut task).is_pending() {}
}

/// What a span around a future costs each time the future is polled.
fn polls(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let tracing = spanlite::init(folder.join("polls.spans"))?;
    let results = rounds(ROUNDS, 2, |contender| {
        in_span("root", |_| {
            let traced = contender == 1;
            let long = measure(|| poll_all(nest(DEPTH, traced, YIELDS)))
                .1
                .thread_cpu;
            let short = measure(|| poll_all(nest(DEPTH, traced, 0))).1.thread_cpu;
            nanos(long.saturating_sub(short), u64::from(YIELDS * DEPTH))
        })
    });
    let extra = best(&results[1]) - best(&results[0]);
    let rows = median_and_best(&["plain future", "in a span"], results);
    print_table(
        "polls, 10 futures deep",
        &["ns a poll and level", "thread", "best"],
        &rows,
    );
    print_goal("ns that a span adds to a poll", extra, 2.0);
    tracing.close()?;
    Ok(())
}
