//! The network: listening, links to peers, waiting until both hold the same.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use littoral::net::{Link, Network, NetworkOptions, PeerAddress};
use littoral::{Error, ErrorKind, NodeId};
use serde_json::{Value, json};

use crate::changes::wait;
use crate::error::{
    Fault, LIT_OK, LIT_TIMEOUT, Outcome, guard, guard_free, lit_error_t, lit_status_t,
};
use crate::handles::Registry;
use crate::invites::ticket;
use crate::json;
use crate::slices::{Out, lit_bytes_t, lit_slice_t};
use crate::store::{STORES, Shared, lit_store_t, shared};

/// A link to a peer, which the library keeps up: it reconnects by itself after every cut.
pub struct lit_link_t(());

/// The network of one store; there is none until it is first needed.
#[derive(Default)]
pub(crate) struct Net(Mutex<Option<Arc<Network>>>);

impl Net {
    /// The network, if it was needed so far.
    fn started(&self) -> Option<Arc<Network>> {
        self.slot().clone()
    }

    /// Where others may reach it, if it listens.
    pub(crate) fn reached_at(&self) -> Vec<String> {
        let reached = self.started().map(|network| network.reached_at()).unwrap_or_default();
        reached.iter().map(SocketAddr::to_string).collect()
    }

    /// Figures of the store, and those of its network.
    pub(crate) fn added_to(&self, mut stats: Value) -> Value {
        if let Some(network) = self.started() {
            let joins = network.joins();
            stats["kept_off"] = json!(network.kept_off().by_kind());
            stats["joins"] = json!({"joined": joins.joined, "refused": joins.refused});
        }
        stats
    }

    /// Tells a network that runs already that a node is trusted from now on.
    pub(crate) fn trust(&self, node: NodeId) {
        if let Some(network) = self.started() {
            network.trust(node);
        }
    }

    /// Closes the links there are with a node that is trusted no more.
    pub(crate) fn distrust(&self, node: NodeId) {
        if let Some(network) = self.started() {
            network.distrust(node);
        }
    }

    /// Ends it; the store is marked as closed before, so that none is started after.
    pub(crate) fn close(&self) {
        let network = self.slot().take();
        if let Some(network) = network {
            network.close();
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Network>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The network, which is started if it does not run.
    fn network(&self) -> Outcome<Arc<Network>> {
        let mut slot = self.net.slot();
        let store = self.open()?;
        if let Some(network) = &*slot {
            return Ok(network.clone());
        }
        let network = Arc::new(Network::start(store, NetworkOptions::default())?);
        Ok(slot.insert(network).clone())
    }
}

/// A link and its store.
struct Linked {
    shared: Arc<Shared>,
    link: Link,
}

static LINKS: Registry<lit_link_t, Linked> = Registry::new("link");

/// Time that ran out is an answer here, with a sentence about what is missing.
fn in_time<T>(waited: Result<T, Error>) -> Outcome<T> {
    waited.map_err(|err| match err.kind() {
        ErrorKind::Timeout => Fault::new(LIT_TIMEOUT, err.message()),
        _ => err.into(),
    })
}

fn synced(waited: Result<(), Error>) -> Outcome {
    in_time(waited).map(|()| LIT_OK)
}

/// Listens for trusted peers at `address`, "host:port" with an IP address as host, IPv6 in
/// brackets: "0.0.0.0:4433", "[::]:4433"; port 0 takes any. Listens at each address it is called
/// with. What peers connect to is such an address, '#' and this node's key.
///
/// `*bound` is the address taken, as text, and yours: free it with lit_bytes_free.
/// Thread-safe. Does not block. Starts the threads of the network, which end with the store.
/// Errors: LIT_ERR_INVALID_INPUT (address); LIT_ERR_NETWORK if it is in use or not of this device.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_listen(
    store: *mut lit_store_t,
    address: lit_slice_t,
    bound: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (bound, err) = unsafe { (Out::new(bound), Out::new(err)) };
    guard(err, || {
        let bound = bound.required("bound")?;
        let shared = STORES.get(store)?;
        let address: SocketAddr = address.text("address")?.parse().map_err(|_| {
            Fault::invalid("address is not IP:PORT, for instance 0.0.0.0:4433 or [::]:4433")
        })?;
        bound.set(shared.network()?.listen(address)?.to_string().into());
        Ok(LIT_OK)
    })
}

/// Keeps up a link to the peer at "host:port#KEY", whose key is trusted from now on: dials, and
/// dials again with growing waits, until lit_link_close or the store is closed. It does not wait
/// for the connection: see lit_link_wait_synced and lit_link_status_json. The peer has to trust
/// this node's key too. For an address that is dialled already it gives that link.
///
/// `*link` is yours: free it with lit_link_free; the link goes on without it.
/// Thread-safe. Does not block. Starts the threads of the network, which end with the store.
/// Errors: LIT_ERR_INVALID_INPUT (address, this node's own key); LIT_ERR_LIMIT_EXCEEDED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_connect(
    store: *mut lit_store_t,
    address: lit_slice_t,
    link: *mut *mut lit_link_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(link), Out::new(err)) };
    guard(err, || {
        let out = out.required("link")?;
        let shared = shared(store)?;
        let address: PeerAddress = address.text("address")?.parse()?;
        let link = shared.network()?.connect(address)?;
        out.set(LINKS.insert(Linked { shared, link }));
        Ok(LIT_OK)
    })
}

/// Keeps up a link, as lit_store_connect does, to each peer whose address the store knows, as of
/// those whom it joined by a ticket, and that is not dialled yet: so a store that has joined needs
/// no more than this when it is opened again. See lit_store_links_json.
///
/// Thread-safe. Blocks: disk. Starts the threads of the network, which end with the store.
/// Errors: LIT_ERR_LIMIT_EXCEEDED.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_connect_known(
    store: *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        shared(store)?.network()?.connect_known()?;
        Ok(LIT_OK)
    })
}

/// Finds peers on the LAN by mDNS from now on, and is found by them: members of the same roster, or
/// peers that are trusted where there is none, and only those. Links with those that it finds, up to
/// 64, and follows peers to other addresses. Whoever answers has to prove the peer's key. To be
/// found, the store has to listen. IPv4 only. Twice is harmless; it ends with the store. Phones ask
/// the user before an app may do so, and some need an entitlement.
///
/// Thread-safe. Does not block. Starts the threads of the network, which end with the store.
/// Errors: LIT_ERR_NETWORK if this machine can't listen for it (UDP 5353).
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_discover(
    store: *mut lit_store_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        shared(store)?.network()?.discover()?;
        Ok(LIT_OK)
    })
}

/// Becomes a member with a ticket of lit_store_invite_json or `littoral invite`: dials whoever made
/// it, proves this node's key, shows the ticket, takes the rights that it gives, and keeps up a
/// link from then on, as lit_store_connect does. It tries again until it is answered or
/// `timeout_ms` is over (LIT_FOREVER: no limit); LIT_TIMEOUT then, and nothing has changed. Joining
/// again with the same ticket does no harm. `name` is what people call this node, if the ticket
/// does not say; may be empty.
///
/// The store has to belong to the ticket's network: open a new one with lit_options_t.ticket. When
/// it returns this node is a member, and the first sync begins: lit_link_wait_synced waits for it.
/// lit_store_roster_json tells who belongs, and what this node may do.
///
/// `*link` is yours: free it with lit_link_free; the link goes on without it.
/// Thread-safe. Blocks: for the time given, and commit. lit_store_close in another thread ends it
/// with LIT_ERR_CLOSED. Starts the threads of the network, which end with the store.
/// Errors: LIT_ERR_REFUSED if the ticket was used, revoked, has expired or never was, or lets this
/// node not in; LIT_ERR_INVALID_INPUT (ticket, name; the store belongs to another network or
/// roster); LIT_ERR_FORMAT_TOO_NEW for a ticket of a newer version.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_join(
    store: *mut lit_store_t,
    ticket: lit_slice_t,
    name: lit_slice_t,
    timeout_ms: i64,
    link: *mut *mut lit_link_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (out, err) = unsafe { (Out::new(link), Out::new(err)) };
    guard(err, || {
        let out = out.required("link")?;
        let shared = shared(store)?;
        let (name, ticket) = (name.text("name")?, self::ticket(&ticket)?);
        let joined = shared.network()?.join(&ticket, name, wait(timeout_ms));
        let (_, link) = in_time(joined)?;
        out.set(LINKS.insert(Linked { shared, link }));
        Ok(LIT_OK)
    })
}

/// Waits until this store and all peers that it is linked with hold the same, at most
/// `timeout_ms`: all that was written here before this call is durable there, and all that they
/// have told to hold is durable here. At least one link must be connected; links that are cut or
/// refused are not waited for. LIT_TIMEOUT if it did not come to that; then `err` tells what is
/// missing.
///
/// Thread-safe. Blocks: for the time given.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_wait_synced(
    store: *mut lit_store_t,
    timeout_ms: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || synced(STORES.get(store)?.network()?.wait_synced(wait(timeout_ms))))
}

/// Goes offline (false): cuts all links, makes none and takes in nobody, also links that are made
/// meanwhile; or comes back (true) to what it was. When it returns all is cut, after at most some
/// seconds: what is written after that stays here until the store is online again. Peers that
/// were cut by lit_link_set_enabled stay so. A store that is opened is online.
///
/// Thread-safe. Blocks: when it goes offline, for some seconds at most.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_set_online(
    store: *mut lit_store_t,
    online: bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        STORES.get(store)?.network()?.set_online(online);
        Ok(LIT_OK)
    })
}

/// Syncs at this moment: dials every peer now whose next attempt waits for its turn, and then waits
/// as lit_store_wait_synced does.
///
/// Thread-safe. Blocks: for the time given.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_sync_now(
    store: *mut lit_store_t,
    timeout_ms: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || synced(STORES.get(store)?.network()?.sync_now(wait(timeout_ms))))
}

/// All links of the store, those that peers made included, as a JSON array of what
/// lit_link_status_json gives.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_store_links_json(
    store: *mut lit_store_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        let shared = STORES.get(store)?;
        shared.open()?;
        let links = shared.net.started().map(|network| network.links()).unwrap_or_default();
        json.set(json::links(&links).into());
        Ok(LIT_OK)
    })
}

/// How a link stands, as a JSON object: id, peer (its key), address, direction ("outgoing",
/// "incoming"), state ("connecting", "connected", "waiting" for the next attempt, "refused",
/// "standby" while a link that the peer made serves, "paused", "closed"), reason (why it is
/// refused, or null), last_error, connected_since_ms, rtt_ms, received_bytes, sent_bytes, synced,
/// and by name of collections: sent_txns, sent_bytes, received_txns, received_bytes,
/// unacked_bytes, unapplied_bytes, caught_up, peer_caught_up and trouble (null, or a word).
/// Names are only ever added.
///
/// `*json` is yours: free it with lit_bytes_free.
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_link_status_json(
    link: *mut lit_link_t,
    json: *mut lit_bytes_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: out-parameters are NULL or places of the caller, as the header asks.
    let (json, err) = unsafe { (Out::new(json), Out::new(err)) };
    guard(err, || {
        let json = json.required("json")?;
        json.set(json::link(&LINKS.get(link)?.link.status()).to_string().into());
        Ok(LIT_OK)
    })
}

/// As lit_store_wait_synced, for the peer of this link only.
///
/// Thread-safe. Blocks: for the time given.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_link_wait_synced(
    link: *mut lit_link_t,
    timeout_ms: i64,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let linked = LINKS.get(link)?;
        linked.shared.open()?;
        synced(linked.link.wait_synced(wait(timeout_ms)))
    })
}

/// Cuts all connections with this peer and turns its own away (false), or takes them up again
/// (true), for tests and for apps that sync when they choose to.
///
/// Thread-safe. Does not block.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_link_set_enabled(
    link: *mut lit_link_t,
    enabled: bool,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        let linked = LINKS.get(link)?;
        linked.shared.open()?;
        linked.link.set_enabled(enabled);
        Ok(LIT_OK)
    })
}

/// Ends a link for good, with a goodbye. What was not sent yet is sent by the next link with
/// that peer. The handle is still to be freed. Closing twice is harmless.
///
/// Thread-safe. Blocks: for the goodbye, some seconds at most.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lit_link_close(
    link: *mut lit_link_t,
    err: *mut lit_error_t,
) -> lit_status_t {
    // SAFETY: `err` is NULL or a place of the caller, as the header asks.
    let err = unsafe { Out::new(err) };
    guard(err, || {
        LINKS.get(link)?.link.close();
        Ok(LIT_OK)
    })
}

/// Frees the handle. The link goes on until the store is closed; to end it, lit_link_close.
/// Harmless for NULL.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_link_free(link: *mut lit_link_t) {
    guard_free(|| drop(LINKS.remove(link)));
}
