//! Errors as Python exceptions: one class for each kind, defined in `littoral/_errors.py`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use littoral::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// What can come out of a call into the store.
pub(crate) enum Failure {
    /// An error of the store.
    Error(Error),
    /// A mistake of ours.
    Panic(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

/// Runs `call`; a panic in it is a failure, not the end.
pub(crate) fn catch<T>(call: impl FnOnce() -> littoral::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::Error),
        Err(panic) => Err(Failure::Panic(text_of(&*panic))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The exception for a failure.
pub(crate) fn raise(py: Python<'_>, failure: Failure) -> PyErr {
    match failure {
        Failure::Error(error) => exception(py, class_of(error.kind()), error.message()),
        Failure::Panic(text) => exception(
            py,
            "InternalError",
            &format!("a mistake in littoral, please report it: {text}"),
        ),
    }
}

/// The exception of the class `littoral.<name>` with a sentence.
pub(crate) fn exception(py: Python<'_>, name: &str, message: &str) -> PyErr {
    let made = py
        .import("littoral._errors")
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call1((message,)));
    match made {
        Ok(value) => PyErr::from_value(value),
        // The interpreter is going down.
        Err(_) => PyRuntimeError::new_err(message.to_owned()),
    }
}

fn class_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidInput => "InvalidInputError",
        ErrorKind::LimitExceeded => "LimitError",
        ErrorKind::WrongKind => "WrongKindError",
        ErrorKind::UnknownCollection => "UnknownCollectionError",
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::VersionMismatch => "VersionMismatchError",
        ErrorKind::Locked => "LockedError",
        ErrorKind::NotAStore => "NotAStoreError",
        ErrorKind::FormatTooNew => "FormatTooNewError",
        ErrorKind::Corrupt => "CorruptError",
        ErrorKind::DiskFull => "DiskFullError",
        ErrorKind::Io => "StorageError",
        ErrorKind::Poisoned => "PoisonedError",
        // Nobody suspends a store here: it was closed while it was read.
        ErrorKind::Closed | ErrorKind::Suspended => "ClosedError",
        ErrorKind::Timeout => "TimeoutError",
        ErrorKind::InvalidTransaction => "InvalidTransactionError",
        ErrorKind::MissingDependency => "MissingDependencyError",
        ErrorKind::Forked => "HistoryForkedError",
        ErrorKind::Forbidden => "ForbiddenError",
        ErrorKind::Passphrase => "PassphraseError",
        ErrorKind::Refused => "RefusedError",
        ErrorKind::Network => "NetworkError",
        ErrorKind::Protocol => "ProtocolError",
        ErrorKind::Aborted => "AbortedError",
        ErrorKind::Internal => "InternalError",
        _ => "Error",
    }
}
