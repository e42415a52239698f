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
/// the pause lasts all connections wait, then they try again. A failure that comes when the patience
/// is over, counted from the first failure since a success, makes the circuit give up; the last try
/// is made when it is just over, or when the server asked for it.
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
    /// The first failure since a success.
    failing_since: Option<Instant>,
    closed_until: Instant,
    gave_up: bool,
}

/// The server did not answer for as long as was waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp;

impl Circuit {
    pub(crate) fn new(longest_pause: Duration, patience: Option<Duration>) -> Self {
        Self {
            longest_pause,
            patience,
            state: Mutex::new(State {
                failures: 0,
                failing_since: None,
                closed_until: Instant::now(),
                gave_up: false,
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
            let (failures, closed_until) = {
                let state = self.state();
                if state.gave_up {
                    return Err(GaveUp);
                }
                (state.failures, state.closed_until)
            };
            if failures < FAILURES_TO_OPEN || Instant::now() >= closed_until {
                return Ok(());
            }
            sleep_until(closed_until).await;
        }
    }

    /// Notes that the server answered, whatever it said.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.failing_since = None;
        state.gave_up = false;
    }

    /// Notes a failure that may pass, and returns how long to wait before the next try.
    pub(crate) fn failed(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
    ) -> Result<Duration, GaveUp> {
        let now = Instant::now();
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let failing_since = *state.failing_since.get_or_insert(now);
        let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(16));
        let pause = doubled.min(self.longest_pause);
        // Between half and all of it, so that connections do not come back in step.
        let mut pause = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        if let Some(patience) = self.patience {
            let left = patience.saturating_sub(now.saturating_duration_since(failing_since));
            if left.is_zero() {
                state.gave_up = true;
                return Err(GaveUp);
            }
            pause = pause.min(left);
        }
        pause = pause.max(retry_after.unwrap_or_default());
        state.closed_until = state.closed_until.max(now + pause);
        if state.failures < FAILURES_TO_OPEN {
            return Ok(pause);
        }
        Ok(state.closed_until.saturating_duration_since(now))
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
        circuit.failed(0, None).unwrap();
        circuit.failed(0, None).unwrap();
        assert!(!circuit.is_open());
        let pause = circuit.failed(0, Some(60 * SECOND));
        assert_eq!(pause, Ok(60 * SECOND));
        assert!(circuit.is_open());
        let pause = circuit.failed(0, None);
        assert_eq!(pause, Ok(60 * SECOND), "all connections wait together");
        let before = Instant::now();
        circuit.pass().await.unwrap();
        assert_eq!(before.elapsed().as_secs(), 60);
        circuit.succeeded();
        assert!(!circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit() {
        for attempt in 0..40 {
            let circuit = Circuit::new(8 * SECOND, None);
            let pause = circuit.failed(attempt, None).unwrap();
            let full = FIRST_PAUSE
                .saturating_mul(1 << attempt.min(10))
                .min(8 * SECOND);
            assert!(pause <= full && pause >= full / 2, "{attempt}: {pause:?}");
        }
    }

    /// How long it is tried, and how often, while nothing ever succeeds.
    async fn try_in_vain(circuit: &Circuit, retry_after: Option<Duration>) -> (Duration, u32) {
        let begin = Instant::now();
        let mut tries = 0;
        while circuit.pass().await.is_ok() {
            let Ok(pause) = circuit.failed(tries, retry_after) else {
                return (begin.elapsed(), tries + 1);
            };
            tokio::time::sleep(pause).await;
            tries += 1;
        }
        (begin.elapsed(), tries)
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_with_a_last_try_when_its_patience_is_over() {
        let circuit = Circuit::new(8 * SECOND, Some(30 * SECOND));
        let (waited, tries) = try_in_vain(&circuit, None).await;
        assert_eq!(waited.as_secs(), 30);
        assert!((8..=16).contains(&tries), "{tries}");
        // Those who come later do not begin anew.
        assert_eq!(circuit.pass().await, Err(GaveUp));

        let busy = Circuit::new(8 * SECOND, Some(30 * SECOND));
        let (waited, tries) = try_in_vain(&busy, Some(900 * SECOND)).await;
        assert_eq!((waited.as_secs(), tries), (900, 2));

        let none = Circuit::new(8 * SECOND, Some(Duration::ZERO));
        assert_eq!(try_in_vain(&none, None).await, (Duration::ZERO, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_counts_from_the_first_failure_since_a_success() {
        let circuit = Circuit::new(8 * SECOND, Some(30 * SECOND));
        // Nothing was to be sent for long.
        tokio::time::sleep(100 * SECOND).await;
        assert!(circuit.failed(0, None).is_ok());
        tokio::time::sleep(20 * SECOND).await;
        circuit.succeeded();
        tokio::time::sleep(20 * SECOND).await;
        assert!(circuit.failed(0, None).is_ok());
    }
}
