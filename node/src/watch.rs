//! Watching a node: what its links and its disk do becomes events of its store.
//!
//! It looks once a second: a link that comes and goes between two looks is noticed by when it came
//! up. A peer is up while any link to it is. Whoever knocks without being known does so again and
//! again: it is noted once an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use littoral::net::{LinkState, LinkStatus, Network, Parting};
use littoral::store::{EventKind, NewEvent};
use littoral::{NodeId, Store};
use tokio::sync::watch;

use crate::disk::{self, LITTLE_BYTES, Room};

/// How often it looks at links.
const LOOK: Duration = Duration::from_secs(1);
/// And at the disk, in looks.
const DISK_LOOKS: u32 = 10;
/// A disk has room again when it has so much more than little.
const RELIEF_BYTES: u64 = LITTLE_BYTES + LITTLE_BYTES / 4;
/// For how long somebody who was turned away is not noted again.
const KNOCK_MS: u64 = 3_600_000;
/// For how long it is remembered that a peer was linked whose links were closed.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// What was seen when it last looked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    peers: BTreeMap<NodeId, Peer>,
    /// When each who was turned away was noted last. Bounded like the list of refusals.
    refused: BTreeMap<NodeId, u64>,
    disk_low: bool,
}

/// What was seen of a peer.
#[derive(Debug, Default)]
struct Peer {
    /// Its links that are up, each with when it came up.
    up: BTreeSet<(u64, Option<u64>)>,
    /// When it was seen to be down after it had been up.
    down: Option<Instant>,
    refuses: bool,
}

impl Seen {
    /// What has happened to the links since, at `now`.
    pub(crate) fn links(
        &mut self,
        links: &[LinkStatus],
        partings: &[Parting],
        now: Instant,
    ) -> Vec<NewEvent> {
        let mut events = Vec::new();
        for link in links {
            self.peers.entry(link.peer).or_default();
        }
        for (node, peer) in &mut self.peers {
            let of_peer = || links.iter().filter(|link| link.peer == *node);
            let up = of_peer().filter(|link| link.state == LinkState::Connected);
            let up: BTreeMap<_, _> =
                up.map(|link| ((link.id, link.connected_since_ms), &link.address)).collect();
            let was_up = !peer.up.is_empty();
            // One of several may go, or come beside: that is no partition.
            let stayed = up.keys().any(|one| peer.up.contains(one));
            if was_up && !stayed {
                // Of a link that the peer had dialled nothing is left but how it ended.
                let parted = partings.iter().find(|parting| parting.peer == *node);
                let parted = parted.map(|parting| parting.reason.as_str());
                let why = of_peer().find_map(|link| link.last_error.as_deref()).or(parted);
                let down = NewEvent::new(EventKind::LinkDown).about(*node);
                events.push(down.saying(why.unwrap_or("")));
                peer.down = Some(now);
            }
            if let Some(address) = up.values().next().filter(|_| !stayed) {
                events.push(NewEvent::new(EventKind::LinkUp).about(*node).saying(address));
                if let Some(since) = peer.down.take() {
                    let ms = now.saturating_duration_since(since).as_millis();
                    let healed = NewEvent::new(EventKind::Healed).about(*node);
                    events.push(healed.counting(u64::try_from(ms).unwrap_or(u64::MAX)));
                }
            }
            peer.up = up.into_keys().collect();
            let refusal = of_peer().find_map(|link| match &link.state {
                LinkState::Refused(why) => Some(why.as_str()),
                _ => None,
            });
            if let Some(why) = refusal.filter(|_| !peer.refuses) {
                events.push(NewEvent::new(EventKind::RefusedBy).about(*node).saying(why));
            }
            // It is dialled again and again: only a link ends that.
            peer.refuses = (peer.refuses || refusal.is_some()) && peer.up.is_empty();
        }
        // Links that are gone for good are not remembered for good.
        self.peers.retain(|node, peer| {
            links.iter().any(|link| link.peer == *node)
                || peer.down.is_some_and(|down| now.saturating_duration_since(down) < REMEMBER)
        });
        events
    }

    /// Who was turned away since.
    pub(crate) fn refusals(&mut self, refused: &[(NodeId, u64)]) -> Vec<NewEvent> {
        let known: Vec<NodeId> = refused.iter().map(|(node, _)| *node).collect();
        self.refused.retain(|node, _| known.contains(node));
        let mut events = Vec::new();
        for (node, at_ms) in refused {
            let noted = self.refused.get(node).copied();
            if noted.is_none_or(|noted| *at_ms >= noted.saturating_add(KNOCK_MS)) {
                self.refused.insert(*node, *at_ms);
                events.push(NewEvent::new(EventKind::Refused).about(*node));
            }
        }
        events
    }

    /// Whether the disk has become full, or has room again.
    pub(crate) fn disk(&mut self, room: Option<Room>) -> Option<NewEvent> {
        let free = room?.free_bytes;
        let kind = match self.disk_low {
            false if free < LITTLE_BYTES => EventKind::DiskLow,
            true if free >= RELIEF_BYTES => EventKind::DiskOk,
            _ => return None,
        };
        self.disk_low = kind == EventKind::DiskLow;
        Some(NewEvent::new(kind).counting(free))
    }
}

/// Looks until the node stops.
pub(crate) async fn watch(
    store: Store,
    network: Arc<Network>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut seen = Seen::default();
    let mut looks = 0;
    loop {
        let (store, network) = (store.clone(), Arc::clone(&network));
        let looked = tokio::task::spawn_blocking(move || {
            let seen_disk = (looks % DISK_LOOKS == 0)
                .then(|| seen.disk(store.path().and_then(disk::room)))
                .flatten();
            let refusals = network.refusals().nodes;
            let refused: Vec<_> = refusals.iter().map(|one| (one.node, one.at_ms)).collect();
            let mut events = seen.links(&network.links(), &network.partings(), Instant::now());
            events.extend(seen.refusals(&refused));
            events.extend(seen_disk);
            for event in events {
                if let Err(err) = store.note_event(event) {
                    tracing::warn!(reason = err.message(), "an event could not be noted");
                }
            }
            seen
        });
        let Ok(looked) = looked.await else { return };
        seen = looked;
        looks = looks.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use littoral::net::Direction;

    use super::*;

    fn link(node: u8, state: LinkState, since: Option<u64>) -> LinkStatus {
        LinkStatus {
            id: 1,
            peer: NodeId::from_bytes([node; 32]),
            address: "host:1".to_owned(),
            direction: Direction::Outgoing,
            state,
            connected_since_ms: since,
            last_error: None,
            rtt_ms: None,
            received_bytes: 0,
            sent_bytes: 0,
            synced: false,
            collections: BTreeMap::new(),
        }
    }

    fn told(events: &[NewEvent]) -> String {
        let words = events.iter().map(|event| format!("{event:?}"));
        let known = ["LinkUp", "LinkDown", "Healed", "RefusedBy", "Refused", "DiskLow", "DiskOk"];
        let kind = |text: String| {
            let found = known.iter().find(|kind| text.contains(&format!("kind: {kind},")));
            (*found.expect("a known kind")).to_owned()
        };
        words.map(kind).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn links_come_and_go_and_partitions_heal_after_so_long() {
        let (mut seen, at) = (Seen::default(), Instant::now());
        let mut look = |seconds: u64, links: &[LinkStatus]| {
            seen.links(links, &[], at + Duration::from_secs(seconds))
        };
        let connected = |since| link(1, LinkState::Connected, Some(since));
        let beside = || LinkStatus { id: 2, ..connected(60) };
        let waiting = || link(1, LinkState::Waiting, None);
        assert_eq!(told(&look(0, &[link(1, LinkState::Connecting, None)])), "");
        assert_eq!(told(&look(1, &[connected(5)])), "LinkUp");
        assert_eq!(told(&look(2, &[connected(5)])), "");
        assert_eq!(told(&look(3, &[waiting()])), "LinkDown");
        assert_eq!(told(&look(4, &[waiting()])), "");
        let healed = look(33, &[connected(50)]);
        assert_eq!(told(&healed), "LinkUp Healed");
        assert!(format!("{:?}", healed[1]).contains("count: Some(30000)"));
        // One that went and came between two looks; then one beside it, which stays.
        assert_eq!(told(&look(34, &[connected(51)])), "LinkDown LinkUp Healed");
        assert_eq!(told(&look(35, &[connected(51), beside()])), "");
        assert_eq!(told(&look(36, &[waiting(), beside()])), "");
        assert_eq!(told(&look(37, &[])), "LinkDown");
        assert_eq!(told(&look(40, &[connected(70)])), "LinkUp Healed");
    }

    #[test]
    fn why_a_link_went_that_the_peer_had_dialled_is_told() {
        let (mut seen, at) = (Seen::default(), Instant::now());
        seen.links(&[link(1, LinkState::Connected, Some(5))], &[], at);
        let peer = NodeId::from_bytes([1; 32]);
        let parting = Parting { peer, at_ms: 6, reason: "the peer left".to_owned() };
        let down = seen.links(&[], &[parting], at);
        assert_eq!(told(&down), "LinkDown");
        assert!(format!("{down:?}").contains("the peer left"), "{down:?}");
    }

    #[test]
    fn who_refuses_or_knocks_again_and_again_is_noted_once() {
        let (mut seen, at) = (Seen::default(), Instant::now());
        let refused = || [link(1, LinkState::Refused("not a member".to_owned()), None)];
        let dialling = [link(1, LinkState::Connecting, None)];
        assert_eq!(told(&seen.links(&refused(), &[], at)), "RefusedBy");
        assert_eq!(told(&seen.links(&dialling, &[], at)), "");
        assert_eq!(told(&seen.links(&refused(), &[], at)), "");
        let node = NodeId::from_bytes([7; 32]);
        assert_eq!(told(&seen.refusals(&[(node, 1000)])), "Refused");
        assert_eq!(told(&seen.refusals(&[(node, 2000)])), "");
        assert_eq!(told(&seen.refusals(&[(node, 1000 + KNOCK_MS)])), "Refused");
    }

    #[test]
    fn a_disk_that_wavers_around_little_is_told_of_once() {
        let mut seen = Seen::default();
        let mut look = |free_bytes| {
            let room = Room { free_bytes, size_bytes: 1 << 40 };
            told(seen.disk(Some(room)).as_slice())
        };
        assert_eq!(look(LITTLE_BYTES), "");
        assert_eq!(look(LITTLE_BYTES - 1), "DiskLow");
        assert_eq!(look(LITTLE_BYTES + 1), "");
        assert_eq!(look(RELIEF_BYTES), "DiskOk");
        assert_eq!(seen.disk(None), None);
    }
}
