//! Sync: what two replicas say to each other, as a state machine without sockets, time
//! source or storage.
//!
//! [`Session`](session::Session) is one link, seen from one side: bytes and time go in,
//! bytes and effects come out. It reads the store through [`Source`] only; what has to be
//! written comes out as an effect, and its outcome goes back in. The bytes of every
//! message are in [`message`].
//!
//! | file | noun |
//! | --- | --- |
//! | `session` | the link: hello, control messages, what goes where |
//! | `door` | what goes into a session and what comes out |
//! | `tail_out`, `tail_in` | one collection, sent and received |
//! | `failure` | why a link ends |
//! | `snapshot_out`, `snapshot_in` | a snapshot of one collection, served and taken in |
//! | `outline` | a long vector, told by digests of its parts |
//! | `packing` | frames, compressed |
//! | `chain` | frames of transactions, without what follows from one another |
//! | `streams`, `framing` | the peer's streams, and frames out of their bytes |
//! | `message`, `ask` | the messages and their bytes; those of snapshots |
//! | `joining` | the exchange by which a node becomes a member: messages and both sides |

pub mod ask;
mod chain;
pub mod door;
mod failure;
mod framing;
pub mod joining;
pub mod message;
pub mod outline;
pub mod packing;
pub mod session;
mod snapshot_in;
mod snapshot_out;
mod streams;
mod tail_in;
mod tail_out;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::error::Result;
use crate::id::{Dot, Hash, NodeId, Origin, Position, Seq, ShortHash, Vector};
use crate::txn::roster::Rights;
use crate::txn::snapshot::{Span, SpanDigest};

/// What a session may ask of the store. Everything it tells is durable.
///
/// A collection that the store does not hold is like one that holds nothing.
pub trait Source {
    /// The names of the collections held, in order.
    fn collections(&self) -> Result<Vec<String>>;

    /// What is held of `collection`, all at one moment.
    fn summary(&self, collection: &str) -> Result<Summary>;

    /// What a peer is to know of what is held of `collection`: of our own transactions only
    /// those that may have left, so that whoever holds others under later numbers sends them.
    fn vector(&self, collection: &str) -> Result<Vector>;

    /// The dots of the vector `theirs` at which a peer holds another transaction than we, as far
    /// back as that can be told.
    fn contradictions(&self, collection: &str, theirs: &Vector) -> Result<Vec<Dot>>;

    /// Whether a peer with the vector `theirs` claims transactions of ours that never left. It
    /// may be wrong, or our store was rolled back; then the peer can show them.
    fn doubts(&self, _collection: &str, _theirs: &Vector) -> Result<bool> {
        Ok(false)
    }

    /// How many branches of forked origins are kept apart in `collection`. They only become more.
    fn branch_count(&self, _collection: &str) -> usize {
        0
    }

    /// How forked origins are named, as a peer is told.
    fn branches(&self, _collection: &str) -> Vec<u8> {
        Vec::new()
    }

    /// The hashes of what is held of an origin from `from` downwards, at most `max`.
    fn hashes_down(&self, _collection: &str, _from: &Dot, _max: usize) -> Result<Vec<ShortHash>> {
        Ok(Vec::new())
    }

    /// The last number of an origin at which a peer, who tells its hashes from `from` downwards,
    /// holds the same as we; `None` if that can't be told.
    fn last_shared(
        &self,
        _collection: &str,
        _from: &Dot,
        _theirs: &[ShortHash],
    ) -> Result<Option<Seq>> {
        Ok(None)
    }

    /// How a peer that holds something else of an origin from the one after `shared` on is told
    /// what is held here; `None` if nothing is, or it can't be shown any more.
    fn side(&self, _collection: &str, _origin: Origin, _shared: Seq) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// The founder of the roster and the digest of its statements, if there is one.
    fn roster(&self) -> Option<(NodeId, Hash)> {
        None
    }

    /// The hashes of all its statements, sorted.
    fn statements_held(&self) -> Vec<Hash> {
        Vec::new()
    }

    /// The statements that are not among `known`, which is sorted, each after those it follows.
    fn statements_beyond(&self, _known: &[Hash]) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// What a node may do; `None` if there is no roster, or nothing is known of it.
    fn rights(&self, _node: &NodeId) -> Option<Rights> {
        None
    }

    /// The log holds every transaction of `collection` that is held and above this.
    fn floor(&self, collection: &str) -> Result<Arc<Vector>>;

    /// A position at or before the first transaction of `collection` in the log that `have`
    /// lacks; with everything before it, `have` includes what the log held there.
    fn start(&self, collection: &str, have: &Vector) -> Result<Position>;

    /// The transactions of `collection` from `from` on, in log order: at least one if there
    /// is one, and not many more bytes than `max_bytes`.
    fn read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page>;

    /// As [`Source::read`], without our own transactions that never left: reading lets them.
    fn read_others(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.read(collection, from, max_bytes)
    }

    /// A view of `collection` as it is now, to be served to a peer that holds at least `have`;
    /// `None` if it is not held.
    fn view(&self, collection: &str, have: &Vector) -> Result<Option<Box<dyn View>>>;

    /// Whether the heads of views are signed with the key of `node`: not if that is a key that we
    /// had before, by which the peer still knows us.
    fn signs_views_as(&self, _node: &NodeId) -> bool {
        true
    }

    /// Whether `collection` is being staged here, also by a link that was cut.
    fn is_staged(&self, collection: &str) -> bool;

    /// The right to stage `collection`; `None` if another link has it.
    fn lease(&self, collection: &str) -> Option<Box<dyn Lease>>;

    /// Digests of what stands here for a peer's documents while they are staged, span by span.
    fn candidate_digests(&self, collection: &str, spans: &[Span]) -> Result<Vec<SpanDigest>>;

    /// The first of them in a span, at most `max`, each with the digest of its row.
    fn candidate_list(
        &self,
        collection: &str,
        span: &Span,
        max: usize,
    ) -> Result<Vec<(String, Hash)>>;
}

/// One collection of a store at one moment, as it is served to a peer that joins it.
pub trait View: std::fmt::Debug + Send {
    /// Its head, signed by this node.
    fn head(&self) -> &[u8];

    /// Whether it costs its store too much to keep.
    fn is_spent(&self) -> bool;

    /// Cuts a span into pieces of `per` documents, at most `max` from its start: the end of
    /// each and its digest. The last ends where the span does, if all of it was reached.
    fn pieces(
        &self,
        span: &Span,
        per: u64,
        max: usize,
    ) -> Result<Vec<(Option<String>, SpanDigest)>>;

    /// The first documents of a span, at most `max`, each with the digest of its row.
    fn list(&self, span: &Span, max: usize) -> Result<Vec<(String, Hash)>>;

    /// The first documents of a span as they travel: at least one if there is one, and not many
    /// more than `max_bytes`; and from where on there are more.
    fn documents(&self, span: &Span, max_bytes: usize) -> Result<Documents>;

    /// One document as it travels, if it is in the view.
    fn document(&self, id: &str) -> Result<Option<Vec<u8>>>;
}

/// Documents as they travel, each with its id, and from where on there are more.
pub type Documents = (Vec<(String, Vec<u8>)>, Option<String>);

/// As long as it lives, this link alone stages a collection.
pub trait Lease: std::fmt::Debug + Send {}

/// A collection in short, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What is held.
    pub vector: Vector,
    /// Digest of the cells. Equal vectors with unequal cells is divergence.
    pub cells: Hash,
    /// The end of the log at that moment: everything later is not in the vector.
    pub position: Position,
}

/// Some transactions of a collection, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The transactions.
    pub records: Vec<Record>,
    /// Where to read on. If there are no records, the end of what is durable.
    pub next: Position,
}

/// One transaction in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which one.
    pub dot: Dot,
    /// Its bytes, signature included, as its author made them.
    pub bytes: Vec<u8>,
    /// The position after it.
    pub end: Position,
}
