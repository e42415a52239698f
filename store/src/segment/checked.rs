use std::io;
use std::sync::Arc;

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64;

use super::backend::forward_locks;
use super::pages::{DamagedPages, HEADER_BYTES, Pages};

/// The checksum of the header stands behind it, in the same sector, so that both reach the disk
/// or none. redb uses nothing of the first page but the header.
const SEALED_BYTES: usize = HEADER_BYTES + 8;

/// A storage backend that compares what is read with the checksums that redb wrote, and has one
/// of its own for the header, of which redb checks a part only.
#[derive(Debug)]
pub(super) struct Checked<B> {
    inner: B,
    pages: Arc<Pages>,
    /// Damage is an error; else it is told, and what can be read is read.
    is_strict: bool,
}

impl<B> Checked<B> {
    /// For writing: nothing is made out of a damaged page.
    pub(super) fn strict(inner: B) -> Self {
        Self {
            inner,
            pages: Arc::default(),
            is_strict: true,
        }
    }

    /// For reading: `pages` knows what was damaged.
    pub(super) fn lenient(inner: B, pages: &Arc<Pages>) -> Self {
        Self {
            inner,
            pages: Arc::clone(pages),
            is_strict: false,
        }
    }

    fn or_refuse(&self, is_sound: bool) -> io::Result<()> {
        match self.pages.damage() {
            Some(damage) if !is_sound && self.is_strict => Err(refusal(damage)),
            _ => Ok(()),
        }
    }
}

fn refusal(damage: DamagedPages) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, damage)
}

/// A checksum that is never zero: zero stands where none was written.
fn seal_of(header: &[u8]) -> [u8; 8] {
    xxh3_64(header).max(1).to_le_bytes()
}

impl<B: StorageBackend> Checked<B> {
    fn read_header(&self, out: &mut [u8]) -> io::Result<()> {
        let mut sealed = [0; SEALED_BYTES];
        let length = self.inner.len()?.min(SEALED_BYTES as u64) as usize;
        if length < HEADER_BYTES {
            return self.inner.read(0, out);
        }
        self.inner.read(0, &mut sealed[..length])?;
        let (header, seal) = sealed.split_at(HEADER_BYTES);
        out.copy_from_slice(header);
        // A file of the first versions has none.
        let is_sound = seal == [0; 8] || seal == seal_of(header);
        if !is_sound {
            self.pages.is_damaged_at(0);
        }
        self.pages.saw_header(header);
        self.or_refuse(is_sound)
    }
}

impl<B: StorageBackend> StorageBackend for Checked<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset == 0 && out.len() == HEADER_BYTES {
            return self.read_header(out);
        }
        self.inner.read(offset, out)?;
        if self.pages.saw(offset, out) {
            return Ok(());
        }
        self.or_refuse(false)?;
        self.pages.make_readable(offset, out, self.inner.len()?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pages.wrote(offset);
        if offset == 0 && data.len() == HEADER_BYTES {
            let mut sealed = [0; SEALED_BYTES];
            let (header, seal) = sealed.split_at_mut(HEADER_BYTES);
            header.copy_from_slice(data);
            seal.copy_from_slice(&seal_of(data));
            return self.inner.write(0, &sealed);
        }
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    forward_locks!();
}
