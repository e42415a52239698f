use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use super::disk::{Disk, Event, FileId};
use crate::segment::{Backend, forward_locks};

/// redb's backend for files, which also records what it is told to change.
#[derive(Debug)]
pub(crate) struct Recorded {
    inner: Backend,
    watched: Option<(Arc<Disk>, FileId)>,
}

impl Recorded {
    pub(super) fn new(inner: Backend, watched: Option<(Arc<Disk>, FileId)>) -> Self {
        Self { inner, watched }
    }

    /// Whether the disk has room for what is to be done.
    fn has_room(&self) -> io::Result<()> {
        match &self.watched {
            Some((disk, _)) => disk.use_room(),
            None => Ok(()),
        }
    }

    fn tell(&self, event: impl FnOnce(FileId) -> Event) {
        if let Some((disk, file)) = &self.watched {
            disk.log().events.push(event(*file));
        }
    }
}

impl StorageBackend for Recorded {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.has_room()?;
        self.inner.set_len(length)?;
        self.tell(|file| Event::Length { file, length });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.has_room()?;
        self.inner.sync_data()?;
        self.tell(|file| Event::Synced { file });
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.has_room()?;
        self.inner.write(offset, data)?;
        let (offset, bytes) = (offset, data.to_vec());
        self.tell(|file| Event::Wrote {
            file,
            offset,
            bytes,
        });
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    forward_locks!();
}
