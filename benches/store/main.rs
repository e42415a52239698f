//! The whole store beside SQLite, a bare file and Parquet: writing, size on disk, four questions,
//! and what is measured in fresh processes.
//!
//! `cargo bench -p spanlite-benches --bench store -- 100000 small` (traces of ten spans; `small` or
//! `texts`, of which there are a fifth; without it both; `alone` leaves SQLite out). The default is
//! 20,000 traces; 100,000 are a million spans.
//!
//! `growth 100000 1000000` asks stores of a million and of ten million small spans; `device 600
//! small /mnt` writes for ten minutes, below a folder if one is given, and counts bytes.

mod device;
mod fresh;
mod growth;
mod parquet;
mod raw;
mod spanlite;
mod sqlite;

use std::path::{Path, PathBuf};
use std::time::Duration;

use spanlite_benches::workload::{Random, SPANS_PER_TRACE, Workload};
use spanlite_benches::{Cost, measure, median, print_table};
use spanlite_model::TraceId;

/// Traces that arrive between two durable commits.
const TRACES_PER_COMMIT: u64 = 10;
const QUESTIONS: usize = 200;
const SCANS: usize = 5;

type Failure = Box<dyn std::error::Error>;

/// One of the stores that are compared.
trait Contender {
    fn name(&self) -> &'static str;
    /// Stores all traces, durably, ten at a time.
    fn write(&mut self, workload: &Workload, n_traces: u64) -> Result<(), Failure>;
    /// Gets ready to answer.
    fn open(&mut self) -> Result<(), Failure>;
    /// How many spans a trace has, all of them read.
    fn trace(&self, trace_id: TraceId) -> Result<usize, Failure>;
    /// How many spans the traces with the tag `incident` have, all of them read.
    fn incident(&self) -> Result<usize, Failure>;
    /// The ids of the latest 100 traces with a failed span.
    fn failed(&self) -> Result<usize, Failure>;
    /// How many spans have the attribute `region`, which has no index, with the value `eu`.
    fn scan(&self) -> Result<usize, Failure>;
}

fn bytes_on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_on_disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// Bytes that this process handed to write(2), and that it had sent to disks as the system counts
/// it: whole pages, those of mapped files among them.
#[derive(Clone, Copy)]
struct Written {
    calls: u64,
    pages: u64,
}

impl Written {
    fn now() -> Self {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        Self {
            calls: field("wchar:"),
            pages: field("write_bytes:"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            pages: self.pages - before.pages,
        }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1_000.0
}

/// The middle of what `ask` takes, in microseconds of CPU of this thread, which does all of it.
fn middle(times: usize, mut ask: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut micros_each = Vec::with_capacity(times);
    for _ in 0..times {
        let (answer, cost) = measure(&mut ask);
        answer?;
        micros_each.push(micros(cost.thread_cpu));
    }
    Ok(median(&mut micros_each))
}

/// What the questions cost, in microseconds of CPU.
struct Answers {
    by_id: f64,
    rare: f64,
    failed: f64,
    scan: f64,
}

/// Asks a contender that is open.
fn ask(contender: &dyn Contender, workload: &Workload, n_traces: u64) -> Result<Answers, Failure> {
    let n_spans = n_traces * SPANS_PER_TRACE as u64;
    let ids: Vec<TraceId> = {
        let mut random = Random::new(5);
        let number = |_| workload.trace(random.below(n_traces)).trace_id;
        (0..QUESTIONS).map(number).collect()
    };
    let mut next = ids.iter().cycle();
    let by_id = middle(QUESTIONS, || {
        let id = next.next().copied().unwrap_or_default();
        assert_eq!(contender.trace(id)?, SPANS_PER_TRACE);
        Ok(())
    })?;
    let rare = middle(QUESTIONS, || {
        assert_eq!(contender.incident()?, 10 * SPANS_PER_TRACE);
        Ok(())
    })?;
    let is_failed = |number: &u64| {
        let trace = workload.trace(*number);
        trace.spans.iter().any(spanlite_model::Span::is_error)
    };
    let n_failed = (0..n_traces).filter(is_failed).take(100).count();
    let failed = middle(QUESTIONS, || {
        assert_eq!(contender.failed()?, n_failed);
        Ok(())
    })?;
    let mut found = 0;
    let scan = middle(SCANS, || {
        found = contender.scan()?;
        Ok(())
    })?;
    assert!(found as u64 > n_spans / 10, "{found} spans have the value");
    Ok(Answers {
        by_id,
        rare,
        failed,
        scan,
    })
}

fn row(
    contender: &mut dyn Contender,
    workload: &Workload,
    n_traces: u64,
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let n_spans = (n_traces * SPANS_PER_TRACE as u64) as f64;
    let before = Written::now();
    workload.take_making();
    let (done, cost): (_, Cost) = measure(|| contender.write(workload, n_traces));
    done?;
    let making = workload.take_making();
    let written = Written::now().since(before);
    let size = bytes_on_disk(folder) as f64 / n_spans;
    contender.open()?;
    let answers = ask(contender, workload, n_traces)?;
    let mut row = costs(contender.name(), &cost, making, n_spans, written);
    row.extend([
        format!("{size:.1}"),
        format!("{:.0}", answers.by_id),
        format!("{:.0}", answers.rare),
        format!("{:.0}", answers.failed),
        format!("{:.1}", n_spans / answers.scan),
    ]);
    Ok(row)
}

/// What writing cost: the columns that all rows have. The CPU time is without the `making` of the
/// spans.
fn costs(name: &str, cost: &Cost, making: Duration, n_spans: f64, written: Written) -> Vec<String> {
    vec![
        name.to_owned(),
        format!(
            "{:.2}",
            micros(cost.process_cpu.saturating_sub(making)) / n_spans
        ),
        format!("{:.0}", n_spans / cost.wall.as_secs_f64()),
        format!("{:.0}", written.calls as f64 / n_spans),
        format!("{:.0}", written.pages as f64 / n_spans),
    ]
}

/// A file of which nothing can be asked.
type WriteFile = fn(&Path, &Workload, u64) -> Result<PathBuf, Failure>;

/// What it costs to write the same traces into a file.
fn file_row(
    name: &str,
    write: WriteFile,
    workload: &Workload,
    n_traces: u64,
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let n_spans = (n_traces * SPANS_PER_TRACE as u64) as f64;
    let before = Written::now();
    workload.take_making();
    let (done, cost): (_, Cost) = measure(|| write(folder, workload, n_traces));
    let path = done?;
    let making = workload.take_making();
    let written = Written::now().since(before);
    let size = std::fs::metadata(&path)?.len() as f64 / n_spans;
    std::fs::remove_file(path)?;
    let mut row = costs(name, &cost, making, n_spans, written);
    row.push(format!("{size:.1}"));
    row.resize(10, "-".to_owned());
    Ok(row)
}

fn compare(title: &str, n_traces: u64, with_texts: bool, alone: bool) -> Result<(), Failure> {
    let workload = Workload::new(n_traces, with_texts);
    let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"))?;
    let mut rows = Vec::new();
    for number in 0..n_traces {
        workload.trace(number);
    }
    let making = micros(workload.take_making()) / (n_traces * SPANS_PER_TRACE as u64) as f64;
    let files: [(_, WriteFile); 2] = [
        ("raw append, fdatasync", raw::write),
        ("Parquet, zstd", parquet::write),
    ];
    for (name, write) in files {
        rows.push(file_row(name, write, &workload, n_traces, folder.path())?);
    }
    let contenders = match (alone, with_texts) {
        (true, _) => 1,
        (false, false) => 3,
        (false, true) => 4,
    };
    for number in 0..contenders {
        let folder = folder.path().join(number.to_string());
        std::fs::create_dir(&folder)?;
        let mut contender: Box<dyn Contender> = match number {
            0 => Box::new(spanlite::Spanlite::new(&folder)),
            1 => Box::new(sqlite::Peer::new(&folder, "NORMAL")?),
            2 => Box::new(sqlite::Peer::new(&folder, "FULL")?),
            _ => Box::new(sqlite::Peer::with_words(&folder)?),
        };
        rows.push(row(contender.as_mut(), &workload, n_traces, &folder)?);
    }
    print_table(
        &format!("{title}, {n_traces} traces; CPU is without {making:.2} us/span for making them"),
        &[
            "",
            "CPU us/span",
            "spans/s",
            "write(2) B/span",
            "paged out B/span",
            "disk B/span",
            "by id us",
            "rare us",
            "failed us",
            "scan M/s",
        ],
        &rows,
    );
    fresh::compare(
        title,
        &folder.path().join("0"),
        &workload,
        n_traces,
        with_texts,
    )
}

fn main() -> Result<(), Failure> {
    if fresh::play()? {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let mut numbers = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let n_traces: u64 = numbers.next().unwrap_or(20_000);
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
    if has("growth") {
        let folder = tempfile::tempdir_in(target)?;
        return growth::compare(
            folder.path(),
            [n_traces, numbers.next().unwrap_or(n_traces * 10)],
        );
    }
    if has("device") {
        let given = arguments.iter().find(|argument| argument.starts_with('/'));
        let folder = tempfile::tempdir_in(given.map_or(target, String::as_str))?;
        return device::compare(folder.path(), n_traces, has("texts"));
    }
    if !has("texts") {
        compare("small spans", n_traces, false, has("alone"))?;
    }
    if !has("small") {
        compare(
            "spans with 2 KiB of texts",
            n_traces / 5,
            true,
            has("alone"),
        )?;
    }
    Ok(())
}
