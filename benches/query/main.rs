//! Queries over a store of many small traces, and over one with longer texts, warm, beside `SQLite`
//! with an index on every field that is asked for, a table of its own for attributes, and FTS5
//! over the inputs; and beside `DuckDB` over Parquet.
//!
//! `cargo bench -p spanlite-benches --bench query -- [TRACES] [--only TEXT] [--ours] [--explain]`:
//! 100,000 traces of 10 spans unless told otherwise; `--only` takes the rows whose query has a
//! text, `--ours` leaves the peers out, `--explain` prints what was read. The stores stay under
//! `target/bench-query` until the workload or the format of stores changes.
//!
//! Each row is printed as it is measured: medians, and none waits longer than a few seconds for
//! one contender. Every contender must find as many traces.

mod cases;
mod data;
mod duckdb;
mod peer;
mod timing;
mod traces;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cases::{Case, Wanted};
use data::Data;
use duckdb::DuckDb;
use rusqlite::Connection;
use spanlite_query::{MetricOptions, Query, RunError, RunOptions};
use spanlite_store::Snapshot;
use timing::{LIMIT, Timing};
use traces::Kind;

type Failure = Box<dyn std::error::Error>;

struct Options {
    n_traces: u64,
    only: Option<String>,
    with_peers: bool,
    explain: bool,
}

fn options() -> Options {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options {
        n_traces: 100_000,
        only: None,
        with_peers: true,
        explain: false,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => options.only = arguments.next(),
            "--ours" => options.with_peers = false,
            "--explain" => options.explain = true,
            other => options.n_traces = other.parse().unwrap_or(options.n_traces),
        }
    }
    options
}

/// The folder of builds, which holds what is kept between runs.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

fn say(line: &str) {
    // A benchmark whose output is closed has nobody left to tell.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn ours(case: &Case, query: &Query, snapshot: &Snapshot) -> Result<Option<usize>, RunError> {
    let mut options = RunOptions::default();
    options.limit = (case.wanted == Wanted::Newest).then_some(20);
    options.deadline = Some(Instant::now() + LIMIT);
    let found = match case.wanted {
        Wanted::Metrics => {
            let options = MetricOptions {
                run: options,
                ..MetricOptions::default()
            };
            query
                .measure(snapshot, &options)
                .map(|table| table.series.len())
        }
        Wanted::Newest | Wanted::Ids => {
            let mut n = 0;
            query.find_ids(snapshot, &options, |_, _| n += 1).map(|_| n)
        }
        Wanted::Headers => query.headers(snapshot, options).and_then(|mut headers| {
            headers.try_fold(0, |n, header| {
                std::hint::black_box(header?);
                Ok(n + 1)
            })
        }),
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(RunError::DeadlinePassed) => Ok(None),
        Err(error) => Err(error),
    }
}

fn time_ours(case: &Case, snapshot: &Snapshot) -> Result<Timing, Failure> {
    let query = Query::parse(case.query)?;
    let mut failure = None;
    let timing = Timing::measure(|| {
        ours(case, &query, snapshot).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    });
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(timing),
    }
}

fn time_sqlite(case: &Case, peer: &Connection) -> Result<Timing, Failure> {
    let mut failure = None;
    let timing = Timing::measure(|| {
        peer::count(peer, case.sqlite, LIMIT).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    });
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(timing),
    }
}

fn explain(case: &Case, snapshot: &Snapshot) -> Result<(), Failure> {
    let mut options = RunOptions::default();
    if case.wanted == Wanted::Newest {
        options.limit = Some(20);
    }
    if case.wanted != Wanted::Metrics {
        let explain = Query::parse(case.query)?.find_ids(snapshot, &options, |_, _| ())?;
        say(&explain.to_string());
    }
    Ok(())
}

/// Those that answer the same queries; none of them has to be there.
struct Peers {
    sqlite: Option<Connection>,
    duckdb: Option<DuckDb>,
}

impl Peers {
    fn start(data: &Data, wanted: bool) -> Result<Self, Failure> {
        let sqlite = wanted.then(|| peer::open(&data.sqlite())).transpose()?;
        let mut duckdb = None;
        if wanted {
            match DuckDb::start(&target(), &data.folder) {
                Ok(peer) => duckdb = Some(peer),
                Err(reason) => say(&format!("DuckDB left out: {reason}")),
            }
        }
        Ok(Self { sqlite, duckdb })
    }

    /// What each takes; all have to find as much.
    fn time(&mut self, case: &Case, own: &Timing) -> Result<[String; 2], Failure> {
        let mut shown = [String::new(), String::new()];
        let check = |peer: &str, timing: &Timing| {
            if let (Some(found), Some(own)) = (timing.found, own.found) {
                assert_eq!(found, own, "{peer}: {}", case.query);
            }
        };
        if let Some(peer) = &self.sqlite
            && !case.sqlite.is_empty()
        {
            let timing = time_sqlite(case, peer)?;
            check("SQLite", &timing);
            shown[0] = timing.show();
        }
        if let Some(peer) = &mut self.duckdb
            && !case.duckdb.is_empty()
        {
            let timing = peer.time(case.duckdb)?;
            check("DuckDB", &timing);
            shown[1] = timing.show();
        }
        Ok(shown)
    }
}

fn rows(cases: &[Case], data: &Data, options: &Options) -> Result<(), Failure> {
    let snapshot = data.store.snapshot()?;
    let built = data.built_seconds.map_or_else(
        || "kept from an earlier run".to_owned(),
        |seconds| format!("built in {seconds:.0} s"),
    );
    say(&format!(
        "\n{} spans in {} traces, {} blocks, {} MB of inputs, {built}",
        data.n_spans,
        snapshot.count_traces()?,
        snapshot.blocks()?.len(),
        data.input_bytes / 1_000_000,
    ));
    let has_peers = options.with_peers && cases.iter().any(|case| !case.sqlite.is_empty());
    let mut peers = Peers::start(data, has_peers)?;
    say(&format!(
        "{:>11} {:>11} {:>11} {:>9} {:>8}  {:8} query",
        "ours", "SQLite", "DuckDB", "at most", "found", "what"
    ));
    for case in cases {
        if options
            .only
            .as_ref()
            .is_some_and(|only| !case.query.contains(only.as_str()))
        {
            continue;
        }
        if options.explain {
            explain(case, &snapshot)?;
        }
        let own = time_ours(case, &snapshot)?;
        let others = peers.time(case, &own)?;
        print_row(case, data, &own, &others);
    }
    Ok(())
}

fn print_row(case: &Case, data: &Data, own: &Timing, [sqlite, duckdb]: &[String; 2]) {
    let wanted = format!("{:?}", case.wanted).to_lowercase();
    let target = case
        .target_ms
        .map(|ms| format!("{ms} ms"))
        .unwrap_or_default();
    say(&format!(
        "{:>11} {sqlite:>11} {duckdb:>11} {target:>9} {:>8}  {wanted:8} {}",
        own.show(),
        own.found.unwrap_or(0),
        case.query
    ));
    if let (Wanted::Ids, Some(seconds)) = (case.wanted, own.seconds()) {
        let (amount, unit) = if case.query.contains("input") && !case.query.contains("tokens") {
            (data.input_bytes as f64 / 1e6, "MB of inputs/s")
        } else {
            (data.n_spans as f64 / 1e6, "M spans/s")
        };
        say(&format!("{:>11.0} {unit}", amount / seconds));
    }
}

fn parsing() {
    let hundred = "{ span:type = \"llm\" && (status = error || duration > 30s) && resource.service.name = \"chat-api\" } ";
    let timing = Timing::measure(|| {
        Some(
            (0..1_000)
                .filter(|_| Query::parse(std::hint::black_box(hundred)).is_ok())
                .count(),
        )
    });
    let micros = timing.seconds().unwrap_or(0.0) * 1e3;
    say(&format!(
        "\n{micros:.1} µs to parse, check and resolve a query of {} bytes (at most 20 µs)",
        hundred.len()
    ));
}

fn main() -> Result<(), Failure> {
    let options = options();
    let small = Data::open(&target(), Kind::Small, options.n_traces)?;
    rows(cases::SMALL, &small, &options)?;
    let texts = Data::open(&target(), Kind::Texts, options.n_traces / 5)?;
    rows(cases::TEXTS, &texts, &options)?;
    parsing();
    Ok(())
}
