//! What a disk was told, in order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::recorded::Recorded;
use crate::segment::Backend;

/// A file, whatever it is called.
pub(super) type FileId = usize;

/// One thing that a disk was told. Paths are relative to the folder that is watched.
#[derive(Debug)]
pub(super) enum Event {
    Wrote {
        file: FileId,
        offset: u64,
        bytes: Vec<u8>,
    },
    Length {
        file: FileId,
        length: u64,
    },
    Synced {
        file: FileId,
    },
    Folder {
        path: PathBuf,
    },
    /// A file got a name.
    Named {
        path: PathBuf,
        file: FileId,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
        file: FileId,
    },
    Removed {
        path: PathBuf,
    },
    SyncedFolder {
        path: PathBuf,
    },
    /// The workload is between two steps.
    Step,
}

/// A folder whose changes are recorded for as long as this lives.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    log: Mutex<Log>,
    /// How many more changes the disk has room for.
    room: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    /// The files by the names they have at the moment.
    names: BTreeMap<PathBuf, FileId>,
    n_files: usize,
    /// Journals as they were when they were looked at last.
    looked_at: BTreeMap<FileId, Vec<u8>>,
}

/// How many bytes a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

static WATCHED: Mutex<Vec<Weak<Disk>>> = Mutex::new(Vec::new());

fn watched() -> MutexGuard<'static, Vec<Weak<Disk>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells that everything in the journals beside this one was synced.
pub(crate) fn synced_journals(path: &Path) {
    if let Some((disk, _)) = disk_of(path) {
        disk.journals_are_synced();
    }
}

fn disk_of(path: &Path) -> Option<(Arc<Disk>, PathBuf)> {
    watched().iter().find_map(|disk| {
        let disk = disk.upgrade()?;
        let relative = path.strip_prefix(&disk.root).ok()?.to_owned();
        Some((disk, relative))
    })
}

impl Disk {
    /// Watches a folder. What is in it already counts as durable.
    pub(super) fn watch(root: &Path) -> Arc<Self> {
        let mut log = Log::default();
        log.take_in(root, Path::new(""));
        let disk = Arc::new(Self {
            root: root.to_owned(),
            log: Mutex::new(log),
            room: AtomicU64::new(u64::MAX),
        });
        let mut watched = watched();
        watched.retain(|disk| disk.strong_count() > 0);
        watched.push(Arc::downgrade(&disk));
        disk
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk is full after so many more changes.
    pub(super) fn set_room(&self, changes: u64) {
        self.room.store(changes, Ordering::SeqCst);
    }

    pub(super) fn use_room(&self) -> io::Result<()> {
        let used = |room| match room {
            u64::MAX => Some(room),
            _ => u64::checked_sub(room, 1),
        };
        match self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, used)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn journals_are_synced(&self) {
        self.step();
        let log = &mut *self.log();
        let looked_at = log.looked_at.keys();
        let synced = looked_at.map(|file| Event::Synced { file: *file });
        log.events.extend(synced);
    }

    /// Ends a step of the workload: looks at the journals. Returns the number of events so far.
    pub(super) fn step(&self) -> usize {
        let mut log = self.log();
        for folder in fs::read_dir(&self.root).unwrap() {
            let journals = Path::new(&folder.unwrap().file_name()).join("journal");
            log.look_at(&self.root, &journals);
        }
        log.events.push(Event::Step);
        log.events.len()
    }
}

impl Log {
    fn take_in(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                self.events.push(Event::Folder { path: path.clone() });
                self.take_in(root, &path);
                continue;
            }
            let file = self.name(path.clone());
            let bytes = fs::read(entry.path()).unwrap();
            if path
                .parent()
                .is_some_and(|folder| folder.ends_with("journal"))
            {
                self.looked_at.insert(file, bytes.clone());
            }
            self.events.push(Event::Wrote {
                file,
                offset: 0,
                bytes,
            });
            self.events.push(Event::Synced { file });
        }
        self.events.push(Event::SyncedFolder {
            path: folder.to_owned(),
        });
    }

    fn name(&mut self, path: PathBuf) -> FileId {
        let file = self.n_files;
        self.n_files += 1;
        self.names.insert(path.clone(), file);
        self.events.push(Event::Named { path, file });
        file
    }

    /// Records what changed in journals, sector by sector.
    fn look_at(&mut self, root: &Path, folder: &Path) {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            return;
        };
        for entry in entries {
            let path = folder.join(entry.unwrap().file_name());
            let Ok(bytes) = fs::read(root.join(&path)) else {
                continue;
            };
            let file = match self.names.get(&path) {
                Some(file) => *file,
                None => self.name(path),
            };
            let before = self.looked_at.remove(&file).unwrap_or_default();
            if before.len() != bytes.len() {
                let length = bytes.len() as u64;
                self.events.push(Event::Length { file, length });
            }
            for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let at = number * SECTOR_BYTES;
                let old = before.get(at..(at + sector.len()).min(before.len()));
                let is_same = match old {
                    Some(old) if old.len() == sector.len() => old == sector,
                    _ => sector.iter().all(|byte| *byte == 0),
                };
                if !is_same {
                    self.events.push(Event::Wrote {
                        file,
                        offset: at as u64,
                        bytes: sector.to_vec(),
                    });
                }
            }
            self.looked_at.insert(file, bytes);
        }
    }
}

fn tell(path: &Path, event: impl FnOnce(&mut Log, PathBuf)) {
    if let Some((disk, relative)) = disk_of(path) {
        event(&mut disk.log(), relative);
    }
}

/// Records what redb does to a file, if somebody watches its folder.
pub(crate) fn record(path: &Path, backend: Backend) -> Recorded {
    let watched = disk_of(path).map(|(disk, relative)| {
        let file = {
            let mut log = disk.log();
            match log.names.get(&relative) {
                Some(file) => *file,
                None => log.name(relative),
            }
        };
        (disk, file)
    });
    Recorded::new(backend, watched)
}

pub(crate) fn synced_folder(path: &Path) {
    tell(path, |log, path| {
        log.events.push(Event::SyncedFolder { path });
    });
}

pub(crate) fn made_folder(path: &Path) {
    tell(path, |log, path| log.events.push(Event::Folder { path }));
}

pub(crate) fn renamed(from: &Path, to: &Path) {
    let Some((_, to)) = disk_of(to) else { return };
    tell(from, |log, from| {
        if let Some(file) = log.names.remove(&from) {
            log.names.insert(to.clone(), file);
            log.events.push(Event::Renamed { from, to, file });
        }
    });
}

pub(crate) fn linked(from: &Path, to: &Path) {
    let Some((_, to)) = disk_of(to) else { return };
    tell(from, |log, from| {
        let file = log.names[&from];
        log.names.insert(to.clone(), file);
        log.events.push(Event::Named { path: to, file });
    });
}

pub(crate) fn removed(path: &Path) {
    tell(path, |log, path| {
        if log.names.remove(&path).is_some() {
            log.events.push(Event::Removed { path });
        }
    });
}

/// Tells of a new file that is not recorded by redb's backend.
pub(crate) fn named(path: &Path) {
    tell(path, |log, path| {
        log.name(path);
    });
}

pub(crate) fn wrote_new(path: &Path, bytes: &[u8]) {
    tell(path, |log, path| {
        let file = log.name(path);
        let bytes = bytes.to_vec();
        log.events.push(Event::Wrote {
            file,
            offset: 0,
            bytes,
        });
        log.events.push(Event::Synced { file });
    });
}
