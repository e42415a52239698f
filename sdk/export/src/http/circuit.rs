use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// After so many failures in a row, on all connections together, nobody asks any more until the
/// pause is over.
const FAILURES_TO_OPEN: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Keeps requests away from a server that does not answer.
///
/// Every failure that may pass makes the next pause longer, up to a limit; a success ends it. While
/// the pause lasts all connections wait, then they try again. Without a success for the patience
/// given, the circuit gives up.
#[derive(Debug)]
pub(crate) struct Circuit {
    longest_pause: Duration,
    /// Absent: never gives up.
    patience: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    last_success: Instant,
    closed_until: Instant,
}

/// The server did not answer for as long as was waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp;

impl Circuit {
    pub(crate) fn new(longest_pause: Duration, patience: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            longest_pause,
            patience,
            state: Mutex::new(State {
                failures: 0,
                last_success: now,
                closed_until: now,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock is held for plain assignments only, which leave no half-made state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may be sent.
    pub(crate) async fn pass(&self) -> Result<(), GaveUp> {
        loop {
            let (failures, last_success, closed_until) = {
                let state = self.state();
                (state.failures, state.last_success, state.closed_until)
            };
            if failures < FAILURES_TO_OPEN {
                return Ok(());
            }
            if self
                .patience
                .is_some_and(|patience| last_success.elapsed() >= patience)
            {
                return Err(GaveUp);
            }
            if Instant::now() >= closed_until {
                return Ok(());
            }
            sleep_until(closed_until).await;
        }
    }

    /// Notes that the server answered, whatever it said.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.last_success = Instant::now();
    }

    /// Notes a failure that may pass, and returns how long to wait before the next try.
    pub(crate) fn failed(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(16));
        let pause = doubled.min(self.longest_pause);
        // Between half and all of it, so that connections do not come back in step.
        let pause = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        let pause = retry_after.map_or(pause, |asked| pause.max(asked));
        state.closed_until = state.closed_until.max(Instant::now() + pause);
        pause
    }

    /// Returns whether requests are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state().failures >= FAILURES_TO_OPEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_and_closes_with_a_success() {
        let circuit = Circuit::new(8 * SECOND, None);
        circuit.failed(0, None);
        circuit.failed(0, None);
        assert!(!circuit.is_open());
        circuit.failed(0, Some(60 * SECOND));
        assert!(circuit.is_open());
        let before = Instant::now();
        circuit.pass().await.unwrap();
        assert_eq!(before.elapsed().as_secs(), 60);
        circuit.succeeded();
        assert!(!circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit() {
        let circuit = Circuit::new(8 * SECOND, None);
        for attempt in 0..40 {
            let pause = circuit.failed(attempt, None);
            let full = FIRST_PAUSE
                .saturating_mul(1 << attempt.min(10))
                .min(8 * SECOND);
            assert!(pause <= full && pause >= full / 2, "{attempt}: {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_after_its_patience() {
        let circuit = Circuit::new(8 * SECOND, Some(30 * SECOND));
        let begin = Instant::now();
        let mut attempt = 0;
        while circuit.pass().await.is_ok() {
            circuit.failed(attempt, None);
            attempt += 1;
        }
        let waited = begin.elapsed();
        assert!(waited >= 30 * SECOND && waited < 40 * SECOND, "{waited:?}");
    }
}
