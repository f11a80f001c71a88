//! How long to wait before connecting again.
//!
//! The wait doubles with each failure up to a bound, and is spread at random over its upper
//! half: peers that lost one hub at the same moment don't come back at the same moment. Only
//! a link that lived starts it over; one that comes up and falls at once does not.

use std::time::Duration;

use crate::limits::{RECONNECT_MAX_MS, RECONNECT_MIN_MS};

/// The waits between attempts to connect.
#[derive(Debug, Default, Clone)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait; `random` is any number.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let doubled = RECONNECT_MIN_MS.saturating_mul(1 << self.failures.min(32));
        self.failures = self.failures.saturating_add(1);
        let longest_ms = doubled.min(RECONNECT_MAX_MS);
        let half = longest_ms / 2;
        Duration::from_millis(half + random % (longest_ms - half + 1))
    }

    /// A link has lived: what fails now is a new failure.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let mut backoff = Backoff::default();
        let mut bound = RECONNECT_MIN_MS;
        for _ in 0..100 {
            let shortest = backoff.clone().next(0).as_millis() as u64;
            assert_eq!(shortest, bound / 2);
            let wait = backoff.next(u64::MAX).as_millis() as u64;
            assert!((bound / 2..=bound).contains(&wait), "{wait} of {bound}");
            bound = (bound * 2).min(RECONNECT_MAX_MS);
        }
    }

    #[test]
    fn a_link_that_lived_starts_over() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.next(1);
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX).as_millis() as u64 <= RECONNECT_MIN_MS);
    }

    #[test]
    fn jitter_reaches_the_whole_upper_half() {
        let first = |random| Backoff::default().next(random).as_millis() as u64;
        let width = RECONNECT_MIN_MS - RECONNECT_MIN_MS / 2;
        assert_eq!(first(0), RECONNECT_MIN_MS / 2);
        assert_eq!(first(width), RECONNECT_MIN_MS);
    }
}
