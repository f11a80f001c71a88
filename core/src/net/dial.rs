//! Keeping a link up: dial, drive, wait, and again, until it shall end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::address::PeerAddress;
use super::backoff::Backoff;
use super::driver::{drive, ending_of};
use super::ending::Ending;
use super::link::{Entry, Wish};
use super::network::Shared;
use super::status::LinkState;
use super::tls::Purpose;
use super::transport;
use crate::id::NodeId;
use crate::limits::{HANDSHAKE_TIMEOUT_MS, LINK_LIVED_MS, MAX_HOST_ADDRESSES};
use crate::sync::message::CloseCode;

/// How long one address of a host is tried alone before the next is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// Where and how to dial; from which socket is asked each time, since a store that was suspended
/// has another one.
pub(super) struct Dial {
    pub(super) config: ClientConfig,
    pub(super) target: PeerAddress,
    /// Says which key is expected.
    pub(super) name: String,
}

/// Keeps a link up until its wish is to close.
pub(super) async fn keep_up(shared: Arc<Shared>, entry: Arc<Entry>, dial: Dial) {
    let mut wishes = entry.wishes();
    let mut backoff = Backoff::default();
    let mut former = None;
    loop {
        let wish = *wishes.borrow_and_update();
        match wish {
            Wish::Run if shared.follow_heir(&entry, &dial.target) => {}
            Wish::Run => {
                let begun = Instant::now();
                let as_former = former.take();
                let was_former = as_former.is_some();
                let ending = attempt(&shared, &entry, &dial, as_former, &mut wishes).await;
                let code = ending.as_ref().filter(|ending| ending.by_peer).map(|one| one.code);
                match code {
                    // It may know us by the key that we had before.
                    Some(CloseCode::Stranger) if !was_former => {
                        former = as_before(&shared, &dial);
                        if former.is_some() {
                            continue;
                        }
                    }
                    // It knows the present one now.
                    Some(CloseCode::Rights) if was_former => continue,
                    _ => {}
                }
                if begun.elapsed() >= Duration::from_millis(LINK_LIVED_MS) {
                    backoff.reset();
                }
                let random = shared.site.outside.random();
                rest(&entry, ending, &mut wishes, &mut backoff, random).await;
            }
            Wish::Yield | Wish::Pause => {
                let state =
                    if wish == Wish::Yield { LinkState::Standby } else { LinkState::Paused };
                entry.rest(state);
                backoff.reset();
                changed(&mut wishes).await;
            }
            Wish::Close => return,
        }
    }
}

/// How to dial as the node that this one was, to tell the peer its present key.
fn as_before(shared: &Shared, dial: &Dial) -> Option<(NodeId, Dial)> {
    let former = shared.site.replica.former_key()?;
    let target = dial.target.clone();
    let config = transport::client(&former, target.key(), Purpose::Sync).ok()?;
    Some((former.id(), Dial { config, target, name: dial.name.clone() }))
}

/// One connection, from dialling to its end; none if it ended because it was not wanted.
async fn attempt(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    dial: &Dial,
    as_former: Option<(NodeId, Dial)>,
    wishes: &mut watch::Receiver<Wish>,
) -> Option<Ending> {
    let (us, dial) = match &as_former {
        Some((us, dial)) => (*us, dial),
        None => (shared.site.us, dial),
    };
    entry.dialled();
    let seen_at = shared.seen_at(&entry.peer);
    let dialled = tokio::select! {
        biased;
        dialled = reach(shared, dial, &seen_at) => dialled,
        () = changed(wishes) => return None,
    };
    let connection = match dialled {
        Ok(connection) => connection,
        Err(ending) => return Some(ending),
    };
    tracing::debug!(peer = %entry.peer.short(), "dialled");
    let driven = drive(Arc::clone(&shared.site), us, Arc::clone(entry), connection.clone(), || ());
    let ending = ending_of(tokio::spawn(driven).await);
    // After a panic it is still open.
    ending.close(&connection);
    tracing::info!(peer = %entry.peer.short(), reason = ending.reason, "link ended");
    (*wishes.borrow() == Wish::Run).then_some(ending)
}

/// Waits for the next attempt, or until something else is wished.
async fn rest(
    entry: &Entry,
    ending: Option<Ending>,
    wishes: &mut watch::Receiver<Wish>,
    backoff: &mut Backoff,
    random: u64,
) {
    let Some(ending) = ending else { return };
    let wait = backoff.next(random);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(peer = %entry.peer.short(), reason = ending.reason, wait_ms, "not connected");
    entry.end(&ending);
    tokio::select! {
        biased;
        () = sleep(wait) => (),
        () = changed(wishes) => backoff.reset(),
    }
}

async fn changed(wishes: &mut watch::Receiver<Wish>) {
    // The entry, which has the other end, lives as long as its tasks.
    let _ = wishes.changed().await;
}

/// Looks the peer's hosts up and makes a connection to one of their addresses, or to one of those
/// where it was seen, which are tried first.
pub(super) async fn reach(
    shared: &Shared,
    dial: &Dial,
    seen_at: &[SocketAddr],
) -> Result<Connection, Ending> {
    let endpoint = shared.dialler().map_err(|error| Ending::broken(error.message()))?;
    let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    let reached = timeout(limit, try_places(&endpoint, dial, seen_at)).await;
    reached.unwrap_or_else(|_| Err(Ending::lost(&quinn::ConnectionError::TimedOut)))
}

/// Tries the places at which a peer may be, as [`race`] does the addresses of one: a name that
/// can't be looked up now holds up none of the others.
async fn try_places(
    endpoint: &Endpoint,
    dial: &Dial,
    seen_at: &[SocketAddr],
) -> Result<Connection, Ending> {
    let mut attempts = JoinSet::new();
    let seen = seen_at.iter().map(|at| (at.ip().to_string(), at.port()));
    let told = dial.target.all().map(|(host, port)| (host.to_owned(), port));
    for (number, (host, port)) in (0..).zip(seen.chain(told)) {
        let (endpoint, config) = (endpoint.clone(), dial.config.clone());
        let name = dial.name.clone();
        attempts.spawn(async move {
            sleep(HEAD_START * number).await;
            race(&endpoint, &config, &name, resolve(&host, port).await?).await
        });
    }
    first(attempts).await
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Ending> {
    let found = lookup_host((host, port))
        .await
        .map_err(|error| Ending::broken(format!("could not look up the host {host}: {error}")))?;
    let found: Vec<SocketAddr> = found.take(MAX_HOST_ADDRESSES).collect();
    match found.is_empty() {
        true => Err(Ending::broken(format!("the host {host} has no address"))),
        false => Ok(found),
    }
}

/// Tries the addresses one after the other, each with a head start over the next; the first
/// that answers is taken. `localhost` is often two addresses of which one answers.
async fn race(
    endpoint: &Endpoint,
    config: &ClientConfig,
    name: &str,
    addresses: Vec<SocketAddr>,
) -> Result<Connection, Ending> {
    let mut attempts = JoinSet::new();
    for (number, address) in (0..).zip(addresses) {
        let (endpoint, config, name) = (endpoint.clone(), config.clone(), name.to_owned());
        attempts.spawn(async move {
            sleep(HEAD_START * number).await;
            shake_hands(&endpoint, config, &name, address).await
        });
    }
    first(attempts).await
}

/// The first that succeeds. If none does, why: a refusal says more than that nobody was there.
async fn first(mut attempts: JoinSet<Result<Connection, Ending>>) -> Result<Connection, Ending> {
    let mut why = Ending::broken("no address answered");
    while let Some(attempt) = attempts.join_next().await {
        let ending = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(ending)) => ending,
            Err(error) => ending_of(Err(error)),
        };
        if !why.refused {
            why = ending;
        }
    }
    Err(why)
}

async fn shake_hands(
    endpoint: &Endpoint,
    config: ClientConfig,
    name: &str,
    address: SocketAddr,
) -> Result<Connection, Ending> {
    let connecting = endpoint
        .connect_with(config, address, name)
        .map_err(|error| Ending::broken(format!("could not dial {address}: {error}")))?;
    connecting.await.map_err(|error| Ending::lost(&error))
}
