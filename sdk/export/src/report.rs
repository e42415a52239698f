use serde::{Deserialize, Serialize};

use crate::adjust::Adjustments;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExportReport {
    /// Traces that the query selected.
    pub n_selected: u64,
    /// Traces that the target took in this run for the first time.
    pub n_sent: u64,
    /// Traces that had changed since they were sent, and were sent again.
    pub n_updated: u64,
    /// Traces that the target had already.
    pub n_unchanged: u64,
    /// Traces that wait because they are running.
    pub n_running: u64,
    /// Traces that wait because their program died before they ended.
    pub n_interrupted: u64,
    /// Traces that wait because their root has not come yet.
    pub n_unsettled: u64,
    /// Traces that could not be brought to the target in this run.
    pub n_left: u64,
    /// Traces that the target will not take, those of earlier runs included.
    pub n_refused: u64,
    /// Damaged parts of the store that were skipped: traces may be missing from the selection.
    pub n_damaged: u64,
    /// Spans that were sent.
    pub n_spans: u64,
    /// Bytes that were sent, packed.
    pub n_bytes: u64,
    /// Changes made on the server that were left as they are.
    pub n_kept_edits: u64,
    /// What had to be changed in what was sent.
    pub adjusted: Adjustments,
    /// How the run ended.
    pub end: RunEnd,
    /// What the network or the target said last, when the target could not be reached.
    pub trouble: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEnd {
    /// It is under way, or its process was killed.
    #[default]
    Unfinished,
    /// It tried all that was selected.
    Complete,
    /// The stop signal was given.
    Stopped,
    /// The target did not answer for as long as was waited.
    Unreachable,
}

impl ExportReport {
    /// Traces that wait: running, interrupted, unsettled, or not brought to the target.
    pub fn n_waiting(&self) -> u64 {
        self.n_running + self.n_interrupted + self.n_unsettled + self.n_left
    }

    /// Returns whether the target has everything that was selected.
    pub fn is_complete(&self) -> bool {
        self.end == RunEnd::Complete
            && self.n_waiting() == 0
            && self.n_refused == 0
            && self.n_damaged == 0
    }

    /// Traces that were looked at.
    pub fn n_done(&self) -> u64 {
        self.n_sent + self.n_updated + self.n_unchanged + self.n_waiting() + self.n_refused
    }
}
