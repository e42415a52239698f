//! What a disk may hold after a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{Event, FileId, SECTOR_BYTES};
use super::workload::Numbers;

/// The bytes of a file: those that were synced, and what was told since.
#[derive(Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
}

enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

enum Name {
    Folder(PathBuf),
    File(PathBuf, FileId),
    Rename(PathBuf, PathBuf, FileId),
    Remove(PathBuf),
}

#[derive(Default)]
struct Names {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, FileId>,
}

/// Writes into `target` what a disk may hold that lost its power after some events. Of what was
/// not synced each sector and each name is there or not; by how much is a matter of chance, too.
pub(super) fn cut(events: &[Event], at: usize, target: &Path, numbers: &mut Numbers) {
    let mut contents: BTreeMap<FileId, Content> = BTreeMap::new();
    let mut durable = Names::default();
    let mut waiting: Vec<Name> = Vec::new();
    for event in &events[..at] {
        match event {
            Event::Wrote { .. } | Event::Length { .. } => change(&mut contents, event),
            Event::Synced { file } => contents.entry(*file).or_default().sync(),
            Event::Folder { path } => waiting.push(Name::Folder(path.clone())),
            Event::Named { path, file } => waiting.push(Name::File(path.clone(), *file)),
            Event::Renamed { from, to, file } => {
                waiting.push(Name::Rename(from.clone(), to.clone(), *file));
            }
            Event::Removed { path } => waiting.push(Name::Remove(path.clone())),
            Event::SyncedFolder { path } => {
                waiting = durable.sync(std::mem::take(&mut waiting), path);
            }
            Event::Step => {}
        }
    }
    // Mapped memory reaches the disk at any time, so what was seen of a journal only later may be
    // there already; but not what waited for a commit, such as that its room is free.
    let journals: Vec<FileId> = events[..at].iter().filter_map(journal).collect();
    let later = events[at..].iter();
    for event in later.take_while(|event| !matches!(event, Event::Step | Event::Synced { .. })) {
        if let Event::Wrote { file, .. } | Event::Length { file, .. } = event
            && journals.contains(file)
        {
            change(&mut contents, event);
        }
    }
    let chance = numbers.chance();
    for name in waiting {
        if numbers.happens(chance) {
            durable.apply(&name);
        }
    }
    fs::create_dir(target).unwrap();
    durable.folders.sort_unstable();
    for folder in &durable.folders {
        // Without the folder above it, a folder is lost.
        drop(fs::create_dir(target.join(folder)));
    }
    for (path, file) in &durable.files {
        let bytes = contents.entry(*file).or_default().survive(numbers);
        // A file in a folder that is lost is lost.
        drop(fs::write(target.join(path), bytes));
    }
}

fn journal(event: &Event) -> Option<FileId> {
    match event {
        Event::Named { path, file }
            if path
                .parent()
                .is_some_and(|folder| folder.ends_with("journal")) =>
        {
            Some(*file)
        }
        _ => None,
    }
}

fn change(contents: &mut BTreeMap<FileId, Content>, event: &Event) {
    let (file, change) = match event {
        Event::Wrote {
            file,
            offset,
            bytes,
        } => (*file, Change::Bytes(*offset as usize, bytes.clone())),
        Event::Length { file, length } => (*file, Change::Length(*length as usize)),
        _ => return,
    };
    contents.entry(file).or_default().since.push(change);
}

impl Content {
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.since) {
            apply(&mut self.synced, &change);
        }
    }

    /// The bytes after a cut: of each change the sectors that chance keeps.
    fn survive(&mut self, numbers: &mut Numbers) -> Vec<u8> {
        let chance = numbers.chance();
        let mut bytes = self.synced.clone();
        for change in &self.since {
            match change {
                Change::Length(_) => {
                    if numbers.happens(chance) {
                        apply(&mut bytes, change);
                    }
                }
                Change::Bytes(offset, new) => {
                    let mut at = 0;
                    while at < new.len() {
                        let end = (offset + at) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
                        let end = (end - offset).min(new.len());
                        if numbers.happens(chance) {
                            let sector = Change::Bytes(offset + at, new[at..end].to_vec());
                            apply(&mut bytes, &sector);
                        }
                        at = end;
                    }
                }
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Bytes(offset, new) => {
            let end = offset + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(new);
        }
    }
}

impl Names {
    /// Makes the names in a folder durable; returns those in others.
    fn sync(&mut self, waiting: Vec<Name>, folder: &Path) -> Vec<Name> {
        let mut left = Vec::new();
        for name in waiting {
            let path = match &name {
                Name::Folder(path) | Name::File(path, _) | Name::Remove(path) => path,
                Name::Rename(_, to, _) => to,
            };
            if path.parent() == Some(folder) {
                self.apply(&name);
            } else {
                left.push(name);
            }
        }
        left
    }

    fn apply(&mut self, name: &Name) {
        match name {
            Name::Folder(path) => self.folders.push(path.clone()),
            Name::File(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            Name::Rename(from, to, file) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *file);
            }
            Name::Remove(path) => {
                self.files.remove(path);
            }
        }
    }
}
