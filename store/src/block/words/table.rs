//! The distinct words of a block, while it is encoded, and the spans that each came with.

use super::index::{SPAN_BITS, SPAN_MASK};

/// The table has room for so many words at first.
const FIRST_SLOTS: usize = 1 << 10;
/// The number of no word.
const NONE: u32 = u32::MAX;

/// Which spans have which words. Far fewer words than occurrences are looked at and sorted.
#[derive(Debug, Default)]
pub(super) struct WordTable {
    /// Words at the place that their hash gives them or the next free one; at most half are taken.
    slots: Vec<Slot>,
    n_words: u32,
    /// The number of a word and a span that has it, in the order of the spans.
    pairs: Vec<(u32, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The bits of the hash that the index knows words by.
    hash: u64,
    word: u32,
    /// The last span that has it.
    span: u32,
}

const EMPTY: Slot = Slot {
    hash: 0,
    word: NONE,
    span: NONE,
};

impl WordTable {
    /// Makes room for words that are added.
    fn grow(&mut self) {
        let wanted = (self.slots.len() * 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; wanted]);
        for slot in old.into_iter().filter(|slot| slot.word != NONE) {
            let at = self.find(slot.hash);
            self.slots[at] = slot;
        }
    }

    /// Where a word is, or would be.
    #[inline]
    fn find(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> SPAN_BITS) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.hash == hash || slot.word == NONE {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds words of a span by their hashes. Spans must come in order.
    pub(super) fn add(&mut self, hashes: impl ExactSizeIterator<Item = u64>, span: u32) {
        self.pairs.reserve(hashes.len());
        for hash in hashes {
            let hash = hash & !SPAN_MASK;
            if self.n_words as usize * 2 >= self.slots.len() {
                self.grow();
            }
            let at = self.find(hash);
            let slot = &mut self.slots[at];
            if slot.word == NONE {
                (slot.hash, slot.word) = (hash, self.n_words);
                self.n_words += 1;
            } else if slot.span == span {
                continue;
            }
            slot.span = span;
            self.pairs.push((slot.word, span));
        }
    }

    /// The words in the order of their hashes, with their spans in order.
    pub(super) fn finish(self) -> SortedWords {
        let slots = self.slots.into_iter().filter(|slot| slot.word != NONE);
        let mut words: Vec<(u64, u32)> = slots.map(|slot| (slot.hash, slot.word)).collect();
        words.sort_unstable();
        // How many spans each word has, then where they begin, then where they end.
        let mut places = vec![0u32; words.len()];
        for (word, _) in &self.pairs {
            places[*word as usize] += 1;
        }
        let mut at = 0;
        for (_, word) in &words {
            at += std::mem::replace(&mut places[*word as usize], at);
        }
        let mut spans = vec![0; self.pairs.len()];
        for (word, span) in self.pairs {
            let place = &mut places[word as usize];
            spans[*place as usize] = span;
            *place += 1;
        }
        let words = words.into_iter();
        let words = words.map(|(hash, word)| (hash, places[word as usize]));
        SortedWords {
            words: words.collect(),
            spans,
        }
    }
}

/// The words of a block in the order of their hashes.
pub(super) struct SortedWords {
    /// The hash of each word, and where its spans end.
    pub(super) words: Vec<(u64, u32)>,
    pub(super) spans: Vec<u32>,
}
