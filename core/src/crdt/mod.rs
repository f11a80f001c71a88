//! The replication algebra of one document: cells, operations, and what they show.
//!
//! Pure: no I/O, no clock, no storage, no transactions. A [`Row`] is a document's state,
//! an [`Op`] changes it, [`view`] says what a reader sees of it. A large document is changed
//! and read in parts: [`Batch`], [`places`] and [`layout`] need only the cells they concern.

mod batch;
mod cell;
mod fresh;
pub mod join;
pub mod key;
pub mod layout;
mod lthash;
mod op;
pub mod places;
mod row;
mod shown;
#[cfg(test)]
mod tests;
pub mod view;
mod window;

pub use batch::{Batch, Changed, Effects};
pub use cell::{Body, Cell, CounterRow, Settled};
pub use fresh::Fresh;
pub use layout::Layout;
pub use lthash::LtHash;
pub use op::{Addition, Continued, DocOps, Op, Stamp};
pub use row::{Flags, Row};
pub use shown::shown;
pub use window::{Ranges, Source, Window};
