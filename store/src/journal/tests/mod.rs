//! Tests of the journal as a whole: the forms against a model, and files against damage.

mod file;
mod model;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::{Batch, Journal, JournalForm, Lane, Positions, Replay};
use crate::commit::Signal;
use crate::error::StorageError;
use crate::options::OpenOptions;

const DEFAULTS: &[u8] = b"resource and scope";

/// A record that says which lane appended it, and as which of its records.
fn record(lane: u32, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = [lane.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend((8..len).map(|at| (at as u32).wrapping_mul(31).wrapping_add(number) as u8));
    bytes
}

/// Everything that was appended, as one batch.
fn take(journal: &Journal) -> Batch {
    journal.take(&mut journal.begin_take(), usize::MAX)
}

/// Puts a batch behind what waits already.
fn put_behind(waiting: &mut Batch, mut next: Batch) {
    waiting.records.append(&mut next.records);
    waiting.count += next.count;
    waiting.positions.merge(&next.positions);
}

fn records(batch: &Batch) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut rest = &batch.records[..];
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (record, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        records.push(record.to_vec());
        rest = behind;
    }
    assert_eq!(records.len() as u64, batch.count);
    records
}

/// A store of batches in memory.
#[derive(Debug, Default)]
struct Segments {
    positions: BTreeMap<Uuid, Positions>,
    records: Vec<Vec<u8>>,
    /// How many more batches it takes before it refuses.
    refuse_after: Option<usize>,
}

impl Segments {
    fn commit(&mut self, id: Uuid, batch: &Batch) {
        self.records.extend(records(batch));
        self.positions
            .entry(id)
            .or_default()
            .merge(&batch.positions);
    }

    fn sorted(&self) -> Vec<Vec<u8>> {
        let mut records = self.records.clone();
        records.sort();
        records
    }
}

impl Replay for Segments {
    fn stored(&mut self, journal: Uuid) -> Result<Positions, StorageError> {
        Ok(self.positions.get(&journal).cloned().unwrap_or_default())
    }

    fn store(&mut self, journal: Uuid, defaults: &[u8], batch: Batch) -> Result<(), StorageError> {
        assert_eq!(defaults, DEFAULTS);
        if self.refuse_after == Some(0) {
            return Err(StorageError::Busy {
                path: "segment".into(),
            });
        }
        self.refuse_after = self.refuse_after.map(|left| left - 1);
        self.commit(journal, &batch);
        Ok(())
    }
}

fn options(memory_limit_bytes: usize) -> OpenOptions {
    OpenOptions {
        memory_limit_bytes,
        overload: crate::Overload::DropNewest,
        ..OpenOptions::default()
    }
}

fn journal(form: JournalForm, directory: &Path, options: &OpenOptions) -> (Journal, Arc<Signal>) {
    let signal = Arc::new(Signal::new(options));
    let journal =
        Journal::create_as(form, directory, options, DEFAULTS, Arc::clone(&signal)).unwrap();
    (journal, signal)
}

/// Copies the file of a journal into another directory, where nobody holds its lock: what a kill
/// at this moment would leave.
fn copy_file(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            copy_sparse(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

fn copy_sparse(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).unwrap();
    let file = std::fs::File::create(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, block) in bytes.chunks(65536).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            super::file::write_at(&file, block, number as u64 * 65536).unwrap();
        }
    }
}

fn append(lane: &Lane, record: &[u8]) {
    assert_eq!(lane.append(record), super::Appended::Stored);
}
