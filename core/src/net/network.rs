//! The network of a store: its sockets, its links, and the threads that serve them.
//!
//! The public calls are blocking and may be made from any thread, also one of another async
//! runtime: nothing here waits on our own runtime from within, it only hands work to it and
//! waits for the bell.
//!
//! Lock order: links, then the face of a link. Nothing is awaited under either.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::Endpoint;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::address::PeerAddress;
use super::bell::Bell;
use super::counts::{Counts, KeptOff};
use super::dial::{Dial, keep_up};
use super::discovery::hints::Hints;
use super::driver::Site;
use super::here::reached_at;
use super::joining::{Attempts, Joining, Joins};
use super::knocks::Knocks;
use super::link::{Entry, Link, Wish};
use super::links::Links;
use super::outside::{Machine, Outside};
use super::resting::Resting;
use super::sockets::Sockets;
use super::status::{Direction, LinkState, LinkStatus};
use super::tls::{self, Purpose};
use super::traffic::Traffic;
use super::transport;
use super::trust::{Refusals, Trust};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::limits::{
    CLOSE_TIMEOUT_MS, MAX_DISCOVERED_LINKS, MAX_JOINING, MAX_LINKS, MAX_LINKS_OF_PEER,
    MAX_NETWORK_CALLS, MAX_TICKET_ADDRESSES,
};
use crate::replica::{Replica, Watching};
use crate::store::Store;
use crate::txn::joining::Welcome;
use crate::txn::ticket::Ticket;

/// Threads that serve all links of a store. What blocks has threads of its own.
const WORKERS: usize = 2;

/// Threads for what blocks, at most: reading and writing the store. Some are left for sessions
/// when all calls that are allowed at once are at work.
const BLOCKING_THREADS: usize = MAX_NETWORK_CALLS + 8;

/// How to start a network.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NetworkOptions {
    /// Where to listen; port 0 takes any. More addresses can be added by [`Network::listen`].
    pub listen: Option<SocketAddr>,
    /// Whether to find peers on the LAN: see [`Network::discover`].
    pub discover: bool,
}

impl NetworkOptions {
    /// Listen at `address`.
    pub fn listen(address: SocketAddr) -> NetworkOptions {
        NetworkOptions { listen: Some(address), ..NetworkOptions::default() }
    }

    /// Find peers on the LAN, or don't.
    pub fn discover(mut self, discover: bool) -> NetworkOptions {
        self.discover = discover;
        self
    }
}

/// The network of a store: it listens, dials, and keeps what it is connected with in sync.
///
/// ```no_run
/// use std::time::Duration;
/// use littoral::Store;
/// use littoral::net::{Network, NetworkOptions, PeerAddress};
///
/// let store = Store::open("data")?;
/// let network = Network::start(&store, NetworkOptions::default())?;
/// let here = network.listen("[::]:4433".parse().unwrap())?;
/// println!("give this to your peers: <host>:{}#{}", here.port(), store.node_id());
///
/// # let line = String::new();
/// let hub: PeerAddress = line.parse()?;
/// let link = network.connect(hub)?;
/// link.wait_synced(Duration::from_secs(10))?;
/// network.close();
/// # Ok::<(), littoral::Error>(())
/// ```
///
/// It holds a clone of the store, so close it before the store. Dropping it closes it.
pub struct Network {
    pub(super) shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
    _watching: Watching,
    /// Rests with the store.
    _resting: Arc<Resting>,
}

impl Network {
    /// Starts the network of `store`, with threads of its own.
    ///
    /// Errors: [`ErrorKind::Network`] if the address to listen at can't be used.
    pub fn start(store: &Store, options: NetworkOptions) -> Result<Network> {
        Network::over(Arc::new(store.clone()), options)
    }

    /// Starts the network of whatever is a replica.
    pub fn over(replica: Arc<dyn Replica>, options: NetworkOptions) -> Result<Network> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("littoral-net")
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the threads of the network", error))?;
        let network = Network::on(replica, Arc::new(Machine::default()), runtime.handle().clone());
        *network.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        if let Some(address) = options.listen {
            network.listen(address)?;
        }
        if options.discover {
            network.discover()?;
        }
        Ok(network)
    }

    /// A network on a runtime of somebody else, with another outside than this machine. What
    /// blocks may not be called on a thread that the runtime needs.
    pub(super) fn on(
        replica: Arc<dyn Replica>,
        outside: Arc<dyn Outside>,
        handle: Handle,
    ) -> Network {
        let commits = watch::Sender::new(0);
        let count = commits.clone();
        // The count, not the replica: the replica holds the callback.
        let watching = replica.on_commit(Box::new(move || count.send_modify(|n| *n += 1)));
        let epoch = tokio::time::Instant::now();
        let us = replica.node_key().id();
        let (counts, calls) = (Counts::default(), Arc::new(Semaphore::new(MAX_NETWORK_CALLS)));
        let site = Site {
            replica,
            us,
            commits,
            epoch,
            outside,
            counts,
            calls,
            holdings: Arc::default(),
            tally: Default::default(),
            standings: Default::default(),
        };
        let shared = Arc::new(Shared::new(site, handle));
        let resting = Resting::with(&shared);
        Network { shared, runtime: Mutex::default(), _watching: watching, _resting: resting }
    }

    /// Accepts trusted peers at `address` too; port 0 takes any. Returns the address taken.
    pub fn listen(&self, address: SocketAddr) -> Result<SocketAddr> {
        self.shared.listen(address)
    }

    /// Keeps up a link to a peer: dials, and dials again with growing waits whenever it is cut,
    /// until the link or the network is closed. Trusts the peer's key. It does not wait for the
    /// connection. For an address that is dialled already, it returns that link.
    ///
    /// Errors: [`ErrorKind::InvalidInput`] for this node's own key;
    /// [`ErrorKind::LimitExceeded`]; [`ErrorKind::Closed`].
    pub fn connect(&self, address: PeerAddress) -> Result<Link> {
        self.shared.connect(address)
    }

    /// Keeps up a link to each peer whose address the store knows, as of those whom it joined,
    /// and that is not dialled yet. Gives those links.
    ///
    /// Errors: as of [`Network::connect`].
    pub fn connect_known(&self) -> Result<Vec<Link>> {
        self.shared.connect_known()
    }

    /// Finds peers on the LAN by mDNS from now on, and is found by them: members of the same
    /// roster, or peers that are trusted where there is none, and only those. It links with those
    /// that it finds, up to 64, and follows them to other addresses, also peers to which it was
    /// connected by [`Network::connect`]. A link that was closed is made again while its peer is
    /// heard of; [`Network::set_enabled`] and [`Network::distrust`] keep it off. Twice is harmless.
    /// IPv4 only.
    ///
    /// What a stranger on the LAN learns is in `docs/SECURITY.md`: that a node is there, not whose.
    /// Whoever answers at an address that was found has to prove the peer's key.
    ///
    /// Errors: [`ErrorKind::Network`] if this machine can't listen for it (UDP 5353).
    pub fn discover(&self) -> Result<()> {
        self.shared.discover()
    }

    /// Becomes a member with a ticket: dials whoever made it, shows the secret, enters the roster,
    /// and keeps up a link from then on, as [`Network::connect`] does. `name` is what this node is
    /// called, if the ticket does not say. It tries again until it is answered or `timeout` is
    /// over; doing it again with the same ticket does no harm.
    ///
    /// Errors: [`ErrorKind::Refused`] if the ticket lets nobody in, or not this node;
    /// [`ErrorKind::InvalidInput`] if the store belongs to another network, or roster;
    /// [`ErrorKind::Timeout`].
    pub fn join(&self, ticket: &Ticket, name: &str, timeout: Duration) -> Result<(Welcome, Link)> {
        let mut joining = self.begin_join(ticket, name, timeout)?;
        loop {
            if let Some(joined) = joining.wait(Duration::MAX)? {
                return Ok(joined);
            }
        }
    }

    /// As [`Network::join`], for who does not want to wait for it as a whole: dropping what this
    /// gives gives it up.
    pub fn begin_join(&self, ticket: &Ticket, name: &str, timeout: Duration) -> Result<Joining> {
        Joining::begin(&self.shared, ticket, name, timeout)
    }

    /// What became of those who wanted to join here.
    pub fn joins(&self) -> Joins {
        self.shared.joins().clone()
    }

    /// Accepts links of this node from now on, as long as this network lives.
    pub fn trust(&self, node: NodeId) {
        self.shared.trust.trust(node);
    }

    /// Accepts links of this node no more, and closes those there are, in both directions;
    /// returns when they are closed, after at most some seconds.
    pub fn distrust(&self, node: NodeId) {
        self.shared.distrust(node);
    }

    /// Cuts all links with a peer for now, or takes them up again; see [`Link::set_enabled`].
    pub fn set_enabled(&self, peer: NodeId, enabled: bool) {
        self.shared.set_enabled(peer, enabled);
    }

    /// Where it listens.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.shared.listening()
    }

    /// Where others may reach it, the likeliest first: what a ticket may name. Empty if it does
    /// not listen.
    pub fn reached_at(&self) -> Vec<SocketAddr> {
        let mut found: Vec<_> = self.listening().into_iter().flat_map(reached_at).collect();
        found.truncate(MAX_TICKET_ADDRESSES);
        found
    }

    /// All links, in the order in which they came.
    pub fn links(&self) -> Vec<LinkStatus> {
        let entries: Vec<Arc<Entry>> = self.shared.links().iter().cloned().collect();
        entries.iter().map(|entry| entry.status()).collect()
    }

    /// Nodes that were turned away at the handshake, because their keys are not trusted.
    pub fn refusals(&self) -> Refusals {
        self.shared.trust.refusals()
    }

    /// How often somebody was kept off, by kind.
    pub fn kept_off(&self) -> KeptOff {
        self.shared.site.counts.read(self.shared.trust.refusals().total)
    }

    /// What went over all links.
    pub fn traffic(&self) -> Traffic {
        let site = &self.shared.site;
        site.tally.read(site.holdings.total() as u64)
    }

    /// Waits until this store and its peers hold the same, as far as links can tell.
    ///
    /// That is: every link that is connected, or is being connected, has no collection in which
    /// the peer has yet to acknowledge, as durably applied, something that was written here
    /// before this call; and none in which something that the peer has told to hold is not
    /// durably applied here. At least one link must be connected. Links that wait, are refused
    /// or paused are not covered.
    ///
    /// **Wait where it was written.** What a peer has written and not yet told is not covered:
    /// to be sure of it, wait on the peer's side.
    ///
    /// Errors: [`ErrorKind::Timeout`], with what it was waiting for.
    pub fn wait_synced(&self, timeout: Duration) -> Result<()> {
        self.shared.wait_synced(None, timeout)
    }

    /// As [`Network::wait_synced`], with one peer, whoever dialled whom.
    pub fn wait_synced_with(&self, peer: NodeId, timeout: Duration) -> Result<()> {
        self.shared.wait_synced(Some(peer), timeout)
    }

    /// Dials a peer now if the next attempt waits for its turn. Gives whether there is a link.
    pub fn dial_now(&self, peer: NodeId) -> bool {
        let entries: Vec<Arc<Entry>> = self.shared.links().of(&peer).cloned().collect();
        for entry in &entries {
            let _ = entry.hurry();
        }
        !entries.is_empty()
    }

    /// Dials every peer now whose next attempt waits for its turn, and then waits as
    /// [`Network::wait_synced`] does: for who wants to sync at this moment and not when it is due.
    ///
    /// Errors: as of [`Network::wait_synced`].
    pub fn sync_now(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let entries: Vec<Arc<Entry>> = self.shared.links().iter().cloned().collect();
        let hurried: Vec<_> = entries.iter().filter_map(|e| Some((e, e.hurry()?))).collect();
        let begun = || hurried.iter().all(|(entry, before)| entry.attempts() > *before);
        self.shared.bell.wait(deadline, || begun().then_some(()));
        self.wait_synced(deadline.saturating_duration_since(Instant::now()))
    }

    /// Ends it: says goodbye on every link, closes the sockets, stops the threads. Takes at most
    /// some seconds. What was not sent yet is in the log and is sent another time.
    pub fn close(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(runtime) = runtime else { return };
        self.shared.close();
        // A runtime may not be ended on a thread of another one, where we may well be.
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(1)));
        if ended.join().is_err() {
            tracing::error!("stopping the threads of the network failed");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({:?}, {} links)", self.shared.site.us, self.shared.links().len())
    }
}

/// What the tasks and the handles of a network share.
pub(super) struct Shared {
    pub(super) site: Arc<Site>,
    pub(super) trust: Arc<Trust>,
    /// Handshakes of those who dial us.
    pub(super) knocks: Arc<Knocks>,
    /// Room for those who want to join.
    pub(super) joining: Arc<Semaphore>,
    attempts: Mutex<Attempts>,
    joins: Mutex<Joins>,
    links: Mutex<Links>,
    pub(super) sockets: Mutex<Sockets>,
    /// Where peers were seen on the LAN.
    hints: Mutex<Hints>,
    pub(super) discovers: AtomicBool,
    pub(super) discovery: Mutex<Option<AbortHandle>>,
    /// Whether the store is suspended.
    pub(super) suspended: AtomicBool,
    pub(super) bell: Arc<Bell>,
    pub(super) handle: Handle,
    closing: AtomicBool,
}

/// Who has named a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The user, who thereby trusts it.
    ByUser,
    /// The peer itself, on the LAN: it is trusted as far as the store does.
    OnLan,
}

impl Shared {
    fn new(site: Site, handle: Handle) -> Shared {
        Shared {
            trust: Arc::new(Trust::new(Arc::clone(&site.replica))),
            site: Arc::new(site),
            knocks: Arc::default(),
            joining: Arc::new(Semaphore::new(MAX_JOINING)),
            attempts: Mutex::new(Attempts::new()),
            joins: Mutex::default(),
            links: Mutex::default(),
            sockets: Mutex::default(),
            hints: Mutex::default(),
            discovers: AtomicBool::new(false),
            discovery: Mutex::default(),
            suspended: AtomicBool::new(false),
            bell: Arc::default(),
            handle,
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn connect(self: &Arc<Shared>, target: PeerAddress) -> Result<Link> {
        self.dial(target, Named::ByUser)
    }

    fn dial(self: &Arc<Shared>, target: PeerAddress, named: Named) -> Result<Link> {
        let peer = target.key();
        if peer == self.site.us {
            return Err(Error::invalid(
                "this is the key of this very node; connect to another node's address",
            ));
        }
        let config = transport::client(self.site.replica.node_key(), peer, Purpose::Sync)?;
        // A socket that can't be had is told at once.
        self.dialler()?;
        let mut links = self.links();
        if let Some(entry) = links.dialling(&target) {
            if named == Named::ByUser {
                self.trust.trust(peer);
                entry.found.store(false, Ordering::Relaxed);
            }
            return Ok(Link::new(Arc::clone(self), Arc::clone(entry)));
        }
        self.check_room(&links)?;
        let bell = Arc::clone(&self.bell);
        let entry = Entry::outgoing(links.next_id(), target.clone(), bell);
        match named {
            Named::ByUser => self.trust.trust(peer),
            Named::OnLan => entry.found.store(true, Ordering::Relaxed),
        }
        let entry = Arc::new(entry);
        links.add(Arc::clone(&entry));
        links.revise(&self.site.us, &peer);
        drop(links);
        let guard = Guard { shared: Arc::clone(self), entry: Arc::clone(&entry) };
        let name = tls::expecting(&peer, self.site.outside.random());
        let dial = Dial { config, target, name };
        let (shared, kept) = (Arc::clone(self), Arc::clone(&entry));
        self.handle.spawn(async move {
            keep_up(shared, kept, dial).await;
            drop(guard);
        });
        Ok(Link::new(Arc::clone(self), entry))
    }

    /// Whether a peer goes on with another key: then that is dialled in its place.
    pub(super) fn follow_heir(self: &Arc<Shared>, entry: &Entry, target: &PeerAddress) -> bool {
        let Some(heir) = self.site.replica.heir_of(&entry.peer) else { return false };
        let named = match entry.found.load(Ordering::Relaxed) {
            true => Named::OnLan,
            false => Named::ByUser,
        };
        tracing::info!(peer = %entry.peer.short(), heir = %heir.short(), "a peer has changed its key");
        match self.dial(target.with_key(heir), named) {
            Ok(_) => entry.set_wish(Wish::Close),
            Err(error) => {
                tracing::warn!(peer = %heir.short(), %error, "the new key of a peer is not dialled");
                return false;
            }
        }
        true
    }

    /// Notes that a peer was seen on the LAN, and dials it if there is no link with it.
    pub(super) fn found(self: &Arc<Shared>, peer: NodeId, at: SocketAddr) -> Result<()> {
        if peer == self.site.us || !self.trust.is_trusted(&peer) {
            return Ok(());
        }
        let moved = self.hints().note(peer, at, self.age_ms());
        let links = self.links();
        let kept = |entry: &&Arc<Entry>| entry.wish() != Wish::Close;
        let outgoing = |entry: &&Arc<Entry>| entry.direction == Direction::Outgoing;
        if let Some(entry) = links.of(&peer).filter(kept).find(outgoing) {
            if moved && !entry.is_connected() {
                entry.poke();
            }
            return Ok(());
        }
        let found =
            links.iter().filter(kept).filter(|entry| entry.found.load(Ordering::Relaxed)).count();
        if links.of(&peer).any(|entry| entry.is_connected()) || found >= MAX_DISCOVERED_LINKS {
            return Ok(());
        }
        drop(links);
        tracing::info!(peer = %peer.short(), %at, "found a peer on the LAN");
        let target = PeerAddress::new(at.ip().to_string(), at.port(), peer)?;
        self.dial(target, Named::OnLan).map(drop)
    }

    /// Gives up links that were made since a peer was seen on the LAN, where it was not for long,
    /// or is trusted no more.
    pub(super) fn forget_lost(&self) {
        self.hints().forget(self.age_ms());
        let links = self.links();
        let lost = |entry: &&Arc<Entry>| {
            let peer = &entry.peer;
            entry.found.load(Ordering::Relaxed)
                && !entry.is_connected()
                && !(self.hints().has(peer) && self.trust.is_trusted(peer))
        };
        links.iter().filter(lost).for_each(|entry| entry.set_wish(Wish::Close));
    }

    /// Where a peer was seen on the LAN, the newest place first.
    pub(super) fn seen_at(&self, peer: &NodeId) -> Vec<SocketAddr> {
        self.hints().of(peer)
    }

    /// Milliseconds since the network was started.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.site.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn discover(self: &Arc<Shared>) -> Result<()> {
        self.check_open()?;
        self.check_awake()?;
        if self.discovers.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.begin_discovery().inspect_err(|_| self.discovers.store(false, Ordering::SeqCst))
    }

    /// Runs a task of this network.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(task).abort_handle()
    }

    fn connect_known(self: &Arc<Shared>) -> Result<Vec<Link>> {
        let mut made = Vec::new();
        for (node, places) in self.site.replica.known()? {
            let dialled = |entry: &Arc<Entry>| {
                entry.direction == Direction::Outgoing && entry.wish() != Wish::Close
            };
            if self.links().of(&node).any(dialled) {
                continue;
            }
            match format!("{places}#{node}").parse() {
                Ok(address) => made.push(self.connect(address)?),
                Err(err) => {
                    tracing::warn!(peer = %node.short(), %err, "a peer's address is not dialled");
                }
            }
        }
        Ok(made)
    }

    /// Whether one more may try to join.
    pub(super) fn may_try(&self) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.take(tokio::time::Instant::now())
    }

    /// Notes that somebody has joined.
    pub(super) fn note_joined(&self, guest: &NodeId) {
        tracing::info!(%guest, "a node joined with a ticket");
        self.joins().joined += 1;
    }

    /// Notes why somebody did not join.
    pub(super) fn note_join(&self, guest: &NodeId, why: &'static str) {
        tracing::warn!(%guest, why, "a node wanted to join and was refused");
        *self.joins().refused.entry(why).or_default() += 1;
        if !self.trust.is_trusted(guest) {
            self.trust.turn_away(guest);
        }
    }

    fn joins(&self) -> MutexGuard<'_, Joins> {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a peer that has dialled us, if it may.
    pub(super) fn take_in(self: &Arc<Shared>, peer: NodeId, from: String) -> Result<Guard> {
        let mut links = self.links();
        self.check_room(&links)?;
        if links.is_paused(&peer) {
            return Err(Error::new(ErrorKind::Refused, "the other node has cut this link for now"));
        }
        // It was trusted at the handshake; `distrust` takes this lock before it closes links.
        if !self.trust.is_trusted(&peer) {
            return Err(Error::new(ErrorKind::Refused, "the other node trusts this one no more"));
        }
        if links.of(&peer).filter(|old| old.direction == Direction::Incoming).count()
            >= MAX_LINKS_OF_PEER
        {
            return Err(Error::limit(format!(
                "{MAX_LINKS_OF_PEER} links of this node have not ended yet; dial again later"
            )));
        }
        let entry = Entry::incoming(links.next_id(), peer, from, Arc::clone(&self.bell));
        let entry = Arc::new(entry);
        links.add(Arc::clone(&entry));
        Ok(Guard { shared: Arc::clone(self), entry })
    }

    /// Gives the links with a peer their wishes, after something has changed.
    pub(super) fn revise(&self, peer: &NodeId) {
        self.links().revise(&self.site.us, peer);
    }

    /// Cuts the links with a peer, or takes them up again.
    pub(super) fn set_enabled(&self, peer: NodeId, enabled: bool) {
        let mut links = self.links();
        links.set_paused(peer, !enabled);
        links.revise(&self.site.us, &peer);
        drop(links);
        if !enabled {
            self.wait_cut(peer);
        }
    }

    fn distrust(&self, node: NodeId) {
        self.trust.distrust(node);
        self.links().of(&node).for_each(|entry| entry.set_wish(Wish::Close));
        self.wait_cut(node);
    }

    /// Waits until no link with a peer that shall not run has a connection: only then can the
    /// caller count on it that what it writes next does not get there.
    fn wait_cut(&self, peer: NodeId) {
        let deadline = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
        let cut = || self.links().of(&peer).all(|entry| entry.is_cut()).then_some(());
        if self.bell.wait(deadline, cut).is_none() {
            tracing::warn!(peer = %peer.short(), "a link takes long to end");
        }
    }

    /// Ends one link and waits until it is gone.
    pub(super) fn close_link(&self, entry: &Arc<Entry>) {
        entry.set_wish(Wish::Close);
        let deadline = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
        self.bell.wait(deadline, || (entry.status().state == LinkState::Closed).then_some(()));
    }

    /// Waits until the links with `peer`, or all, have nothing left to do.
    pub(super) fn wait_synced(&self, peer: Option<NodeId>, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        self.site.replica.flush()?;
        // Every session looks at the log once more: what is written by now is in what it sees.
        let mut mark = 0;
        self.site.commits.send_modify(|commits| {
            *commits += 1;
            mark = *commits;
        });
        let synced = self.bell.wait(deadline, || self.are_synced(peer, mark));
        synced.unwrap_or_else(|| Err(self.why_not_synced(peer, timeout)))
    }

    fn are_synced(&self, peer: Option<NodeId>, mark: u64) -> Option<Result<()>> {
        if let Err(over) = self.check_open().and_then(|()| self.check_awake()) {
            return Some(Err(over));
        }
        let links = self.links();
        let mut live = links.iter().filter(|e| peer.is_none_or(|p| p == e.peer) && e.is_live());
        let first = live.next()?;
        let synced = first.is_synced(mark) && live.all(|entry| entry.is_synced(mark));
        synced.then_some(Ok(()))
    }

    fn why_not_synced(&self, peer: Option<NodeId>, timeout: Duration) -> Error {
        let links = self.links();
        let concerned = links.iter().filter(|entry| peer.is_none_or(|peer| peer == entry.peer));
        let reasons: Vec<String> =
            concerned.filter_map(|entry| waits_for(&entry.status())).collect();
        let reasons = match reasons.is_empty() {
            true => "no link is connected".to_owned(),
            false => reasons.join("; "),
        };
        let waited = timeout.as_secs_f64();
        Error::new(ErrorKind::Timeout, format!("not in sync after {waited:.1} s: {reasons}"))
    }

    /// Ends all links and closes the sockets, within a bounded time.
    fn close(&self) {
        let deadline = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
        self.closing.store(true, Ordering::SeqCst);
        let mut links = self.links();
        links.closed = true;
        links.iter().for_each(|entry| entry.set_wish(Wish::Close));
        drop(links);
        let Sockets { listeners, dialler, .. } = std::mem::take(&mut *self.sockets());
        // Existing connections go on until they have said goodbye.
        listeners.iter().for_each(|endpoint| endpoint.set_server_config(None));
        self.bell.wait(deadline, || (self.links().len() == 0).then_some(()));
        let endpoints: Vec<Endpoint> = listeners.into_iter().chain(dialler).collect();
        self.wait_idle(endpoints, deadline);
        self.bell.ring();
    }

    pub(super) fn check_open(&self) -> Result<()> {
        match self.closing.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Closed, "the network of this store is closed")),
            false => Ok(()),
        }
    }

    fn check_room(&self, links: &Links) -> Result<()> {
        if links.closed {
            return Err(Error::new(ErrorKind::Closed, "the network of this store is closed"));
        }
        match links.len() >= MAX_LINKS {
            true => Err(Error::limit(format!(
                "a store has at most {MAX_LINKS} links, and this one has them; close some"
            ))),
            false => Ok(()),
        }
    }

    pub(super) fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a link that is not in sync waits for, for people; `None` for one that is not concerned.
fn waits_for(status: &LinkStatus) -> Option<String> {
    let peer = status.peer.short();
    let last = || status.last_error.clone().unwrap_or_else(|| "no answer yet".to_owned());
    match &status.state {
        LinkState::Connected => {
            let lagging = status
                .collections
                .iter()
                .filter(|(_, c)| !c.progress.caught_up || !c.progress.peer_caught_up);
            let names: Vec<String> = lagging
                .map(|(name, c)| match c.trouble {
                    Some(trouble) => format!("{name} ({trouble:?})"),
                    None => name.clone(),
                })
                .collect();
            Some(format!("{peer} is connected and still at work on {names:?}"))
        }
        LinkState::Connecting => Some(format!("{peer} is being connected ({})", last())),
        LinkState::Waiting => Some(format!("{peer} is not connected ({})", last())),
        LinkState::Refused(reason) => Some(format!("{peer}: {reason}")),
        LinkState::Paused => Some(format!("{peer} is paused")),
        LinkState::Standby | LinkState::Closed => None,
    }
}

/// A link's place among the links. Dropping it, also by a panic, takes the link out.
pub(super) struct Guard {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
}

impl Guard {
    /// The link.
    pub(super) fn entry(&self) -> Arc<Entry> {
        Arc::clone(&self.entry)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.entry.rest(LinkState::Closed);
        let mut links = self.shared.links();
        links.remove(self.entry.id);
        links.revise(&self.shared.site.us, &self.entry.peer);
        drop(links);
        self.shared.bell.ring();
    }
}
