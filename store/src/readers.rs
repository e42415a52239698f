use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::StorageError;
use crate::options::Access;
use crate::segment::SegmentReader;

/// The redb files that this process has open for reading, each once.
#[derive(Debug)]
pub(crate) struct Readers {
    access: Access,
    open: Mutex<HashMap<PathBuf, Arc<SegmentReader>>>,
}

impl Readers {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            access,
            open: Mutex::default(),
        }
    }

    /// Whether a file was left by a killed writer, so that reading it as it is costs memory each
    /// time. One that cannot be opened for another reason is not for a repair.
    pub(crate) fn needs_repair(&self, path: &Path) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        !open.contains_key(path) && SegmentReader::needs_repair(path)
    }

    /// Closes the files that are gone, until which they take space on the disk, where more are open
    /// than there are.
    pub(crate) fn close_gone(&self, n_files: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() > n_files {
            open.retain(|path, _| path.try_exists().unwrap_or(true));
        }
    }

    /// The reader of a file; nothing if the file is gone, or is not made yet.
    pub(crate) fn get(&self, path: &Path) -> Result<Option<Arc<SegmentReader>>, StorageError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = open.get(path) {
            if path.try_exists().unwrap_or(true) {
                return Ok(Some(Arc::clone(reader)));
            }
            open.remove(path);
        }
        let reader = match SegmentReader::open(path, self.access) {
            Ok(reader) => Arc::new(reader),
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // An overlay does not follow later commits, so it serves one snapshot only.
        if !reader.is_overlay() {
            open.insert(path.to_owned(), Arc::clone(&reader));
        }
        Ok(Some(reader))
    }
}
