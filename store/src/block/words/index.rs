//! The word index: for every word, the spans where it entered its trace.
//!
//! Words are known by a hash, so a look-up may give spans that do not have the word (one in a
//! million look-ups); whoever asks reads the text anyway. The index is cut by the highest bits
//! of the hash into as many sections as make each about 16 KiB, of which a look-up reads one:
//!
//! ```text
//! integer column of 256: how many words have each value of the next 8 bits of the hash,
//! integer column of 256: where the postings of those words begin, in bits,
//! 2 bytes a word: the 16 bits after, ascending in each of the 256,
//! varint length, postings: for every word Elias' gamma code of the number of spans, then the
//!   gaps between their numbers less 1 in Rice's code
//! ```

use xxhash_rust::xxh3::xxh3_64;

use super::super::BlockError;
use super::super::bytes::{Cursor, put_bytes};
use super::super::ints::{Ints, put_ints};
use super::bits::{BitReader, BitWriter};
use super::split::split;
use super::table::{Word, WordTable};

/// Sections become about this long.
const SECTION_BYTES: usize = 16 << 10;
const N_BUCKETS: usize = 256;

/// Collects the words of a block.
#[derive(Debug, Default)]
pub(in super::super) struct WordsBuilder {
    words: WordTable,
    /// The number of a word and a span that has it, by span.
    postings: Vec<(u32, u32)>,
}

impl WordsBuilder {
    /// Adds the words of bytes that entered with a span. Spans must come in order.
    pub(in super::super) fn add(&mut self, span: u32, bytes: &[u8], is_json: bool) {
        // New bytes begin and end at bounds of JSON values, so they are text by themselves.
        if let Ok(text) = std::str::from_utf8(bytes) {
            split(text, is_json, |word| {
                if let Some(number) = self.words.note(xxh3_64(word), span) {
                    self.postings.push((number, span));
                }
            });
        }
    }

    /// The spans of all words, word after word by number, and where those of each word end.
    fn spans_by_word(&self) -> (Vec<u32>, Vec<u32>) {
        let mut ends = vec![0; self.words.len()];
        for word in self.words.words() {
            ends[word.number as usize] = word.n_spans;
        }
        let mut at = 0;
        for end in &mut ends {
            at += std::mem::replace(end, at);
        }
        let mut spans = vec![0; self.postings.len()];
        for (word, span) in &self.postings {
            let end = &mut ends[*word as usize];
            spans[*end as usize] = *span;
            *end += 1;
        }
        (spans, ends)
    }

    /// The sections of the index; none without words.
    pub(in super::super) fn to_sections(&self, n_spans: usize) -> Vec<Vec<u8>> {
        if self.postings.is_empty() {
            return Vec::new();
        }
        let (spans, ends) = self.spans_by_word();
        let of_word = |word: &Word| {
            let end = ends[word.number as usize] as usize;
            (word.hash, &spans[end - word.n_spans as usize..end])
        };
        let mut words: Vec<(u64, &[u32])> = self.words.words().map(of_word).collect();
        words.sort_unstable_by_key(|(hash, _)| *hash);
        let estimate = words.len() * 3 + self.postings.len();
        let wanted = estimate.div_ceil(SECTION_BYTES).next_power_of_two();
        let n_sections = wanted.min(1 << 12);
        let mut rest = words.as_slice();
        let mut sections = Vec::with_capacity(n_sections);
        for number in 0..n_sections as u64 {
            let end = rest.partition_point(|(hash, _)| section_number(*hash, n_sections) <= number);
            let (group, after) = rest.split_at(end);
            rest = after;
            sections.push(encode_section(group, n_sections, n_spans));
        }
        sections
    }
}

/// Encodes the words of a section, by ascending hash, each with its spans.
fn encode_section(words: &[(u64, &[u32])], n_sections: usize, n_spans: usize) -> Vec<u8> {
    let mut counts = vec![0i64; N_BUCKETS];
    let mut starts = vec![0i64; N_BUCKETS];
    let mut tails = Vec::with_capacity(words.len() * 2);
    let mut postings = BitWriter::default();
    let mut words = words.iter().peekable();
    for bucket in 0..N_BUCKETS {
        starts[bucket] = postings.n_bits() as i64;
        while let Some((hash, spans)) =
            words.next_if(|(hash, _)| place(*hash, n_sections).0 == bucket)
        {
            counts[bucket] += 1;
            tails.extend_from_slice(&place(*hash, n_sections).1.to_le_bytes());
            postings.put_gamma(spans.len() as u32);
            let width = rice_width(spans.len() as u32, n_spans);
            let mut expected = 0;
            for span in *spans {
                postings.put_rice(span - expected, width);
                expected = span + 1;
            }
        }
    }
    let mut out = Vec::new();
    put_ints(&mut out, &counts);
    put_ints(&mut out, &starts);
    out.extend_from_slice(&tails);
    put_bytes(&mut out, &postings.into_bytes());
    out
}

/// The best width of Rice's code where `n_spans` of `n_all` have a word.
fn rice_width(n_spans: u32, n_all: usize) -> u32 {
    let gap = n_all as u64 * 7 / 10 / u64::from(n_spans.max(1));
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

/// The hash of a word in the index, which is never 0.
fn hash_of(word: &str) -> u64 {
    xxh3_64(word.as_bytes()).max(1)
}

/// Which of the sections of the index a word is in.
pub(in super::super) fn section_of(word: &str, n_sections: usize) -> usize {
    section_number(hash_of(word), n_sections) as usize
}

/// The spans that a section of the index gives for a word, ascending.
pub(in super::super) fn find_rows(
    section: &[u8],
    word: &str,
    n_sections: usize,
    n_spans: usize,
) -> Result<Vec<u32>, BlockError> {
    const WRONG: BlockError = BlockError::malformed("the word index is wrong");
    let (bucket, tail) = place(hash_of(word), n_sections);
    let mut cursor = Cursor::new(section);
    let counts = Ints::read(&mut cursor, N_BUCKETS)?;
    let starts = Ints::read(&mut cursor, N_BUCKETS)?;
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
        let width = rice_width(count, n_spans);
        let mut next = 0u32;
        for _ in 0..count {
            let row = next
                .checked_add(bits.rice(width).ok_or(WRONG)?)
                .ok_or(WRONG)?;
            if row as usize >= n_spans {
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
            builder.add(span, text.as_bytes(), false);
        }
        let sections = builder.to_sections(3_000);
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
    fn damaged_sections_are_errors_or_other_rows() {
        let mut builder = WordsBuilder::default();
        for span in 0..50u32 {
            builder.add(span, format!("word{}", span % 5).as_bytes(), false);
        }
        let sections = builder.to_sections(50);
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
