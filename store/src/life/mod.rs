//! What happens to a store over its life: space is given back, copies are made, damage is left
//! behind.

mod backup;
mod bundle;
mod copy;
mod delete;
mod fold;
mod gc;
mod merge;
mod recover;
mod rewrite;

pub use backup::BackupReport;
pub use bundle::{BundleReport, CarriedValue};
pub use delete::ReclaimReport;
pub use gc::{GcReport, GcSegment, Held, Retention};
pub(crate) use merge::merge_small;
pub use recover::{RecoverError, RecoverReport, recover};
pub use rewrite::RewriteReport;
