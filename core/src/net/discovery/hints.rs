//! Where peers were seen on the LAN: hints for who dials, the newest first.
//!
//! Bounded: of each peer that is trusted a few addresses, of at most so many peers.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use crate::id::NodeId;
use crate::limits::{DISCOVERY_FORGET_MS, MAX_DISCOVERED_PEERS, MAX_DISCOVERY_ADDRESSES};

/// Addresses of peers, and when each peer was heard of last.
#[derive(Debug, Default)]
pub(in crate::net) struct Hints {
    peers: BTreeMap<NodeId, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The newest first.
    at: VecDeque<SocketAddr>,
    last_ms: u64,
}

impl Hints {
    /// Notes that a peer was seen. Whether it was elsewhere before.
    pub(in crate::net) fn note(&mut self, peer: NodeId, at: SocketAddr, now_ms: u64) -> bool {
        self.make_room(&peer);
        let seen = self.peers.entry(peer).or_insert(Seen { at: VecDeque::new(), last_ms: now_ms });
        seen.last_ms = now_ms;
        if seen.at.front() == Some(&at) {
            return false;
        }
        // A machine with two interfaces is heard at both, in turn: it has not moved.
        let moved = !seen.at.contains(&at);
        seen.at.retain(|known| *known != at);
        seen.at.push_front(at);
        seen.at.truncate(MAX_DISCOVERY_ADDRESSES);
        moved
    }

    /// Where a peer was seen, the newest first.
    pub(in crate::net) fn of(&self, peer: &NodeId) -> Vec<SocketAddr> {
        self.peers.get(peer).map(|seen| seen.at.iter().copied().collect()).unwrap_or_default()
    }

    /// Forgets peers that were not heard of for long.
    pub(in crate::net) fn forget(&mut self, now_ms: u64) {
        let fresh = |seen: &Seen| now_ms.saturating_sub(seen.last_ms) < DISCOVERY_FORGET_MS;
        self.peers.retain(|_, seen| fresh(seen));
    }

    /// Whether it was heard of lately.
    pub(in crate::net) fn has(&self, peer: &NodeId) -> bool {
        self.peers.contains_key(peer)
    }

    fn make_room(&mut self, newcomer: &NodeId) {
        if self.peers.len() < MAX_DISCOVERED_PEERS || self.peers.contains_key(newcomer) {
            return;
        }
        let oldest = self.peers.iter().min_by_key(|(_, seen)| seen.last_ms).map(|(node, _)| *node);
        oldest.map(|node| self.peers.remove(&node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u64) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 7], port).into()
    }

    #[test]
    fn the_newest_address_is_first_and_few_are_kept() {
        let mut hints = Hints::default();
        for port in 1..100 {
            assert!(hints.note(node(1), at(port), 0));
            assert!(!hints.note(node(1), at(port), 0), "it is there already");
        }
        assert_eq!(hints.of(&node(1)), [99, 98, 97, 96].map(at));
        assert!(!hints.note(node(1), at(97), 0), "where it was seen before");
        assert_eq!(hints.of(&node(1)), [97, 99, 98, 96].map(at));
        assert_eq!(hints.of(&node(2)), []);
    }

    #[test]
    fn peers_are_bounded_and_forgotten() {
        let mut hints = Hints::default();
        for n in 0..2 * MAX_DISCOVERED_PEERS as u64 {
            hints.note(node(n), at(1), n);
        }
        assert_eq!(hints.peers.len(), MAX_DISCOVERED_PEERS);
        assert!(!hints.has(&node(0)) && hints.has(&node(MAX_DISCOVERED_PEERS as u64)));
        hints.forget(DISCOVERY_FORGET_MS + MAX_DISCOVERED_PEERS as u64);
        assert_eq!(hints.peers.len(), MAX_DISCOVERED_PEERS - 1);
        hints.forget(u64::MAX);
        assert!(hints.peers.is_empty());
    }
}
