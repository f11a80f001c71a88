//! Whom we let in, and whom we turned away.
//!
//! A node is trusted if the store says so or it was trusted here, unless it was distrusted
//! here since: the newest word counts. Refusals are kept by name so that a person who meant
//! to let the node in can do it; how many are kept is bounded.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{SystemClock, WallClock};
use crate::id::NodeId;
use crate::limits::{MAX_LOGGED_REFUSALS, MAX_REFUSALS};
use crate::replica::Replica;

/// Nodes that proved a key which is not trusted here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// How many handshakes were refused since the network was started.
    pub total: u64,
    /// The nodes refused last, newest first, each once.
    pub nodes: Vec<Refusal>,
}

/// A node that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its key, which it proved to hold.
    pub node: NodeId,
    /// When it was refused last, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Whom we let in.
pub(super) struct Trust {
    replica: Arc<dyn Replica>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    trusted: BTreeSet<NodeId>,
    distrusted: BTreeSet<NodeId>,
    total: u64,
    refused: VecDeque<Refusal>,
    /// Refusals in this minute.
    minute: u64,
    logged: u64,
}

impl Trust {
    /// Begins with those whom the store trusts.
    pub(super) fn new(replica: Arc<dyn Replica>) -> Trust {
        Trust { replica, said: Mutex::default() }
    }

    /// Lets a node in from now on.
    pub(super) fn trust(&self, node: NodeId) {
        let mut said = self.said();
        said.distrusted.remove(&node);
        said.trusted.insert(node);
    }

    /// Lets a node in no more.
    pub(super) fn distrust(&self, node: NodeId) {
        let mut said = self.said();
        said.trusted.remove(&node);
        said.distrusted.insert(node);
    }

    /// Whether a node is trusted.
    pub(super) fn is_trusted(&self, node: &NodeId) -> bool {
        let said = self.said();
        if said.distrusted.contains(node) {
            return false;
        }
        let here = said.trusted.contains(node);
        drop(said);
        here || self.replica.is_trusted(node)
    }

    /// Whether a node that knocks may come in, be it only to show a ticket; notes it if not.
    pub(super) fn admit(&self, node: &NodeId) -> bool {
        let admitted = self.is_trusted(node) || self.may_join(node);
        if !admitted {
            self.turn_away(node);
        }
        admitted
    }

    /// Whether a node may show a ticket: there are open ones, and nobody has said that it shall
    /// not come in.
    pub(super) fn may_join(&self, node: &NodeId) -> bool {
        !self.said().distrusted.contains(node) && self.replica.has_open_invites()
    }

    /// Notes that a node was refused.
    pub(super) fn turn_away(&self, node: &NodeId) {
        let told = self.said().refuse(Refusal { node: *node, at_ms: unix_ms() });
        // Anybody can make keys and knock: the log is not theirs to fill.
        if told {
            tracing::warn!(%node, "refused a node that is not trusted");
        }
    }

    /// Whom we turned away.
    pub(super) fn refusals(&self) -> Refusals {
        let said = self.said();
        Refusals { total: said.total, nodes: said.refused.iter().copied().collect() }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// Notes it; gives whether the log shall tell of it.
    fn refuse(&mut self, refusal: Refusal) -> bool {
        let minute = refusal.at_ms / 60_000;
        if self.minute != minute {
            (self.minute, self.logged) = (minute, 0);
        }
        self.logged += 1;
        self.total = self.total.saturating_add(1);
        self.refused.retain(|old| old.node != refusal.node);
        self.refused.push_front(refusal);
        self.refused.truncate(MAX_REFUSALS);
        self.logged <= MAX_LOGGED_REFUSALS
    }
}

/// Milliseconds since 1970, as this machine's clock believes. For people, and for the names by
/// which peers know each other on a LAN.
pub(super) fn unix_ms() -> u64 {
    SystemClock.now_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(n: usize) -> Refusal {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        Refusal { node: NodeId::from_bytes(key), at_ms: 0 }
    }

    #[test]
    fn refusals_are_bounded_and_each_node_is_named_once() {
        let mut said = Said::default();
        let told = (0..=MAX_REFUSALS).filter(|n| said.refuse(refusal(*n))).count();
        assert_eq!(told as u64, MAX_LOGGED_REFUSALS, "the log is not filled");
        assert_eq!(said.refused.len(), MAX_REFUSALS);
        said.refuse(refusal(MAX_REFUSALS / 2));
        assert_eq!(said.refused.len(), MAX_REFUSALS);
        assert_eq!(said.refused[0], refusal(MAX_REFUSALS / 2));
        assert_eq!(said.total, MAX_REFUSALS as u64 + 2);
    }
}
