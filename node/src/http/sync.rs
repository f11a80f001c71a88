//! `POST /sync`: syncs now, with one peer or all, and tells what came of it.
//!
//! Links sync by themselves, so there is little to start: what waits for its next attempt makes it
//! now, and peers whose addresses are known and that nobody dials are dialled. What is left is to
//! wait until both sides hold the same, and to say how far that went.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::limits::MAX_HTTP_WAIT_S;
use littoral::net::{LinkState, LinkStatus, Network};
use littoral::{Error, ErrorKind, NodeId, Result, Store};
use serde::Deserialize;
use tokio::sync::watch;

use super::batch::Nothing;
use super::body::JsonText;
use super::failure::{Answer, Asked, Refusal};
use super::json::Json;
use super::service::Service;
use crate::kinds;
use crate::shape::{ErrorShape, LinkShape, SyncShape, SyncedShape};

/// How often it is looked whether there is still something to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Syncing {
    peer: Option<String>,
    #[serde(default = "patience")]
    wait: u64,
}

fn patience() -> u64 {
    10
}

/// `POST /sync`
pub(super) async fn sync(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
    body: JsonText,
) -> Answer {
    let asked: Syncing = body.parse()?;
    let peer = asked.peer.as_deref().map(str::parse::<NodeId>).transpose()?;
    let wait = Duration::from_secs(asked.wait.min(MAX_HTTP_WAIT_S));
    let room = service.sync_room().ok_or_else(|| {
        let why = "as many syncs are waited for as may be at once; ask again in a moment";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why)
    })?;
    let (store, network, stopping) =
        (service.store().clone(), service.network(), service.stopping());
    let asked = tokio::task::spawn_blocking(move || {
        let _room = room;
        run(&store, &network, peer, wait, &stopping)
    });
    let broken = |_| Error::new(ErrorKind::Internal, "the call broke off; please report it");
    Ok(Json(asked.await.map_err(broken)??).into_response())
}

fn run(
    store: &Store,
    network: &Network,
    peer: Option<NodeId>,
    wait: Duration,
    stopping: &watch::Receiver<bool>,
) -> Result<SyncShape> {
    let begun = Instant::now();
    let before = Counts::of(&network.links());
    let peers = start(store, network, peer)?;
    let waits = !wait.is_zero() && !peers.is_empty();
    let in_sync = waits && wait_for(network, peer, begun + wait, stopping)?;
    let links = network.links();
    let mut shapes = Vec::new();
    for of in &peers {
        let links: Vec<&LinkStatus> = links.iter().filter(|link| link.peer == *of).collect();
        let mut connected = links.iter().filter(|link| link.state == LinkState::Connected);
        let mut shape = before.since(of, &links);
        // One that was waited for may have got something new to send since.
        shape.synced = connected.any(|link| in_sync || link.synced);
        if waits && !shape.synced {
            let err = why_not(of, &links, wait);
            if peer.is_some() {
                return Err(err);
            }
            let (code, message) = (kinds::code(err.kind()).to_owned(), err.message().to_owned());
            shape.error = Some(ErrorShape { code, message, request_id: None });
        }
        shapes.push(shape);
    }
    Ok(SyncShape { peers: shapes, seconds: begun.elapsed().as_secs_f64() })
}

/// Has every attempt made that waits for its turn; gives who is concerned.
fn start(store: &Store, network: &Network, peer: Option<NodeId>) -> Result<BTreeSet<NodeId>> {
    if let Some(peer) = peer {
        if peer == store.node_id() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "this is the key of this very node; give that of a peer",
            ));
        }
        if !network.dial_now(peer) {
            network.connect_known()?;
            if network.links().iter().all(|link| link.peer != peer) {
                return Err(no_link(store, &peer));
            }
        }
        return Ok(BTreeSet::from([peer]));
    }
    network.connect_known()?;
    let peers: BTreeSet<NodeId> = network.links().iter().map(|link| link.peer).collect();
    for peer in &peers {
        network.dial_now(*peer);
    }
    Ok(peers)
}

fn no_link(store: &Store, peer: &NodeId) -> Error {
    let name = peer.short();
    match store.is_trusted(peer) {
        true => Error::new(
            ErrorKind::Network,
            format!(
                "{name} has no link with this node, which knows no address of it: let it dial, or \
                 give `littoral run` a --peer with its address"
            ),
        ),
        false => Error::new(ErrorKind::NotFound, format!("{name} is no peer of this node")),
    }
}

/// Waits until this store and the peer, or all that can be reached, hold the same. Gives whether
/// they do.
fn wait_for(
    network: &Network,
    peer: Option<NodeId>,
    deadline: Instant,
    stopping: &watch::Receiver<bool>,
) -> Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let slice = left.min(LOOK_EVERY);
        let waited = match peer {
            Some(peer) => network.wait_synced_with(peer, slice),
            None => network.wait_synced(slice),
        };
        match waited {
            Err(err) if err.kind() == ErrorKind::Timeout => {
                let links = network.links();
                let mut concerned =
                    links.iter().filter(|link| peer.is_none_or(|peer| peer == link.peer));
                // Nobody is left who could still come.
                let refused = concerned.all(|link| matches!(link.state, LinkState::Refused(_)));
                if refused || left <= LOOK_EVERY || *stopping.borrow() {
                    return Ok(false);
                }
            }
            ended => return ended.map(|()| true),
        }
    }
}

/// Why it is not in sync.
fn why_not(peer: &NodeId, links: &[&LinkStatus], wait: Duration) -> Error {
    let (name, seconds) = (peer.short(), wait.as_secs());
    if links.iter().any(|link| link.state == LinkState::Connected) {
        let sentence = format!("not in sync with {name} after {seconds} s; it goes on by itself");
        return Error::new(ErrorKind::Timeout, sentence);
    }
    let refused = links.iter().find_map(|link| match &link.state {
        LinkState::Refused(why) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = refused {
        return Error::new(ErrorKind::Refused, why);
    }
    if links.iter().any(|link| link.state == LinkState::Paused) {
        return Error::new(ErrorKind::Network, format!("the links with {name} are paused"));
    }
    let why = links.iter().find_map(|link| link.last_error.as_deref()).unwrap_or("no answer");
    let sentence = format!("no connection with {name} after {seconds} s: {why}");
    Error::new(ErrorKind::Network, sentence)
}

/// What had gone over each link at one moment.
struct Counts(BTreeMap<u64, LinkStatus>);

impl Counts {
    fn of(links: &[LinkStatus]) -> Counts {
        Counts(links.iter().map(|link| (link.id, link.clone())).collect())
    }

    /// What went over the links of a peer since.
    fn since(&self, peer: &NodeId, links: &[&LinkStatus]) -> SyncedShape {
        let mut shape = SyncedShape { peer: peer.to_string(), ..SyncedShape::default() };
        for link in links {
            let before = self.0.get(&link.id);
            let bytes = before.map_or((0, 0), |of| (of.sent_bytes, of.received_bytes));
            shape.sent_bytes += link.sent_bytes.saturating_sub(bytes.0);
            shape.received_bytes += link.received_bytes.saturating_sub(bytes.1);
            // Transactions are counted by connection.
            let same = before.filter(|of| of.connected_since_ms == link.connected_since_ms);
            let (sent, received) = transactions(link);
            let begun = same.map_or((0, 0), transactions);
            shape.sent += sent.saturating_sub(begun.0);
            shape.received += received.saturating_sub(begun.1);
            let told = LinkShape::from(*link).collections.into_iter();
            shape.troubles.extend(told.filter_map(|of| Some((of.name, of.trouble?))));
        }
        shape
    }
}

fn transactions(link: &LinkStatus) -> (u64, u64) {
    link.collections
        .values()
        .fold((0, 0), |sum, of| (sum.0 + of.progress.sent_txns, sum.1 + of.progress.received_txns))
}
