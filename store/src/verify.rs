use crate::error::ReadError;
use crate::snapshot::{Damage, TimeRange};
use crate::store::Store;

/// What [`Store::verify`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Traces that were read.
    pub traces: u64,
    /// Spans that were read.
    pub spans: u64,
    /// What could not be read.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    /// Returns whether everything could be read.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Store {
    /// Reads everything and checks every checksum.
    pub fn verify(&self) -> Result<VerifyReport, ReadError> {
        let snapshot = self.snapshot()?;
        let mut report = VerifyReport::default();
        snapshot.check_values()?;
        for trace in snapshot.traces(TimeRange::default()) {
            report.traces += 1;
            report.spans += trace?.spans.len() as u64;
        }
        report.damage = snapshot.damage();
        Ok(report)
    }
}
