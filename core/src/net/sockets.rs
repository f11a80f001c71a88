//! The sockets of a network: those that it listens on, and the one that it dials from.
//!
//! There is none before one is needed, and none while the store is suspended ([`resting`](super::resting)).

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use quinn::{Endpoint, VarInt};
use tokio::runtime::EnterGuard;
use tokio::time::timeout;

use super::accept::answer;
use super::network::Shared;
use super::transport;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::sync::message::GOODBYE;

/// The sockets of a network.
#[derive(Default)]
pub(super) struct Sockets {
    pub(super) listeners: Vec<Endpoint>,
    pub(super) dialler: Option<Endpoint>,
    /// Where it listens again when the store is woken.
    pub(super) resting: Vec<SocketAddr>,
}

impl Shared {
    /// Accepts trusted peers at `address`, too; gives the address taken.
    pub(super) fn listen(self: &Arc<Shared>, address: SocketAddr) -> Result<SocketAddr> {
        let mut sockets = self.sockets();
        self.check_open()?;
        self.check_awake()?;
        self.open_listener(&mut sockets, address)
    }

    /// Listens at `address`, with the others.
    pub(super) fn open_listener(
        self: &Arc<Shared>,
        sockets: &mut Sockets,
        address: SocketAddr,
    ) -> Result<SocketAddr> {
        let trust = Arc::clone(&self.trust);
        let admit = Arc::new(move |node: &NodeId| trust.admit(node));
        let _entered = self.handle.enter();
        let (outside, key) = (&*self.site.outside, self.site.replica.node_key());
        let replica = Arc::clone(&self.site.replica);
        let former = Arc::new(move || replica.former_key());
        let endpoint = transport::listen(outside, key, former, admit, address)?;
        let bound = endpoint
            .local_addr()
            .map_err(|error| Error::io("ask where the socket is bound", error))?;
        sockets.listeners.push(endpoint.clone());
        self.handle.spawn(answer(Arc::clone(self), endpoint));
        tracing::info!(address = %bound, "listening");
        Ok(bound)
    }

    /// The socket to dial from.
    pub(super) fn dialler(&self) -> Result<Endpoint> {
        let mut sockets = self.sockets();
        self.check_open()?;
        self.check_awake()?;
        if let Some(endpoint) = &sockets.dialler {
            return Ok(endpoint.clone());
        }
        let _entered = self.handle.enter();
        let endpoint = transport::dialler(&*self.site.outside)?;
        sockets.dialler = Some(endpoint.clone());
        Ok(endpoint)
    }

    /// Where it listens.
    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        self.sockets().listeners.iter().filter_map(|e| e.local_addr().ok()).collect()
    }

    /// Closes endpoints. Returns when their connections have ended, or at the deadline; by then
    /// nobody holds them here.
    pub(super) fn wait_idle(&self, endpoints: Vec<Endpoint>, deadline: Instant) {
        let (done, idle) = std::sync::mpsc::channel();
        let left = deadline.saturating_duration_since(Instant::now());
        self.handle.spawn(async move {
            for endpoint in &endpoints {
                endpoint.close(VarInt::from_u32(0), GOODBYE.as_bytes());
            }
            let idle = async {
                for endpoint in &endpoints {
                    endpoint.wait_idle().await;
                }
            };
            let ended = timeout(left, idle).await;
            drop(endpoints);
            // Nobody listens any more if it took too long.
            let _ = done.send(ended);
        });
        if !matches!(idle.recv_timeout(left), Ok(Ok(()))) {
            tracing::debug!("some connections did not end in time");
        }
    }

    /// For who opens sockets.
    pub(super) fn entered(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// All of them.
    pub(super) fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
