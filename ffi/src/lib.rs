//! The C ABI of Littoral: what `include/littoral.h` declares.
//!
//! A thin door over the Rust API. Every exported function does four things: it turns raw
//! pointers into [`slices`] and [`slices::Out`]s, looks its handles up in [`handles`], calls
//! the core, and turns what comes back into a status, all inside [`error::guard`], which no
//! panic leaves. The doc comments here are the reference that C programmers read.
//!
//! Invariants: a handle is a number that is never dereferenced, so that a freed one is an
//! error and not undefined behaviour; out-parameters are blank when a call fails; names
//! exported are `lit_*` and literal (macros would hide them from the header's generator).
#![allow(non_camel_case_types)] // types are named as C sees them
#![allow(clippy::missing_safety_doc)] // the header's head section is the contract of all

// The header has its functions in the order of these modules; the blank lines keep it.
pub mod version;

pub mod error;

pub mod slices;

pub mod store;

pub mod collection;

pub mod fields;

pub mod docs;

pub mod scan;

pub mod txn;

pub mod txn_fields;

pub mod changes;

pub mod subscribe;

pub mod tape;

pub mod undo;

pub mod replay;

pub mod hold;

pub mod peers;

pub mod roster;

pub mod key;

pub mod invites;

pub mod bundle;

pub mod backup;

#[cfg(feature = "net")]
pub mod link;

pub mod handles;

mod json;

#[cfg(unix)]
mod signal;
