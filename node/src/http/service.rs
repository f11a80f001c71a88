//! What all handlers share: the store, and where blocking calls run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use littoral::limits::MAX_HTTP_CALLS;
use littoral::net::Network;
use littoral::{Error, ErrorKind, Store};
use tokio::sync::{Semaphore, watch};

use super::failure::Answer;
use super::guard::Guard;
use crate::links;
use crate::shape::Running;
use crate::target::Local;

/// What the node knows about itself.
pub(crate) struct Facts {
    /// The links.
    pub(crate) network: Arc<Network>,
    /// Where links are accepted, if they are.
    pub(crate) listen: Option<String>,
    /// Who may ask.
    pub(crate) guard: Arc<Guard>,
    /// Turns true when the node stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    local: Local,
    facts: Arc<Facts>,
    started: Instant,
    calls: Arc<Semaphore>,
}

impl Service {
    /// Over an open store.
    pub(crate) fn new(store: Store, facts: Facts) -> Service {
        Service {
            local: Local::new(store),
            facts: Arc::new(facts),
            started: Instant::now(),
            calls: Arc::new(Semaphore::new(MAX_HTTP_CALLS)),
        }
    }

    /// Runs a call that blocks, beside the async threads.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Local) -> littoral::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let _room = self.calls.acquire().await.expect("nobody closes the semaphore");
        let local = self.local.clone();
        let called = tokio::task::spawn_blocking(move || call(&local)).await;
        let broken = |_| Error::new(ErrorKind::Internal, "the call broke off; please report it");
        Ok(called.map_err(broken)??)
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        self.local.store()
    }

    /// Where others may reach it.
    pub(super) fn reached_at(&self) -> Vec<SocketAddr> {
        self.facts.network.reached_at()
    }

    /// Turns true when the node stops.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.facts.stopping.clone()
    }

    /// Who may ask.
    pub(super) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.facts.guard)
    }

    /// The running node, for its status.
    pub(super) fn running(&self) -> Running {
        Running {
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            listen: self.facts.listen.clone(),
            links: links::shapes(&self.facts.network),
            refused: links::refused(&self.facts.network),
            joins: links::joins(&self.facts.network),
            kept_off: links::kept_off(&self.facts.network),
        }
    }
}
