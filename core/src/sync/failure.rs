//! Why a session ends its link: what both sides are told, and what stays at home.

use crate::error::{Error, ErrorKind};

use super::message::CloseCode;

/// Why we end the link.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: CloseCode,
    /// For both sides.
    pub(super) reason: String,
    /// For our side only.
    pub(super) detail: Option<String>,
}

pub(super) type Outcomes<T = ()> = std::result::Result<T, Failure>;

/// What goes wrong is the peer's breach, or our store's failure: nothing else is asked.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.kind() {
            ErrorKind::Protocol => breach(error.message()),
            _ => store_failed(error.message()),
        }
    }
}

pub(super) fn failure(code: CloseCode, reason: impl Into<String>) -> Failure {
    Failure { code, reason: reason.into(), detail: None }
}

pub(super) fn breach(reason: impl Into<String>) -> Failure {
    failure(CloseCode::Protocol, reason)
}

/// A store's error may name files and belongs to its owner: the peer is told only that it failed.
pub(super) fn store_failed(detail: impl Into<String>) -> Failure {
    let reason = "the store of the other node failed".to_owned();
    Failure { code: CloseCode::StoreFailed, reason, detail: Some(detail.into()) }
}
