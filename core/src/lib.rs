//! Littoral: an edge-replicated document store.
//!
//! Each device keeps its own [`Store`], edits it offline, and syncs with its peers over a
//! network; concurrent edits converge, and conflicts stay visible instead of being lost.
//!
//! | to | see |
//! | --- | --- |
//! | open a store, write several documents at once | [`Store`], [`Transaction`] |
//! | read, scan and write documents | [`Collection`], [`Document`] |
//! | know what fields are | [`Field`], [`Value`], [`Path`] |
//! | follow changes | [`Store::changes`] |
//! | find and settle conflicts | [`Store::conflicts`], [`Store::resolve`] |
//! | sync | `net::Network` (feature `net`, on by default) |
//! | carry changes in a file | [`Store::bundle_create`], [`Store::bundle_apply`] |
//! | read and write JSON | [`value::json`] |
//!
//! All calls block and may be made from any thread. How it works inside is told in
//! `ARCHITECTURE.md`, at the root of the repository.
#![forbid(unsafe_code)]

pub mod clock;
mod compress;
pub mod crdt;
pub mod durations;
pub mod error;
pub mod id;
pub mod limits;
#[cfg(feature = "net")]
pub mod net;
pub mod query;
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
pub use value::{Field, Fields, Path, Text, Value};

/// The examples of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
