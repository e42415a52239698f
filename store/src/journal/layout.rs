//! Where things lie in a journal's file, and the bytes of its header and directory.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::file::JournalForm;

/// Bytes of a ring region.
pub(super) const REGION_BYTES: usize = 64 << 10;
/// The ring grows by this many regions at a time.
pub(super) const CHUNK_REGIONS: u32 = 32;
/// Regions of their own for records that do not fit into a ring region.
pub(super) const LARGE_REGIONS: u32 = 64;
/// Groups of slots, each under its own lock.
pub(super) const SHARDS: u32 = 16;
/// Slots of a shard. A shard is as long as a ring region.
pub(super) const SHARD_SLOTS: usize = 64;
/// Bytes from one shard's bitmap to the next: a cache line.
pub(super) const BITMAP_STRIDE: usize = 64;
/// Bytes of a slot, frame header included.
pub(super) const SLOT_BYTES: usize = REGION_BYTES / SHARD_SLOTS;

const MAGIC: &[u8; 8] = b"spanjrnl";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 56;
const CHECK_BYTES: usize = 8;
const PAGE: usize = 4096;
/// Bytes of all bitmaps.
pub(super) const BITMAPS_BYTES: usize = PAGE;
const MAX_HEADER_BYTES: usize = 64 << 20;
const MAX_RING_REGIONS: u32 = 1 << 16;

/// Bytes of a directory entry.
pub(super) const ENTRY_BYTES: usize = 32;

/// Why the first bytes of a file are no journal header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The file is empty or zero: its writer was killed while it made it.
    #[error("the journal was never begun")]
    Unbegun,
    /// The bytes do not pass their check.
    #[error("the header of the journal is damaged")]
    Damaged,
    /// A newer program wrote it.
    #[error("the journal has format {found}; this program reads up to {VERSION}")]
    Newer {
        /// The format it has.
        found: u32,
    },
}

/// The header of a journal, and with it the place of everything in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: Uuid,
    /// How the writer keeps records.
    pub(super) form: JournalForm,
    /// How many regions the ring may have.
    pub(super) ring_regions: u32,
    /// What the writer gave to be kept for records that leave it out.
    pub(super) defaults: Vec<u8>,
}

impl Header {
    /// The ring of a writer that may keep `memory_limit_bytes` of records.
    pub(super) fn new(id: Uuid, memory_limit_bytes: usize, defaults: &[u8]) -> Self {
        let chunk_bytes = REGION_BYTES * CHUNK_REGIONS as usize;
        let chunks = (memory_limit_bytes / chunk_bytes) as u32;
        let most = MAX_RING_REGIONS / CHUNK_REGIONS;
        Self {
            id,
            form: JournalForm::Written,
            ring_regions: chunks.clamp(1, most) * CHUNK_REGIONS,
            defaults: defaults.to_vec(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.directory_offset() as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.defaults.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&(REGION_BYTES as u32).to_le_bytes());
        bytes.extend_from_slice(&self.ring_regions.to_le_bytes());
        bytes.extend_from_slice(&LARGE_REGIONS.to_le_bytes());
        bytes.extend_from_slice(&SHARDS.to_le_bytes());
        bytes.extend_from_slice(&(self.form as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.defaults);
        let check = xxh3_64(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.resize(self.directory_offset() as usize, 0);
        bytes
    }

    /// How many bytes [`Header::decode`] needs, from the first page of the file.
    pub(super) fn encoded_bytes(page: &[u8]) -> usize {
        let length = page.get(12..16).and_then(<[u8]>::first_chunk);
        let length = length.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        (FIXED_BYTES + CHECK_BYTES)
            .saturating_add(length)
            .min(MAX_HEADER_BYTES)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.iter().take(FIXED_BYTES).all(|byte| *byte == 0) {
            return Err(HeaderError::Unbegun);
        }
        let (Some(magic), Some(version)) = (bytes.get(..8), word(bytes, 8)) else {
            return Err(HeaderError::Damaged);
        };
        if magic != MAGIC {
            return Err(HeaderError::Damaged);
        }
        if version > VERSION {
            return Err(HeaderError::Newer { found: version });
        }
        Self::decode_checked(bytes).ok_or(HeaderError::Damaged)
    }

    fn decode_checked(bytes: &[u8]) -> Option<Self> {
        let content = FIXED_BYTES.checked_add(word(bytes, 12)? as usize)?;
        let checked = bytes.get(..content)?;
        let check = bytes.get(content..)?.first_chunk()?;
        let ring_regions = word(bytes, 36)?;
        let as_built = word(bytes, 32)? as usize == REGION_BYTES
            && word(bytes, 40)? == LARGE_REGIONS
            && word(bytes, 44)? == SHARDS
            && ring_regions <= MAX_RING_REGIONS;
        if !as_built || xxh3_64(checked) != u64::from_le_bytes(*check) {
            return None;
        }
        Some(Self {
            id: Uuid::from_bytes(*bytes.get(16..)?.first_chunk()?),
            form: match word(bytes, 48)? {
                0 => JournalForm::Mapped,
                1 => JournalForm::Written,
                _ => JournalForm::Memory,
            },
            ring_regions,
            defaults: checked.get(FIXED_BYTES..)?.to_vec(),
        })
    }

    /// Entries of the directory: ring regions, then large regions.
    pub(super) fn entries(&self) -> u32 {
        self.ring_regions + LARGE_REGIONS
    }

    /// The number of a shard among the regions, for its seals.
    pub(super) fn shard_region(&self, shard: u32) -> u32 {
        self.ring_regions + LARGE_REGIONS + shard
    }

    pub(super) fn directory_offset(&self) -> u64 {
        let bytes = FIXED_BYTES + self.defaults.len() + CHECK_BYTES;
        bytes.next_multiple_of(PAGE) as u64
    }

    pub(super) fn directory_bytes(&self) -> usize {
        (self.entries() as usize * ENTRY_BYTES).next_multiple_of(PAGE)
    }

    pub(super) fn bitmaps_offset(&self) -> u64 {
        self.directory_offset() + self.directory_bytes() as u64
    }

    pub(super) fn shards_offset(&self) -> u64 {
        self.bitmaps_offset() + BITMAPS_BYTES as u64
    }

    pub(super) fn ring_offset(&self) -> u64 {
        self.shards_offset() + u64::from(SHARDS) * REGION_BYTES as u64
    }

    /// Where a ring region begins.
    pub(super) fn region_offset(&self, region: u32) -> u64 {
        self.ring_offset() + u64::from(region) * REGION_BYTES as u64
    }

    /// Where the ring ends, and large regions may begin.
    pub(super) fn ring_end(&self) -> u64 {
        self.region_offset(self.ring_regions)
    }
}

/// Which use of a region is under way, and where the region lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counts the uses of all regions of the journal, from 1.
    pub(super) generation: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

impl Entry {
    pub(super) fn encode(&self, journal: Uuid, region: u32) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.generation.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        let check = entry_check(&bytes[..16], journal, region);
        bytes[16..24].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The entry in these bytes: `Ok(None)` where the region is not in use.
    pub(super) fn decode(
        bytes: &[u8; ENTRY_BYTES],
        journal: Uuid,
        region: u32,
    ) -> Result<Option<Self>, DamagedEntry> {
        if bytes == &[0; ENTRY_BYTES] {
            return Ok(None);
        }
        let mut offset = [0; 8];
        offset.copy_from_slice(&bytes[8..16]);
        let word = |at| word(bytes, at).unwrap_or_default();
        let check = entry_check(&bytes[..16], journal, region);
        if check.to_le_bytes() != bytes[16..24] {
            return Err(DamagedEntry);
        }
        Ok(Some(Self {
            generation: word(0),
            bytes: word(4),
            offset: u64::from_le_bytes(offset),
        }))
    }
}

/// The bytes of a directory entry do not pass their check.
#[derive(Debug)]
pub(super) struct DamagedEntry;

fn entry_check(content: &[u8], journal: Uuid, region: u32) -> u64 {
    let mut bytes = [0; 36];
    bytes[..16].copy_from_slice(content);
    bytes[16..32].copy_from_slice(journal.as_bytes());
    bytes[32..].copy_from_slice(&region.to_le_bytes());
    xxh3_64(&bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(Uuid::from_u128(5), 10 << 20, b"defaults")
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(Header::encoded_bytes(&bytes), 72);
        assert_eq!(Header::decode(&bytes), Ok(header()));
        assert_eq!(Header::decode(&bytes[..72]), Ok(header()));
        assert_eq!(header().ring_regions, 160, "10 MiB in regions of 64 KiB");
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let bytes = header().encode();
        for bit in 0..72 * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bytes).is_err(), "bit {bit}");
        }
        assert_eq!(Header::decode(&[0; 4096]), Err(HeaderError::Unbegun));
        assert_eq!(Header::decode(b""), Err(HeaderError::Unbegun));
        assert_eq!(Header::decode(&bytes[..71]), Err(HeaderError::Damaged));
    }

    #[test]
    fn an_entry_is_bound_to_its_journal_and_region() {
        let entry = Entry {
            generation: 9,
            offset: 1 << 40,
            bytes: 77,
        };
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let bytes = entry.encode(id, 3);
        assert_eq!(Entry::decode(&bytes, id, 3).unwrap(), Some(entry));
        assert!(Entry::decode(&bytes, other, 3).is_err());
        assert!(Entry::decode(&bytes, id, 4).is_err());
        assert_eq!(Entry::decode(&[0; ENTRY_BYTES], id, 3).unwrap(), None);
    }
}
