//! Reads the journals of a directory from outside: those of living writers without a lock, those
//! of dead ones for recovery.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::batch::{Positions, SLOTS_REGION, position};
use super::file::{JournalForm, is_locked, read_at};
use super::frame::{Frames, Seal};
use super::layout::{
    BITMAP_STRIDE, BITMAPS_BYTES, ENTRY_BYTES, Entry, Header, HeaderError, REGION_BYTES,
    SHARD_SLOTS, SHARDS, SLOT_BYTES,
};
use super::slots::SlotSeals;
use crate::error::StorageError;

/// How often a directory entry is read again that seems damaged while its writer lives: it may be
/// in between.
const LIVE_ATTEMPTS: usize = 4;

/// A record that its writer had not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The region it is in.
    pub(crate) region: u32,
    /// The position behind it.
    pub(crate) reached: u64,
    pub(crate) record: Vec<u8>,
}

/// What a journal of the directory holds.
#[derive(Debug)]
pub(crate) struct JournalView {
    /// The id of the journal, which is its writer's.
    pub(crate) id: Uuid,
    /// Whether the writer lives.
    pub(crate) alive: bool,
    /// How the writer keeps records, if the header can be read.
    pub(crate) form: Option<JournalForm>,
    /// The resource and scope of records that name none, as the writer's options had them.
    pub(crate) defaults: Vec<u8>,
    /// What it holds of records; of one region in order.
    pub(crate) records: Vec<Waiting>,
    /// The records of spans that were open.
    pub(crate) open: Vec<Vec<u8>>,
    /// Why records are missing, if they are.
    pub(crate) damage: Option<JournalDamage>,
}

/// Why records of a journal are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalDamage {
    /// All of them, because the header is of no use.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Those that lay in damaged places.
    #[error("records are missing at {places} places of the journal")]
    Places {
        /// How many places do not pass their checks.
        places: u64,
    },
}

impl JournalView {
    /// The records, and those of open spans behind them.
    pub(crate) fn all_records(&self) -> impl Iterator<Item = &[u8]> {
        let ended = self.records.iter().map(|waiting| &waiting.record[..]);
        ended.chain(self.open.iter().map(Vec::as_slice))
    }

    /// One of [`JournalView::all_records`] by its place among them.
    pub(crate) fn record(&self, place: usize) -> Option<&[u8]> {
        match self.records.get(place) {
            Some(waiting) => Some(&waiting.record),
            None => self.open.get(place - self.records.len()).map(Vec::as_slice),
        }
    }

    /// Leaves out what segments have stored.
    pub(crate) fn leave_out(&mut self, stored: &Positions) {
        self.records
            .retain(|waiting| waiting.reached > stored.get(waiting.region));
        if stored.get(SLOTS_REGION) > 0 {
            self.open.clear();
        }
    }
}

/// The files of a directory that are named like journals.
pub(super) fn list(directory: &Path) -> Result<Vec<(Uuid, PathBuf)>, StorageError> {
    let failed = |error| StorageError::io("list", directory, error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        journals.extend(id.map(|id| (id, entry.path())));
    }
    journals.sort_unstable();
    Ok(journals)
}

/// Returns whether the writer of a journal lives. One whose file cannot be looked at counts as
/// alive.
pub(crate) fn is_alive(directory: &Path, id: Uuid) -> bool {
    match File::open(directory.join(id.to_string())) {
        Ok(file) => is_locked(&file).unwrap_or(true),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Whether a journal has a file, or may have one. What has none is stored, and will never be
/// replayed.
pub(crate) fn has_file(directory: &Path, id: Uuid) -> bool {
    let file = std::fs::metadata(directory.join(id.to_string()));
    !matches!(file, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Returns whether a journal's writer is gone.
pub(crate) fn any_dead(directory: &Path) -> Result<bool, StorageError> {
    let journals = list(directory)?;
    Ok(journals.iter().any(|(id, _)| !is_alive(directory, *id)))
}

/// Shows every journal of a directory but `own`, for a snapshot. What cannot be read is left out;
/// one whose header is damaged counts as damaged in an empty view.
pub(crate) fn peek(directory: &Path, own: Option<Uuid>) -> Result<Vec<JournalView>, StorageError> {
    let mut views = Vec::new();
    for (id, path) in list(directory)? {
        if Some(id) == own {
            continue;
        }
        let failed = |error| StorageError::io("read", &path, error);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Its writer has closed, or it was recovered: what it held is in a segment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let alive = is_locked(&file).map_err(failed)?;
        match scan(&file, id, alive).map_err(failed)? {
            Ok(view) => views.push(view),
            Err(HeaderError::Unbegun) => {}
            Err(error) => views.push(JournalView {
                id,
                alive,
                form: None,
                defaults: Vec::new(),
                records: Vec::new(),
                open: Vec::new(),
                damage: Some(error.into()),
            }),
        }
    }
    Ok(views)
}

/// Reads a journal. A header of another id than the file's name counts as damaged.
pub(super) fn scan(
    file: &File,
    id: Uuid,
    alive: bool,
) -> io::Result<Result<JournalView, HeaderError>> {
    let header = match read_header(file)? {
        Ok(header) if header.id == id => header,
        Ok(_) => return Ok(Err(HeaderError::Damaged)),
        Err(error) => return Ok(Err(error)),
    };
    let mut scan = Scan {
        file,
        header: &header,
        alive,
        records: Vec::new(),
        damaged: 0,
    };
    // Open spans first: one that ends meanwhile is then also among the records, which win.
    let open = scan.open_spans()?;
    scan.regions()?;
    let (records, places) = (scan.records, scan.damaged);
    Ok(Ok(JournalView {
        id,
        alive,
        form: Some(header.form),
        defaults: header.defaults,
        records,
        open,
        damage: (places > 0).then_some(JournalDamage::Places { places }),
    }))
}

fn read_header(file: &File) -> io::Result<Result<Header, HeaderError>> {
    let mut page = vec![0; 4096];
    let len = read_at(file, &mut page, 0)?;
    page.truncate(len);
    let needed = Header::encoded_bytes(&page);
    if needed > page.len() && needed as u64 <= file.metadata()?.len() {
        page.resize(needed, 0);
        let len = read_at(file, &mut page, 0)?;
        page.truncate(len);
    }
    Ok(Header::decode(&page))
}

struct Scan<'a> {
    file: &'a File,
    header: &'a Header,
    alive: bool,
    records: Vec<Waiting>,
    damaged: u64,
}

/// What one look at a region found.
#[derive(Default)]
struct RegionRead {
    records: Vec<Waiting>,
    damaged: u64,
    gaps: u64,
    /// Where the first gap begins, and how many records lie before it.
    first_gap: usize,
    n_before_gap: usize,
    /// Where the last record ends.
    end: usize,
}

impl RegionRead {
    fn before_gap(mut self) -> Vec<Waiting> {
        self.records.truncate(self.n_before_gap);
        self.records
    }
}

impl Scan<'_> {
    fn open_spans(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let bitmaps = self.read(self.header.bitmaps_offset(), BITMAPS_BYTES)?;
        let seals = SlotSeals::new(self.header);
        let mut records = Vec::new();
        for (shard, bitmap) in (0..SHARDS).zip(bitmaps.chunks_exact(BITMAP_STRIDE)) {
            let taken = bitmap
                .first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let first = self.header.shards_offset() + u64::from(shard) * REGION_BYTES as u64;
            for slot in (0..SHARD_SLOTS).filter(|slot| taken >> slot & 1 == 1) {
                let bytes = self.read(first + (slot * SLOT_BYTES) as u64, SLOT_BYTES)?;
                match seals.seal(shard, slot).single(&bytes) {
                    Some(record) => records.push(record.to_vec()),
                    // A writer that lives has just put another span there.
                    None if self.alive => {}
                    None => self.damaged += 1,
                }
            }
        }
        Ok(records)
    }

    fn regions(&mut self) -> io::Result<()> {
        let bytes = self.read(
            self.header.directory_offset(),
            self.header.entries() as usize * ENTRY_BYTES,
        )?;
        let entries = bytes.as_chunks::<ENTRY_BYTES>().0;
        if entries.len() < self.header.entries() as usize {
            self.damaged += 1;
        }
        let mut regions = Vec::new();
        for (region, bytes) in (0..).zip(entries) {
            match self.entry(region, bytes)? {
                Ok(entry) => regions.extend(entry.map(|entry| (entry.generation, region, entry))),
                Err(()) => self.damaged += 1,
            }
        }
        // The older region of one lane first.
        regions.sort_unstable_by_key(|(generation, region, _)| (*generation, *region));
        for (_, region, entry) in regions {
            self.region(region, entry)?;
        }
        Ok(())
    }

    /// The entry of a region, read again where a living writer may have been in between.
    fn entry(
        &self,
        region: u32,
        bytes: &[u8; ENTRY_BYTES],
    ) -> io::Result<Result<Option<Entry>, ()>> {
        let mut bytes = *bytes;
        for _ in 0..LIVE_ATTEMPTS {
            let entry = Entry::decode(&bytes, self.header.id, region);
            match entry {
                Ok(entry) => return Ok(entry.map_or(Ok(None), |entry| self.check(region, entry))),
                Err(_) if self.alive => bytes = self.read_entry(region)?,
                Err(_) => break,
            }
        }
        Ok(Err(()))
    }

    /// An entry that passed its check was written so, unless another program writes journals.
    fn check(&self, region: u32, entry: Entry) -> Result<Option<Entry>, ()> {
        let in_ring = entry.offset == self.header.region_offset(region)
            && entry.bytes as usize == REGION_BYTES;
        let large = entry.offset >= self.header.ring_end();
        let right = if region < self.header.ring_regions {
            in_ring
        } else {
            large
        };
        right.then_some(Some(entry)).ok_or(())
    }

    fn read_entry(&self, region: u32) -> io::Result<[u8; ENTRY_BYTES]> {
        let at = self.header.directory_offset() + u64::from(region) * ENTRY_BYTES as u64;
        let bytes = self.read(at, ENTRY_BYTES)?;
        Ok(bytes.first_chunk().copied().unwrap_or([0; ENTRY_BYTES]))
    }

    fn region(&mut self, region: u32, entry: Entry) -> io::Result<()> {
        let mut read = self.read_region(region, entry)?;
        if self.alive && read.damaged > 0 {
            // A writer that goes on while its region is read leaves gaps in what was read. What
            // lay behind a gap was whole by then, so that a second look finds all up to there.
            let again = self.read_region(region, entry)?;
            if again.first_gap >= read.end {
                self.records.extend(again.before_gap());
                return Ok(());
            }
            let now = Entry::decode(&self.read_entry(region)?, self.header.id, region);
            if now.is_ok_and(|now| now != Some(entry)) {
                // Freed meanwhile: all of it is stored, and the caller looks at segments next.
                return Ok(());
            }
            read = again;
        }
        self.damaged += read.damaged;
        self.records.extend(read.records);
        Ok(())
    }

    fn read_region(&self, region: u32, entry: Entry) -> io::Result<RegionRead> {
        let bytes = self.read(entry.offset, entry.bytes as usize)?;
        // Nothing makes the file shorter than its ring. A large region is there once its record
        // was written.
        let cut = region < self.header.ring_regions && bytes.len() < entry.bytes as usize;
        let seal = Seal::new(self.header.id, region, u64::from(entry.generation));
        let mut frames = Frames::new(&bytes, seal);
        let mut read = RegionRead {
            damaged: u64::from(cut),
            ..RegionRead::default()
        };
        loop {
            read.records.extend(frames.by_ref().map(|frame| Waiting {
                region,
                reached: position(entry.generation, frame.end),
                record: frame.record.to_vec(),
            }));
            read.end = frames.position().0;
            if read.gaps == 0 {
                (read.first_gap, read.n_before_gap) = (read.end, read.records.len());
            }
            if !frames.skip_damage() {
                return Ok(read);
            }
            read.gaps += 1;
            read.damaged += 1;
        }
    }

    /// Reads as much of a range as the file has, so that no length in it makes for more memory.
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = self.file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let read = read_at(self.file, &mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
