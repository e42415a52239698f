//! Bits, lowest first, and the two codes that postings are made of.

#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    buffer: u64,
    filled: u32,
}

impl BitWriter {
    /// Appends a number of `count` bits, at most 32.
    pub(super) fn put(&mut self, number: u64, count: u32) {
        self.buffer |= number << self.filled;
        self.filled += count;
        if self.filled >= 32 {
            self.bytes
                .extend_from_slice(&(self.buffer as u32).to_le_bytes());
            self.buffer >>= 32;
            self.filled -= 32;
        }
    }

    fn put_unary(&mut self, mut ones: u64) {
        while ones >= 32 {
            self.put(u64::from(u32::MAX), 32);
            ones -= 32;
        }
        self.put((1 << ones) - 1, ones as u32 + 1);
    }

    /// Elias' gamma code of a number from 1 on.
    pub(super) fn put_gamma(&mut self, number: u32) {
        let width = number.ilog2();
        self.put_unary(u64::from(width));
        self.put(u64::from(number) & ((1 << width) - 1), width);
    }

    /// Rice's code: the high bits in unary, `width` low bits as they are.
    pub(super) fn put_rice(&mut self, number: u32, width: u32) {
        self.put_unary(u64::from(number) >> width);
        self.put(u64::from(number) & ((1 << width) - 1), width);
    }

    pub(super) fn n_bits(&self) -> usize {
        self.bytes.len() * 8 + self.filled as usize
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let rest = self.buffer.to_le_bytes();
        self.bytes
            .extend_from_slice(&rest[..(self.filled as usize).div_ceil(8)]);
        self.bytes
    }
}

#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The next 57 bits or more; zeros beyond the end.
    fn window(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let eight = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            eight
        });
        u64::from_le_bytes(eight) >> (self.at % 8)
    }

    fn get(&mut self, count: u32) -> u64 {
        let bits = self.window() & ((1 << count) - 1);
        self.at += count as usize;
        bits
    }

    fn unary(&mut self) -> Option<u64> {
        let mut ones = 0;
        loop {
            if self.at >= self.bytes.len() * 8 {
                return None;
            }
            let run = self.window().trailing_ones().min(56);
            ones += u64::from(run);
            self.at += run as usize;
            if run < 56 {
                self.at += 1;
                return Some(ones);
            }
        }
    }

    pub(super) fn gamma(&mut self) -> Option<u32> {
        let width = self.unary().filter(|width| *width < 32)? as u32;
        Some(1 << width | self.get(width) as u32)
    }

    pub(super) fn rice(&mut self, width: u32) -> Option<u32> {
        let high = self
            .unary()
            .filter(|high| *high <= u64::from(u32::MAX >> width))?;
        Some((high << width | self.get(width)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_come_back(numbers in prop::collection::vec((1u32..5_000, 0u32..12), 0..100)) {
            let mut writer = BitWriter::default();
            for (number, width) in &numbers {
                writer.put_gamma(*number);
                writer.put_rice(*number, *width);
            }
            let n_bits = writer.n_bits();
            let bytes = writer.into_bytes();
            let mut reader = BitReader::new(&bytes, 0);
            for (number, width) in &numbers {
                prop_assert_eq!(reader.gamma(), Some(*number));
                prop_assert_eq!(reader.rice(*width), Some(*number));
            }
            prop_assert_eq!(reader.at, n_bits);
        }

        #[test]
        fn random_bits_end(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = BitReader::new(&bytes, 0);
            while reader.gamma().is_some() && reader.rice(3).is_some() {}
            prop_assert!(reader.at <= bytes.len() * 8 + 64);
        }
    }
}
