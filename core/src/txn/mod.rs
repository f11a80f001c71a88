//! Transactions: the unit that is signed, chained, kept verbatim and sent.
//!
//! Pure: no I/O, no clock, no storage. [`codec`] has the bytes, [`sign`] keys and
//! signatures, [`edit`] turns what a caller wants into operations over what it has seen,
//! [`branches`] names the two sides of a history that has forked.
//! [`snapshot`] has the bytes of what travels without them, [`bundle`] those of a file that carries
//! either, [`roster`] who may do what, [`ticket`] the text that lets somebody
//! join, [`joining`] what is asked and answered then.

pub mod branches;
pub mod bundle;
mod codec;
pub mod edit;
pub mod joining;
pub mod roster;
pub mod sign;
pub mod snapshot;
#[cfg(test)]
mod tests;
pub mod ticket;
mod version;

use crate::clock::Timestamp;
use crate::crdt::{DocOps, Stamp};
use crate::id::{Dot, Hash, Origin, Seq, ShortHash};

pub use branches::{Branch, Branches};
pub use codec::{decode, encode, peek_dot};
pub use sign::{NetworkId, NodeKey, Proof, Scope, Signed};
pub(crate) use sign::{Unsigned, Verifier};

/// One transaction of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// Who wrote it, and its number.
    pub dot: Dot,
    /// The hash of the author's transaction before it; zero for the first.
    pub prev: Hash,
    /// The author's hybrid time.
    pub time: Timestamp,
    /// What the author had seen, as the difference to its transaction before.
    pub deps: Vec<Dep>,
    /// What it does, by document; ids sorted and unique.
    pub docs: Vec<DocOps>,
}

/// A transaction of another origin that the author had seen, and by that all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dep {
    /// Whose.
    pub origin: Origin,
    /// Its number.
    pub seq: Seq,
    /// Its hash, shortened.
    pub hash: ShortHash,
}

impl Txn {
    /// The stamp under which its operations are applied.
    pub fn stamp(&self) -> Stamp {
        Stamp { dot: self.dot, time: self.time }
    }
}
