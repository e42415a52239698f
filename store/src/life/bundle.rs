use std::fs;
use std::path::Path;

use spanlite_model::{Trace, TraceId};
use uuid::Uuid;

use crate::error::{ReadError, StorageError, WriteError};
use crate::files;
use crate::segment::sealed::{NewBlock, store_blocks};
use crate::segment::{Counts, SegmentDraft};
use crate::state::{VALUES, encode_value, value_key};
use crate::store::Store;

/// How many traces a block gets.
const BLOCK_TRACES: usize = 500;

/// What [`Store::bundle`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BundleReport {
    /// Traces in the file.
    pub traces: u64,
    /// Spans in the file.
    pub spans: u64,
    /// Its length.
    pub bytes: u64,
}

/// A value that travels in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedValue {
    /// The space it belongs to.
    pub space: String,
    /// Its key.
    pub key: Vec<u8>,
    /// What it is.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Writes traces into one file, for carrying: [`Store::open`] reads it like a store, for
    /// reading only. Ids that are not stored are left out. A file that is there gives way to the
    /// new one when that is whole.
    pub fn bundle(
        &self,
        file: impl AsRef<Path>,
        traces: impl IntoIterator<Item = TraceId>,
    ) -> Result<BundleReport, WriteError> {
        self.bundle_with_values(file, traces, |_| Ok(Vec::new()))
    }

    /// Writes a bundle that also carries values: what `values_of` gives for each of its traces.
    /// [`Store::state`] of the bundle has them.
    pub fn bundle_with_values(
        &self,
        file: impl AsRef<Path>,
        traces: impl IntoIterator<Item = TraceId>,
        mut values_of: impl FnMut(TraceId) -> Result<Vec<CarriedValue>, ReadError>,
    ) -> Result<BundleReport, WriteError> {
        let file = file.as_ref();
        let snapshot = self.snapshot()?;
        // A name of its own: what a killed one left must not get into this.
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", Uuid::new_v4().simple()));
        let mut draft = SegmentDraft::create_at(&file.with_file_name(name))?;
        let txn = draft.begin()?;
        let mut counts = Counts::default();
        let mut report = BundleReport::default();
        let mut chunk = Vec::new();
        for trace_id in traces {
            if let Some(trace) = snapshot.trace(trace_id)? {
                put_values(&txn, draft.path(), &values_of(trace_id)?)?;
                report.traces += 1;
                report.spans += trace.spans.len() as u64;
                chunk.push(trace);
            }
            if chunk.len() >= BLOCK_TRACES {
                store_block(&mut chunk, &draft, &txn, &mut counts)?;
            }
        }
        if !chunk.is_empty() {
            store_block(&mut chunk, &draft, &txn, &mut counts)?;
        }
        draft.seal_as_bundle(&txn, &counts, self.directory().store_id())?;
        txn.commit()
            .map_err(|error| StorageError::redb("write to", draft.path(), error))?;
        draft.compact()?;
        let path = draft.close()?;
        let renamed = files::rename(&path, file).and_then(|()| files::sync_name(file));
        renamed.inspect_err(|_| drop(files::remove(&path)))?;
        let failed = |error| StorageError::io("look at", file, error);
        report.bytes = fs::metadata(file).map_err(failed)?.len();
        Ok(report)
    }
}

fn put_values(
    txn: &redb::WriteTransaction,
    path: &Path,
    values: &[CarriedValue],
) -> Result<(), StorageError> {
    if values.is_empty() {
        return Ok(());
    }
    let failed = |error: redb::Error| StorageError::redb("write to", path, error);
    let mut table = txn
        .open_table(VALUES)
        .map_err(|error| failed(error.into()))?;
    for value in values {
        let key = value_key(&value.space, &value.key);
        let bytes = encode_value(&key, 1, &value.bytes);
        table
            .insert(key.as_slice(), bytes.as_slice())
            .map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

fn store_block(
    traces: &mut Vec<Trace>,
    draft: &SegmentDraft,
    txn: &redb::WriteTransaction,
    counts: &mut Counts,
) -> Result<(), StorageError> {
    let mut block = [NewBlock::of_whole(&std::mem::take(traces))?];
    store_blocks(&mut block, txn, draft.path(), counts.next_block, counts)
}
