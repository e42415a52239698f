//! The frame around each record of a journal, and the walk over the frames of a region.

use twox_hash::XxHash3_64;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the record: check `u64`, length `u32`, sequence `u32`.
pub(super) const HEADER_BYTES: usize = 16;
/// Frames begin at multiples of this.
const ALIGNMENT: usize = 8;
/// Records up to this length are hashed in one go, without a look at the processor.
const SHORT_BYTES: usize = 240;
/// How far sequences may jump over damage; more is taken for chance.
const MAX_SKIPPED_SEQUENCES: u32 = 1 << 16;

/// The number of bytes a record of `len` bytes takes in a region.
pub(super) const fn frame_bytes(len: usize) -> usize {
    (HEADER_BYTES + len).next_multiple_of(ALIGNMENT)
}

/// Ties frames to one journal, one region and one use of that region.
///
/// The check of a frame covers the seal, so that a frame of an earlier use or of another journal
/// never passes, nor one that is only partly there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal(u64);

impl Seal {
    /// The seal of the `generation`th use of a region.
    pub(super) fn new(journal: Uuid, region: u32, generation: u64) -> Self {
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(journal.as_bytes());
        bytes[16..20].copy_from_slice(&region.to_le_bytes());
        bytes[20..].copy_from_slice(&generation.to_le_bytes());
        Self(xxh3_64(&bytes))
    }

    /// The header of the frame that holds `record` as number `sequence` of its region.
    #[inline]
    pub(super) fn header(self, sequence: u32, record: &[u8]) -> [u8; HEADER_BYTES] {
        let place = u64::from(sequence) << 32 | record.len() as u64 & 0xffff_ffff;
        let word = u128::from(place) << 64 | u128::from(self.check(place, record));
        word.to_le_bytes()
    }

    /// The record of the one frame at the start of `bytes`, whatever its sequence.
    pub(super) fn single(self, bytes: &[u8]) -> Option<&[u8]> {
        let frames = Frames::new(bytes, self);
        let (length, sequence, _) = frames.header_at(0)?;
        frames
            .frame_at(0, length, sequence)
            .map(|frame| frame.record)
    }

    /// Never zero, so that empty memory is no frame.
    #[inline]
    fn check(self, place: u64, record: &[u8]) -> u64 {
        mix(hash(record) ^ mix(self.0 ^ place)).max(1)
    }
}

/// XXH3-64. Of its two implementations here the first is the faster one for few bytes, the second,
/// which uses what vector instructions the processor has, for many.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    if bytes.len() <= SHORT_BYTES {
        xxh3_64(bytes)
    } else {
        XxHash3_64::oneshot(bytes)
    }
}

/// The finalizer of `SplitMix64`.
#[inline]
const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// One record and where its frame ends in the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) record: &'a [u8],
    pub(super) end: usize,
}

/// Walks over the frames of a region. Ends at the first bytes that are no frame.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    /// Without one, checks are not looked at: for memory that this process wrote itself.
    seal: Option<Seal>,
    offset: usize,
    sequence: u32,
}

impl<'a> Frames<'a> {
    /// The frames that pass the seal.
    pub(super) fn new(bytes: &'a [u8], seal: Seal) -> Self {
        Self {
            bytes,
            seal: Some(seal),
            offset: 0,
            sequence: 0,
        }
    }

    /// The frames from `offset` on of memory that this process wrote itself.
    pub(super) fn trusted(bytes: &'a [u8], offset: usize, sequence: u32) -> Self {
        Self {
            bytes,
            seal: None,
            offset,
            sequence,
        }
    }

    /// Where the walk stands, and the number of the next record.
    pub(super) fn position(&self) -> (usize, u32) {
        (self.offset, self.sequence)
    }

    /// Looks behind bytes that are no frame for the next one that is. If there is one, what lies
    /// between was damaged, and the walk goes on there. Frames are written in order, so at the
    /// true end there is none.
    pub(super) fn skip_damage(&mut self) -> bool {
        let mut offset = self.offset + ALIGNMENT;
        while let Some((length, sequence, _)) = self.header_at(offset) {
            let skipped = sequence.wrapping_sub(self.sequence);
            if skipped < MAX_SKIPPED_SEQUENCES && self.frame_at(offset, length, sequence).is_some()
            {
                (self.offset, self.sequence) = (offset, sequence);
                return true;
            }
            offset += ALIGNMENT;
        }
        false
    }

    fn header_at(&self, offset: usize) -> Option<(usize, u32, u64)> {
        let header = self.bytes.get(offset..)?.first_chunk::<HEADER_BYTES>()?;
        let word = u128::from_le_bytes(*header);
        let length = (word >> 64) as u32 as usize;
        Some((length, (word >> 96) as u32, word as u64))
    }

    fn frame_at(&self, offset: usize, length: usize, sequence: u32) -> Option<Frame<'a>> {
        let start = offset + HEADER_BYTES;
        let record = self.bytes.get(start..start.checked_add(length)?)?;
        let (_, _, check) = self.header_at(offset)?;
        if check == 0 {
            return None;
        }
        if let Some(seal) = self.seal {
            let place = u64::from(sequence) << 32 | length as u64;
            if seal.check(place, record) != check {
                return None;
            }
        }
        let end = offset + frame_bytes(length);
        Some(Frame { record, end })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (length, sequence, _) = self.header_at(self.offset)?;
        if sequence != self.sequence {
            return None;
        }
        let frame = self.frame_at(self.offset, length, sequence)?;
        self.offset = frame.end;
        self.sequence += 1;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOURNAL: Uuid = Uuid::from_u128(7);

    fn seal() -> Seal {
        Seal::new(JOURNAL, 3, 9)
    }

    fn region(records: &[Vec<u8>], seal: Seal) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (sequence, record) in records.iter().enumerate() {
            bytes.extend_from_slice(&seal.header(sequence as u32, record));
            bytes.extend_from_slice(record);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0xee);
        }
        bytes
    }

    fn read(bytes: &[u8], seal: Seal) -> Vec<Vec<u8>> {
        Frames::new(bytes, seal)
            .map(|frame| frame.record.to_vec())
            .collect()
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)
    }

    proptest! {
        #[test]
        fn a_region_cut_anywhere_gives_the_frames_before_the_cut(
            records in records(),
            cut in any::<prop::sample::Index>(),
            garbage in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = region(&records, seal());
            let cut = cut.index(bytes.len() + 1);
            let mut torn = bytes[..cut].to_vec();
            torn.extend_from_slice(&garbage);
            torn.resize(torn.len() + 64, 0);
            let found = read(&torn, seal());
            let whole = Frames::new(&bytes, seal()).filter(|frame| frame.end <= cut).count();
            // The padding behind the last frame may be cut: it is not part of any record.
            prop_assert!(found.len() == whole || found.len() == whole + 1);
            prop_assert_eq!(&found[..], &records[..found.len()]);
        }

        #[test]
        fn frames_of_an_earlier_use_never_pass_behind_new_ones(
            old in records(),
            new in records(),
        ) {
            let mut bytes = region(&old, Seal::new(JOURNAL, 3, 8));
            let newer = region(&new, seal());
            bytes.resize(bytes.len().max(newer.len()), 0);
            bytes[..newer.len()].copy_from_slice(&newer);
            let mut frames = Frames::new(&bytes, seal());
            let found: Vec<_> = frames.by_ref().map(|frame| frame.record.to_vec()).collect();
            prop_assert_eq!(found, new);
            prop_assert!(!frames.skip_damage());
        }

        #[test]
        fn one_flipped_bit_costs_its_record_and_is_noticed(
            records in records(),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut bytes = region(&records, seal());
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut frames = Frames::new(&bytes, seal());
            let mut found: Vec<_> = frames.by_ref().map(|frame| frame.record.to_vec()).collect();
            if frames.skip_damage() {
                found.extend(frames.map(|frame| frame.record.to_vec()));
                prop_assert_eq!(found.len() + 1, records.len());
            }
            prop_assert!(found.len() + 1 >= records.len());
            prop_assert!(found.iter().all(|record| records.contains(record)));
        }
    }

    #[test]
    fn both_hashes_are_one() {
        let bytes: Vec<u8> = (0..5_000_u32)
            .map(|number| ((number * 7) >> 3) as u8)
            .collect();
        for length in (0..=SHORT_BYTES + 300).chain([1_024, 4_999]) {
            assert_eq!(
                hash(&bytes[..length]),
                xxh3_64(&bytes[..length]),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn another_journal_region_or_use_has_another_seal() {
        let seals = [
            seal(),
            Seal::new(Uuid::from_u128(8), 3, 9),
            Seal::new(JOURNAL, 4, 9),
            Seal::new(JOURNAL, 3, 10),
        ];
        let bytes = region(&[b"record".to_vec()], seal());
        let passing = seals.map(|seal| read(&bytes, seal).len());
        assert_eq!(passing, [1, 0, 0, 0]);
    }
}
