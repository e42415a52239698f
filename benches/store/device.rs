//! How many bytes the store writes over a longer time in which it gets ten traces in each tenth of
//! a second, all of them durable then.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use spanlite_benches::print_table;
use spanlite_benches::workload::{SPANS_PER_TRACE, Workload};
use spanlite_store::{OpenOptions, Store};

use super::{Failure, TRACES_PER_COMMIT, Written, spanlite};

const RHYTHM: Duration = Duration::from_millis(100);

/// What the disk of a folder got from everybody, in bytes.
fn disk_got(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let number = std::fs::metadata(folder)?.dev();
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    // Field 7 counts sectors of 512 bytes, on every disk.
    let sectors = stat
        .ok()
        .and_then(|stat| stat.split_whitespace().nth(6)?.parse().ok());
    Ok(sectors.unwrap_or(0u64) * 512)
}

/// Writes for so many seconds, and prints bytes a span.
pub(crate) fn compare(folder: &Path, seconds: u64, with_texts: bool) -> Result<(), Failure> {
    let n_traces = seconds * 10 * TRACES_PER_COMMIT;
    let workload = Workload::new(n_traces, with_texts);
    let before = (Written::now(), disk_got(folder)?);
    let options = OpenOptions {
        resource: workload.trace(0).spans[0].resource.as_ref().clone(),
        ..OpenOptions::default()
    };
    let store = Store::open(folder.join("traces.spans"), options)?;
    let begin = Instant::now();
    for (round, first) in (0..).zip((0..n_traces).step_by(TRACES_PER_COMMIT as usize)) {
        spanlite::append(&store, &workload, first..first + TRACES_PER_COMMIT)?;
        let next = begin + RHYTHM * (round + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    store.close()?;
    // What is left in the page cache of the disk's file system counts too.
    rustix::fs::sync();
    let written = Written::now().since(before.0);
    let disk = disk_got(folder)? - before.1;
    let n_spans = (n_traces * SPANS_PER_TRACE as u64) as f64;
    let row = |name: &str, bytes: u64| {
        let of_span = bytes as f64 / n_spans;
        vec![name.to_owned(), format!("{of_span:.0}")]
    };
    let what = if with_texts {
        "2 KiB of texts"
    } else {
        "small"
    };
    print_table(
        &format!("{seconds} s, {what}: bytes a span, of {n_spans} spans"),
        &["", "bytes"],
        &[
            row("handed to write(2)", written.calls),
            row("sent to disks, by the system's count", written.pages),
            row("that the disk got, from all programs", disk),
        ],
    );
    Ok(())
}
