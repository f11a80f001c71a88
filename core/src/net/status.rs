//! What people and tests may know of a link.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::sync::door::{Event, Offence, Progress};

/// Who dialled whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// We dialled.
    Outgoing,
    /// The peer dialled.
    Incoming,
}

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// A connection is being made, or has been and the two have not both said hello.
    Connecting,
    /// Both said hello and belong together.
    Connected,
    /// The last attempt or connection failed; the next attempt comes by itself.
    Waiting,
    /// The same, but one of the two does not want the other: this is why. Somebody has to do something.
    Refused(String),
    /// The peer has dialled us, and that one connection is enough. See `Network`.
    Standby,
    /// Cut by `set_enabled(false)`, or `set_online(false)`.
    Paused,
    /// Closed for good.
    Closed,
}

/// A link, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkStatus {
    /// Its number; never used again.
    pub id: u64,
    /// The node at the other end.
    pub peer: NodeId,
    /// Where it is: as told to `connect`, or where it dialled from.
    pub address: String,
    /// Who dialled.
    pub direction: Direction,
    /// Where it stands.
    pub state: LinkState,
    /// Since when it is connected, in milliseconds since 1970.
    pub connected_since_ms: Option<u64>,
    /// Why the last connection or attempt ended, if it did not end on purpose.
    pub last_error: Option<String>,
    /// The time of a round trip, in milliseconds, while there is a connection.
    pub rtt_ms: Option<f64>,
    /// UDP bytes received, over all connections of this link.
    pub received_bytes: u64,
    /// UDP bytes sent, over all connections of this link.
    pub sent_bytes: u64,
    /// Whether nothing was left to send or receive when the session last looked.
    pub synced: bool,
    /// How far each collection is on the present connection.
    pub collections: BTreeMap<String, CollectionStatus>,
}

/// A collection on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionStatus {
    /// How far it is.
    pub progress: Progress,
    /// What keeps it from going on.
    pub trouble: Option<Trouble>,
}

/// What keeps a collection from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Both hold the same transactions but not the same content.
    Diverged,
    /// One of the two can't apply what the other holds, for this reason.
    Halted(Offence),
    /// The peer's log no longer reaches back to what we hold: we take in a snapshot.
    Behind,
    /// Our log no longer reaches back to what the peer holds: it takes in a snapshot.
    PeerBehind,
    /// The peer sends what builds on transactions that neither tells us.
    Stuck,
}

/// What keeps the collections of a link from going on, from what its session tells.
#[derive(Debug, Default)]
pub(super) struct Troubles(BTreeMap<String, Trouble>);

impl Troubles {
    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &Event) {
        let (collection, trouble) = match event {
            Event::Diverged { collection } => (collection, Trouble::Diverged),
            Event::Halted { collection, offence, why, by_peer } => {
                tracing::warn!(collection, by_peer, reason = why, "a collection was halted");
                (collection, Trouble::Halted(*offence))
            }
            Event::Behind { collection } => (collection, Trouble::Behind),
            Event::PeerBehind { collection } => (collection, Trouble::PeerBehind),
            Event::Stuck { collection } => (collection, Trouble::Stuck),
            Event::Synced { collection } | Event::Joined { collection } => {
                return self.clear(collection, &[Trouble::Behind, Trouble::Stuck]);
            }
            Event::PeerCaughtUp { collection } => {
                return self.clear(collection, &[Trouble::PeerBehind]);
            }
            Event::Ready | Event::Acked { .. } => return,
        };
        match trouble {
            Trouble::Behind | Trouble::PeerBehind => {
                tracing::info!(collection, ?trouble, "a collection goes on by a snapshot");
            }
            _ => tracing::warn!(collection, ?trouble, "a collection does not sync on this link"),
        }
        self.0.insert(collection.clone(), trouble);
    }

    fn clear(&mut self, collection: &str, over: &[Trouble]) {
        if self.0.get(collection).is_some_and(|trouble| over.contains(trouble)) {
            self.0.remove(collection);
        }
    }

    /// Puts it together with how far each collection is.
    pub(super) fn with(
        &self,
        progress: BTreeMap<String, Progress>,
    ) -> BTreeMap<String, CollectionStatus> {
        let status = |(name, progress): (String, Progress)| {
            let trouble = self.0.get(&name).copied();
            (name, CollectionStatus { progress, trouble })
        };
        progress.into_iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_ends_with_what_ends_it() {
        let mut troubles = Troubles::default();
        let collection = || "notes".to_owned();
        let shown = |troubles: &Troubles| {
            let progress = BTreeMap::from([(collection(), Progress::default())]);
            troubles.with(progress)["notes"].trouble
        };
        troubles.note(&Event::Stuck { collection: collection() });
        troubles.note(&Event::PeerCaughtUp { collection: collection() });
        assert_eq!(shown(&troubles), Some(Trouble::Stuck));
        troubles.note(&Event::Synced { collection: collection() });
        assert_eq!(shown(&troubles), None);
        troubles.note(&Event::Diverged { collection: collection() });
        troubles.note(&Event::Synced { collection: collection() });
        assert_eq!(shown(&troubles), Some(Trouble::Diverged));
    }
}
