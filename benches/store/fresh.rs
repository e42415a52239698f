//! What is measured in a process of its own: the first answer, a kill, the peak of memory.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spanlite_benches::sqlite::Sqlite;
use spanlite_benches::workload::Workload;
use spanlite_benches::{median, memory_kib, print_table};
use spanlite_model::TraceId;
use spanlite_store::{OpenOptions, Retention, Store, TimeRange};

use super::spanlite::Spanlite;
use super::{Contender as _, Failure};

/// How often a fresh process is asked.
const STARTS: usize = 21;
/// Retention takes half of so many segments, or a few more.
const SEGMENTS: u64 = 12;

/// The part of a child process; false if this process is none.
pub(crate) fn play() -> Result<bool, Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fresh-by-id", path, trace_id] => {
            let store = Store::open(path, OpenOptions::read_only())?;
            let trace = store.snapshot()?.trace(trace_id.parse()?)?;
            assert!(trace.is_some());
        }
        ["fresh-write", path, n_traces, texts] => {
            let n_traces = n_traces.parse()?;
            let workload = Workload::new(n_traces, *texts == "texts");
            Spanlite::new(Path::new(path)).write(&workload, n_traces)?;
            say(&format!("{:.0}", peak_mebibytes()))?;
        }
        ["fresh-scan", path] => {
            let mut contender = Spanlite::new(Path::new(path));
            contender.open()?;
            contender.scan()?;
            say(&format!("{:.0}", peak_mebibytes()))?;
        }
        ["fresh-hang", path, n_traces] => {
            let n_traces: u64 = n_traces.parse()?;
            let store = Store::open(path, OpenOptions::default())?;
            super::spanlite::append_all(&store, &Workload::new(n_traces, false), n_traces)?;
            say("ready")?;
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Tells the parent.
fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn child(words: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    Ok(command)
}

fn answer(words: &[&str]) -> Result<String, Failure> {
    let output = child(words)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{words:?} ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The most memory this process ever had, without what files were mapped into it.
fn peak_mebibytes() -> f64 {
    memory_kib("VmHWM").map_or(0.0, |kib| kib as f64 / 1024.0)
}

fn text(path: &Path) -> Result<&str, Failure> {
    Ok(path
        .to_str()
        .ok_or("the path of the workspace is not text")?)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Measures a store that was written, which has the traces of `workload`.
pub(crate) fn compare(
    title: &str,
    folder: &Path,
    workload: &Workload,
    n_traces: u64,
    with_texts: bool,
) -> Result<(), Failure> {
    let store = folder.join("traces.spans");
    let mut starts = Vec::new();
    for start in 0..STARTS as u64 {
        let trace_id: TraceId = workload.trace(start * 7_919 % n_traces).trace_id;
        let begin = Instant::now();
        answer(&["fresh-by-id", text(&store)?, &trace_id.to_hex()])?;
        starts.push(millis(begin.elapsed()));
    }
    let scan_peak = answer(&["fresh-scan", text(folder)?])?;
    let again = folder.join("again");
    std::fs::create_dir(&again)?;
    let texts = if with_texts { "texts" } else { "small" };
    let write_peak = answer(&["fresh-write", text(&again)?, &n_traces.to_string(), texts])?;
    let (open, recovered) = open_after_kill(&folder.join("killed"), n_traces.min(100_000))?;
    let segment_bytes = segment_bytes(&store)? / SEGMENTS;
    let segments = folder.join("segments");
    let (delete, freed, n_segments) = delete_half(&segments, workload, n_traces, segment_bytes)?;
    let peer = folder.with_file_name("1").join("traces.sqlite");
    let peer = if peer.try_exists()? {
        let (took, free) = delete_half_of_peer(&peer, workload, n_traces)?;
        format!("{took:.0} / {free:.2}")
    } else {
        "-".to_owned()
    };
    print_table(
        &format!("{title}: spanlite in processes of its own"),
        &["", "figure"],
        &[
            row(
                "first answer by id, whole process, ms",
                format!("{:.1}", median(&mut starts)),
            ),
            row("open after kill -9, ms", format!("{open:.1}")),
            row("… spans replayed from the journal", recovered.to_string()),
            row(
                &format!("delete the oldest half of {n_segments} segments, ms"),
                format!("{delete:.1}"),
            ),
            row(
                "… part of the segments' bytes that is free then",
                format!("{freed:.2}"),
            ),
            row("… SQLite, with VACUUM, ms / part that is free", peer),
            row("peak memory of the writer, MiB", write_peak),
            row("peak memory of a scan, MiB", scan_peak),
        ],
    );
    Ok(())
}

fn row(name: &str, figure: String) -> Vec<String> {
    vec![name.to_owned(), figure]
}

/// How long a store takes to open whose writer was killed, until everything can be read.
fn open_after_kill(folder: &Path, n_traces: u64) -> Result<(f64, u64), Failure> {
    let mut writer = child(&["fresh-hang", text(folder)?, &n_traces.to_string()])?
        .stdout(Stdio::piped())
        .spawn()?;
    let out = writer.stdout.take().ok_or("the child has no output")?;
    let mut said = String::new();
    BufReader::new(out).read_line(&mut said)?;
    writer.kill()?;
    writer.wait()?;
    let begin = Instant::now();
    let store = Store::open(folder, OpenOptions::default())?;
    let in_segments = store.snapshot()?;
    let open = millis(begin.elapsed());
    let traces = in_segments.count_traces()? as u64;
    assert_eq!(traces, n_traces, "a kill lost traces");
    let loose = in_segments.loose()?.count() as u64;
    Ok((
        open,
        loose * spanlite_benches::workload::SPANS_PER_TRACE as u64,
    ))
}

/// How long retention takes for half of a store of several segments, and what part of it is free.
fn delete_half(
    folder: &Path,
    workload: &Workload,
    n_traces: u64,
    max_bytes: u64,
) -> Result<(f64, f64, u64), Failure> {
    let options = OpenOptions {
        segment_bytes: max_bytes,
        ..OpenOptions::default()
    };
    let store = Store::open(folder, options)?;
    super::spanlite::append_all(&store, workload, n_traces)?;
    store.seal()?;
    let before = segment_bytes(folder)?;
    let n_segments = store.info()?.segments;
    let retention = Retention {
        max_traces: Some(n_traces / 2),
        ..Retention::default()
    };
    let begin = Instant::now();
    let report = store.gc(&retention, false, &BTreeSet::new())?;
    let took = millis(begin.elapsed());
    let left = store.snapshot()?.trace_ids(TimeRange::default())?.len() as u64;
    let gone: u64 = report.removed.iter().map(|segment| segment.traces).sum();
    // A trace whose spans two commits stored counts in both segments.
    assert!(left < n_traces && gone >= n_traces / 3 && left + gone >= n_traces);
    let after = segment_bytes(folder)?;
    Ok((took, 1.0 - after as f64 / before as f64, n_segments))
}

/// The same for SQLite, which gives space back by writing the rest anew.
fn delete_half_of_peer(
    path: &Path,
    workload: &Workload,
    n_traces: u64,
) -> Result<(f64, f64), Failure> {
    let database = Sqlite::open(path)?;
    let before = std::fs::metadata(path)?.len();
    let middle = workload.trace(n_traces / 2).start_time_unix_nano();
    let begin = Instant::now();
    database.delete_before(middle.unwrap_or(0))?;
    let took = millis(begin.elapsed());
    let after = std::fs::metadata(path)?.len();
    Ok((took, 1.0 - after as f64 / before as f64))
}

/// How much of the disk the segments of a store take, without its journals.
fn segment_bytes(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("seg-") {
            let blocks = entry.metadata()?.blocks();
            bytes += blocks * 512;
        }
    }
    Ok(bytes)
}
