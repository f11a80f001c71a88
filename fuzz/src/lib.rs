//! Fuzz targets: one function for each door through which bytes come from elsewhere.
//!
//! Each takes any bytes and panics if a promise of that door is broken: it never panics itself,
//! what it takes in has one form, and what it gives out it reads back. `fuzz_targets/` hands them
//! to libFuzzer; `core/tests/fuzz_corpus.rs` includes this file and runs them over the corpus and
//! over mutations of it, on every run of the tests and with the stable compiler. Corpora are in
//! `corpus/`, one directory for each target; an input that once found something stays there.
#![allow(unreachable_pub, reason = "the same file is a library and a module of a test")]

mod apply;
mod carried;
mod formats;
mod input;
mod log;
mod message;
mod ram;
mod recorded;
mod roster;
pub mod seeds;
mod session;
mod snapshot;
mod stores;
mod text;
mod ticket;

pub use apply::{apply, recover};
pub use carried::carried;
pub use formats::{row, state, transaction, value, version};
pub use log::log;
pub use message::message;
pub use roster::statement;
pub use session::session;
pub use snapshot::{document, head, join};
pub use text::{json, msgpack, text};
pub use ticket::ticket;

/// A target: its name, its function, and how many mutations of each input of its corpus an
/// ordinary test run tries. Those that open stores are slow.
pub type Target = (&'static str, fn(&[u8]), usize);

/// All of them.
pub const TARGETS: [Target; 19] = [
    ("transaction", transaction, 1000),
    ("message", message, 2000),
    ("session", session, 100),
    ("head", head, 300),
    ("document", document, 1000),
    ("join", join, 15),
    ("log", log, 1000),
    ("recover", recover, 15),
    ("apply", apply, 15),
    ("row", row, 1000),
    ("value", value, 2000),
    ("json", json, 1000),
    ("msgpack", msgpack, 2000),
    ("text", text, 2000),
    ("version", version, 1000),
    ("state", state, 2000),
    ("statement", statement, 1000),
    ("ticket", ticket, 2000),
    ("carried", carried, 300),
];
