//! The time of spans, cheaper than the system's clocks where the processor allows it.
//!
//! A time is taken as a count of ticks and turned into Unix nanoseconds by an anchor that each
//! thread renews once a second from the system clock. The length of a span comes from ticks alone,
//! so it is never negative, whatever happens to the system clock meanwhile.
//!
//! Ticks are those of the time-stamp counter, used only where the kernel itself keeps time by it,
//! which means that it runs evenly and is the same on all cores. Elsewhere, and until 50 ms have
//! passed since the first span, times are read from the system; nothing is measured when the
//! program starts.

mod counter;

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    ticks: u64,
    pub(crate) unix_nanos: u64,
}

impl Stamp {
    /// A time that no clock said.
    pub(crate) fn fixed(unix_nanos: u64) -> Self {
        Self {
            ticks: 0,
            unix_nanos,
        }
    }
}

/// Where ticks and system time met for the first time.
struct Origin {
    ticks: u64,
    instant: Instant,
    uses_counter: bool,
}

/// What turns ticks into Unix nanoseconds.
#[derive(Clone, Copy)]
struct Anchor {
    ticks: u64,
    unix_nanos: u64,
    /// Nanoseconds a tick, in units of 2⁻³².
    rate: u64,
    /// Ticks after which it is renewed.
    lasts: u64,
}

/// How long the rate is measured before it is used.
const CALIBRATION: Duration = Duration::from_millis(50);

thread_local! {
    static ANCHOR: Cell<Anchor> = const {
        Cell::new(Anchor { ticks: 0, unix_nanos: 0, rate: 0, lasts: 0 })
    };
}

impl Anchor {
    fn nanos(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.rate)) >> 32) as u64
    }

    fn stamp(self, ticks: u64) -> Option<Stamp> {
        let since = ticks.checked_sub(self.ticks)?;
        (since < self.lasts).then(|| Stamp {
            ticks,
            unix_nanos: self.unix_nanos + self.nanos(since),
        })
    }
}

/// The present time.
#[inline]
pub(crate) fn now() -> Stamp {
    let ticks = counter::ticks();
    // A thread that is ending has lost its anchor; the system's clock serves it.
    let stamp = ANCHOR.try_with(|anchor| anchor.get().stamp(ticks));
    stamp.ok().flatten().unwrap_or_else(renew)
}

/// The present time as Unix nanoseconds, by the ticks since `start`.
#[inline]
pub(crate) fn end_of(start: Stamp) -> u64 {
    let ticks = counter::ticks();
    let by_ticks = ANCHOR.try_with(|anchor| {
        let anchor = anchor.get();
        // A start that no clock said has no ticks.
        let since = ticks.checked_sub(start.ticks).filter(|_| start.ticks > 0)?;
        (anchor.rate > 0).then(|| start.unix_nanos + anchor.nanos(since))
    });
    let by_ticks = by_ticks.ok().flatten();
    by_ticks.unwrap_or_else(|| now().unix_nanos.max(start.unix_nanos))
}

fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| Origin {
        ticks: counter::ticks(),
        instant: Instant::now(),
        uses_counter: counter::keeps_time(),
    })
}

/// Reads the system's clock, and renews the thread's anchor if the rate is known.
#[cold]
fn renew() -> Stamp {
    let origin = origin();
    let elapsed = origin.instant.elapsed();
    let ticks = counter::ticks();
    let unix_nanos = unix_nanos();
    if origin.uses_counter && elapsed >= CALIBRATION && ticks > origin.ticks {
        let rate = (elapsed.as_nanos() << 32) / u128::from(ticks - origin.ticks);
        let rate = u64::try_from(rate).unwrap_or(0);
        let anchor = Anchor {
            ticks,
            unix_nanos,
            rate,
            lasts: (1_000_000_000_u128 << 32)
                .checked_div(rate.into())
                .unwrap_or(0) as u64,
        };
        // Without a thread-local the next call reads the system's clock again.
        ANCHOR.try_with(|cell| cell.set(anchor)).unwrap_or_default();
    }
    Stamp { ticks, unix_nanos }
}

fn unix_nanos() -> u64 {
    // Before 1970 the clock is not set.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_system_clock_and_never_run_backwards() {
        let deadline = Instant::now() + 3 * CALIBRATION;
        let mut last = now();
        while Instant::now() < deadline {
            let (start, before) = (now(), unix_nanos());
            let end = end_of(start);
            assert!(end >= start.unix_nanos);
            let apart = start.unix_nanos.abs_diff(before);
            assert!(apart < 1_000_000_000, "{apart} ns off the system clock");
            last = start;
        }
        assert!(now().unix_nanos + 1_000_000 > last.unix_nanos);
    }

    #[test]
    fn an_anchor_turns_ticks_into_nanoseconds() {
        let anchor = Anchor {
            ticks: 100,
            unix_nanos: 5_000,
            rate: 1 << 31,
            lasts: 50,
        };
        let stamp = anchor.stamp(140).unwrap();
        assert_eq!(stamp.unix_nanos, 5_020);
        assert_eq!(anchor.stamp(150), None);
        assert_eq!(anchor.stamp(99), None);
    }
}
