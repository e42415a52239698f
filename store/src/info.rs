use std::fs;
use std::io;

use uuid::Uuid;

use crate::block::SectionKind;
use crate::commit::BackgroundFailure;
use crate::error::{ReadError, StorageError};
use crate::journal::JournalForm;
use crate::segment::disk_bytes;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// What is known of a store without reading its traces.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The id that the store was given when it was made.
    pub store_id: Uuid,
    /// The version of its format.
    pub format: u32,
    /// Traces of which at least one span or change is stored.
    pub traces: u64,
    /// Records of spans. A span that is stored open first, and then ended, counts twice until
    /// both are merged into a block.
    pub spans: u64,
    /// When the first span began that is stored, in Unix nanoseconds; nothing if there is none.
    /// Deleted traces count as long as their block is there.
    pub first_start_unix_nano: Option<u64>,
    /// When the last one began.
    pub last_start_unix_nano: Option<u64>,
    /// How much of the disk its files take.
    pub bytes: u64,
    /// What the texts in blocks take, compressed.
    pub text_bytes: u64,
    /// What the word indexes of blocks take.
    pub word_index_bytes: u64,
    /// What the columns of blocks take.
    pub column_bytes: u64,
    /// Traces that are not in one block, whole and unchanged.
    pub loose_traces: u64,
    /// Segment files.
    pub segments: u64,
    /// Files of killed writers that are not replayed yet.
    pub dead_journals: u64,
    /// Writers that run.
    pub live_writers: u64,
    /// Damaged files that were moved out of the way.
    pub quarantined: u64,
    /// Records that this process dropped: for want of memory, or because they were no records.
    pub dropped: u64,
    /// Bytes of records that this process has in memory.
    pub pending_bytes: u64,
    /// How each writer that runs keeps records until they are committed.
    pub live_journals: Vec<JournalForm>,
    /// How this process keeps records until they are committed; nothing where it does not write.
    pub journal: Option<JournalForm>,
    /// Writes into this process's journal file, and syncs of it, that failed. What they held was safe from a kill
    /// only after its commit.
    pub journal_failures: u64,
    /// Commits of this process that succeeded.
    pub commits: u64,
    /// Commits of this process that failed; what they held was tried again.
    pub failed_commits: u64,
    /// Attempts of this process to make blocks or to merge segments that failed; the traces stayed
    /// where they were.
    pub failed_seals: u64,
    /// What last went wrong in the background, in this process or, where nothing did, in any.
    pub last_failure: Option<BackgroundFailure>,
    /// Things that could not be read because they are damaged; counts above are then too low.
    pub damaged: u64,
}

impl Store {
    /// What is known of the store without reading its traces.
    pub fn info(&self) -> Result<StoreInfo, ReadError> {
        let directory = self.directory();
        let snapshot = self.snapshot()?;
        let counts = self.counts();
        let mut info = StoreInfo {
            store_id: directory.store_id(),
            format: crate::directory::FORMAT,
            traces: snapshot.count_traces()? as u64,
            spans: snapshot.count_spans(),
            first_start_unix_nano: None,
            last_start_unix_nano: None,
            bytes: 0,
            text_bytes: 0,
            word_index_bytes: 0,
            column_bytes: 0,
            loose_traces: 0,
            segments: directory.segment_files()?.len() as u64,
            dead_journals: 0,
            live_writers: 0,
            quarantined: 0,
            dropped: counts.dropped,
            pending_bytes: counts.pending_bytes,
            live_journals: snapshot.live_forms(),
            journal: counts.journal,
            journal_failures: counts.journal_failures,
            commits: counts.commits,
            failed_commits: counts.failed_commits,
            failed_seals: counts.failed_seals,
            last_failure: counts.last_failure,
            damaged: 0,
        };
        info.look_at(&snapshot)?;
        for alive in snapshot.writers() {
            if alive {
                info.live_writers += 1;
            } else {
                info.dead_journals += 1;
            }
        }
        info.damaged = snapshot.damage().len() as u64;
        if directory.is_bundle() {
            info.bytes = fs::metadata(directory.path()).map_or(0, |metadata| disk_bytes(&metadata));
            return Ok(info);
        }
        if info.last_failure.is_none() {
            info.last_failure = BackgroundFailure::read(&directory.failure());
        }
        for folder in [directory.path(), &directory.journals()] {
            info.bytes += folder_bytes(folder)?.1;
        }
        info.quarantined = folder_bytes(&directory.quarantine())?.0;
        Ok(info)
    }
}

impl StoreInfo {
    /// Adds what the headers of blocks tell, and the traces outside.
    fn look_at(&mut self, snapshot: &Snapshot) -> Result<(), ReadError> {
        let mut begin_at = |first: u64, last: u64| {
            let earliest = self.first_start_unix_nano.map_or(first, |it| it.min(first));
            self.first_start_unix_nano = Some(earliest);
            self.last_start_unix_nano = self.last_start_unix_nano.max(Some(last));
        };
        for (_, start) in snapshot.loose()? {
            begin_at(start, start);
            self.loose_traces += 1;
        }
        for block in snapshot.blocks()? {
            let summary = block.header().summary();
            if summary.n_spans > 0 {
                begin_at(summary.first_start_unix_nano, summary.last_start_unix_nano);
            }
            for section in block.header().sections() {
                let bytes = match section.kind {
                    SectionKind::Texts => &mut self.text_bytes,
                    SectionKind::Words => &mut self.word_index_bytes,
                    SectionKind::Columns | SectionKind::Directory => &mut self.column_bytes,
                };
                *bytes += u64::from(section.length);
            }
        }
        Ok(())
    }
}

/// How many files a folder holds and how much of the disk they take; nothing if it is not there.
fn folder_bytes(folder: &std::path::Path) -> Result<(u64, u64), StorageError> {
    let failed = |error| StorageError::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(error) => return Err(failed(error)),
    };
    let (mut files, mut bytes) = (0, 0);
    for entry in entries {
        // Files come and go meanwhile.
        if let Ok(metadata) = entry.map_err(failed)?.metadata()
            && metadata.is_file()
        {
            files += 1;
            bytes += disk_bytes(&metadata);
        }
    }
    Ok((files, bytes))
}
