//! Answering: what dials us is let in, if it is trusted and there is room.
//!
//! Each handshake is a task of its own with a time limit, so that a slow one holds up nobody.
//! How many are under way is bounded; when many are, a caller must first show that its
//! address is its own, which one that only forges addresses can't.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::driver::{drive, ending_of};
use super::ending::Ending;
use super::joining;
use super::network::Shared;
use super::tls::{self, Purpose};
use super::transport;
use crate::id::NodeId;
use crate::limits::{HANDSHAKE_TIMEOUT_MS, MAX_HANDSHAKES, MAX_UNVALIDATED_HANDSHAKES};
use crate::sync::message::CloseCode;

/// Answers on a socket until it is closed.
pub(super) async fn answer(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = Arc::clone(&shared.handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let under_way = MAX_HANDSHAKES - shared.handshakes.available_permits();
        if under_way > MAX_UNVALIDATED_HANDSHAKES && incoming.may_retry() {
            // It fails only where it may not be done.
            let _ = incoming.retry();
            continue;
        }
        tokio::spawn(welcome(Arc::clone(&shared), incoming, permit));
    }
}

async fn welcome(shared: Arc<Shared>, incoming: Incoming, permit: OwnedSemaphorePermit) {
    let from = incoming.remote_address();
    let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let connection = match timeout(limit, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "handshake failed"),
        Err(_) => return tracing::debug!(%from, "handshake took too long"),
    };
    drop(permit);
    receive(shared, connection).await;
}

/// A node that is not trusted got here because somebody may join: it may do that, and no more.
async fn receive(shared: Arc<Shared>, connection: Connection) {
    let peer = match tls::peer(&connection) {
        Ok(peer) => peer,
        Err(error) => return turn_away(&connection, CloseCode::Protocol, error.message()),
    };
    match (tls::purpose(&connection), shared.trust.is_trusted(&peer)) {
        (Purpose::Join, true) => joining::host(shared, connection, peer).await,
        (Purpose::Join, false) if shared.trust.may_join(&peer) => {
            joining::host(shared, connection, peer).await;
        }
        (Purpose::Sync, true) => {
            transport::welcome(&connection);
            host(shared, connection, peer).await;
        }
        (_, false) => {
            shared.trust.turn_away(&peer);
            let reason = "the other node does not trust this node's key: trust it there, or join \
                          with a ticket";
            turn_away(&connection, CloseCode::Stranger, reason);
        }
    }
}

fn turn_away(connection: &Connection, code: CloseCode, reason: &str) {
    Ending::said(code, reason.to_owned(), false).close(connection);
}

async fn host(shared: Arc<Shared>, connection: Connection, peer: NodeId) {
    let from = connection.remote_address();
    let from = std::net::SocketAddr::new(from.ip().to_canonical(), from.port());
    let guard = match Shared::take_in(&shared, peer, from.to_string()) {
        Ok(guard) => guard,
        Err(error) => return turn_away(&connection, CloseCode::Done, error.message()),
    };
    let entry = guard.entry();
    let (site, peer) = (Arc::clone(&shared.site), entry.peer);
    let on_ready = move || shared.revise(&peer);
    let ending = ending_of(tokio::spawn(drive(site, entry, connection.clone(), on_ready)).await);
    // After a panic it is still open.
    ending.close(&connection);
    tracing::info!(peer = %peer.short(), reason = ending.reason, "incoming link ended");
}
