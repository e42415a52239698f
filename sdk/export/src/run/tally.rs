use std::sync::{Mutex, MutexGuard, PoisonError};

use spanlite_model::TraceId;

use super::{RunEvent, RunOptions};
use crate::report::{ExportReport, RunEnd};

/// What a pass has done so far, told to whoever watches.
#[derive(Debug)]
pub(super) struct Tally {
    report: Mutex<ExportReport>,
    options: RunOptions,
}

impl Tally {
    pub(super) fn new(options: &RunOptions, n_selected: u64) -> Self {
        Self {
            report: Mutex::new(ExportReport {
                n_selected,
                ..ExportReport::default()
            }),
            options: options.clone(),
        }
    }

    fn report(&self) -> MutexGuard<'_, ExportReport> {
        // Numbers are added under the lock, nothing that could be left half done.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut ExportReport)) {
        change(&mut self.report());
    }

    /// Notes something and tells how far the run is.
    pub(super) fn progress(&self, change: impl FnOnce(&mut ExportReport)) {
        let report = {
            let mut report = self.report();
            change(&mut report);
            report.clone()
        };
        self.options.tell(RunEvent::Progress(&report));
    }

    pub(super) fn refused(&self, trace_id: TraceId, reason: &str) {
        self.options.tell(RunEvent::Refused { trace_id, reason });
    }

    /// Ends the pass early; the first reason counts, and the first trouble that somebody had.
    pub(super) fn end(&self, end: RunEnd, trouble: Option<String>) {
        let mut report = self.report();
        if report.end == RunEnd::Unfinished {
            report.end = end;
        }
        if report.trouble.is_none() {
            report.trouble = trouble;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.report().end != RunEnd::Unfinished
    }

    /// The report of the pass: what was not looked at is left.
    pub(super) fn finish(&self) -> ExportReport {
        let mut report = self.report().clone();
        report.n_left = 0;
        report.n_left = report.n_selected.saturating_sub(report.n_done());
        if report.end == RunEnd::Unfinished {
            report.end = if self.options.stop.is_stopped() {
                RunEnd::Stopped
            } else {
                RunEnd::Complete
            };
        }
        report
    }
}
