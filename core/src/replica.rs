//! A store as its links see it: the only place that knows both storage and sync.
//!
//! It translates: what a session asks of a [`Source`] into calls of the store, and what a
//! session wants applied into a durable commit with one of four outcomes. It is synchronous
//! and knows no network, so that a simulator drives sessions over it as well.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Source;
use crate::sync::door::Outcome;

/// What a link needs of a store.
pub trait Replica: Source + Send + Sync {
    /// Applies transactions of a peer in this order, and returns when they are durable. Blocks.
    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()>;

    /// Returns when all that was written before is durable, and so shown to sessions. Blocks.
    fn flush(&self) -> Result<()>;
}

/// What came of [`Replica::apply`], in the words of a session.
///
/// Unmet dependencies are nobody's fault, an invalid transaction is the peer's, and anything
/// else is ours: only the first two are for the peer to know.
pub fn outcome(applied: Result<()>) -> Outcome {
    match applied {
        Ok(()) => Outcome::Applied,
        Err(error) => match error.kind() {
            ErrorKind::MissingDependency => Outcome::MissingDependency,
            ErrorKind::InvalidTransaction => Outcome::Invalid(describe(&error)),
            _ => Outcome::StoreFailed(describe(&error)),
        },
    }
}

fn describe(error: &Error) -> String {
    error.message().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_is_not_the_peers_fault() {
        let of = |kind| outcome(Err(Error::new(kind, "why")));
        assert_eq!(outcome(Ok(())), Outcome::Applied);
        assert_eq!(of(ErrorKind::MissingDependency), Outcome::MissingDependency);
        assert_eq!(of(ErrorKind::InvalidTransaction), Outcome::Invalid("why".to_owned()));
        for kind in [ErrorKind::DiskFull, ErrorKind::Poisoned, ErrorKind::Closed, ErrorKind::Io] {
            assert_eq!(of(kind), Outcome::StoreFailed("why".to_owned()));
        }
    }
}
