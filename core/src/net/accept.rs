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
use super::network::Shared;
use super::tls;
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
    host(shared, connection).await;
}

async fn host(shared: Arc<Shared>, connection: Connection) {
    let taken = tls::peer(&connection).and_then(|peer| {
        let from = connection.remote_address();
        let from = std::net::SocketAddr::new(from.ip().to_canonical(), from.port());
        Shared::take_in(&shared, peer, from.to_string())
    });
    let guard = match taken {
        Ok(guard) => guard,
        Err(error) => {
            let ending = Ending::said(CloseCode::Done, error.message().to_owned(), false);
            return ending.close(&connection);
        }
    };
    let entry = guard.entry();
    let (site, peer) = (Arc::clone(&shared.site), entry.peer);
    let on_ready = move || shared.revise(&peer);
    let ending = ending_of(tokio::spawn(drive(site, entry, connection.clone(), on_ready)).await);
    // After a panic it is still open.
    ending.close(&connection);
    tracing::info!(peer = %peer.short(), reason = ending.reason, "incoming link ended");
}
