//! A store as its links see it: the only place that knows both storage and sync.
//!
//! It translates: what a session asks of a [`Source`] into calls of the store, what a session
//! wants applied into a durable commit with one of four outcomes, and the steps of a snapshot
//! likewise. It is synchronous and knows no network, so that a simulator drives sessions over it
//! as well.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Dot, Hash, NodeId, Origin, Position, Seq, ShortHash, Vector};
use crate::store::{self, Companion, LogPage, StagingLease, Store};
use crate::sync::door::{HearOutcome, Offence, Outcome, SnapshotStep, StepOutcome, Wanted};
use crate::sync::{Documents, Lease, Page, Record, Source, Summary, View};
use crate::txn::joining::{JoinRefusal, JoinRequest, Welcome};
use crate::txn::roster::Rights;
use crate::txn::snapshot::{Span, SpanDigest, ViewHead};
use crate::txn::{NetworkId, NodeKey, Scope};

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

    /// The collections to exchange with this node; `None` is all.
    fn wanted(&self, node: &NodeId) -> Wanted;

    /// Changes whenever links that are up are to go by what is wanted now. Does not block.
    fn terms(&self) -> u64 {
        0
    }

    /// Calls back after each commit. The callback does not block.
    fn on_commit(&self, callback: Box<dyn Fn() + Send + Sync>) -> Watching;

    /// Lets somebody rest with the store while it is suspended, as long as it lives; gives whether
    /// it is suspended now.
    fn accompany(&self, _companion: Weak<dyn Companion>) -> bool {
        false
    }

    /// Applies transactions of a peer in this order, and returns when they are durable. Blocks.
    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()>;

    /// Keeps statements of a peer's roster, and returns when they are durable. Blocks.
    fn hear(&self, statements: Vec<Vec<u8>>) -> Result<()>;

    /// Takes a step with a snapshot of `peer`. Blocks.
    fn step(&self, collection: &str, peer: &NodeId, step: SnapshotStep) -> Result<StepOutcome>;

    /// Whether somebody may become a member with a ticket at this time. Does not block.
    fn has_open_invites(&self) -> bool {
        false
    }

    /// Makes a member of a node that has proved its key, if it shows a good secret; durable when
    /// this returns. Blocks.
    fn admit(
        &self,
        _guest: &NodeId,
        _request: &JoinRequest,
    ) -> Result<std::result::Result<Welcome, JoinRefusal>> {
        Ok(Err(JoinRefusal::Unknown))
    }

    /// Belongs to the roster of a node that has let us in, and keeps where that is. Blocks.
    fn enter(&self, welcome: &Welcome, inviter: NodeId, addresses: &str) -> Result<()>;

    /// The peers whose addresses are kept, and those: `host:port`, several with commas between.
    /// Blocks.
    fn known(&self) -> Result<Vec<(NodeId, String)>> {
        Ok(Vec::new())
    }

    /// The nodes whose links are accepted, but for this one, in order: what to look for on a LAN.
    /// Blocks.
    fn peers(&self) -> Result<Vec<NodeId>> {
        Ok(Vec::new())
    }

    /// How many transactions of `collection` are applied; `None` if it is not held.
    fn applied_count(&self, _collection: &str) -> Option<u64> {
        None
    }

    /// The node's key before this one, to show those who know no other who this node was.
    fn former_key(&self) -> Option<NodeKey> {
        None
    }

    /// The key that stands now for the member whose key this was, if it was changed.
    fn heir_of(&self, _node: &NodeId) -> Option<NodeId> {
        None
    }

    /// Notes that a node has linked with this node's present key. Blocks.
    fn note_told(&self, _node: &NodeId) -> Result<()> {
        Ok(())
    }

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

    fn branch_count(&self, collection: &str) -> usize {
        Store::branch_count(self, collection)
    }

    fn branches(&self, collection: &str) -> Vec<u8> {
        Store::branches(self, collection)
    }

    fn hashes_down(&self, collection: &str, from: &Dot, max: usize) -> Result<Vec<ShortHash>> {
        Store::hashes_down(self, collection, from, max)
    }

    fn last_shared(
        &self,
        collection: &str,
        from: &Dot,
        theirs: &[ShortHash],
    ) -> Result<Option<Seq>> {
        Store::last_shared(self, collection, from, theirs)
    }

    fn side(&self, collection: &str, origin: Origin, shared: Seq) -> Result<Option<Vec<u8>>> {
        Store::side(self, collection, origin, shared)
    }

    fn contradictions(&self, collection: &str, theirs: &Vector) -> Result<Vec<Dot>> {
        Store::contradictions(self, collection, theirs)
    }

    fn roster(&self) -> Option<(NodeId, Hash)> {
        self.roster_digest()
    }

    fn statements_held(&self) -> Vec<Hash> {
        Store::statements_held(self)
    }

    fn statements_beyond(&self, known: &[Hash]) -> Vec<Vec<u8>> {
        Store::statements_beyond(self, known)
    }

    fn rights(&self, node: &NodeId) -> Option<Rights> {
        Store::rights(self, node)
    }

    fn floor(&self, collection: &str) -> Result<Arc<Vector>> {
        self.floor_for_peers(collection)
    }

    fn start(&self, collection: &str, have: &Vector) -> Result<Position> {
        self.log_start(collection, have)
    }

    fn read(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.log_read_valid(collection, from, max_bytes).map(page)
    }

    fn read_others(&self, collection: &str, from: Position, max_bytes: usize) -> Result<Page> {
        self.log_read_others(collection, from, max_bytes).map(page)
    }

    fn view(&self, collection: &str, have: &Vector) -> Result<Option<Box<dyn View>>> {
        match self.view_for(collection, have) {
            Ok(view) => Ok(Some(Box::new(view))),
            Err(error) if error.kind() == ErrorKind::UnknownCollection => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn signs_views_as(&self, node: &NodeId) -> bool {
        self.node_id() == *node
    }

    fn is_staged(&self, collection: &str) -> bool {
        Store::is_staged(self, collection)
    }

    fn lease(&self, collection: &str) -> Option<Box<dyn Lease>> {
        Store::staging_lease(self, collection).map(|lease| Box::new(lease) as Box<dyn Lease>)
    }

    fn candidate_digests(&self, collection: &str, spans: &[Span]) -> Result<Vec<SpanDigest>> {
        Store::candidate_digests(self, collection, spans)
    }

    fn candidate_list(
        &self,
        collection: &str,
        span: &Span,
        max: usize,
    ) -> Result<Vec<(String, Hash)>> {
        Store::candidate_list(self, collection, span, max)
    }
}

fn page(LogPage { records, next }: LogPage) -> Page {
    let record = |(dot, bytes, end)| Record { dot, bytes, end };
    Page { records: records.into_iter().map(record).collect(), next }
}

impl Lease for StagingLease {}

impl View for store::View {
    fn head(&self) -> &[u8] {
        store::View::head(self)
    }

    fn is_spent(&self) -> bool {
        store::View::is_spent(self)
    }

    fn pieces(
        &self,
        span: &Span,
        per: u64,
        max: usize,
    ) -> Result<Vec<(Option<String>, SpanDigest)>> {
        store::View::pieces(self, span, per, max)
    }

    fn list(&self, span: &Span, max: usize) -> Result<Vec<(String, Hash)>> {
        store::View::list(self, span, max)
    }

    fn documents(&self, span: &Span, max_bytes: usize) -> Result<Documents> {
        store::View::documents(self, span, max_bytes)
    }

    fn document(&self, id: &str) -> Result<Option<Vec<u8>>> {
        store::View::document(self, id)
    }
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

    fn wanted(&self, node: &NodeId) -> Wanted {
        Store::wanted(self, node)
    }

    fn terms(&self) -> u64 {
        Store::terms(self)
    }

    fn on_commit(&self, callback: Box<dyn Fn() + Send + Sync>) -> Watching {
        Box::new(Store::on_commit(self, callback))
    }

    fn accompany(&self, companion: Weak<dyn Companion>) -> bool {
        Store::accompany(self, companion)
    }

    fn apply(&self, collection: &str, txns: Vec<Vec<u8>>) -> Result<()> {
        self.apply_remote(collection, txns).map(drop)
    }

    fn hear(&self, statements: Vec<Vec<u8>>) -> Result<()> {
        self.add_statements(statements).map(drop)
    }

    fn step(&self, collection: &str, peer: &NodeId, step: SnapshotStep) -> Result<StepOutcome> {
        Ok(match step {
            SnapshotStep::Begin { head } => {
                self.check_may_serve(peer, collection)?;
                self.check_room_for(collection)?;
                let scope = Scope { network: Store::network(self), collection };
                let head = ViewHead::verify(&head, scope, peer)?;
                if !self.learn_view(collection, &head)? {
                    return Ok(StepOutcome::Changed);
                }
                self.stage(collection)?;
                StepOutcome::Begun(Arc::new(head))
            }
            SnapshotStep::Stage { head, documents } => {
                self.stage_documents(collection, &head, &documents)?;
                StepOutcome::Staged
            }
            SnapshotStep::Join { head } => {
                // It may have been heard since the beginning that it may not.
                self.check_may_serve(peer, collection)?;
                match self.join(collection, &head, *peer)? {
                    true => StepOutcome::Joined,
                    false => StepOutcome::Changed,
                }
            }
            SnapshotStep::Learn { branches } => {
                let all = self.learn_branches(collection, &branches)?;
                StepOutcome::Learnt { all }
            }
            SnapshotStep::Discard => {
                self.unstage(collection)?;
                StepOutcome::Staged
            }
        })
    }

    fn has_open_invites(&self) -> bool {
        Store::has_open_invites(self)
    }

    fn admit(
        &self,
        guest: &NodeId,
        request: &JoinRequest,
    ) -> Result<std::result::Result<Welcome, JoinRefusal>> {
        Store::admit(self, guest, request)
    }

    fn enter(&self, welcome: &Welcome, inviter: NodeId, addresses: &str) -> Result<()> {
        Store::enter(self, welcome, inviter, addresses)
    }

    fn known(&self) -> Result<Vec<(NodeId, String)>> {
        let known = self.trusted()?.into_iter();
        Ok(known.filter_map(|peer| Some((peer.node, peer.address?))).collect())
    }

    fn peers(&self) -> Result<Vec<NodeId>> {
        let members = self.members().unwrap_or_default();
        let named = self.trusted()?;
        let all = members.iter().map(|one| one.node).chain(named.iter().map(|one| one.node));
        let all: BTreeSet<NodeId> = all.filter(|node| *node != self.node_id()).collect();
        Ok(all.into_iter().filter(|node| Store::is_trusted(self, node)).collect())
    }

    fn applied_count(&self, collection: &str) -> Option<u64> {
        Store::applied_count(self, collection)
    }

    fn former_key(&self) -> Option<NodeKey> {
        Store::former_key(self)
    }

    fn heir_of(&self, node: &NodeId) -> Option<NodeId> {
        Store::heir_of(self, node)
    }

    fn note_told(&self, node: &NodeId) -> Result<()> {
        Store::note_told(self, node)
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
            ErrorKind::Forbidden => Outcome::Forbidden(describe(&error)),
            ErrorKind::InvalidTransaction => Outcome::Refused(Offence::Invalid, describe(&error)),
            ErrorKind::Forked => Outcome::Refused(Offence::Forked, describe(&error)),
            ErrorKind::FormatTooNew => Outcome::Refused(Offence::TooNew, describe(&error)),
            ErrorKind::LimitExceeded => Outcome::Refused(Offence::TooMuch, describe(&error)),
            _ => Outcome::StoreFailed(describe(&error)),
        },
    }
}

/// What came of [`Replica::step`], in the words of a session.
pub fn step_outcome(step: Result<StepOutcome>) -> StepOutcome {
    step.unwrap_or_else(|error| match error.kind() {
        ErrorKind::Forbidden => StepOutcome::Refused(Offence::Forbidden, describe(&error)),
        ErrorKind::InvalidTransaction => StepOutcome::Refused(Offence::Invalid, describe(&error)),
        ErrorKind::Forked => StepOutcome::Refused(Offence::Forked, describe(&error)),
        ErrorKind::FormatTooNew => StepOutcome::Refused(Offence::TooNew, describe(&error)),
        ErrorKind::LimitExceeded => StepOutcome::Refused(Offence::TooMuch, describe(&error)),
        _ => StepOutcome::StoreFailed(describe(&error)),
    })
}

/// What came of [`Replica::hear`], in the words of a session.
pub fn hear_outcome(heard: Result<()>) -> HearOutcome {
    match heard {
        Ok(()) => HearOutcome::Kept,
        Err(error) => match error.kind() {
            ErrorKind::InvalidTransaction
            | ErrorKind::MissingDependency
            | ErrorKind::FormatTooNew
            | ErrorKind::LimitExceeded => HearOutcome::Refused(describe(&error)),
            _ => HearOutcome::StoreFailed(describe(&error)),
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
