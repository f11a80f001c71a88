//! The replication algebra of one document: cells, operations, and what they show.
//!
//! Pure: no I/O, no clock, no storage, no transactions. A [`Row`] is a document's state,
//! an [`Op`] changes it, [`view`] says what a reader sees of it.

pub mod join;
pub mod key;
mod lthash;
mod op;
mod row;
#[cfg(test)]
mod tests;
pub mod view;

pub use lthash::LtHash;
pub use op::{DocOps, Op, Stamp};
pub use row::{Body, Cell, CounterRow, Flags, Row, Settled};
