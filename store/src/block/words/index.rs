//! The word index: for every word, the stretches of spans where it entered its trace.
//!
//! Words are known by a hash, so a look-up may give stretches that do not have the word (one in a
//! million look-ups); whoever asks reads the text anyway. The index is cut by the highest bits
//! of the hash into as many sections as make each about 16 KiB, of which a look-up reads one:
//!
//! ```text
//! integer column of 256: how many words have each value of the next 8 bits of the hash,
//! integer column of 256: where the postings of those words begin, in bits,
//! 2 bytes a word: the 16 bits after, ascending in each of the 256,
//! varint length, postings: for every word Elias' gamma code of the number of stretches, then the
//!   gaps between their numbers less 1 in Rice's code
//! ```

use super::super::BlockError;
use super::super::bytes::{Cursor, put_bytes};
use super::super::ints::{Ints, put_ints};
use super::super::kept::{Keep, KeptBytes, KeptColumn};
use super::bits::{BitReader, BitWriter};
use super::split::{EachWord, split};
use super::table::{Occurrence, WordTable};

/// Sections become about this long.
const SECTION_BYTES: usize = 16 << 10;
const N_BUCKETS: usize = 256;
/// So many spans of a trace, one after the other, are one place in the index: who looks for a word
/// reads all texts of a trace anyway, and fewer places are a smaller index.
pub(in super::super) const STRETCH_SPANS: usize = 64;
/// Sets the bit of lower case in eight letters at a time.
const LOWER: u64 = 0x2020_2020_2020_2020;
/// 2⁶⁴ by the golden ratio: odd, with bits all over.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Collects the words of a block.
#[derive(Debug, Default)]
pub(in super::super) struct WordsBuilder {
    words: WordTable,
    hashes: Hashes,
}

/// The hashes of the words of a text. They are looked up after the text is split, because both are
/// quicker apart.
#[derive(Debug, Default)]
struct Hashes(Vec<u64>);

impl EachWord for Hashes {
    #[inline]
    fn ascii(&mut self, text: &[u8], start: usize, length: usize) {
        self.0.push(hash_in(text, start, length));
    }

    fn lower(&mut self, word: &[u8]) {
        self.0.push(hash_of(word, 0));
    }
}

impl WordsBuilder {
    /// Begins the next stretch: what is added from now on entered there.
    pub(in super::super) fn begin_stretch(&mut self) {
        self.words.begin_stretch();
    }

    /// Adds the words of bytes that entered.
    pub(in super::super) fn add(&mut self, bytes: &[u8], is_json: bool) {
        // New bytes begin and end at bounds of JSON values, so they are text by themselves.
        if let Ok(text) = std::str::from_utf8(bytes) {
            split(text, is_json, &mut self.hashes);
            self.words.add(self.hashes.0.drain(..));
        }
    }

    /// The sections of the index; none without words.
    pub(in super::super) fn sections(&mut self) -> Vec<Vec<u8>> {
        let words = std::mem::take(&mut self.words);
        let n_stretches = words.n_stretches() as usize;
        let occurrences = words.finish();
        if occurrences.is_empty() {
            return Vec::new();
        }
        let same = |a: &Occurrence, b: &Occurrence| a.hash() == b.hash();
        let n_words = occurrences.chunk_by(same).count();
        let estimate = n_words * 3 + occurrences.len() / 2;
        let wanted = estimate.div_ceil(SECTION_BYTES).next_power_of_two();
        let n_sections = wanted.min(1 << 12);
        let mut rest = occurrences.as_slice();
        let section = |number| {
            let end = rest.partition_point(|one| section_number(one.hash(), n_sections) <= number);
            let (of_section, after) = rest.split_at(end);
            rest = after;
            encode_section(of_section, n_sections, n_stretches)
        };
        (0..n_sections as u64).map(section).collect()
    }
}

/// Encodes the words of a section.
fn encode_section(words: &[Occurrence], n_sections: usize, n_stretches: usize) -> Vec<u8> {
    let mut counts = vec![0i64; N_BUCKETS];
    let mut starts = vec![0i64; N_BUCKETS];
    let mut tails = Vec::with_capacity(words.len() / 2);
    let mut postings = BitWriter::default();
    let mut next_bucket = 0;
    let mut stretches = Vec::new();
    // Words that are known by the same bits are one word here.
    for same in words.chunk_by(|a, b| place(a.hash(), n_sections) == place(b.hash(), n_sections)) {
        let (bucket, tail) = place(same[0].hash(), n_sections);
        starts[next_bucket..=bucket].fill(postings.n_bits() as i64);
        next_bucket = bucket + 1;
        counts[bucket] += 1;
        tails.extend_from_slice(&tail.to_le_bytes());
        stretches.clear();
        stretches.extend(same.iter().map(|one| one.stretch()));
        if !stretches.is_sorted_by(|a, b| a < b) {
            stretches.sort_unstable();
            stretches.dedup();
        }
        put_postings(&mut postings, &stretches, n_stretches);
    }
    starts[next_bucket..].fill(postings.n_bits() as i64);
    let mut out = Vec::new();
    put_ints(&mut out, &counts);
    put_ints(&mut out, &starts);
    out.extend_from_slice(&tails);
    put_bytes(&mut out, &postings.into_bytes());
    out
}

/// Writes the stretches that have a word.
fn put_postings(postings: &mut BitWriter, stretches: &[u32], n_stretches: usize) {
    postings.put_gamma(stretches.len() as u32);
    let width = rice_width(stretches.len() as u32, n_stretches);
    let mut expected = 0;
    for stretch in stretches {
        postings.put_rice(stretch - expected, width);
        expected = stretch + 1;
    }
}

/// The best width of Rice's code where `count` of `n_all` stretches have a word.
fn rice_width(count: u32, n_all: usize) -> u32 {
    let gap = n_all as u64 * 7 / 10 / u64::from(count.max(1));
    gap.max(1).ilog2()
}

fn section_number(hash: u64, n_sections: usize) -> u64 {
    hash.checked_shr(64 - n_sections.ilog2()).unwrap_or(0)
}

/// The bucket of a word in its section, and what it is known by there.
fn place(hash: u64, n_sections: usize) -> (usize, u16) {
    let rest = hash << n_sections.ilog2();
    ((rest >> 56) as usize, (rest >> 40) as u16)
}

/// The hash of a word of ASCII letters and digits, in whatever case, that stands in a text. Words
/// of up to sixteen bytes, which most are, cost no branch that depends on their length.
#[inline]
fn hash_in(text: &[u8], start: usize, length: usize) -> u64 {
    let Some(sixteen) = text.get(start..).and_then(|rest| rest.first_chunk::<16>()) else {
        return hash_of(text.get(start..start + length).unwrap_or_default(), LOWER);
    };
    if length > 16 {
        return hash_of(text.get(start..start + length).unwrap_or_default(), LOWER);
    }
    let both = u128::from_le_bytes(*sixteen) | u128::from(LOWER) << 64 | u128::from(LOWER);
    let both = both & (u128::MAX >> (128 - 8 * length.max(1)));
    let short = mix(length as u64 ^ both as u64);
    let long = mix(short ^ (both >> 64) as u64);
    let hash = if length > 8 { long } else { short };
    hash.wrapping_mul(MULTIPLIER)
}

#[inline]
fn mix(hash: u64) -> u64 {
    let product = u128::from(hash) * u128::from(MULTIPLIER);
    (product >> 64) as u64 ^ product as u64
}

/// The hash of a word whose bytes become those of the index with the bits of `set` added.
fn hash_of(word: &[u8], set: u64) -> u64 {
    let mut hash = word.len() as u64;
    let (eights, rest) = word.as_chunks::<8>();
    for eight in eights {
        hash = mix(hash ^ (u64::from_le_bytes(*eight) | set));
    }
    if !rest.is_empty() {
        let unused = 64 - 8 * rest.len();
        hash = mix(hash ^ (few_bytes(rest) | set >> unused));
    }
    hash.wrapping_mul(MULTIPLIER)
}

/// One to seven bytes as a number.
#[inline]
fn few_bytes(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (length - 4));
    }
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    byte(0) | byte(length / 2) | byte(length - 1)
}

/// Which of the sections of the index a word is in.
pub(in super::super) fn section_of(word: &str, n_sections: usize) -> usize {
    section_number(hash_of(word.as_bytes(), 0), n_sections) as usize
}

/// The stretches that a section of the index gives for a word, ascending.
pub(in super::super) fn find_rows(
    section: &[u8],
    word: &str,
    n_sections: usize,
    n_stretches: usize,
) -> Result<Vec<u32>, BlockError> {
    const WRONG: BlockError = BlockError::malformed("the word index is wrong");
    let (bucket, tail) = place(hash_of(word.as_bytes(), 0), n_sections);
    let mut cursor = Cursor::new(section);
    let (columns, n_bytes): ([KeptColumn; 2], KeptBytes) = Default::default();
    let [counts, starts] = columns.each_ref().map(|column| {
        let n_bytes = &n_bytes;
        let keep = Keep { column, n_bytes };
        Ints::read(&mut cursor, N_BUCKETS, keep.only())
    });
    let (counts, starts) = (counts?, starts?);
    let n_words = usize::try_from(counts.sum(0, N_BUCKETS)).map_err(|_| WRONG)?;
    let (tails, _) = cursor
        .take(n_words.checked_mul(2).ok_or(WRONG)?)?
        .as_chunks::<2>();
    let first = counts.sum(0, bucket) as usize;
    let end = first.saturating_add(counts.get(bucket) as usize);
    let bucket_tails = tails.get(first..end).ok_or(WRONG)?;
    let Some(index) = bucket_tails
        .iter()
        .position(|found| u16::from_le_bytes(*found) == tail)
    else {
        return Ok(Vec::new());
    };
    let mut bits = BitReader::new(cursor.bytes()?, starts.get(bucket) as usize);
    let mut rows = Vec::new();
    for _ in 0..=index {
        rows.clear();
        let count = bits.gamma().ok_or(WRONG)?;
        let width = rice_width(count, n_stretches);
        let mut next = 0u32;
        for _ in 0..count {
            let row = next
                .checked_add(bits.rice(width).ok_or(WRONG)?)
                .ok_or(WRONG)?;
            if row as usize >= n_stretches {
                return Err(WRONG);
            }
            rows.push(row);
            next = row + 1;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_where_it_entered() {
        let mut builder = WordsBuilder::default();
        for span in 0..3_000u32 {
            let text = format!(
                "all half{} third{} own{span} Again again",
                span % 2,
                span % 3
            );
            builder.begin_stretch();
            builder.add(text.as_bytes(), false);
        }
        let sections = builder.sections();
        assert!(sections.len() >= 2);
        let find = |word: &str| {
            let section = &sections[section_of(word, sections.len())];
            find_rows(section, word, sections.len(), 3_000).unwrap()
        };
        assert_eq!(find("all"), (0..3_000).collect::<Vec<_>>());
        assert_eq!(find("again").len(), 3_000);
        assert_eq!(find("half1"), (1..3_000).step_by(2).collect::<Vec<_>>());
        assert_eq!(find("own2999"), [2_999]);
        assert_eq!(find("nobody"), [0; 0]);
        let bytes: usize = sections.iter().map(Vec::len).sum();
        assert!(bytes < 3_000 * 9, "{bytes} bytes");
    }

    #[test]
    fn a_word_in_a_text_has_the_hash_of_itself() {
        let text = "ABCdefgh01JKLmnopq2STUVWXyz3and4more5ofIT".as_bytes();
        for start in 0..text.len() {
            for end in start + 1..=text.len() {
                let lower = text[start..end].to_ascii_lowercase();
                assert_eq!(hash_in(text, start, end - start), hash_of(&lower, 0));
            }
        }
    }

    #[test]
    fn damaged_sections_are_errors_or_other_rows() {
        let mut builder = WordsBuilder::default();
        for span in 0..50u32 {
            builder.begin_stretch();
            builder.add(format!("word{}", span % 5).as_bytes(), false);
        }
        let sections = builder.sections();
        for at in 0..sections[0].len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = sections[0].clone();
                damaged[at] ^= flip;
                if let Ok(rows) = find_rows(&damaged, "word3", 1, 50) {
                    assert!(rows.iter().all(|row| *row < 50));
                }
            }
        }
    }
}
