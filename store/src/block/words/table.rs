//! The distinct words of a block, while it is encoded, and the stretches that each entered in.

/// The set of a stretch has room for so many words at first.
const FIRST_SLOTS: usize = 1 << 10;
/// A block has no more stretches than this many bits count. The 40 bits of a hash above them tell
/// words apart: 12 for the section, 8 for the bucket, 16 in it, and some more.
const STRETCH_BITS: u32 = 24;
const STRETCH_MASK: u64 = (1 << STRETCH_BITS) - 1;
/// So few occurrences are sorted by comparing them.
const FEW: usize = 1 << 11;
/// Others are sorted by their highest bits first, so many at a time: more at a time write to more
/// places than the nearest cache holds.
const DIGIT_BITS: u32 = 10;
/// After so many times few words have the same highest bits.
const PASSES: u32 = 2;

/// Which stretches have which words.
#[derive(Debug, Default)]
pub(super) struct WordTable {
    /// The words of the stretch at hand, at the place that their hash gives them or the next free
    /// one; at most half are taken. No word is 0.
    slots: Vec<u64>,
    /// How many words the stretch at hand has.
    n_words: usize,
    /// Words and the stretches that they are in, stretch by stretch.
    occurrences: Vec<Occurrence>,
    n_stretches: u32,
}

/// A word and a stretch that it is in: above the number of the stretch, the highest bits of the
/// hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Occurrence(u64);

impl Occurrence {
    /// The highest bits of the hash of the word.
    pub(super) fn hash(self) -> u64 {
        self.0 & !STRETCH_MASK
    }

    pub(super) fn stretch(self) -> u32 {
        (self.0 & STRETCH_MASK) as u32
    }
}

impl WordTable {
    /// Begins the next stretch.
    pub(super) fn begin_stretch(&mut self) {
        self.n_stretches += 1;
        // As many slots as the last one needed: most need about as many.
        let wanted = (self.n_words * 2 + 1).next_power_of_two();
        self.n_words = 0;
        self.slots.clear();
        self.slots.resize(wanted.max(FIRST_SLOTS), 0);
    }

    pub(super) fn n_stretches(&self) -> u32 {
        self.n_stretches
    }

    /// Adds words of the stretch at hand by their hashes.
    pub(super) fn add(&mut self, hashes: impl ExactSizeIterator<Item = u64>) {
        let stretch = u64::from(self.n_stretches.saturating_sub(1));
        self.occurrences.reserve(hashes.len());
        for hash in hashes {
            let hash = hash & !STRETCH_MASK;
            if self.n_words * 2 >= self.slots.len() {
                self.grow();
            }
            let at = self.find(hash);
            if self.slots[at] == 0 {
                self.slots[at] = hash | 1;
                self.n_words += 1;
                self.occurrences.push(Occurrence(hash | stretch));
            }
        }
    }

    fn grow(&mut self) {
        let wanted = (self.slots.len() * 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; wanted]);
        for word in old.into_iter().filter(|word| *word != 0) {
            let at = self.find(word & !STRETCH_MASK);
            self.slots[at] = word;
        }
    }

    /// Where a word is, or would be.
    #[inline]
    fn find(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> STRETCH_BITS) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == hash | 1 || slot == 0 {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// All occurrences in order.
    pub(super) fn finish(self) -> Vec<Occurrence> {
        let mut sorted = self.occurrences;
        if sorted.len() <= FEW {
            sorted.sort_unstable();
            return sorted;
        }
        let mut other = vec![Occurrence(0); sorted.len()];
        for pass in 0..PASSES {
            let shift = 64 - DIGIT_BITS * (PASSES - pass);
            let digit = |one: &Occurrence| (one.0 >> shift) as usize & ((1 << DIGIT_BITS) - 1);
            let mut places = [0u32; 1 << DIGIT_BITS];
            for one in &sorted {
                places[digit(one)] += 1;
            }
            let mut at = 0;
            for place in &mut places {
                at += std::mem::replace(place, at);
            }
            for one in &sorted {
                let place = &mut places[digit(one)];
                other[*place as usize] = *one;
                *place += 1;
            }
            std::mem::swap(&mut sorted, &mut other);
        }
        let highest = |one: &Occurrence| one.0 >> (64 - DIGIT_BITS * PASSES);
        for near in sorted.chunk_by_mut(|a, b| highest(a) == highest(b)) {
            // The stretches of one word are in order.
            if !near.is_sorted() {
                near.sort_unstable();
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_sorted_each_with_the_stretches_it_is_in() {
        for n_stretches in [3u64, 400] {
            let mut table = WordTable::default();
            let mut expected = Vec::new();
            for stretch in 0..n_stretches {
                table.begin_stretch();
                let words =
                    (0..40).map(|n| (n * (stretch % 7 + 1)).wrapping_mul(0x9e37_79b9 << 32));
                let words: Vec<u64> = words.collect();
                table.add(words.iter().copied());
                table.add(words.iter().copied());
                let kept = |hash: u64| hash & !STRETCH_MASK;
                expected.extend(words.into_iter().map(|hash| (kept(hash), stretch as u32)));
            }
            assert_eq!(u64::from(table.n_stretches()), n_stretches);
            expected.sort_unstable();
            expected.dedup();
            let found = table.finish().into_iter();
            let found: Vec<_> = found.map(|one| (one.hash(), one.stretch())).collect();
            assert_eq!(found, expected);
        }
    }
}
