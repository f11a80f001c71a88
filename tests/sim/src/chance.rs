//! Chance from a seed. The same seed and stream give the same numbers, on every machine.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// One stream of chance.
pub(crate) struct Chance(Pcg64);

impl Chance {
    /// Streams of one seed are independent: drawing from one does not change another.
    pub(crate) fn new(seed: u64, stream: u64) -> Chance {
        Chance(Pcg64::new(u128::from(seed), u128::from(stream)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number of a range that is not empty, its ends included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// An index, with chances in these proportions; they are not all 0.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut at = self.next() % weights.iter().sum::<u64>();
        for (index, weight) in weights.iter().enumerate() {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return index,
            }
        }
        unreachable!("the weights add up")
    }
}
