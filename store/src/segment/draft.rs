use std::path::{Path, PathBuf};

use redb::{Database, WriteTransaction};
use uuid::Uuid;

use super::create::guard;
use super::database;
use super::{
    BUNDLE, COUNTS, CREATED, Counts, HOT, JOURNALS, OpenSegment, REPLACES, SEALED, SegmentName,
    put_meta,
};
use crate::clock;
use crate::directory::{Directory, FORMAT};
use crate::error::StorageError;
use crate::files;

/// A segment in the making, under a name that readers pass over. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct SegmentDraft {
    name: SegmentName,
    path: PathBuf,
    database: Option<Database>,
    is_kept: bool,
}

impl SegmentDraft {
    /// Begins a segment of a store; `start_millis` becomes part of its name.
    pub(crate) fn create(directory: &Directory, start_millis: u64) -> Result<Self, StorageError> {
        let name = SegmentName::new(start_millis);
        let path = directory.segment(&name).with_extension("redb.new");
        Self::make(name, path)
    }

    /// Begins a segment that is to be a file of its own.
    pub(crate) fn create_at(path: &Path) -> Result<Self, StorageError> {
        Self::make(SegmentName::new(clock::unix_millis()), path.to_owned())
    }

    fn make(name: SegmentName, path: PathBuf) -> Result<Self, StorageError> {
        // Before the file, so that one that could not be made whole is removed too.
        let mut draft = Self {
            name,
            path,
            database: None,
            is_kept: false,
        };
        let path = &draft.path;
        draft.database = Some(guard("create", path, || database::create(path))?);
        Ok(draft)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a transaction in which every table is there already.
    pub(crate) fn begin(&self) -> Result<WriteTransaction, StorageError> {
        let failed = |error: redb::Error| StorageError::redb("write to", &self.path, error);
        let database = self.database.as_ref().ok_or_else(|| StorageError::Busy {
            path: self.path.clone(),
        })?;
        let txn = database
            .begin_write()
            .map_err(|error| failed(error.into()))?;
        put_meta(&txn, &self.path, CREATED, &clock::unix_millis())?;
        put_meta(&txn, &self.path, COUNTS, &Counts::default())?;
        txn.open_table(JOURNALS)
            .map_err(|error| failed(error.into()))?;
        txn.open_table(HOT).map_err(|error| failed(error.into()))?;
        Ok(txn)
    }

    /// Says what the segment holds.
    pub(crate) fn put_counts(
        &self,
        txn: &WriteTransaction,
        counts: &Counts,
    ) -> Result<(), StorageError> {
        put_meta(txn, &self.path, COUNTS, counts)
    }

    /// Says what the segment holds, and which files it stands for.
    pub(crate) fn seal_as_merged(
        &self,
        txn: &WriteTransaction,
        counts: &Counts,
        replaced: &[String],
    ) -> Result<(), StorageError> {
        put_meta(txn, &self.path, COUNTS, counts)?;
        put_meta(txn, &self.path, REPLACES, &replaced.to_vec())?;
        put_meta(txn, &self.path, SEALED, &clock::unix_millis())
    }

    /// Says what the segment holds, and that it is a bundle of a store.
    pub(crate) fn seal_as_bundle(
        &self,
        txn: &WriteTransaction,
        counts: &Counts,
        store_id: Uuid,
    ) -> Result<(), StorageError> {
        put_meta(txn, &self.path, COUNTS, counts)?;
        put_meta(txn, &self.path, BUNDLE, &(FORMAT, store_id.into_bytes()))?;
        put_meta(txn, &self.path, SEALED, &clock::unix_millis())
    }

    /// Gives the segment its name.
    pub(crate) fn publish(mut self, directory: &Directory) -> Result<OpenSegment, StorageError> {
        let path = directory.segment(&self.name);
        files::rename(&self.path, &path)?;
        files::sync_folder(directory.path())?;
        let database = self
            .database
            .take()
            .ok_or_else(|| StorageError::Busy { path: path.clone() })?;
        let segment = OpenSegment {
            name: self.name,
            path,
            database,
        };
        self.is_kept = true;
        Ok(segment)
    }

    /// Makes the file as short as its content: redb grows files ahead, to a MiB at least. Nobody
    /// else has it open.
    pub(crate) fn compact(&mut self) -> Result<(), StorageError> {
        if let Some(database) = &mut self.database {
            database
                .compact()
                .map_err(|error| StorageError::redb("shorten", &self.path, error))?;
        }
        Ok(())
    }

    /// Closes the file, which keeps its name.
    pub(crate) fn close(mut self) -> Result<PathBuf, StorageError> {
        if let Some(database) = self.database.take() {
            database
                .close()
                .map_err(|error| StorageError::redb("close", &self.path, error))?;
        }
        self.is_kept = true;
        Ok(self.path.clone())
    }
}

impl Drop for SegmentDraft {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        self.database = None;
        // What stays is passed over by readers, and is in nobody's way.
        drop(files::remove(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OpenError;
    use crate::{OpenOptions, Store};

    #[test]
    fn a_bundle_of_a_newer_format_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.spans");
        let draft = SegmentDraft::create_at(&path).unwrap();
        let txn = draft.begin().unwrap();
        let counts = Counts::default();
        draft.seal_as_bundle(&txn, &counts, Uuid::new_v4()).unwrap();
        let newer = (FORMAT + 1, [7u8; 16]);
        put_meta(&txn, &path, BUNDLE, &newer).unwrap();
        txn.commit().unwrap();
        draft.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let error = Store::open(&path, OpenOptions::read_only()).unwrap_err();
        let OpenError::NewerFormat {
            found, supported, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*found, *supported), (FORMAT + 1, FORMAT));
        assert!(error.to_string().contains(&format!("{found}")), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "it was changed");
    }
}
