use std::time::{Duration, Instant};

use spanlite_benches::median;

/// Runs of which the median counts.
pub(crate) const ROUNDS: usize = 7;
/// A contender gets so long for a row; what takes longer once is not repeated.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);

/// The median of a few runs.
pub(crate) struct Timing {
    seconds: Option<f64>,
    /// What a run found.
    pub(crate) found: Option<usize>,
}

impl Timing {
    pub(crate) fn of(mut seconds: Vec<f64>, found: usize) -> Self {
        Self {
            seconds: Some(median(&mut seconds)),
            found: Some(found),
        }
    }

    /// It took too long.
    pub(crate) fn late() -> Self {
        Self {
            seconds: None,
            found: None,
        }
    }

    /// Runs once to warm up, then a few times. `run` gives nothing if it took too long.
    pub(crate) fn measure(mut run: impl FnMut() -> Option<usize>) -> Self {
        let begun = Instant::now();
        let Some(mut found) = run() else {
            return Self::late();
        };
        let mut seconds = vec![begun.elapsed().as_secs_f64()];
        for round in 0..ROUNDS {
            if begun.elapsed() > LIMIT {
                break;
            }
            let start = Instant::now();
            let Some(n) = run() else { break };
            if round == 0 {
                seconds.clear();
            }
            seconds.push(start.elapsed().as_secs_f64());
            found = n;
        }
        Self::of(seconds, found)
    }

    pub(crate) fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    pub(crate) fn show(&self) -> String {
        match self.seconds {
            None => format!("> {} s", LIMIT.as_secs()),
            Some(seconds) if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
            Some(seconds) => format!("{:.1} ms", seconds * 1e3),
        }
    }
}
