//! Import of OTLP/JSON lines into a store, beside SQLite doing the same work.
//!
//! `cargo bench -p spanlite-benches --bench import [-- TRACES]`
//!
//! Both contenders read the same bytes with the same reader and make each batch of 250 traces
//! durable before the next. SQLite (bundled, WAL, `synchronous=FULL`, prepared statements) gets a
//! row a span with attributes as JSON text and the indexes that a viewer of traces needs: by
//! trace, by start, for failed traces, and one of (field, value, trace) for tags, names and types.
use std::io::Cursor;
use std::path::Path;

use spanlite_benches::sqlite::{Indexed, Sqlite};
use spanlite_benches::{Cost, measure, median, print_table, rounds};
use spanlite_formats::{Reader, write_otlp_json};
use spanlite_generate::{Profile, Workload};
use spanlite_model::{Span, SpanId, Trace, TraceId};
use spanlite_store::{OpenOptions, Store};

type Fault = Box<dyn std::error::Error>;

/// How many traces are made durable at once.
const BATCH: usize = 250;
const ROUNDS: usize = 3;

struct Run {
    cost: Cost,
    bytes: u64,
}

/// The bytes of all files below a folder that are allocated on disk.
fn bytes_on_disk(path: &Path) -> Result<u64, std::io::Error> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.blocks() * 512);
    }
    std::fs::read_dir(path)?
        .map(|entry| bytes_on_disk(&entry?.path()))
        .sum()
}

/// Reads the lines and hands them on in batches.
fn in_batches(
    input: &[u8],
    mut store: impl FnMut(&[Trace]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut batch = Vec::with_capacity(BATCH);
    for document in Reader::new(Cursor::new(input), "generated") {
        batch.extend(document?);
        if batch.len() >= BATCH {
            store(&batch)?;
            batch.clear();
        }
    }
    store(&batch)
}

fn into_spanlite(input: &[u8]) -> Result<Run, Fault> {
    let folder = tempfile::tempdir_in(".")?;
    let path = folder.path().join("traces.spans");
    let (result, cost) = measure(|| -> Result<(), Fault> {
        let store = Store::open(&path, OpenOptions::default())?;
        in_batches(input, |traces| Ok(store.write(traces).map(drop)?))?;
        Ok(store.close()?)
    });
    result?;
    Ok(Run {
        cost,
        bytes: bytes_on_disk(&path)?,
    })
}

fn into_sqlite(input: &[u8]) -> Result<Run, Fault> {
    let folder = tempfile::tempdir_in(".")?;
    let path = folder.path().join("traces.sqlite");
    let (result, cost) = measure(|| -> Result<(), Fault> {
        let mut database = Sqlite::create(&path, "FULL", Indexed::Names)?;
        in_batches(input, |traces| database.insert(traces))?;
        database.checkpoint()
    });
    result?;
    Ok(Run {
        cost,
        bytes: bytes_on_disk(folder.path())?,
    })
}

fn compare(name: &str, workload: Workload) -> Result<(), Fault> {
    let (mut input, mut spans) = (Vec::new(), 0_usize);
    for trace in workload {
        spans += trace.spans.len();
        write_otlp_json(&[trace], &mut input)?;
    }
    let runs = rounds(ROUNDS, 2, |contender| match contender {
        0 => into_spanlite(&input),
        _ => into_sqlite(&input),
    });
    let mut rows = Vec::new();
    let mut first = None;
    for (name, runs) in ["spanlite", "sqlite"].iter().zip(runs) {
        let runs: Vec<Run> = runs.into_iter().collect::<Result<_, _>>()?;
        let middle =
            |of: &dyn Fn(&Run) -> f64| median(&mut runs.iter().map(of).collect::<Vec<_>>());
        let wall = middle(&|run| run.cost.wall.as_secs_f64());
        let cpu = middle(&|run| run.cost.process_cpu.as_secs_f64());
        let bytes = middle(&|run| run.bytes as f64);
        let (base_cpu, base_bytes) = *first.get_or_insert((cpu, bytes));
        rows.push(vec![
            (*name).to_owned(),
            format!("{:.0}", spans as f64 / wall),
            format!("{:.1}", input.len() as f64 / 1e6 / wall),
            format!("{:.2}", cpu * 1e6 / spans as f64),
            format!("{:.2}", cpu / base_cpu),
            format!("{:.1}", bytes / spans as f64),
            format!("{:.2}", bytes / base_bytes),
            format!("{:.1}", input.len() as f64 / bytes),
        ]);
    }
    print_table(
        &format!(
            "{name}: {spans} spans, {:.1} MB of OTLP/JSON",
            input.len() as f64 / 1e6
        ),
        &[
            "into",
            "spans/s",
            "MB/s",
            "CPU µs/span",
            "ratio",
            "bytes/span",
            "ratio",
            "JSON/file",
        ],
        &rows,
    );
    Ok(())
}

/// Writes one trace that grows for ever, as a program does whose loop is one span: a request each
/// with new spans of it. What the last ones cost beside the first ones shows what is read again.
fn grow(n_requests: usize, spans_a_request: usize) -> Result<(), Fault> {
    const MIDDLE_OF: usize = 5;
    let folder = tempfile::tempdir_in(".")?;
    let store = Store::open(folder.path().join("traces.spans"), OpenOptions::default())?;
    let trace_id = TraceId::from_bytes([1; 16]);
    let mut costs = Vec::new();
    for request in 0..n_requests {
        let spans = (0..spans_a_request).map(|number| {
            let number = (request * spans_a_request + number) as u64 + 1;
            let span_id = SpanId::from_bytes(number.to_be_bytes());
            let mut span = Span::new(trace_id, span_id, format!("step {}", number % 50));
            span.parent_span_id = (number > 1).then(|| SpanId::from_bytes(1u64.to_be_bytes()));
            span.start_time_unix_nano = 1_700_000_000_000_000_000 + number * 1_000;
            span.end_time_unix_nano = Some(span.start_time_unix_nano + 900);
            span
        });
        let part = [Trace::new(trace_id, spans.collect())];
        let (written, cost) = measure(|| store.write(&part));
        if written?.spans_written != spans_a_request as u64 {
            return Err("a request did not store its spans".into());
        }
        costs.push(cost);
    }
    store.close()?;
    let rows = [
        ("first", &costs[..MIDDLE_OF]),
        ("last", &costs[costs.len() - MIDDLE_OF..]),
    ];
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| {
        median(&mut costs.iter().map(of).collect::<Vec<_>>()) * 1e3
    };
    let wall = |costs: &[Cost]| middle(costs, |cost| cost.wall.as_secs_f64());
    let cpu = |costs: &[Cost]| middle(costs, |cost| cost.process_cpu.as_secs_f64());
    let first = wall(rows[0].1);
    let rows = rows.map(|(name, costs)| {
        let wall = wall(costs);
        vec![
            format!("{name} {MIDDLE_OF}"),
            format!("{wall:.0}"),
            format!("{:.0}", cpu(costs)),
            format!("{:.2}", wall / first),
        ]
    });
    print_table(
        &format!("one trace, {n_requests} requests of {spans_a_request} spans each"),
        &["requests", "ms", "CPU ms", "ratio"],
        &rows,
    );
    Ok(())
}

fn main() -> Result<(), Fault> {
    let traces = std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000);
    grow(40, 10 * traces as usize)?;
    compare("small spans", Workload::new(Profile::Small, 1, 10 * traces))?;
    compare(
        "1 KiB in, 1 KiB out",
        Workload::new(Profile::Payload, 1, 2 * traces),
    )?;
    compare(
        "tool agents",
        Workload::new(Profile::ToolAgent, 1, traces / 4),
    )
}
