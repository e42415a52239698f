//! The embedded trace store: a directory of redb segments, journals and state.
//!
//! Any number of processes open one directory at once, write to it and read from it. A [`Store`]
//! takes encoded records through [`Lane`]s, whole traces through [`Store::write`], and is read
//! through [`Snapshot`]s. `store/DESIGN.md` describes every file and byte.
//!
//! ```
//! use spanlite_model::{Span, SpanId, Trace, TraceId};
//! use spanlite_store::{OpenOptions, Store};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("traces.spans");
//! let store = Store::open(&path, OpenOptions::default())?;
//! let trace_id = TraceId::from_bytes([7; 16]);
//! let span = Span::new(trace_id, SpanId::from_bytes([1; 8]), "answer");
//! store.write(&[Trace::new(trace_id, vec![span])])?;
//!
//! let trace = store.snapshot()?.trace(trace_id)?;
//! assert_eq!(trace.unwrap().name(), Some("answer"));
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod block;
mod clock;
mod codec;
mod commit;
mod directory;
mod error;
mod files;
mod fork;
mod import;
mod info;
mod journal;
mod life;
mod limit;
mod options;
#[cfg(test)]
mod power;
mod readers;
pub mod record;
mod segment;
mod snapshot;
mod state;
mod store;
mod verify;

pub use codec::ValueError;
pub use commit::BackgroundFailure;
pub use directory::FORMAT as FORMAT_VERSION;
pub use error::{CloseError, FlushError, OpenError, ReadError, StorageError, WriteError};
pub use fork::generation as fork_generation;
pub use import::WriteReport;
pub use info::StoreInfo;
pub use journal::{Appended, JournalForm, Lane, OPEN_RECORD_BYTES, OpenSpan};
pub use life::{
    BackupReport, BundleReport, CarriedValue, GcReport, GcSegment, Held, ReclaimReport,
    RecoverError, RecoverReport, Retention, RewriteReport, recover,
};
pub use options::{Access, Durability, OpenOptions, Overload};
pub use segment::Sections;
pub use snapshot::{Damage, Follow, SealedBlock, Snapshot, TimeRange};
pub use state::{State, StateChange, StateError, Versioned};
pub use store::Store;
pub use verify::VerifyReport;
