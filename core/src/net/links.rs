//! All links of a store, and which of them shall run.
//!
//! **Two nodes that dial each other** end up with one connection, the one that the smaller
//! node dialled. It is always the larger one that gives way, on its own and only after the
//! other connection is ready on its side: it stops dialling while that one is up
//! (`Standby`), and dials again when that one ends. Only one node decides and only by what
//! it sees itself, so the two can't take turns at closing what the other opened. While both
//! connections are up, and after any disagreement, what arrives twice is applied once.
//!
//! **Two connections that one peer has dialled**: the newer is kept. The peer has opened it
//! because it has given up the other, which we may not have noticed yet.
//!
//! Invariant: every wish follows from what is in here, by [`Links::revise`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address::PeerAddress;
use super::link::{Entry, Wish};
use super::status::Direction;
use crate::id::NodeId;

/// All links of a store.
#[derive(Debug, Default)]
pub(super) struct Links {
    next_id: u64,
    entries: BTreeMap<u64, Arc<Entry>>,
    paused: BTreeSet<NodeId>,
    /// Since when all are cut for now, in milliseconds since 1970.
    offline_since_ms: Option<u64>,
    /// Whether all are cut because the store is suspended.
    suspended: bool,
    /// Whether no more are taken.
    pub(super) closed: bool,
}

impl Links {
    /// The number of the next link.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds a link. An incoming one replaces the peer's earlier ones.
    pub(super) fn add(&mut self, entry: Arc<Entry>) {
        if entry.direction == Direction::Incoming {
            let earlier = self.of(&entry.peer).filter(|old| old.direction == entry.direction);
            earlier.for_each(|old| old.set_wish(Wish::Close));
        }
        self.entries.insert(entry.id, entry);
    }

    /// Removes a link that has ended.
    pub(super) fn remove(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// All of them, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those with one peer.
    pub(super) fn of(&self, peer: &NodeId) -> impl Iterator<Item = &Arc<Entry>> {
        let peer = *peer;
        self.entries.values().filter(move |entry| entry.peer == peer)
    }

    /// The link that dials this address.
    pub(super) fn dialling(&self, target: &PeerAddress) -> Option<&Arc<Entry>> {
        let wanted = |entry: &&Arc<Entry>| entry.wish() != Wish::Close;
        let same = |entry: &&Arc<Entry>| entry.target.as_ref() == Some(target);
        self.entries.values().filter(wanted).find(same)
    }

    /// Whether links with this peer are cut for now.
    pub(super) fn is_paused(&self, peer: &NodeId) -> bool {
        self.offline_since_ms.is_some() || self.suspended || self.paused.contains(peer)
    }

    /// Cuts the links with a peer for now, or takes them up again.
    pub(super) fn set_paused(&mut self, peer: NodeId, paused: bool) {
        match paused {
            true => self.paused.insert(peer),
            false => self.paused.remove(&peer),
        };
    }

    /// Whether links are made at all.
    pub(super) fn is_online(&self) -> bool {
        self.offline_since_ms.is_none()
    }

    /// Since when all are cut.
    pub(super) fn offline_since_ms(&self) -> Option<u64> {
        self.offline_since_ms
    }

    /// Cuts all links for now, or takes up again those that are not cut by themselves.
    pub(super) fn set_online(&mut self, online: bool, now_ms: u64) {
        self.offline_since_ms = match online {
            true => None,
            false => self.offline_since_ms.or(Some(now_ms)),
        };
    }

    /// Cuts all links since the store is suspended, or takes up again those that are not cut
    /// otherwise.
    pub(super) fn set_suspended(&mut self, us: &NodeId, suspended: bool) {
        self.suspended = suspended;
        self.revise_all(us);
    }

    /// Gives every link its wish.
    pub(super) fn revise_all(&self, us: &NodeId) {
        let peers: BTreeSet<_> = self.entries.values().map(|entry| entry.peer).collect();
        peers.iter().for_each(|peer| self.revise(us, peer));
    }

    /// Gives every link with `peer` its wish.
    pub(super) fn revise(&self, us: &NodeId, peer: &NodeId) {
        let paused = self.is_paused(peer);
        let incoming = |entry: &Arc<Entry>| entry.direction == Direction::Incoming;
        let serving = |entry: &Arc<Entry>| entry.is_connected() && entry.wish() == Wish::Run;
        let served = us > peer && self.of(peer).any(|entry| incoming(entry) && serving(entry));
        for entry in self.of(peer) {
            entry.set_wish(match (paused, entry.direction) {
                (true, Direction::Incoming) => Wish::Close,
                (true, Direction::Outgoing) => Wish::Pause,
                (false, Direction::Outgoing) if served => Wish::Yield,
                (false, _) => Wish::Run,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::bell::Bell;

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn dial(links: &mut Links, peer: u8) -> Arc<Entry> {
        let target = PeerAddress::new("::1", 1, node(peer)).unwrap();
        let entry = Arc::new(Entry::outgoing(links.next_id(), target, Arc::new(Bell::default())));
        links.add(Arc::clone(&entry));
        entry
    }

    fn knock(links: &mut Links, peer: u8) -> Arc<Entry> {
        let bell = Arc::new(Bell::default());
        let id = links.next_id();
        let entry = Arc::new(Entry::incoming(id, node(peer), "[::1]:1".to_owned(), bell));
        links.add(Arc::clone(&entry));
        entry
    }

    #[test]
    fn of_two_that_dial_each_other_the_larger_gives_way() {
        for (us, peer, wish) in [(1, 2, Wish::Run), (2, 1, Wish::Yield)] {
            let mut links = Links::default();
            let outgoing = dial(&mut links, peer);
            let incoming = knock(&mut links, peer);
            links.revise(&node(us), &node(peer));
            assert_eq!(outgoing.wish(), Wish::Run, "before the other is ready");
            incoming.ready();
            links.revise(&node(us), &node(peer));
            assert_eq!(outgoing.wish(), wish);
            assert_eq!(incoming.wish(), Wish::Run);
            links.remove(incoming.id);
            links.revise(&node(us), &node(peer));
            assert_eq!(outgoing.wish(), Wish::Run, "after the other has ended");
        }
    }

    #[test]
    fn of_two_that_one_peer_dialled_the_newer_is_kept() {
        let mut links = Links::default();
        let (older, newer) = (knock(&mut links, 2), knock(&mut links, 2));
        let other = knock(&mut links, 3);
        links.revise(&node(1), &node(2));
        let wishes = [older.wish(), newer.wish(), other.wish()];
        assert_eq!(wishes, [Wish::Close, Wish::Run, Wish::Run]);
    }

    #[test]
    fn who_goes_offline_twice_is_offline_since_the_first_time() {
        let mut links = Links::default();
        links.set_online(false, 5);
        links.set_online(false, 9);
        assert_eq!((links.offline_since_ms(), links.is_online()), (Some(5), false));
        links.set_online(true, 11);
        assert_eq!((links.offline_since_ms(), links.is_online()), (None, true));
    }

    #[test]
    fn a_paused_peer_is_cut_in_both_directions_and_nobody_else() {
        let mut links = Links::default();
        let (outgoing, incoming) = (dial(&mut links, 2), knock(&mut links, 2));
        let other = dial(&mut links, 3);
        links.set_paused(node(2), true);
        [2, 3].iter().for_each(|peer| links.revise(&node(1), &node(*peer)));
        let wishes = [outgoing.wish(), incoming.wish(), other.wish()];
        assert_eq!(wishes, [Wish::Pause, Wish::Close, Wish::Run]);
        links.set_paused(node(2), false);
        links.revise(&node(1), &node(2));
        assert_eq!([outgoing.wish(), incoming.wish()], [Wish::Run, Wish::Close]);
    }
}
