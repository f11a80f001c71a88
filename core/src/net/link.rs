//! A link: what its tasks do and what others may ask of it meet here.
//!
//! ```text
//!               Ready                    Close
//!   Connecting ───────▶ Connected   any ───────▶ Closed
//!     ▲    │ fails          │ ends
//!     │    ▼                ▼
//!     └── Waiting, Refused (outgoing; an incoming link is Closed)
//!     ▲
//!     └── Standby, Paused (while the wish is Yield, Pause)
//! ```
//!
//! Invariant: the wish is only changed under the lock of the links (see `links`), the face
//! only by the link's own task; `Close` is the last wish.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::Connection;
use tokio::sync::watch;

use super::address::PeerAddress;
use super::bell::Bell;
use super::ending::Ending;
use super::network::Shared;
use super::status::{CollectionStatus, Direction, LinkState, LinkStatus};
use super::trust::unix_ms;
use crate::error::Result;
use crate::id::NodeId;

/// A link that this node keeps up. Dropping it leaves the link as it is.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>) -> Link {
        Link { shared, entry }
    }

    /// The node at the other end.
    pub fn peer(&self) -> NodeId {
        self.entry.peer
    }

    /// How it stands.
    pub fn status(&self) -> LinkStatus {
        self.entry.status()
    }

    /// Cuts all connections with this peer and turns its own away, or takes them up again.
    /// The rest of the network goes on. Cutting returns when it is done, after at most some
    /// seconds: what is written after it stays here until the link is enabled again.
    pub fn set_enabled(&self, enabled: bool) {
        self.shared.set_enabled(self.entry.peer, enabled);
    }

    /// Waits until this peer holds what was written here; see `Network::wait_synced`, also for
    /// what was written there.
    pub fn wait_synced(&self, timeout: Duration) -> Result<()> {
        self.shared.wait_synced(Some(self.entry.peer), timeout)
    }

    /// Closes it for good, with a goodbye. What was not yet sent is sent by the next link.
    pub fn close(&self) {
        self.shared.close_link(&self.entry);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entry.fmt(f)
    }
}

/// What a link shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Be connected.
    Run,
    /// Leave it to the connection that the peer has dialled.
    Yield,
    /// Be cut for now.
    Pause,
    /// End.
    Close,
}

/// One link, as its tasks and the links together see it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) peer: NodeId,
    pub(super) direction: Direction,
    /// Where to dial; none of an incoming link.
    pub(super) target: Option<PeerAddress>,
    /// Whether it was made since the peer was seen on the LAN, and nobody else has asked for it.
    pub(super) found: AtomicBool,
    /// How often it was dialled.
    attempts: AtomicU64,
    address: String,
    wish: watch::Sender<Wish>,
    face: Mutex<Face>,
    bell: Arc<Bell>,
}

/// What is shown of a link.
#[derive(Debug)]
struct Face {
    state: LinkState,
    connected_since_ms: Option<u64>,
    last_error: Option<String>,
    connection: Option<Connection>,
    /// Bytes received and sent over earlier connections.
    earlier: (u64, u64),
    view: View,
}

/// What a session last told.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Whether nothing was left to do in any collection.
    pub(super) synced: bool,
    /// The count of commits that the session had heard of.
    pub(super) heard: u64,
    /// Each collection, if they were looked at.
    pub(super) collections: Option<BTreeMap<String, CollectionStatus>>,
}

impl Entry {
    /// A link that we dial.
    pub(super) fn outgoing(id: u64, target: PeerAddress, bell: Arc<Bell>) -> Entry {
        let (peer, address) = (target.key(), target.to_string());
        Entry::new(id, peer, Direction::Outgoing, Some(target), address, bell)
    }

    /// A link that the peer dialled.
    pub(super) fn incoming(id: u64, peer: NodeId, from: String, bell: Arc<Bell>) -> Entry {
        Entry::new(id, peer, Direction::Incoming, None, from, bell)
    }

    fn new(
        id: u64,
        peer: NodeId,
        direction: Direction,
        target: Option<PeerAddress>,
        address: String,
        bell: Arc<Bell>,
    ) -> Entry {
        let face = Mutex::new(Face {
            state: LinkState::Connecting,
            connected_since_ms: None,
            last_error: None,
            connection: None,
            earlier: (0, 0),
            view: View::default(),
        });
        let wish = watch::Sender::new(Wish::Run);
        Entry {
            id,
            peer,
            direction,
            target,
            found: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            address,
            wish,
            face,
            bell,
        }
    }

    /// For following what it shall do.
    pub(super) fn wishes(&self) -> watch::Receiver<Wish> {
        self.wish.subscribe()
    }

    /// What it shall do.
    pub(super) fn wish(&self) -> Wish {
        *self.wish.borrow()
    }

    /// Changes what it shall do.
    pub(super) fn set_wish(&self, wish: Wish) {
        self.wish.send_if_modified(|old| {
            let changes = *old != wish && *old != Wish::Close;
            if changes {
                *old = wish;
            }
            changes
        });
    }

    /// There is something new to try: whoever waits for the next attempt makes it now, and one
    /// that is under way begins again.
    pub(super) fn poke(&self) {
        self.wish.send_modify(|_| ());
    }

    /// Has the next attempt made now, if it waits for its turn; gives how many there were.
    pub(super) fn hurry(&self) -> Option<u64> {
        let attempts = self.attempts();
        let waits = matches!(self.face().state, LinkState::Waiting | LinkState::Refused(_));
        waits.then(|| {
            self.poke();
            attempts
        })
    }

    /// How often it was dialled so far.
    pub(super) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Acquire)
    }

    /// It is dialled now.
    pub(super) fn dialled(&self) {
        self.attempts.fetch_add(1, Ordering::AcqRel);
        self.rest(LinkState::Connecting);
    }

    /// A connection is there; a session begins on it.
    pub(super) fn begin(&self, connection: &Connection) {
        self.show(|face| {
            face.connection = Some(connection.clone());
            face.view = View::default();
        });
    }

    /// Both sides have said hello.
    pub(super) fn ready(&self) {
        self.show(|face| {
            face.state = LinkState::Connected;
            face.connected_since_ms = Some(unix_ms());
            face.last_error = None;
        });
    }

    /// What the session tells. Collections that were not looked at are shown as before.
    pub(super) fn view(&self, mut view: View) {
        self.show(|face| {
            if view.collections.is_none() {
                view.collections = face.view.collections.take();
            }
            face.view = view;
        });
    }

    /// The connection, or the attempt at one, is over.
    pub(super) fn end(&self, ending: &Ending) {
        self.show(|face| {
            face.disconnect();
            face.last_error = Some(ending.reason.clone());
            face.state = match ending.refused {
                true => LinkState::Refused(ending.reason.clone()),
                false => LinkState::Waiting,
            };
        });
    }

    /// It is now in this state, without a connection.
    pub(super) fn rest(&self, state: LinkState) {
        self.show(|face| {
            face.disconnect();
            face.state = state;
        });
    }

    /// Whether both sides have said hello on the present connection.
    pub(super) fn is_connected(&self) -> bool {
        self.face().state == LinkState::Connected
    }

    /// Whether it is wished to run, or has no connection and makes none.
    pub(super) fn is_cut(&self) -> bool {
        let state = &self.face().state;
        let off = matches!(state, LinkState::Paused | LinkState::Closed);
        off || matches!(self.wish(), Wish::Run | Wish::Yield)
    }

    /// Whether there is, or is about to be, a connection that shall go on.
    pub(super) fn is_live(&self) -> bool {
        let live = matches!(self.face().state, LinkState::Connected | LinkState::Connecting);
        live && self.wish() == Wish::Run
    }

    /// Whether nothing was left to do when the session had heard of so many commits.
    pub(super) fn is_synced(&self, heard: u64) -> bool {
        let face = self.face();
        face.state == LinkState::Connected && face.view.synced && face.view.heard >= heard
    }

    /// How it stands.
    pub(super) fn status(&self) -> LinkStatus {
        let face = self.face();
        let (received_bytes, sent_bytes) = face.traffic();
        LinkStatus {
            id: self.id,
            peer: self.peer,
            address: self.address.clone(),
            direction: self.direction,
            state: face.state.clone(),
            connected_since_ms: face.connected_since_ms,
            last_error: face.last_error.clone(),
            rtt_ms: face.connection.as_ref().map(|c| c.rtt().as_secs_f64() * 1000.0),
            received_bytes,
            sent_bytes,
            synced: face.view.synced,
            collections: face.view.collections.clone().unwrap_or_default(),
        }
    }

    fn show(&self, change: impl FnOnce(&mut Face)) {
        change(&mut self.face());
        self.bell.ring();
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Face {
    fn disconnect(&mut self) {
        self.earlier = self.traffic();
        self.connection = None;
        self.connected_since_ms = None;
        self.view = View::default();
    }

    fn traffic(&self) -> (u64, u64) {
        let (received, sent) = self.earlier;
        match &self.connection {
            None => (received, sent),
            Some(connection) => {
                let stats = connection.stats();
                (received + stats.udp_rx.bytes, sent + stats.udp_tx.bytes)
            }
        }
    }
}
