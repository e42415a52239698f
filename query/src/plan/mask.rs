use std::ops::Range;

/// A set of rows of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    words: Vec<u64>,
    len: usize,
}

impl Rows {
    pub(crate) fn none(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    pub(crate) fn all(len: usize) -> Self {
        let mut rows = Self {
            words: vec![u64::MAX; len.div_ceil(64)],
            len,
        };
        rows.trim();
        rows
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut()
            && !self.len.is_multiple_of(64)
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(crate) fn remove(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    pub(crate) fn contains(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(word, other)| *word &= other);
        self
    }

    pub(crate) fn or(mut self, other: &Self) -> Self {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(word, other)| *word |= other);
        self
    }

    pub(crate) fn not(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// The rows of a range, ascending.
    pub(crate) fn iter_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        self.iter_from(range.start)
            .take_while(move |row| *row < range.end)
    }

    /// How many rows of a range there are.
    pub(crate) fn count_in(&self, range: Range<usize>) -> usize {
        self.iter_in(range).count()
    }

    pub(crate) fn any_in(&self, range: Range<usize>) -> bool {
        self.iter_from(range.start)
            .next()
            .is_some_and(|row| row < range.end)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.iter_from(0)
    }

    /// The rows from `first`, ascending.
    fn iter_from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = first / 64;
        let mut word = self.words.get(at).copied().unwrap_or(0) & (u64::MAX << (first % 64));
        std::iter::from_fn(move || {
            while word == 0 {
                at += 1;
                word = *self.words.get(at)?;
            }
            let row = at * 64 + word.trailing_zeros() as usize;
            word &= word - 1;
            Some(row)
        })
    }
}

/// What is known of a condition, row by row: where it holds for sure, and where it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) sure: Rows,
    pub(crate) maybe: Rows,
}

impl Mask {
    /// Nothing is known.
    pub(crate) fn unknown(len: usize) -> Self {
        Self {
            sure: Rows::none(len),
            maybe: Rows::all(len),
        }
    }

    pub(crate) fn exact(rows: Rows) -> Self {
        Self {
            sure: rows.clone(),
            maybe: rows,
        }
    }

    pub(crate) fn constant(len: usize, value: bool) -> Self {
        Self::exact(if value {
            Rows::all(len)
        } else {
            Rows::none(len)
        })
    }

    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            sure: self.sure.and(&other.sure),
            maybe: self.maybe.and(&other.maybe),
        }
    }

    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            sure: self.sure.or(&other.sure),
            maybe: self.maybe.or(&other.maybe),
        }
    }

    pub(crate) fn not(self) -> Self {
        Self {
            sure: self.maybe.not(),
            maybe: self.sure.not(),
        }
    }

    pub(crate) fn set(&mut self, row: usize, truth: Truth) {
        match truth {
            Truth::No => {}
            Truth::Maybe => self.maybe.insert(row),
            Truth::Yes => {
                self.sure.insert(row);
                self.maybe.insert(row);
            }
        }
    }

    /// Nothing is true of the row.
    pub(crate) fn remove(&mut self, row: usize) {
        self.sure.remove(row);
        self.maybe.remove(row);
    }

    /// Whether everything is known in a range.
    pub(crate) fn is_exact_in(&self, range: Range<usize>) -> bool {
        self.maybe.iter_in(range).all(|row| self.sure.contains(row))
    }

    /// No row at all, to be filled.
    pub(crate) fn empty(len: usize) -> Self {
        Self::constant(len, false)
    }

    pub(crate) fn len(&self) -> usize {
        self.maybe.len()
    }
}

/// What is known of a condition at one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    No,
    Maybe,
    Yes,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_across_words() {
        let mut rows = Rows::none(200);
        for row in [0, 63, 64, 130, 199] {
            rows.insert(row);
        }
        assert_eq!(rows.iter().collect::<Vec<_>>(), [0, 63, 64, 130, 199]);
        assert_eq!(rows.count_in(63..131), 3);
        assert_eq!((rows.any_in(65..130), rows.any_in(65..131)), (false, true));
        assert_eq!(rows.clone().not().count(), 195);
        assert!(rows.clone().and(&rows.not()).is_empty());
        assert_eq!(Rows::all(70).count(), 70);
    }

    #[test]
    fn what_is_unknown_stays_unknown_when_negated() {
        let mut mask = Mask::empty(3);
        mask.set(1, Truth::Maybe);
        mask.set(2, Truth::Yes);
        let not = mask.clone().not();
        assert_eq!(not.sure.iter().collect::<Vec<_>>(), [0]);
        assert_eq!(not.maybe.iter().collect::<Vec<_>>(), [0, 1]);
        assert_ne!(mask.sure, mask.maybe);
        assert_eq!(mask.or(&not).maybe.count(), 3);
    }
}
