//! Standings: how far each peer is behind, collection by collection, also while there is no link
//! with it.
//!
//! A session tells at intervals how many of our transactions its peer lacks. When the link is cut
//! that stays, and what is applied here from then on is added: the peer may get it elsewhere, and
//! until it says so, it counts as lacking; so does all of a collection that no link has told of,
//! such as one that began meanwhile, if the peer wants it. A peer that no link has told of since the
//! network was started has no standing.
//!
//! When the last link with a peer ends, it is kept when that was and why: of a link that the peer had
//! dialled, nothing else is left.
//!
//! Invariant: at most [`MAX_STANDINGS`] are kept; further ones that a link tells of take the place of
//! those that were told of the longest ago, but never of one that a link still tells of. Others are
//! left out if there is no room.
//!
//! Does not know: what a session is, who is trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::id::NodeId;
use crate::limits::MAX_STANDINGS;
use crate::sync::door::{Progress, Wanted};

/// How far a peer is behind in one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The peer.
    pub peer: NodeId,
    /// The collection.
    pub collection: String,
    /// Whether a link with it tells this.
    pub live: bool,
    /// Transactions that are applied here and not there, as far as is known. None of those that
    /// wait for its roster is counted apart.
    pub lag_txns: u64,
    /// For how long there was always something that it lacked, to within the time from one call
    /// to the next.
    pub lag: Duration,
    /// For how long nothing has moved although there is something to do and a link to do it on.
    pub stalled: Duration,
}

/// How a peer was lost with which there is no link now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// The peer.
    pub peer: NodeId,
    /// When the last link with it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// Why, for people.
    pub reason: String,
}

/// What is known of all peers.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<BTreeMap<NodeId, Peer>>);

#[derive(Debug)]
struct Peer {
    /// The links with it that tell of it.
    links: BTreeSet<u64>,
    /// What it wanted when it said so last.
    wants: Wanted,
    /// When it was last seen to lack nothing of collections that are not below.
    looked_at: Instant,
    of: BTreeMap<String, Known>,
    /// When the last link with it ended, in milliseconds since 1970, and why.
    ended: Option<(u64, String)>,
}

#[derive(Debug)]
struct Known {
    /// The link that tells it, if one does.
    link: Option<u64>,
    lacks: u64,
    /// How many transactions were applied here when that was told.
    of: u64,
    /// When it was last seen to lack nothing.
    even_at: Instant,
    /// Whether there was something to do.
    pending: bool,
    /// When that was last seen to move, or to be nothing.
    moved_at: Instant,
    told_at: Instant,
    progress: Progress,
}

/// What a link tells of one collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) progress: Progress,
    /// How many of our transactions the peer lacks.
    pub(super) lacks: u64,
    /// How many are applied here.
    pub(super) of: u64,
    /// What else shows that something moves, as what is sent of a snapshot.
    pub(super) moved: bool,
}

impl Standings {
    /// A link is up, whose peer wants these collections.
    pub(super) fn up(&self, peer: NodeId, link: u64, wants: &Wanted, now: Instant) {
        let mut all = self.lock();
        let fresh = || Peer {
            links: BTreeSet::new(),
            wants: None,
            looked_at: now,
            of: BTreeMap::new(),
            ended: None,
        };
        let known = all.entry(peer).or_insert_with(fresh);
        if known.links.insert(link) || known.wants != *wants {
            known.wants.clone_from(wants);
        }
    }

    /// A link that is up tells how its peer stands.
    pub(super) fn note(&self, peer: NodeId, link: u64, name: &str, told: Told, now: Instant) {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&peer).and_then(|peer| peer.of.get_mut(name)) {
            return known.take(link, told, now);
        }
        make_room(&mut all);
        let Some(peer) = all.get_mut(&peer) else { return };
        let mut known = Known::new(told.lacks, told.of, now);
        known.take(link, told, now);
        peer.of.insert(name.to_owned(), known);
    }

    /// A link tells nothing any more, from `at_ms` on and for this reason.
    pub(super) fn cut(&self, peer: NodeId, link: u64, (at_ms, reason): (u64, &str), now: Instant) {
        let mut all = self.lock();
        let Some(peer) = all.get_mut(&peer) else { return };
        if peer.links.remove(&link) {
            peer.looked_at = now;
            peer.ended = Some((at_ms, reason.to_owned()));
        }
        let of = peer.of.values_mut();
        of.filter(|known| known.link == Some(link)).for_each(|known| known.link = None);
    }

    /// The peers that no link tells of now, and what each wanted.
    pub(super) fn away(&self) -> Vec<(NodeId, Wanted)> {
        let all = self.lock();
        let away = all.iter().filter(|(_, peer)| peer.links.is_empty());
        away.map(|(node, peer)| (*node, peer.wants.clone())).collect()
    }

    /// The peers that were linked and that no link tells of now, in order.
    pub(super) fn partings(&self) -> Vec<Parting> {
        let all = self.lock();
        let away = all.iter().filter(|(_, known)| known.links.is_empty());
        let parting = |(peer, known): (&NodeId, &Peer)| {
            let (at_ms, reason) = known.ended.clone()?;
            Some(Parting { peer: *peer, at_ms, reason })
        };
        away.filter_map(parting).collect()
    }

    /// How all stand now, in order, but for peers and collections that are of no interest any more:
    /// those are forgotten. `applied` says how many transactions of a collection are applied here,
    /// if it is held, and `exchanged` what is exchanged with peers that are away.
    pub(super) fn read(
        &self,
        now: Instant,
        is_wanted: impl Fn(&NodeId) -> bool,
        applied: impl Fn(&str) -> Option<u64>,
        exchanged: &BTreeMap<NodeId, Vec<String>>,
    ) -> Vec<Standing> {
        let mut all = self.lock();
        all.retain(|node, _| is_wanted(node));
        let mut room = MAX_STANDINGS.saturating_sub(all.values().map(|peer| peer.of.len()).sum());
        let mut standings = Vec::new();
        for (node, peer) in all.iter_mut() {
            // It may have come back since that was asked.
            if let Some(names) = exchanged.get(node).filter(|_| peer.links.is_empty()) {
                peer.begin(names, &mut room, now);
            }
            peer.of.retain(|name, known| {
                let Some(total) = applied(name) else { return false };
                standings.push(known.standing(*node, name, total, now));
                true
            });
        }
        standings
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    /// Lacks all of those that no link has told of.
    fn begin(&mut self, names: &[String], room: &mut usize, now: Instant) {
        for name in names {
            if *room > 0 && !self.of.contains_key(name) {
                self.of.insert(name.clone(), Known::new(0, 0, self.looked_at));
                *room -= 1;
            }
        }
        self.looked_at = now;
    }
}

fn make_room(all: &mut BTreeMap<NodeId, Peer>) {
    if all.values().map(|peer| peer.of.len()).sum::<usize>() < MAX_STANDINGS {
        return;
    }
    let oldest = all
        .iter()
        .flat_map(|(node, peer)| peer.of.iter().map(move |(name, known)| (node, name, known)))
        .filter(|(_, _, known)| known.link.is_none())
        .min_by_key(|(_, _, known)| known.told_at)
        .map(|(node, name, _)| (*node, name.clone()));
    // Without one, what live links tell is more than that: then all of it is kept, since links
    // and their collections are bounded themselves.
    if let Some((node, name)) = oldest {
        all.get_mut(&node).map(|peer| peer.of.remove(&name));
    }
}

impl Known {
    /// Something that no link tells of, and that was even then.
    fn new(lacks: u64, of: u64, even_at: Instant) -> Known {
        Known {
            link: None,
            lacks,
            of,
            even_at,
            pending: false,
            moved_at: even_at,
            told_at: even_at,
            progress: Progress::default(),
        }
    }

    fn take(&mut self, link: u64, told: Told, now: Instant) {
        let Told { progress, lacks, of, moved } = told;
        let pending = lacks > 0 || progress.unacked_bytes > 0 || progress.unapplied_bytes > 0;
        let moved = moved || self.link != Some(link) || moves(&self.progress, &progress);
        if !pending || moved || !self.pending {
            self.moved_at = now;
        }
        if lacks == 0 {
            self.even_at = now;
        }
        (self.link, self.lacks, self.of) = (Some(link), lacks, of);
        (self.pending, self.progress, self.told_at) = (pending, progress, now);
    }

    fn standing(&mut self, peer: NodeId, name: &str, total: u64, now: Instant) -> Standing {
        // What a session is about to send or has just sent it will tell itself: only where none
        // does, what came since is added.
        let since = if self.link.is_none() { total.saturating_sub(self.of) } else { 0 };
        let lag_txns = self.lacks + since;
        if lag_txns == 0 {
            self.even_at = now;
        }
        let stalled = match self.link.is_some() && self.pending {
            true => now.duration_since(self.moved_at),
            false => Duration::ZERO,
        };
        Standing {
            peer,
            collection: name.to_owned(),
            live: self.link.is_some(),
            lag_txns,
            lag: now.duration_since(self.even_at),
            stalled,
        }
    }
}

/// Whether something was done from one moment to the next.
fn moves(before: &Progress, now: &Progress) -> bool {
    let done = |p: &Progress| (p.received_txns, p.snapshot_bytes, p.acked, p.unapplied_bytes);
    done(before) != done(now) || now.sent_txns != before.sent_txns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Position;

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn told(acked: u64, lacks: u64, of: u64) -> Told {
        let progress = Progress { acked: Position(acked), ..Progress::default() };
        Told { progress, lacks, of, moved: false }
    }

    const ENDED: (u64, &str) = (5, "goodbye");

    fn one(standings: &Standings, now: Instant, total: u64) -> Standing {
        standings.read(now, |_| true, |_| Some(total), &BTreeMap::new()).pop().unwrap()
    }

    fn up(standings: &Standings, link: u64, now: Instant) {
        standings.up(peer(1), link, &None, now);
    }

    #[test]
    fn a_collection_that_begins_while_a_link_is_cut_is_lacking() {
        let (standings, start) = (Standings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let exchanged = BTreeMap::from([(peer(1), vec!["new".to_owned(), "old".to_owned()])]);
        let read = |second, total: u64| {
            let applied = |name: &str| (name == "old" || total > 0).then_some(total.max(4));
            let all = standings.read(at(second), |_| true, applied, &exchanged);
            let shown = |one: &Standing| {
                (one.collection.clone(), one.lag_txns, one.lag.as_secs(), one.live)
            };
            all.iter().map(shown).collect::<Vec<_>>()
        };
        // Nobody whom no link has told of.
        assert_eq!((standings.away(), read(0, 4)), (vec![], vec![]));
        up(&standings, 7, at(1));
        standings.note(peer(1), 7, "old", told(1, 0, 4), at(1));
        assert!(standings.away().is_empty());
        // What a link is about to tell is not guessed.
        assert_eq!(read(2, 4), [("old".to_owned(), 0, 0, true)]);
        standings.cut(peer(1), 7, ENDED, at(3));
        assert_eq!(standings.away(), [(peer(1), None)]);
        assert_eq!(read(5, 0), [("old".to_owned(), 0, 0, false)]);
        // Since it was last seen not to be there.
        let both = read(9, 4);
        assert_eq!(both, [("new".to_owned(), 4, 4, false), ("old".to_owned(), 0, 0, false)]);
        assert_eq!(read(10, 5)[0], ("new".to_owned(), 5, 5, false));
        up(&standings, 8, at(11));
        standings.note(peer(1), 8, "new", told(2, 0, 5), at(11));
        assert_eq!(read(11, 5)[0], ("new".to_owned(), 0, 0, true));
    }

    #[test]
    fn it_is_known_when_and_why_the_last_link_with_a_peer_ended() {
        let (standings, now) = (Standings::default(), Instant::now());
        up(&standings, 7, now);
        up(&standings, 8, now);
        standings.cut(peer(1), 7, (3, "replaced"), now);
        assert_eq!(standings.partings(), [], "another one is left");
        standings.cut(peer(1), 8, ENDED, now);
        standings.cut(peer(1), 9, (6, "never was up"), now);
        let parting = Parting { peer: peer(1), at_ms: 5, reason: "goodbye".to_owned() };
        assert_eq!(standings.partings(), [parting]);
        up(&standings, 10, now);
        assert_eq!(standings.partings(), []);
    }

    #[test]
    fn what_comes_while_a_link_is_cut_is_lacking() {
        let (standings, start) = (Standings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        up(&standings, 7, at(0));
        standings.note(peer(1), 7, "notes", told(1, 0, 10), at(0));
        let even = one(&standings, at(5), 10);
        assert_eq!((even.lag_txns, even.lag, even.live), (0, Duration::ZERO, true));
        standings.cut(peer(1), 7, ENDED, at(5));
        let behind = one(&standings, at(9), 13);
        assert_eq!((behind.lag_txns, behind.live), (3, false));
        assert_eq!((behind.lag, behind.stalled), (Duration::from_secs(4), Duration::ZERO));
        // Another link with it tells the truth.
        up(&standings, 8, at(12));
        standings.note(peer(1), 8, "notes", told(2, 0, 13), at(12));
        assert_eq!(one(&standings, at(12), 13).lag_txns, 0);
        // The end of the first one says nothing of the second.
        standings.cut(peer(1), 7, ENDED, at(13));
        assert!(one(&standings, at(13), 13).live);
    }

    #[test]
    fn a_link_on_which_nothing_moves_is_stalled_and_one_that_is_slow_is_not() {
        let (standings, start) = (Standings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        up(&standings, 7, at(0));
        for (second, acked) in [(0, 1), (60, 2), (120, 3)] {
            standings.note(peer(1), 7, "notes", told(acked, 5, 9), at(second));
        }
        assert_eq!(one(&standings, at(120), 9).stalled, Duration::ZERO);
        standings.note(peer(1), 7, "notes", told(3, 5, 9), at(150));
        assert_eq!(one(&standings, at(180), 9).stalled, Duration::from_secs(60));
        assert_eq!(one(&standings, at(180), 9).lag, Duration::from_secs(180));
    }

    #[test]
    fn standings_have_a_limit_and_go_with_their_peers() {
        let (standings, now) = (Standings::default(), Instant::now());
        for n in 0..=MAX_STANDINGS {
            up(&standings, 7, now);
            standings.note(peer(1), 7, &format!("c{n}"), told(1, 0, 1), now);
            standings.cut(peer(1), 7, ENDED, now);
        }
        // What no link tells of takes nobody's place.
        let more = BTreeMap::from([(peer(1), vec!["another".to_owned()])]);
        let count = |wanted: bool| standings.read(now, |_| wanted, |_| Some(1), &more).len();
        assert_eq!((count(true), count(false), count(true)), (MAX_STANDINGS, 0, 0));
    }
}
