//! The native half of the Python package `littoral`.
//!
//! It translates: Python values into fields and back ([`value`]), errors into exceptions
//! ([`error`]), calls into the store ([`store`], [`transaction`]), documents into Arrow and back
//! ([`arrow`]), and read the past ([`tape`]). The classes that people
//! see, with their mapping protocol, are Python, in `littoral/`. Invariants: whatever can
//! block runs detached from the interpreter; no panic leaves; no Rust thread calls Python;
//! a forked child touches nothing of its parent's stores.
#![forbid(unsafe_code)]

mod arrow;
mod backup;
mod bundle;
mod changes;
mod classes;
mod error;
mod key;
mod link;
mod load;
mod open_store;
mod ops;
mod roster;
mod scan;
mod store;
mod tape;
mod ticket;
mod transaction;
mod value;
mod version;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native half of `littoral`: use the classes of the package, which are built on it.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::arrow::ArrowStream;
    #[pymodule_export]
    use super::backup::{backup_check, restore};
    #[pymodule_export]
    use super::bundle::bundle_inspect;
    #[pymodule_export]
    use super::changes::Changes;
    #[pymodule_export]
    use super::key::rotate_key;
    #[pymodule_export]
    use super::link::Link;
    #[pymodule_export]
    use super::open_store::close_all;
    #[pymodule_export]
    use super::scan::Scan;
    #[pymodule_export]
    use super::store::{Store, open};
    #[pymodule_export]
    use super::tape::{Diff, Past, Tape};
    #[pymodule_export]
    use super::ticket::Ticket;
    #[pymodule_export]
    use super::transaction::Transaction;
    #[pymodule_export]
    use super::version::Version;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
