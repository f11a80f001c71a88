//! The network rests while its store is suspended.
//!
//! Links are cut with a goodbye and stay what they are, as while the network is offline; beyond
//! that the sockets are closed, and nobody is looked for on the LAN. When the store is woken it
//! listens at the same addresses again, dials from a new socket, and takes its links up.
//!
//! Invariant: while the store is suspended no socket is opened; asking for one is refused.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use quinn::Endpoint;
use tokio::task::AbortHandle;

use super::discovery;
use super::network::Shared;
use super::sockets::Sockets;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::CLOSE_TIMEOUT_MS;
use crate::store::Companion;

/// How long it waits for connections that were closed to end by themselves: those with a peer that
/// answers do.
const DRAIN: Duration = Duration::from_millis(50);

/// What a store knows of its network.
pub(super) struct Resting(Arc<Shared>);

impl Resting {
    /// Lets a network rest with its store.
    pub(super) fn with(shared: &Arc<Shared>) -> Arc<Resting> {
        let resting = Arc::new(Resting(Arc::clone(shared)));
        let companion: Weak<Resting> = Arc::downgrade(&resting);
        if shared.site.replica.accompany(companion) {
            shared.set_suspended(true);
        }
        resting
    }
}

impl Companion for Resting {
    /// Never fails: a peer that does not let go in time hears no goodbye.
    fn suspend(&self, deadline: Instant) -> Result<()> {
        let shared = &self.0;
        shared.set_suspended(true);
        if let Some(discovery) = shared.discovery().take() {
            discovery.abort();
        }
        let longest = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
        let cut = || shared.links().iter().all(|entry| entry.is_cut()).then_some(());
        let polite = shared.bell.wait(deadline.min(longest), cut).is_some();
        let endpoints = shared.sockets().take();
        shared.wait_idle(endpoints, Instant::now() + DRAIN);
        // Those that were not cut have lost their connection by now.
        let ended = polite || shared.bell.wait(longest, cut).is_some();
        if !ended || !shared.site.outside.hang_up(longest) {
            tracing::warn!("a link takes long to end");
        }
        // Who waits for a sync hears that there will be none.
        shared.bell.ring();
        Ok(())
    }

    fn wake(&self) {
        let shared = &self.0;
        // While they are held, a network that is not closed yet is not closed.
        let mut sockets = shared.sockets();
        if shared.check_open().is_err() {
            return;
        }
        for address in std::mem::take(&mut sockets.resting) {
            if let Err(error) = shared.listen_again(&mut sockets, address) {
                tracing::error!(%address, %error, "not listening there any more");
            }
        }
        if let Err(error) = shared.begin_discovery() {
            tracing::warn!(%error, "peers on the LAN are not looked for any more");
        }
        drop(sockets);
        shared.set_suspended(false);
        shared.bell.ring();
    }
}

impl Sockets {
    /// All sockets; notes where it listened.
    fn take(&mut self) -> Vec<Endpoint> {
        let listeners = std::mem::take(&mut self.listeners);
        self.resting.extend(listeners.iter().filter_map(|endpoint| endpoint.local_addr().ok()));
        listeners.into_iter().chain(self.dialler.take()).collect()
    }
}

impl Shared {
    /// Refuses while the store is suspended.
    pub(super) fn check_awake(&self) -> Result<()> {
        match self.suspended.load(Ordering::SeqCst) {
            true => Err(Error::new(
                ErrorKind::Suspended,
                "the store is suspended, and its network with it; wake it first",
            )),
            false => Ok(()),
        }
    }

    /// Looks for peers on the LAN, if that was asked for, from now on.
    pub(super) fn begin_discovery(self: &Arc<Shared>) -> Result<()> {
        if self.discovers.load(Ordering::SeqCst) {
            *self.discovery() = Some(discovery::begin(self)?);
        }
        Ok(())
    }

    /// The task that looks for peers on the LAN.
    fn discovery(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_suspended(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::SeqCst);
        self.links().set_suspended(&self.site.us, suspended);
    }

    /// Listens where it did before; at another port if that one was taken meanwhile.
    fn listen_again(self: &Arc<Shared>, sockets: &mut Sockets, address: SocketAddr) -> Result<()> {
        let again = self.open_listener(sockets, address);
        again.map(drop).or_else(|error| {
            let other = self.open_listener(sockets, SocketAddr::new(address.ip(), 0))?;
            tracing::warn!(%address, %other, %error, "listening at another port");
            Ok(())
        })
    }
}
