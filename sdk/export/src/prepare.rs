use spanlite_model::{Span, Status, StatusCode, Trace, TraceState};

use crate::adjust::Adjustments;
use crate::redact::Redaction;
use crate::repeats::number_repeats;

/// The status message of a span whose program died while it ran.
const INTERRUPTED: &str = "interrupted: the program ended before this span did";

/// A span that is open although nothing came of its trace for so long has been abandoned: its
/// program died without a trace in the journals, or a file was imported that has no ends.
const ABANDONED_AFTER_NANOS: u64 = 24 * 3_600 * 1_000_000_000;

/// Whether a trace can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing of it is open, or what is open will never end and is to be sent all the same.
    Ready,
    /// A span is open and its writer lives.
    Running,
    /// A span is open and its writer is gone, or nothing came of it for a day.
    Interrupted,
    /// Its root has not come, and something of it came a moment ago.
    Unsettled,
}

impl Readiness {
    /// How ready a trace is at a time. A trace without its root is waited for until nothing came
    /// for `settle_nanos`; one that ends in the future, by a clock that was wrong, is not.
    pub(crate) fn of(trace: &Trace, now_unix_nano: u64, settle_nanos: u64) -> Self {
        let last = last_sign_of(trace);
        let rests_since = now_unix_nano.checked_sub(last);
        if has_open_span(trace) {
            let is_over = trace.state() == TraceState::Interrupted
                || rests_since.is_some_and(|nanos| nanos >= ABANDONED_AFTER_NANOS);
            return if is_over {
                Self::Interrupted
            } else {
                Self::Running
            };
        }
        let is_settled = rests_since.is_none_or(|nanos| nanos >= settle_nanos);
        if trace.state() == TraceState::InProgress && !is_settled {
            return Self::Unsettled;
        }
        Self::Ready
    }
}

/// What is done to a trace before a target's own rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preparation {
    pub(crate) redaction: Redaction,
    pub(crate) number_repeats: bool,
}

impl Preparation {
    pub(crate) fn apply(&self, trace: &mut Trace, adjusted: &mut Adjustments) {
        if has_open_span(trace) {
            close_open_spans(trace, adjusted);
        }
        adjusted.redacted += self.redaction.apply(trace);
        if self.number_repeats {
            number_repeats(trace);
        }
        // The store gives spans in no promised order; what is sent must not depend on it.
        trace
            .spans
            .sort_by_key(|span| (span.start_time_unix_nano, span.span_id));
    }
}

/// Ends what a dead program left open at the last moment something is known of the trace.
fn close_open_spans(trace: &mut Trace, adjusted: &mut Adjustments) {
    let last = last_sign_of(trace);
    trace.info.state = Some(TraceState::Interrupted);
    for span in &mut trace.spans {
        if span.end_time_unix_nano.is_some() {
            continue;
        }
        span.end_time_unix_nano = Some(last);
        if span.status.code == StatusCode::Unset {
            span.status = Status::error(INTERRUPTED);
        }
        adjusted.closed_spans += 1;
    }
}

fn has_open_span(trace: &Trace) -> bool {
    let mut spans = trace.spans.iter();
    spans.any(|span| span.end_time_unix_nano.is_none())
}

fn last_sign_of(trace: &Trace) -> u64 {
    trace.spans.iter().map(last_sign).max().unwrap_or(0)
}

fn last_sign(span: &Span) -> u64 {
    let events = span.events.iter().map(|event| event.time_unix_nano);
    events
        .chain(span.end_time_unix_nano)
        .fold(span.start_time_unix_nano, u64::max)
}

#[cfg(test)]
mod tests {
    use spanlite_model::{Event, SpanId, TraceId};

    use super::*;

    const ID: TraceId = TraceId::from_bytes([1; 16]);

    fn span(id: u8, parent: Option<u8>, start: u64, end: Option<u64>) -> Span {
        let mut span = Span::new(ID, SpanId::from_bytes([id; 8]), "s");
        span.parent_span_id = parent.map(|id| SpanId::from_bytes([id; 8]));
        span.start_time_unix_nano = start;
        span.end_time_unix_nano = end;
        span
    }

    fn readiness(trace: &Trace, now: u64) -> Readiness {
        Readiness::of(trace, now, 60)
    }

    #[test]
    fn open_traces_wait_and_rootless_ones_wait_until_they_rest() {
        let ended = Trace::new(ID, vec![span(1, None, 0, Some(100))]);
        assert_eq!(readiness(&ended, 100), Readiness::Ready);
        let mut open = Trace::new(
            ID,
            vec![span(1, None, 0, None), span(2, Some(1), 0, Some(5))],
        );
        assert_eq!(readiness(&open, 10_000), Readiness::Running);
        let a_day_later = 5 + ABANDONED_AFTER_NANOS;
        assert_eq!(readiness(&open, a_day_later), Readiness::Interrupted);
        open.info.state = Some(TraceState::Interrupted);
        assert_eq!(readiness(&open, 10_000), Readiness::Interrupted);
        let rootless = Trace::new(ID, vec![span(2, Some(1), 0, Some(100))]);
        assert_eq!(readiness(&rootless, 120), Readiness::Unsettled);
        assert_eq!(readiness(&rootless, 160), Readiness::Ready);
        assert_eq!(readiness(&rootless, 20), Readiness::Ready);
    }

    #[test]
    fn what_a_dead_program_left_open_ends_with_its_last_sign() {
        let mut root = span(1, None, 10, None);
        root.events.push(Event {
            time_unix_nano: 70,
            ..Event::default()
        });
        let mut trace = Trace::new(ID, vec![span(2, Some(1), 20, Some(50)), root]);
        trace.info.state = Some(TraceState::Interrupted);
        let mut adjusted = Adjustments::default();
        Preparation::default().apply(&mut trace, &mut adjusted);
        let ends: Vec<_> = trace
            .spans
            .iter()
            .map(|span| span.end_time_unix_nano)
            .collect();
        assert_eq!(ends, [Some(70), Some(50)]);
        assert_eq!(trace.spans[0].status, Status::error(INTERRUPTED));
        assert_eq!(trace.spans[1].status, Status::default());
        assert_eq!(adjusted.closed_spans, 1);
        assert_eq!(trace.state(), TraceState::Interrupted);
    }
}
