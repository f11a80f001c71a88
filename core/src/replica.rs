//! A store as its links see it: the only place that knows both storage and sync.
//!
//! It translates: what a session asks of a [`Source`] into calls of the store, and what a
//! session wants applied into a durable commit with one of four outcomes. It is synchronous
//! and knows no network, so that a simulator drives sessions over it as well.

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, NodeId, Position, Vector};
use crate::store::{LogPage, Store};
use crate::sync::door::{Offence, Outcome};
use crate::sync::{Page, Record, Source, Summary};
use crate::txn::{NetworkId, NodeKey};

/// As long as it lives, a callback is called.
pub type Watching = Box<dyn Send + Sync>;

/// What a link needs of a store.
pub trait Replica: Source + Send + Sync {
    /// The node's secret key.
    fn node_key(&self) -> &NodeKey;

    /// The network that the store belongs to.
    fn network(&self) -> NetworkId;

    /// Whether the store accepts links of this node.
    fn is_trusted(&self, node: &NodeId) -> bool;

    /// Calls back after each commit. The callback does not block.
    fn on_commit(&self, callback: Box<dyn Fn() + Send + Sync>) -> Watching;

    /// Applies transactions of a peer in this order, and returns when they are durable. Blocks.
    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()>;

    /// Returns when all that was written before is durable, and so shown to sessions. Blocks.
    fn flush(&self) -> Result<()>;
}

impl Source for Store {
    fn collections(&self) -> Result<Vec<String>> {
        Ok(Store::collections(self))
    }

    fn summary(&self, collection: &str) -> Result<Summary> {
        let (vector, cells, position) = Store::summary(self, collection)?;
        Ok(Summary { vector, cells, position })
    }

    fn vector(&self, collection: &str) -> Result<Vector> {
        self.told(collection)
    }

    fn doubts(&self, collection: &str, theirs: &Vector) -> Result<bool> {
        Store::doubts(self, collection, theirs)
    }

    fn contradiction(&self, collection: &str, theirs: &Vector) -> Result<Option<Dot>> {
        Store::contradiction(self, collection, theirs)
    }

    fn floor(&self, collection: &str) -> Result<Vector> {
        Store::floor(self, collection)
    }

    fn start(&self, collection: &str, have: &Vector) -> Result<Position> {
        self.log_start(collection, have)
    }

    fn read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.log_read(collection, from, max_bytes).map(page)
    }

    fn read_others(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.log_read_others(collection, from, max_bytes).map(page)
    }
}

fn page(LogPage { records, next }: LogPage) -> Page {
    let record = |(dot, bytes, end)| Record { dot, bytes, end };
    Page { records: records.into_iter().map(record).collect(), next }
}

impl Replica for Store {
    fn node_key(&self) -> &NodeKey {
        Store::node_key(self)
    }

    fn network(&self) -> NetworkId {
        Store::network(self)
    }

    fn is_trusted(&self, node: &NodeId) -> bool {
        Store::is_trusted(self, node)
    }

    fn on_commit(&self, callback: Box<dyn Fn() + Send + Sync>) -> Watching {
        Box::new(Store::on_commit(self, callback))
    }

    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()> {
        self.apply_remote(collection, txns).map(drop)
    }

    fn flush(&self) -> Result<()> {
        Store::flush(self)
    }
}

/// What came of [`Replica::apply`], in the words of a session.
///
/// Unmet dependencies are nobody's fault, a transaction that can't be applied concerns its
/// collection, and anything else is ours: that alone is not for the peer to know.
pub fn outcome(applied: Result<()>) -> Outcome {
    match applied {
        Ok(()) => Outcome::Applied,
        Err(error) => match error.kind() {
            ErrorKind::MissingDependency => Outcome::MissingDependency,
            ErrorKind::InvalidTransaction => Outcome::Refused(Offence::Invalid, describe(&error)),
            ErrorKind::Forked => Outcome::Refused(Offence::Forked, describe(&error)),
            ErrorKind::FormatTooNew => Outcome::Refused(Offence::TooNew, describe(&error)),
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
        let refused = |offence| Outcome::Refused(offence, "why".to_owned());
        assert_eq!(of(ErrorKind::InvalidTransaction), refused(Offence::Invalid));
        assert_eq!(of(ErrorKind::Forked), refused(Offence::Forked));
        assert_eq!(of(ErrorKind::FormatTooNew), refused(Offence::TooNew));
        for kind in [ErrorKind::DiskFull, ErrorKind::Poisoned, ErrorKind::Closed, ErrorKind::Io] {
            assert_eq!(of(kind), Outcome::StoreFailed("why".to_owned()));
        }
    }
}
