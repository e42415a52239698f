//! How a snapshot comes to be.
//!
//! What moves from one place to another while a snapshot is taken must be seen at least once:
//! records go from journals into segments, and changes of traces from the state file into
//! segments. So the segments come last. What is then seen twice is left out, or is the same.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use super::blocks::OpenBlocks;
use super::segment::SegmentView;
use super::{Damage, Parts, Snapshot, StateView};
use crate::directory::Directory;
use crate::error::{ReadError, StorageError};
use crate::fork::Owned;
use crate::journal::{JournalView, Positions};
use crate::readers::Readers;
use crate::segment::{SegmentName, SegmentReader};

impl Snapshot {
    /// Takes a snapshot. `journals` were looked at before the call: what they hold that is stored
    /// by now is left out here.
    pub(crate) fn take(
        directory: &Directory,
        readers: &Readers,
        mut journals: Vec<JournalView>,
    ) -> Result<Self, ReadError> {
        let mut damage = put_aside(directory)?;
        let state = begin_state(directory, readers, &mut damage)?;
        let open_blocks = Arc::default();
        let mut segments = begin_segments(directory, readers, &open_blocks, &mut damage)?;
        let replaced = leave_out_replaced(&mut segments)?;
        for journal in &mut journals {
            let mut stored = Positions::default();
            for segment in &segments {
                if let Some(positions) = segment.positions().get(&journal.id) {
                    stored.merge(positions);
                }
            }
            journal.leave_out(&stored);
            if let Some(source) = journal.damage {
                let path = directory.journals().join(journal.id.to_string());
                let error = StorageError::Damaged {
                    path: path.clone(),
                    source: Box::new(source),
                };
                damage.push(Damage::file(path, error));
            }
        }
        Ok(Self {
            parts: Owned::new(Parts {
                segments,
                open_blocks,
                journals,
                state,
                index: OnceLock::new(),
                in_journals: OnceLock::new(),
                replaced,
            }),
            damage: Mutex::new(damage),
        })
    }
}

fn begin_state(
    directory: &Directory,
    readers: &Readers,
    damage: &mut Vec<Damage>,
) -> Result<Option<StateView>, ReadError> {
    if !directory.has_state() {
        return Ok(None);
    }
    let path = directory.state();
    let begin = |reader: Arc<SegmentReader>| {
        reader.begin().map(|txn| StateView {
            txn,
            path: path.clone(),
            reader,
        })
    };
    let begun = readers.get(&path);
    match begun.and_then(|reader| reader.map(begin).transpose()) {
        Err(error @ StorageError::Damaged { .. }) => {
            damage.push(Damage::file(path, error));
            Ok(None)
        }
        other => Ok(other?),
    }
}

fn begin_segments(
    directory: &Directory,
    readers: &Readers,
    open_blocks: &Arc<OpenBlocks>,
    damage: &mut Vec<Damage>,
) -> Result<Vec<SegmentView>, ReadError> {
    let mut segments = Vec::new();
    let files: Vec<PathBuf> = directory.segment_files()?;
    readers.close_gone(files.len());
    for path in files {
        match readers.get(&path).and_then(|reader| {
            let begin = |reader| SegmentView::begin(reader, open_blocks);
            reader.map(begin).transpose()
        }) {
            Ok(view) => segments.extend(view),
            Err(error @ (StorageError::Damaged { .. } | StorageError::DamagedValue { .. })) => {
                damage.push(Damage::file(path, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(segments)
}

/// Segments that were damaged and moved out of the way are missing until a person has taken care
/// of them. What could be read of a journal is stored, and a power cut tears one without any harm
/// to what was synced, so those do not count.
fn put_aside(directory: &Directory) -> Result<Vec<Damage>, StorageError> {
    let files = directory.quarantined()?.into_iter();
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "redb"));
    let missing = files.map(|path| {
        let error = StorageError::PutAside { path: path.clone() };
        Damage::file(path, error)
    });
    Ok(missing.collect())
}

/// Leaves out the segments that a merged one stands for, and returns their names: whoever merged
/// them was killed before they were removed, or is about to.
fn leave_out_replaced(segments: &mut Vec<SegmentView>) -> Result<Vec<SegmentName>, ReadError> {
    let mut replaced = Vec::new();
    for segment in &*segments {
        let names = segment.replaces()?;
        // Only names of segments: a damaged list must not name anything else.
        replaced.extend(names.iter().filter_map(|name| SegmentName::parse(name)));
    }
    segments.retain(|segment| {
        let name = segment.path().file_name().and_then(|name| name.to_str());
        let name = name.and_then(SegmentName::parse);
        !name.is_some_and(|name| replaced.contains(&name))
    });
    Ok(replaced)
}
