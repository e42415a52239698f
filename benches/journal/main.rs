//! What appending an ended span costs the program's thread, by the forms of the journal, beside a
//! push to a vector (the floor) and a write(2) a span (what the journal saves).
//!
//! ```text
//! cargo bench -p spanlite-benches --bench journal [-- FOLDER]
//! ```
//!
//! Each run appends a burst that fits into the ring and then flushes outside of the measured time,
//! so that regions are used again and again as in a program that runs for long. Figures are CPU
//! nanoseconds of the appending thread for a span: best round, then the median.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use spanlite_benches::{measure, median, print_table, rounds};
use spanlite_model::{SpanId, TraceId};
use spanlite_store::record::{SpanEncoder, SpanHead};
use spanlite_store::{Appended, Durability, Lane, OpenOptions, OpenSpan, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 60;

/// A span with three attributes and, if `payload_bytes` is not zero, inputs and outputs that
/// together take about so many bytes.
fn record(payload_bytes: usize) -> Vec<u8> {
    let mut span = SpanEncoder::new();
    span.begin(&SpanHead {
        trace_id: TraceId::from_bytes([7; 16]),
        span_id: SpanId::from_bytes([9; 8]),
        parent_span_id: Some(SpanId::from_bytes([8; 8])),
        start_time_unix_nano: 1_763_800_000_000_000_000,
        flags: 1,
    });
    span.set_name("retrieve documents");
    span.set_span_type("RETRIEVER");
    span.set_attribute("model", "claude-sonnet-4-5", None);
    span.set_attribute("documents", &12, None);
    span.set_attribute("tenant", "a-tenant-with-a-name", None);
    if payload_bytes > 0 {
        let text = "the quick brown fox jumps over the lazy dog, ".repeat(payload_bytes / 45);
        let (inputs, outputs) = text.split_at(payload_bytes / 90 * 45);
        span.set_inputs(inputs, None);
        span.set_outputs(outputs, None);
    }
    span.set_end(1_763_800_000_100_000_000);
    span.as_bytes().to_vec()
}

enum Contender {
    Vector(Vec<u8>),
    WriteEach(File),
    Store {
        store: Store,
        lane: Lane,
        open: bool,
    },
}

impl Contender {
    fn store(folder: &Path, name: &str, options: OpenOptions, open: bool) -> Outcome<Self> {
        let store = Store::open(folder.join(name), options)?;
        let lane = store.lane()?;
        Ok(Self::Store { store, lane, open })
    }

    fn append(&mut self, record: &[u8], spans: usize) -> Outcome<()> {
        for _ in 0..spans {
            match self {
                Self::Vector(bytes) => bytes.extend_from_slice(record),
                Self::WriteEach(file) => file.write_all(record)?,
                Self::Store { lane, open, .. } => {
                    let slot: Option<OpenSpan> = open.then(|| lane.open(&record[..120])).flatten();
                    let appended = lane.append(record);
                    drop(slot);
                    if appended != Appended::Stored {
                        return Err("the journal dropped a record".into());
                    }
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Outcome<()> {
        match self {
            Self::Vector(bytes) => bytes.clear(),
            Self::WriteEach(file) => file.set_len(0)?,
            Self::Store { store, .. } => store.flush()?,
        }
        Ok(())
    }
}

fn contenders(folder: &Path) -> Outcome<Vec<(&'static str, Contender)>> {
    let journal = OpenOptions::default;
    let written = || OpenOptions {
        map_journal: false,
        ..OpenOptions::default()
    };
    let memory = || OpenOptions {
        durability: Durability::Memory,
        ..OpenOptions::default()
    };
    let file = File::create(folder.join("write-each"))?;
    Ok(vec![
        ("vector", Contender::Vector(Vec::with_capacity(8 << 20))),
        (
            "journal, mapped",
            Contender::store(folder, "mapped", journal(), false)?,
        ),
        (
            "journal, mapped, shown while open",
            Contender::store(folder, "open", journal(), true)?,
        ),
        (
            "journal, 16 spans a write",
            Contender::store(folder, "written", written(), false)?,
        ),
        (
            "memory",
            Contender::store(folder, "memory", memory(), false)?,
        ),
        ("write(2) a span", Contender::WriteEach(file)),
    ])
}

fn run(folder: &Path, payload_bytes: usize, spans: usize) -> Outcome<()> {
    let record = record(payload_bytes);
    let mut contenders = contenders(folder)?;
    let mut failure = Ok(());
    let costs = rounds(ROUNDS, contenders.len(), |number| {
        let contender = &mut contenders[number].1;
        let (appended, cost) = measure(|| contender.append(&record, spans));
        if let Err(error) = appended.and_then(|()| contender.settle()) {
            failure = Err(error);
        }
        cost.thread_cpu.as_nanos() as f64 / spans as f64
    });
    failure?;
    let floor = median(&mut costs[0].clone());
    let rows: Vec<_> = contenders
        .iter()
        .zip(costs)
        .map(|((name, _), mut costs)| {
            // The first rounds make the files and their pages.
            costs.drain(..5);
            let best = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let middle = median(&mut costs);
            let figures = [best, middle, middle - floor].map(|figure| format!("{figure:.0}"));
            [(*name).to_owned()].into_iter().chain(figures).collect()
        })
        .collect();
    let title = format!("{} bytes a span, {spans} spans a burst", record.len());
    let head = ["ns of CPU a span", "best", "median", "above vector"];
    print_table(&title, &head, &rows);
    Ok(())
}

fn main() -> Outcome<()> {
    let folder = std::env::args_os()
        .skip(1)
        .find(|argument| argument != "--bench");
    let folder = match folder {
        Some(folder) => tempfile::tempdir_in(PathBuf::from(folder))?,
        None => tempfile::tempdir()?,
    };
    for name in ["small", "large"] {
        std::fs::create_dir(folder.path().join(name))?;
    }
    run(&folder.path().join("small"), 0, 4_000)?;
    run(&folder.path().join("large"), 2_048, 1_000)
}
