//! Time: hybrid timestamps and where they come from.
//!
//! Invariants: timestamps of one node strictly increase while its wall clock is not put back
//! by more than [`MAX_CLOCK_LEAD_MS`]; they saturate, they never overflow; neither a peer's clock
//! nor our own past moves us further ahead than that, so that one wrong clock cannot carry
//! all others away and its owner recovers when it is set right. Nothing but the order in which truly concurrent values
//! are shown depends on them: what overwrites what is decided by causality.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::MAX_CLOCK_LEAD_MS;

const COUNTER_BITS: u32 = 16;
const MAX_MS: u64 = (1 << (64 - COUNTER_BITS)) - 1;

/// A hybrid logical timestamp: 48 bits of milliseconds since 1970 and 16 bits of counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest timestamp there is.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The timestamp of a wall clock reading, in milliseconds since 1970; saturates.
    pub fn from_millis(ms: u64) -> Timestamp {
        Timestamp(ms.min(MAX_MS) << COUNTER_BITS)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The bits as stored and sent.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// From the bits as stored and sent.
    pub fn from_bits(bits: u64) -> Timestamp {
        Timestamp(bits)
    }

    fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = (self.millis() as i64).saturating_mul(1000);
        f.write_str(&crate::value::format_time(micros))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = crate::error::Error;

    /// From RFC 3339, to the millisecond.
    fn from_str(text: &str) -> Result<Timestamp, Self::Err> {
        let micros = crate::value::parse_time(text)?;
        let ms = u64::try_from(micros / 1000)
            .map_err(|_| crate::error::Error::invalid("the time is before 1970"))?;
        Ok(Timestamp::from_millis(ms))
    }
}

/// Where wall time comes from: the system, or a test.
pub trait WallClock: Send + Sync {
    /// Milliseconds since 1970, as this clock believes.
    fn now_ms(&self) -> u64;
}

/// The operating system's clock. A time before 1970 reads as 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }
}

/// A hybrid clock: the last timestamp given out or learned.
#[derive(Debug, Clone, Copy, Default)]
pub struct HybridClock {
    last: Timestamp,
}

impl HybridClock {
    /// A clock that continues after `last`.
    pub fn starting_after(last: Timestamp) -> HybridClock {
        HybridClock { last }
    }

    /// The next timestamp of this node.
    pub fn tick(&mut self, wall_ms: u64) -> Timestamp {
        let wall = Timestamp::from_millis(wall_ms);
        let plausible = self.last.millis() <= wall_ms.saturating_add(MAX_CLOCK_LEAD_MS);
        self.last = if plausible { self.last.next().max(wall) } else { wall };
        self.last
    }

    /// Learns a peer's timestamp, so that what follows it here is shown after it too,
    /// unless its clock is wrong by more than [`MAX_CLOCK_LEAD_MS`].
    pub fn observe(&mut self, seen: Timestamp, wall_ms: u64) {
        if seen.millis() <= wall_ms.saturating_add(MAX_CLOCK_LEAD_MS) {
            self.last = self.last.max(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_increase_while_the_wall_stands_still_or_jumps_back() {
        let mut clock = HybridClock::default();
        let a = clock.tick(1_000);
        let b = clock.tick(1_000);
        let c = clock.tick(5);
        assert!(a < b && b < c);
        assert_eq!(c.millis(), 1_000);
    }

    #[test]
    fn a_clock_that_was_years_ahead_recovers_when_it_is_set_right() {
        let mut clock = HybridClock::default();
        clock.tick(400_000_000);
        assert_eq!(clock.tick(1_000).millis(), 1_000);
    }

    #[test]
    fn a_wrong_clock_does_not_carry_others_away() {
        let mut clock = HybridClock::default();
        clock.observe(Timestamp::from_millis(10_000_000), 1_000);
        assert_eq!(clock.tick(1_000).millis(), 1_000);
        clock.observe(Timestamp::from_millis(1_000 + MAX_CLOCK_LEAD_MS), 1_000);
        assert_eq!(clock.tick(1_000).millis(), 1_000 + MAX_CLOCK_LEAD_MS);
    }

    #[test]
    fn timestamps_saturate() {
        let mut clock = HybridClock::starting_after(Timestamp::MAX);
        assert_eq!(clock.tick(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(u64::MAX).millis(), MAX_MS);
    }
}
