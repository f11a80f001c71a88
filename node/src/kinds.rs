//! What each kind of error is called at the doors of the node: a code in JSON, an HTTP
//! status, an exit code of the command line. One table, so that they can't drift apart.
//!
//! The codes are stable: programs match on them.

use axum::http::StatusCode;
use littoral::ErrorKind;

/// The command did what it was asked to.
pub(crate) const EXIT_OK: u8 = 0;
/// It failed for a reason that has no exit code of its own.
pub(crate) const EXIT_FAILED: u8 = 1;
/// There is no such document, field, element or collection.
const EXIT_NOT_FOUND: u8 = 3;
/// The document is not at the version that was required.
const EXIT_CONFLICT: u8 = 4;
/// What was given is malformed, too large or of the wrong kind. Nothing was changed.
const EXIT_INPUT: u8 = 5;
/// The store can't be opened: locked, not a store, too new, damaged.
const EXIT_STORE: u8 = 6;
/// A node or a peer could not be reached, refused, or did not answer in time.
const EXIT_NETWORK: u8 = 7;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed; of verify, doctor, rescue and rollback: something is wrong
  2  the command line is wrong
  3  no such document, field, element or collection
  4  the document is not at the version required, or exists already
  5  what was given is malformed, too large or of the wrong kind; nothing was changed
  6  the store can't be opened: locked, not a store, of a newer format, damaged; or a bundle or
     backup is
  7  a node or peer could not be reached, refused, or did not answer in time";

struct Row(ErrorKind, &'static str, u16, u8);

const KINDS: &[Row] = &[
    Row(ErrorKind::InvalidInput, "invalid-input", 400, EXIT_INPUT),
    Row(ErrorKind::LimitExceeded, "limit-exceeded", 413, EXIT_INPUT),
    Row(ErrorKind::WrongKind, "wrong-kind", 409, EXIT_INPUT),
    Row(ErrorKind::UnknownCollection, "unknown-collection", 404, EXIT_NOT_FOUND),
    Row(ErrorKind::NotFound, "not-found", 404, EXIT_NOT_FOUND),
    Row(ErrorKind::VersionMismatch, "version-mismatch", 412, EXIT_CONFLICT),
    Row(ErrorKind::Locked, "locked", 503, EXIT_STORE),
    Row(ErrorKind::NotAStore, "not-a-store", 500, EXIT_STORE),
    Row(ErrorKind::FormatTooNew, "format-too-new", 500, EXIT_STORE),
    Row(ErrorKind::Corrupt, "corrupt", 500, EXIT_STORE),
    Row(ErrorKind::DiskFull, "disk-full", 507, EXIT_FAILED),
    Row(ErrorKind::Io, "io", 500, EXIT_FAILED),
    Row(ErrorKind::Poisoned, "poisoned", 503, EXIT_FAILED),
    Row(ErrorKind::Closed, "closed", 503, EXIT_FAILED),
    Row(ErrorKind::Timeout, "timeout", 504, EXIT_NETWORK),
    Row(ErrorKind::Suspended, "suspended", 503, EXIT_FAILED),
    Row(ErrorKind::InvalidTransaction, "invalid-transaction", 422, EXIT_FAILED),
    Row(ErrorKind::MissingDependency, "missing-dependency", 409, EXIT_FAILED),
    Row(ErrorKind::Forked, "forked", 409, EXIT_FAILED),
    Row(ErrorKind::Forbidden, "forbidden", 403, EXIT_FAILED),
    Row(ErrorKind::Passphrase, "passphrase", 500, EXIT_STORE),
    Row(ErrorKind::Refused, "refused", 403, EXIT_NETWORK),
    Row(ErrorKind::Network, "network", 502, EXIT_NETWORK),
    Row(ErrorKind::Protocol, "protocol", 502, EXIT_NETWORK),
    Row(ErrorKind::Aborted, "aborted", 500, EXIT_FAILED),
    Row(ErrorKind::Internal, "internal", 500, EXIT_FAILED),
];

/// Codes that are no kind of error: refusals by the rules of HTTP.
const OF_HTTP: [&str; 9] = [
    "unauthorized",
    "foreign",
    "busy",
    "no-websocket",
    "not-acceptable",
    "not-json",
    "not-bytes",
    "no-such-route",
    "no-such-method",
];

/// All codes that JSON may carry.
pub(crate) fn codes() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|row| row.1).chain(OF_HTTP)
}

/// The row of a kind; one that is newer than this table counts as internal.
fn row(kind: ErrorKind) -> &'static Row {
    KINDS.iter().find(|row| row.0 == kind).unwrap_or(&KINDS[KINDS.len() - 1])
}

/// The stable code of a kind, as JSON carries it.
pub(crate) fn code(kind: ErrorKind) -> &'static str {
    row(kind).1
}

/// The kind of a code; those of HTTP alone are refusals, and one that this version does not know is internal.
pub(crate) fn of_code(code: &str) -> ErrorKind {
    if matches!(code, "unauthorized" | "foreign") {
        return ErrorKind::Refused;
    }
    KINDS.iter().find(|row| row.1 == code).map_or(ErrorKind::Internal, |row| row.0)
}

/// The HTTP status of a kind.
pub(crate) fn status(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(row(kind).2).expect("the table holds legal statuses")
}

/// The exit code of a kind.
pub(crate) fn exit_code(kind: ErrorKind) -> u8 {
    row(kind).3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_lead_back_to_their_kind() {
        for Row(kind, name, ..) in KINDS {
            assert_eq!(of_code(name), *kind);
            assert_eq!(code(*kind), *name);
            assert!(status(*kind).is_client_error() || status(*kind).is_server_error());
            assert!(exit_code(*kind) != EXIT_OK && exit_code(*kind) != 2);
        }
    }
}
