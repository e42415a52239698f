/// A word while the index is built.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Word {
    /// Never 0, which marks an empty slot.
    pub(super) hash: u64,
    /// How many words came before it.
    pub(super) number: u32,
    pub(super) last_span: u32,
    pub(super) n_spans: u32,
}

/// The words by their hash: open addressing with everything in one slot, because a look-up a word
/// is most of what the index costs and each is one miss of the cache.
#[derive(Debug, Default)]
pub(super) struct WordTable {
    slots: Vec<Word>,
    len: usize,
}

impl WordTable {
    /// Notes that a span has a word. Returns the word's number if it was not noted before.
    pub(super) fn note(&mut self, hash: u64, span: u32) -> Option<u32> {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash.max(1);
        let next = self.len as u32;
        let slot = Self::slot(&mut self.slots, hash);
        if slot.hash == 0 {
            *slot = Word {
                hash,
                number: next,
                last_span: span,
                n_spans: 1,
            };
            self.len += 1;
        } else if slot.last_span == span {
            return None;
        } else {
            slot.last_span = span;
            slot.n_spans += 1;
        }
        Some(slot.number)
    }

    /// The slot of a word, or the empty one where it belongs. At least half are empty.
    fn slot(slots: &mut [Word], hash: u64) -> &mut Word {
        let mask = slots.len() - 1;
        let mut at = hash as usize & mask;
        while slots[at].hash != 0 && slots[at].hash != hash {
            at = (at + 1) & mask;
        }
        &mut slots[at]
    }

    fn grow(&mut self) {
        let mut slots = vec![Word::default(); (self.slots.len() * 2).max(1 << 10)];
        for word in self.words() {
            *Self::slot(&mut slots, word.hash) = *word;
        }
        self.slots = slots;
    }

    /// All words, in no order.
    pub(super) fn words(&self) -> impl Iterator<Item = &Word> {
        self.slots.iter().filter(|word| word.hash != 0)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}
