//! Names in folders, made durable in one place.
//!
//! Syncing a file makes its bytes durable, not its name: a power cut can undo every creation,
//! renaming and removal until its folder is synced, and in any order.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::StorageError;
#[cfg(test)]
use crate::power;

/// Makes the changes of names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StorageError> {
    if cfg!(windows) {
        return Ok(()); // a folder cannot be opened as a file there
    }
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StorageError::io("sync", path, error))?;
    #[cfg(test)]
    power::synced_folder(path);
    Ok(())
}

/// Syncs the folder that a name is in.
pub(crate) fn sync_name(path: &Path) -> Result<(), StorageError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        Some(_) => sync_folder(Path::new(".")),
        None => Ok(()),
    }
}

/// Makes a folder that only its owner can look into, because traces hold what users said, and
/// those above it that are missing, durably; one that is there is fine.
pub(crate) fn create_folder(path: &Path) -> Result<(), StorageError> {
    let mut made = private().create(path);
    if let Err(error) = &made
        && error.kind() == io::ErrorKind::NotFound
        && let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty())
    {
        create_folder(above)?;
        // Once: there are file systems in which nothing can be made.
        made = private().create(path);
    }
    match made {
        Ok(()) => {
            #[cfg(test)]
            power::made_folder(path);
            sync_name(path)
        }
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(StorageError::io("create", path, error)),
    }
}

fn private() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(false);
    builder
}

/// Renames a file.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fs::rename(from, to).map_err(|error| StorageError::io("rename", from, error))?;
    #[cfg(test)]
    power::renamed(from, to);
    Ok(())
}

/// Gives a file a second name.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    #[cfg(test)]
    power::linked(from, to);
    Ok(())
}

/// Removes a file; one that somebody else removed is fine.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StorageError::io("remove", path, error));
        }
        _ => {}
    }
    #[cfg(test)]
    power::removed(path);
    Ok(())
}

/// Writes a new file and syncs its bytes, not its name.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| StorageError::io("create", path, error))?;
    #[cfg(test)]
    power::wrote_new(path, bytes);
    Ok(())
}
