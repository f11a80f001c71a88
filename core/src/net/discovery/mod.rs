//! Discovery on a LAN, for who asks for it: peers find each other by mDNS.
//!
//! | file | noun |
//! | --- | --- |
//! | `mod` | the task: when to speak, what to do about whom it hears |
//! | `beacon` | packets: what they say, who can understand it |
//! | `lan` | the multicast socket |
//! | `hints` | where peers were seen |
//!
//! A node announces itself now and then, when it is asked, and when its addresses change. Whoever
//! hears of a peer that it trusts and has no link with dials it; a link that waits tries the
//! address at once, and every attempt tries the newest addresses before those that it was told.
//!
//! Invariants: an address is a hint, and one on this LAN. Who is there is decided by the handshake, which accepts that
//! peer's key and no other; and only a peer that the store trusts at that moment is dialled. What
//! a flood of packets can take is bounded: so many are read in a second, and only addresses of
//! trusted peers are kept.

mod beacon;
pub(super) mod hints;
mod lan;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::beacon::{Claim, Heard, Known, Scope};
use self::lan::Lan;
use super::blocking;
use super::network::Shared;
use super::trust::unix_ms;
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{
    DISCOVERY_ANNOUNCE_MS, DISCOVERY_TAG_MS, MAX_DISCOVERY_PACKET_BYTES, MAX_DISCOVERY_PACKETS,
};

/// How often it looks whether there is something to do.
const TICK: Duration = Duration::from_secs(1);
/// How many ticks pass between looks at interfaces and members.
const TICKS_PER_LOOK: u64 = 5;
/// After a change it speaks after one tick, two, four, and so on, in case that a packet is lost.
const FIRST_WAIT: Duration = TICK;

/// Begins to look for peers; gives the task that does.
///
/// Errors: [`ErrorKind::Network`] if this machine has no socket for it.
pub(super) fn begin(shared: &Arc<Shared>) -> Result<AbortHandle> {
    let _entered = shared.entered();
    let lan = Lan::open().map_err(|error| {
        Error::new(ErrorKind::Network, format!("could not listen for peers on the LAN: {error}"))
    })?;
    let finder = Finder::new(Arc::clone(shared), lan);
    Ok(shared.spawn(finder.run()))
}

struct Finder {
    shared: Arc<Shared>,
    lan: Lan,
    scope: Scope,
    /// Whom it recognises.
    nodes: Vec<NodeId>,
    known: Known,
    period: u64,
    /// Where it said that this node is.
    places: Vec<SocketAddrV4>,
    ticks: u64,
    next: Instant,
    wait: Duration,
    /// Whether others are to say where they are.
    ask: bool,
    /// Whether somebody has asked since it spoke.
    asked: bool,
    /// Packets that may still be read before the next tick.
    budget: u32,
}

impl Finder {
    fn new(shared: Arc<Shared>, lan: Lan) -> Finder {
        let scope = Scope::new(shared.site.replica.network(), None);
        let known = Known::new(scope.clone(), &[], 0);
        let (nodes, places) = (Vec::new(), Vec::new());
        let (next, wait, budget) = (Instant::now(), FIRST_WAIT, MAX_DISCOVERY_PACKETS);
        let (period, ticks, ask, asked) = (u64::MAX, 0, true, false);
        Finder {
            shared,
            lan,
            scope,
            nodes,
            known,
            period,
            places,
            ticks,
            next,
            wait,
            ask,
            asked,
            budget,
        }
    }

    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One more than is read, so that longer ones are told from those.
        let mut buffer = vec![0; MAX_DISCOVERY_PACKET_BYTES + 1];
        loop {
            tokio::select! {
                _ = ticks.tick() => self.tick().await,
                heard = self.lan.hear(&mut buffer), if self.budget > 0 => match heard {
                    Ok(len) => self.hear(&buffer[..len]),
                    Err(error) => {
                        tracing::debug!(%error, "discovery could not listen");
                        sleep(TICK).await;
                    }
                },
            }
        }
    }

    fn hear(&mut self, packet: &[u8]) {
        self.budget -= 1;
        match beacon::hear(packet) {
            Some(Heard::Question) => self.asked = true,
            Some(Heard::Claim(claim)) => self.meet(&claim),
            None => {}
        }
    }

    fn meet(&self, claim: &Claim) {
        let Some(peer) = self.known.recognise(claim) else { return };
        if claim.at.port() == 0 || !self.lan.reaches(*claim.at.ip()) {
            return;
        }
        let at = SocketAddr::from(claim.at);
        if let Err(error) = blocking::here(|| self.shared.found(peer, at)) {
            tracing::debug!(peer = %peer.short(), %error, "a peer on the LAN is not dialled");
        }
    }

    async fn tick(&mut self) {
        self.budget = MAX_DISCOVERY_PACKETS;
        if self.ticks.is_multiple_of(TICKS_PER_LOOK) {
            self.look();
        }
        self.ticks += 1;
        let due = Instant::now() >= self.next;
        if due || self.asked {
            self.speak().await;
        }
        if due {
            self.next = Instant::now() + self.wait;
            self.wait = (2 * self.wait).min(Duration::from_millis(DISCOVERY_ANNOUNCE_MS));
        }
    }

    /// Looks at interfaces, members and the time; what has changed is said soon.
    fn look(&mut self) {
        let shared = Arc::clone(&self.shared);
        let lan = &mut self.lan;
        let (moved, nodes) = blocking::here(|| (lan.refresh(), shared.site.replica.peers()));
        let founder = self.shared.site.replica.roster().map(|(founder, _)| founder);
        let scope = Scope::new(self.shared.site.replica.network(), founder);
        let period = unix_ms() / DISCOVERY_TAG_MS;
        let nodes = nodes.unwrap_or_else(|error| {
            tracing::warn!(%error, "the peers to look for can't be read");
            self.nodes.clone()
        });
        let places = self.places_now();
        let others = (&nodes, &scope) != (&self.nodes, &self.scope);
        if others || period != self.period {
            self.known = Known::new(scope.clone(), &nodes, period);
        }
        if moved || others || period != self.period || places != self.places {
            (self.next, self.wait) = (Instant::now(), FIRST_WAIT);
            self.ask |= moved || others;
        }
        (self.nodes, self.scope, self.period, self.places) = (nodes, scope, period, places);
        self.shared.forget_lost();
    }

    /// At each interface the port of a socket that is reached there.
    fn places_now(&self) -> Vec<SocketAddrV4> {
        let listening = self.shared.listening();
        let port = |ip: &Ipv4Addr| {
            let here = |at: &&SocketAddr| at.ip() == IpAddr::V4(*ip) || at.ip().is_unspecified();
            listening.iter().find(here).map(SocketAddr::port)
        };
        let there = self.lan.addresses();
        there.filter_map(|ip| Some(SocketAddrV4::new(ip, port(&ip)?))).collect()
    }

    async fn speak(&mut self) {
        self.asked = false;
        for at in &self.places {
            let claim = self.scope.claim(&self.shared.site.us, self.period, *at);
            self.lan.say(*at.ip(), &beacon::announcement(&claim)).await;
        }
        if std::mem::take(&mut self.ask) {
            for ip in self.lan.addresses() {
                self.lan.say(ip, &beacon::question()).await;
            }
        }
    }
}
