//! Answering: what dials us is let in, if it is trusted and there is room.
//!
//! Each handshake is a task of its own with a time limit, so that a slow one holds up nobody.
//! How many are under way is bounded (see `knocks`); when many are, a caller must first show that
//! its address is its own, which one that only forges addresses can't.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming};
use tokio::time::timeout;

use super::driver::{drive, ending_of};
use super::ending::Ending;
use super::joining;
use super::knocks::Knock;
use super::network::Shared;
use super::tls::{self, Purpose};
use crate::error::ErrorKind;
use crate::id::NodeId;
use crate::limits::HANDSHAKE_TIMEOUT_MS;
use crate::sync::message::CloseCode;

/// Answers on a socket until it is closed.
pub(super) async fn answer(shared: Arc<Shared>, endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        let (from, validated) =
            (incoming.remote_address().ip(), incoming.remote_address_validated());
        // An address that can't be asked for is taken for shown: it was, or there is no other way.
        let validated = validated || !incoming.may_retry();
        match shared.knocks.enter(from, validated) {
            Some(knock) => {
                tokio::spawn(welcome(Arc::clone(&shared), incoming, knock));
            }
            None => {
                shared.site.counts.asked_for_address();
                // It fails only where it may not be done.
                let _ = incoming.retry();
            }
        }
    }
}

async fn welcome(shared: Arc<Shared>, incoming: Incoming, mut knock: Knock) {
    let (from, counts) = (incoming.remote_address(), &shared.site.counts);
    let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let shaken = tokio::select! {
        biased;
        shaken = timeout(limit, incoming) => shaken,
        () = knock.pushed_out() => {
            counts.crowded_handshake();
            return tracing::debug!(%from, "handshake made room for another");
        }
    };
    let connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            counts.failed_handshake();
            return tracing::debug!(%from, %error, "handshake failed");
        }
        Err(_) => {
            counts.slow_handshake();
            return tracing::debug!(%from, "handshake took too long");
        }
    };
    drop(knock);
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
        (Purpose::Sync, true) => host(shared, connection, peer).await,
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
        Err(error) => {
            shared.site.counts.turned_away();
            let code = match error.kind() {
                ErrorKind::LimitExceeded => CloseCode::Limit,
                _ => CloseCode::Done,
            };
            return turn_away(&connection, code, error.message());
        }
    };
    let entry = guard.entry();
    let (site, peer) = (Arc::clone(&shared.site), entry.peer);
    let former = site.replica.former_key().map(|key| key.id());
    let us = former.filter(|key| tls::expects(&connection, key)).unwrap_or(site.us);
    let on_ready = move || shared.revise(&peer);
    let driven = drive(site, us, entry, connection.clone(), on_ready);
    let ending = ending_of(tokio::spawn(driven).await);
    // After a panic it is still open.
    ending.close(&connection);
    tracing::info!(peer = %peer.short(), reason = ending.reason, "incoming link ended");
}
