//! Operations: what a transaction does to a document.
//!
//! Rule 3 of the replication algebra: net effect; overwriting is clearing what was seen, and putting.
//! Visibility is decided by these alone; no clock takes part.

use crate::clock::Timestamp;
use crate::id::{Dot, Origin, Seq};

/// A transaction's dot and time: what its operations are applied under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its dot.
    pub dot: Dot,
    /// Its author's hybrid time; chooses the winner among siblings, nothing else.
    pub time: Timestamp,
}

impl Stamp {
    /// The order in which siblings are shown: the highest is the winner, on every replica.
    pub fn rank(&self) -> (Timestamp, Origin, Seq) {
        (self.time, self.dot.origin, self.dot.seq)
    }
}

/// The operations of one transaction on one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocOps {
    /// The document's id.
    pub id: String,
    /// The operations.
    pub ops: Vec<Op>,
}

/// One addition to a counter row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    /// The transaction of the row's origin.
    pub seq: Seq,
    /// Its time.
    pub time: Timestamp,
}

/// A counter row that goes on, in one branch of a forked origin, from one begun before the fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Continued {
    /// The number of the transaction that began the row, as its author counts.
    pub birth: Seq,
    /// The row's sum before the branch's first addition.
    pub before: i128,
}

/// One operation. Keys and prefixes are those of [`key`](super::key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A live put under the transaction's dot.
    Put {
        /// Where.
        key: Vec<u8>,
        /// Canonical bytes of the value of a register; empty for other slots.
        value: Vec<u8>,
    },
    /// Kills the puts at or below `prefix` that `upto` covers.
    Clear {
        /// At or below what.
        prefix: Vec<u8>,
        /// Of each origin the newest put seen there.
        upto: Vec<Dot>,
    },
    /// The author's counter row, whole, from its birth on.
    Add {
        /// The counter.
        key: Vec<u8>,
        /// The transaction of this author that began the row.
        birth: Seq,
        /// The row's sum since then.
        total: i128,
        /// How much this transaction added.
        by: i64,
        /// The addition to the row before this one; none if it begins the row. So what a row was
        /// before an addition is known from that addition alone.
        after: Option<Addition>,
    },
    /// An addition in one branch of a forked origin to a row that was begun before the fork: the
    /// branch's own row, for what it adds. Never in the bytes of a transaction.
    Continue {
        /// The counter.
        key: Vec<u8>,
        /// How this row goes on from which.
        from: Continued,
        /// How much this transaction added.
        by: i64,
    },
    /// The author saw a counter row at this total, and zeroed it.
    Settle {
        /// The counter.
        key: Vec<u8>,
        /// The row: whose, and its birth.
        row: Dot,
        /// The newest transaction of the row's origin in what was seen.
        seq: Seq,
        /// The total seen.
        total: i128,
    },
}
