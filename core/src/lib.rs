//! Littoral: an edge-replicated document store.
#![forbid(unsafe_code)]

pub mod clock;
pub mod crdt;
pub mod error;
pub mod id;
pub mod limits;
#[cfg(feature = "net")]
pub mod net;
pub mod replica;
pub mod store;
pub mod sync;
pub mod txn;
pub mod value;
mod wire;

pub use error::{Error, ErrorKind, Result};
pub use id::{NodeId, Position};
pub use store::{
    Change, Changes, Collection, Conflict, Document, Options, Scan, ScanRange, Store, Transaction,
};
pub use txn::edit::Version;
pub use value::{Field, Fields, Path, Value};
