//! The harness of the benchmarks: contenders run in shuffled rounds, medians are printed.
//!
//! A benchmark is a `main` that names its contenders and what one run of each does. Wall-clock
//! figures move with the machine; read the ratios to the first contender, and CPU time before
//! wall time.

mod server;
pub mod sqlite;
pub mod workload;

use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub use server::{Answer, serve};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Time on the wall.
    pub wall: Duration,
    /// CPU time of the whole process, background threads included.
    pub process_cpu: Duration,
    /// CPU time of the calling thread.
    pub thread_cpu: Duration,
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// Runs `work` once and gives its result with what it took.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (process, thread) = (
        clock(ClockId::ProcessCPUTime),
        clock(ClockId::ThreadCPUTime),
    );
    let start = Instant::now();
    let result = work();
    let cost = Cost {
        wall: start.elapsed(),
        process_cpu: clock(ClockId::ProcessCPUTime).saturating_sub(process),
        thread_cpu: clock(ClockId::ThreadCPUTime).saturating_sub(thread),
    };
    (result, cost)
}

/// The middle value; of an even number the lower one. 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0.0)
}

/// The value below which `part` of all lie (0.99 for the 99th percentile). 0 of nothing.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * part).ceil() as usize).saturating_sub(1);
    values
        .get(index.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// Runs every contender `rounds` times, in an order that turns by one each round so that none
/// always follows the same neighbour, and gives the results by contender.
pub fn rounds<T>(rounds: usize, contenders: usize, mut run: impl FnMut(usize) -> T) -> Vec<Vec<T>> {
    let mut results: Vec<Vec<T>> = (0..contenders).map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for step in 0..contenders {
            let contender = (round + step) % contenders;
            results[contender].push(run(contender));
        }
    }
    results
}

/// Prints rows of text under a head, columns aligned, numbers to the right.
pub fn print_table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout().lock();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let text: Vec<String> = cells
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        writeln!(out, "{}", text.join("  ").trim_end())
    };
    // A benchmark whose output is closed has nobody left to tell.
    let printed = line(&mut [title].into_iter())
        .and_then(|()| line(&mut head.iter().copied()))
        .and_then(|()| {
            rows.iter()
                .try_for_each(|row| line(&mut row.iter().map(String::as_str)))
        })
        .and_then(|()| line(&mut [""].into_iter()));
    drop(printed);
}

/// Prints whether a figure keeps within a limit.
pub fn print_goal(what: &str, figure: f64, at_most: f64) {
    let verdict = if figure <= at_most {
        "holds "
    } else {
        "MISSED"
    };
    let mut out = std::io::stdout().lock();
    // A benchmark whose output is closed has nobody left to tell.
    drop(writeln!(
        out,
        "{verdict} {what}: {figure:.2}, at most {at_most}"
    ));
}

/// What the system says of the memory of this process, in KiB: `VmRSS` is what is in RAM, `VmHWM`
/// the most that ever was.
pub fn memory_kib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_few_values() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&mut [4.0, 1.0, 2.0, 3.0]) - 2.0).abs() < f64::EPSILON);
        assert!((quantile(&mut [1.0, 2.0, 3.0, 4.0], 0.99) - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn every_contender_runs_in_every_round() {
        assert_eq!(rounds(3, 2, |contender| contender), [[0, 0, 0], [1, 1, 1]]);
    }
}
