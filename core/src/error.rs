//! The one error type.
//!
//! An error has a stable [`ErrorKind`], for programs, and a sentence, for people: what
//! was wanted, what was found, where, and what to do. It never carries the user's data.
//! Each kind maps to one C status code, one Python exception and one HTTP status.

use std::fmt;

/// What a caller can do something about. Stable: kinds are added, never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument is not of the required form: id, path, value, JSON. Nothing was changed.
    InvalidInput = 1,
    /// An argument is larger or deeper than a limit allows. Nothing was changed.
    LimitExceeded = 2,
    /// The field holds another kind, for instance a counter where a number was put. Nothing was changed.
    WrongKind = 3,
    /// The store has no such collection. Nothing was changed.
    UnknownCollection = 4,
    /// The document or field does not exist. Nothing was changed.
    NotFound = 5,
    /// The document is no longer at the version that the caller requires. Nothing was changed.
    VersionMismatch = 6,
    /// Another process has the store open.
    Locked = 10,
    /// The directory holds something that is not a store.
    NotAStore = 11,
    /// A file or a peer speaks a newer format than this build.
    FormatTooNew = 12,
    /// The files contradict themselves: the store does not open; nothing was changed. Or a bundle
    /// is damaged or cut short: what came before the damage was applied.
    Corrupt = 13,
    /// The disk is full. The transaction was not committed.
    DiskFull = 14,
    /// The operating system refused a file operation.
    Io = 15,
    /// An earlier commit failed with an unknown outcome, or the disk could not be read: the store refuses writes until it is opened again.
    Poisoned = 16,
    /// The store, link or cursor is closed.
    Closed = 17,
    /// The time allowed ran out. What was under way may still complete.
    Timeout = 18,
    /// The store is suspended; or it was suspended, or closed, since what was asked began: a view,
    /// a scan, a transaction. Nothing was changed.
    Suspended = 19,
    /// A transaction of a peer or a file is invalid: signature, chain, form. Nothing of it was applied.
    InvalidTransaction = 20,
    /// A transaction builds on others that are not here. Nothing of it was applied.
    MissingDependency = 21,
    /// Two different transactions have one name: a copy of a store wrote beside it, or it was
    /// rolled back. Nothing of the second one was applied.
    Forked = 22,
    /// A right is missing: this node, or the author of what it was given, may not do that there.
    /// Nothing was changed.
    Forbidden = 23,
    /// The node's key is encrypted, and the passphrase is missing or wrong.
    Passphrase = 24,
    /// The peer is not known, or it refused us.
    Refused = 30,
    /// The network failed: address, connection, handshake.
    Network = 31,
    /// The peer broke the protocol.
    Protocol = 32,
    /// The closure of a write gave up; the transaction was rolled back.
    Aborted = 40,
    /// A mistake of ours: please report it.
    Internal = 99,
}

/// An error of Littoral: a stable kind and a sentence.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a sentence for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people, without its cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::LimitExceeded, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn bad_txn(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidTransaction, message)
    }

    /// An I/O error with what was being done; a full disk has its own kind.
    pub(crate) fn io(doing: impl fmt::Display, source: std::io::Error) -> Error {
        if Shut::caused(&source) {
            return Error::new(ErrorKind::Suspended, format!("could not {doing}: {source}"));
        }
        let full = source.kind() == std::io::ErrorKind::StorageFull
            || source.kind() == std::io::ErrorKind::QuotaExceeded;
        let (kind, advice) = if full {
            (ErrorKind::DiskFull, "; free some space and try again")
        } else {
            (ErrorKind::Io, "")
        };
        Error::new(kind, format!("could not {doing}: {source}{advice}")).with_source(source)
    }
}

/// Why a call of a file failed that was closed under its holder's feet.
#[derive(Debug)]
pub(crate) struct Shut;

impl Shut {
    /// Whether this is why a call failed.
    pub(crate) fn caused(err: &std::io::Error) -> bool {
        err.get_ref().is_some_and(|cause| cause.is::<Shut>())
    }
}

impl From<Shut> for std::io::Error {
    fn from(shut: Shut) -> std::io::Error {
        std::io::Error::other(shut)
    }
}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store was suspended, which closed the file")
    }
}

impl std::error::Error for Shut {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn std::error::Error + 'static))
    }
}
