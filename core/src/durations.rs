//! Durations: how long something took, counted in buckets.
//!
//! A few atomics, so that whoever measures waits for nobody and takes no memory. The sum, the
//! count and the buckets are read one after the other: what is measured meanwhile may be in one
//! and not in the other. Nothing in the core decides by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, in microseconds; beyond the last there is one without an end.
const BOUNDS_US: [u64; 18] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    600_000_000,
    3_600_000_000,
];

/// Counts durations.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// Durations that were counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measured {
    /// How many fell into each bucket and into none before it, with its upper end, included, in
    /// microseconds; the last has none.
    pub buckets: Vec<(Option<u64>, u64)>,
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Durations {
    /// Counts one.
    pub(crate) fn note(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// All that were counted.
    pub(crate) fn read(&self) -> Measured {
        let bounds = BOUNDS_US.iter().copied().map(Some).chain([None]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let sum_us = self.sum_us.load(Ordering::Relaxed);
        Measured { buckets: bounds.zip(counts).collect(), sum_us }
    }
}

impl Measured {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_reaches_it() {
        let durations = Durations::default();
        for us in [0, 100, 101, 250, u64::MAX] {
            durations.note(Duration::from_micros(us));
        }
        let measured = durations.read();
        assert_eq!(measured.buckets[0], (Some(100), 2));
        assert_eq!(measured.buckets[1], (Some(250), 2));
        assert_eq!(measured.buckets.last(), Some(&(None, 1)));
        assert_eq!(measured.count(), 5);
    }
}
