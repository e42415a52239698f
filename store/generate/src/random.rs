/// A random number generator whose numbers never change: `SplitMix64`, written here so that a
/// workload of one seed stays the same whatever versions of libraries are used.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The generator of one trace of one workload.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut random = Self {
            state: seed ^ index.wrapping_mul(0xa076_1d64_78bd_642f),
        };
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from 0 to below `end`; 0 when that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True in this share of cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// A number of a log-normal distribution with this median and 90th percentile.
    pub(crate) fn log_normal(&mut self, median: f64, p90: f64) -> f64 {
        /// The 90th percentile of the normal distribution, in standard deviations.
        const P90: f64 = 1.281_551_565_5;
        let sigma = (p90 / median).ln() / P90;
        let (u, v) = (1.0 - self.unit(), self.unit());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        median * (sigma * normal).exp()
    }

    /// How often something of this chance fails before it happens, up to `most`.
    pub(crate) fn geometric(&mut self, chance: f64, most: u64) -> u64 {
        let mut count = 0;
        while count < most && !self.chance(chance) {
            count += 1;
        }
        count
    }

    /// A number from 0 to below `end`, the first most often, each next about as often as its
    /// place divides.
    pub(crate) fn zipf(&mut self, end: u64) -> u64 {
        let end_f = end.max(1) as f64;
        let place = (end_f + 1.0).powf(self.unit()) - 1.0;
        (place as u64).min(end.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_medians() {
        let mut random = Random::new(1, 0);
        let mut sample: Vec<f64> = (0..10_001).map(|_| random.log_normal(13.0, 28.0)).collect();
        sample.sort_by(f64::total_cmp);
        assert!((sample[5_000] - 13.0).abs() < 0.7, "{}", sample[5_000]);
        assert!((sample[9_000] - 28.0).abs() < 2.0, "{}", sample[9_000]);
        let first = (0..10_000).filter(|_| random.zipf(30) == 0).count();
        assert!((1_500..3_000).contains(&first), "{first}");
        let picks: Vec<u64> = (0..1_000).map(|_| random.between(3, 5)).collect();
        assert_eq!(picks.iter().min(), Some(&3));
        assert_eq!(picks.iter().max(), Some(&5));
    }
}
