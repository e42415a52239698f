use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::clock;
use crate::error::{OpenError, StorageError};
use crate::files;
use crate::options::Access;
use crate::segment::{BUNDLE, SegmentName, SegmentReader, protected, read_meta};

/// The newest format of a store that this program reads and writes.
pub const FORMAT: u32 = 1;
/// The generation of redb's lock protocol: the minor version that defines it.
const LOCKS: &str = "redb-4.5";
const STORE_FILE: &str = "STORE";
/// What is not in segments: changes of traces, and values that others keep.
pub(crate) const STATE_FILE: &str = "state.redb";
const FIRST_LINE: &str = "spanlite store";
/// The `STORE` file is a few lines; whatever is larger is none.
const MAX_STORE_FILE_BYTES: u64 = 4096;

/// The directory of a store: its paths, its `STORE` file and the list of its segments.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
    store_id: Uuid,
    is_bundle: bool,
}

impl Directory {
    /// Opens the directory, or makes one if `create` says so.
    pub(crate) fn open(path: &Path, create: bool) -> Result<Self, OpenError> {
        let no_store = || OpenError::NoStore {
            path: path.to_owned(),
        };
        let not_a_store = || OpenError::NotAStore {
            path: path.to_owned(),
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Self::open_bundle(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                files::create_folder(path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_store()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(not_a_store());
            }
            Err(error) => return Err(StorageError::io("open", path, error).into()),
        }
        refuse_network(path)?;
        let file = path.join(STORE_FILE);
        let text = match read_short(&file) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(not_a_store()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !is_unused(path)? {
                    return Err(not_a_store());
                }
                if !create {
                    return Err(no_store());
                }
                create_store_file(path, &file)?
            }
            Err(error) => return Err(StorageError::io("read", &file, error).into()),
        };
        let header = Header::parse(&text).ok_or_else(not_a_store)?;
        if header.format > FORMAT {
            return Err(OpenError::NewerFormat {
                path: path.to_owned(),
                found: header.format,
                supported: FORMAT,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            store_id: header.store_id,
            is_bundle: false,
        })
    }

    /// Opens a file that `Store::bundle` made.
    fn open_bundle(path: &Path) -> Result<Self, OpenError> {
        let not_a_store = || OpenError::NotAStore {
            path: path.to_owned(),
        };
        refuse_network(path)?;
        // Whatever is wrong with the file: it is no bundle that can be read.
        let reader = match SegmentReader::open(path, Access::ReadOnly) {
            Ok(reader) => reader,
            Err(error @ StorageError::NoPermission { .. }) => return Err(error.into()),
            Err(_) => return Err(not_a_store()),
        };
        let found = protected(path, || {
            read_meta::<(u32, [u8; 16])>(&reader.begin()?, path, BUNDLE)
        });
        let Ok(Some((format, store_id))) = found else {
            return Err(not_a_store());
        };
        if format > FORMAT {
            return Err(OpenError::NewerFormat {
                path: path.to_owned(),
                found: format,
                supported: FORMAT,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            store_id: Uuid::from_bytes(store_id),
            is_bundle: true,
        })
    }

    /// Whether this is one file, which can only be read.
    pub(crate) fn is_bundle(&self) -> bool {
        self.is_bundle
    }

    /// Whether there can be a file with later changes of traces.
    pub(crate) fn has_state(&self) -> bool {
        !self.is_bundle
    }

    /// The files of the segments, oldest first.
    pub(crate) fn segment_files(&self) -> Result<Vec<PathBuf>, StorageError> {
        if self.is_bundle {
            return Ok(vec![self.path.clone()]);
        }
        let names = self.segments()?;
        Ok(names.iter().map(|name| self.segment(name)).collect())
    }

    /// Takes a folder with segments whose `STORE` file may be damaged or gone.
    pub(crate) fn open_damaged(path: &Path) -> Result<Self, OpenError> {
        let this = Self {
            path: path.to_owned(),
            store_id: Uuid::nil(),
            is_bundle: false,
        };
        match this.segments() {
            Ok(segments) if !segments.is_empty() => Ok(this),
            Ok(_) => Err(OpenError::NoStore {
                path: path.to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies the `STORE` file into another folder.
    pub(crate) fn copy_store_file(&self, to: &Path) -> Result<(), StorageError> {
        let (from, to) = (self.path.join(STORE_FILE), to.join(STORE_FILE));
        let text = fs::read(&from).map_err(|error| StorageError::io("read", &from, error))?;
        files::write_new(&to, &text)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The id that the store was given when it was made.
    pub(crate) fn store_id(&self) -> Uuid {
        self.store_id
    }

    pub(crate) fn segment(&self, name: &SegmentName) -> PathBuf {
        self.path.join(name.file_name())
    }

    /// The file that holds keyed values; a bundle holds those it carries itself.
    pub(crate) fn state(&self) -> PathBuf {
        if self.is_bundle {
            return self.path.clone();
        }
        self.path.join(STATE_FILE)
    }

    pub(crate) fn journals(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Locked while segments are written anew or removed.
    pub(crate) fn merge_lock(&self) -> PathBuf {
        self.path.join("merge.lock")
    }

    /// Where it is written down what last went wrong in the background.
    pub(crate) fn failure(&self) -> PathBuf {
        self.path.join("failure")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    /// The damaged files that were moved out of the way.
    pub(crate) fn quarantined(&self) -> Result<Vec<PathBuf>, StorageError> {
        let folder = self.quarantine();
        let failed = |error| StorageError::io("list", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(error)),
        };
        let paths = entries.map(|entry| Ok(entry.map_err(failed)?.path()));
        paths.collect()
    }

    /// The segments, oldest first.
    pub(crate) fn segments(&self) -> Result<Vec<SegmentName>, StorageError> {
        let failed = |error| StorageError::io("list", &self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().and_then(SegmentName::parse));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Moves a damaged file out of the way, for a person to look at. It is never deleted.
    pub(crate) fn quarantine_file(&self, file: &Path) -> Result<PathBuf, StorageError> {
        let folder = self.quarantine();
        files::create_folder(&folder)?;
        let name = file.file_name().unwrap_or_default();
        let target = folder.join(name);
        files::rename(file, &target)?;
        // The new name first: for a moment there may be two, never none.
        files::sync_folder(&folder)?;
        files::sync_name(file)?;
        Ok(target)
    }
}

/// What the `STORE` file says.
struct Header {
    format: u32,
    store_id: Uuid,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let (mut format, mut store_id) = (None, None);
        for line in lines {
            match line.split_once(' ') {
                Some(("format", number)) => format = number.parse().ok(),
                Some(("id", id)) => store_id = id.parse().ok(),
                _ => {} // lines of later versions
            }
        }
        Some(Self {
            // The first format is 1.
            format: format.filter(|format| *format > 0)?,
            store_id: store_id?,
        })
    }
}

/// The text of a small file; nothing if it is large or no text.
fn read_short(file: &Path) -> io::Result<Option<String>> {
    if fs::metadata(file)?.len() > MAX_STORE_FILE_BYTES {
        return Ok(None);
    }
    Ok(String::from_utf8(fs::read(file)?).ok())
}

/// Returns whether a folder holds nothing but what an interrupted creation left there.
fn is_unused(path: &Path) -> Result<bool, StorageError> {
    let failed = |error| StorageError::io("list", path, error);
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !name.to_string_lossy().starts_with("STORE.") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the `STORE` file. Of several processes that try at once the first wins, and all return
/// its text.
fn create_store_file(path: &Path, file: &Path) -> Result<String, StorageError> {
    let text = format!(
        "{FIRST_LINE}\nformat {FORMAT}\nid {}\nlocks {LOCKS}\ncreated {}\n",
        Uuid::new_v4(),
        clock::unix_millis(),
    );
    let draft = path.join(format!("{STORE_FILE}.{}", Uuid::new_v4().simple()));
    files::write_new(&draft, text.as_bytes())?;
    // A link, because renaming would replace the file of a process that was faster.
    let linked = files::link(&draft, file);
    files::remove(&draft)?;
    match linked {
        Ok(()) => {
            files::sync_folder(path)?;
            files::sync_name(path)?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(file).map_err(|error| StorageError::io("read", file, error))
        }
        Err(error) => Err(StorageError::io("create", file, error)),
    }
}

/// File systems that several machines can mount: locks and shared pages do not hold between them.
#[cfg(target_os = "linux")]
const NETWORK: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

#[cfg(target_os = "linux")]
fn refuse_network(path: &Path) -> Result<(), OpenError> {
    let status = rustix::fs::statfs(path)
        .map_err(|error| StorageError::io("look at the file system of", path, error.into()))?;
    network_kind(status.f_type as i64).map_or(Ok(()), |kind| {
        Err(OpenError::NetworkFileSystem {
            path: path.to_owned(),
            kind,
        })
    })
}

#[cfg(target_os = "linux")]
fn network_kind(magic: i64) -> Option<&'static str> {
    let found = NETWORK
        .iter()
        .find(|(known, _)| *known == magic & 0xffff_ffff);
    found.map(|(_, kind)| *kind)
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(_path: &Path) -> Result<(), OpenError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/traces.spans");
        let error = Directory::open(&path, false).unwrap_err();
        assert!(matches!(error, OpenError::NoStore { .. }), "{error}");
        let made = Directory::open(&path, true).unwrap();
        let found = Directory::open(&path, false).unwrap();
        assert_eq!(made.store_id(), found.store_id());
        assert_eq!(found.segments().unwrap(), []);
        let names: Vec<_> = fs::read_dir(&path).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing but STORE is left");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_no_folder_can_be_made_is_an_error() {
        let error = Directory::open(Path::new("/proc/traces.spans"), true).unwrap_err();
        assert!(matches!(error, OpenError::Storage(_)), "{error}");
    }

    #[test]
    fn other_things_are_not_taken_for_stores() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        let full = folder.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("readme"), "text").unwrap();
        let odd = folder.path().join("odd");
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join(STORE_FILE), "something else").unwrap();
        for path in [file.clone(), file.join("below"), full, odd] {
            let error = Directory::open(&path, true).unwrap_err();
            assert!(
                matches!(error, OpenError::NotAStore { .. }),
                "{}: {error}",
                path.display()
            );
        }
    }

    #[test]
    fn a_newer_format_is_refused_and_unknown_lines_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{FIRST_LINE}\nformat 1\nid {}\nlater thing\n",
            Uuid::new_v4()
        );
        fs::write(folder.path().join(STORE_FILE), &text).unwrap();
        Directory::open(folder.path(), false).unwrap();
        let newer = text.replace("format 1", "format 9");
        fs::write(folder.path().join(STORE_FILE), newer).unwrap();
        let error = Directory::open(folder.path(), true).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::NewerFormat {
                    found: 9,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn network_file_systems_are_known_by_their_number() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        // The number is negative where the field is a signed 32-bit integer.
        assert_eq!(
            network_kind(i64::from(0xff53_4d42_u32.cast_signed())),
            Some("CIFS")
        );
        assert_eq!(network_kind(0xef53), None, "ext4");
    }
}
