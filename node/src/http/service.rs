//! What all handlers share: the store, and where blocking calls run.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use littoral::limits::{
    MAX_HTTP_CALLS, MAX_HTTP_FEED_READS, MAX_HTTP_FOLLOWERS, MAX_HTTP_STREAMS, MAX_HTTP_SYNCS,
};
use littoral::net::Network;
use littoral::store::{Space, Subscription};
use littoral::{Error, ErrorKind, Store};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, watch};

use super::failure::{Answer, Refusal};
use super::guard::Guard;
use crate::links;
use crate::shape::{Running, Status};
use crate::target::{Local, Target};

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

/// How often, at most, it is measured how much of the state's file is in use: that reads all of it.
const MEASURE_EVERY: Duration = Duration::from_secs(600);
/// And for how small a part of the time.
const MEASURE_SHARE: u32 = 100;

/// How the state's file is used.
#[derive(Debug, Default)]
struct Measured {
    space: Option<Space>,
    /// When it may be measured again; none while that is under way.
    next: Option<Instant>,
}

/// How the node was at a moment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: Status,
    /// The same as text, but for what changes with time alone: equal texts are no news.
    pub(super) sign: String,
    at: Instant,
}

/// Tells of commits.
struct Commits {
    bell: watch::Receiver<()>,
    _subscription: Subscription,
}

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    local: Local,
    facts: Arc<Facts>,
    started: Instant,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    syncs: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    feed_reads: Arc<Semaphore>,
    commits: Arc<Commits>,
    measured: Arc<Mutex<Measured>>,
    seen: Arc<AsyncMutex<Option<Arc<Seen>>>>,
}

impl Service {
    /// Over an open store.
    pub(crate) fn new(store: Store, facts: Facts) -> Service {
        let bell = watch::Sender::new(());
        let commits = bell.subscribe();
        let subscription = store.on_commit(move || bell.send_replace(()));
        let measured = Measured { space: None, next: Some(Instant::now()) };
        Service {
            local: Local::new(store),
            facts: Arc::new(facts),
            started: Instant::now(),
            calls: Arc::new(Semaphore::new(MAX_HTTP_CALLS)),
            streams: Arc::new(Semaphore::new(MAX_HTTP_STREAMS)),
            syncs: Arc::new(Semaphore::new(MAX_HTTP_SYNCS)),
            followers: Arc::new(Semaphore::new(MAX_HTTP_FOLLOWERS)),
            feed_reads: Arc::new(Semaphore::new(MAX_HTTP_FEED_READS)),
            commits: Arc::new(Commits { bell: commits, _subscription: subscription }),
            measured: Arc::new(Mutex::new(measured)),
            seen: Arc::default(),
        }
    }

    /// Runs a call that blocks, beside the async threads.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Local) -> littoral::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let _room = self.calls.acquire().await.expect("nobody closes the semaphore");
        let local = self.local.clone();
        // What it does there belongs to who asked, in a trace.
        let span = tracing::Span::current();
        let called = tokio::task::spawn_blocking(move || span.in_scope(|| call(&local))).await;
        let broken = |_| Error::new(ErrorKind::Internal, "the call broke off; please report it");
        Ok(called.map_err(broken)??)
    }

    /// Room for an answer that is given line by line, as long as it is held.
    pub(super) async fn stream(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.streams).acquire_owned().await;
        room.expect("nobody closes the semaphore")
    }

    /// Room to wait for a sync, as long as it is held; none if there is none now.
    pub(super) fn sync_room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.syncs).try_acquire_owned().ok()
    }

    /// Room to follow changes, as long as it is held.
    pub(super) fn follower_room(&self) -> Answer<OwnedSemaphorePermit> {
        Arc::clone(&self.followers).try_acquire_owned().map_err(|_| {
            let why = format!("{MAX_HTTP_FOLLOWERS} follow the changes already, and no more may");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why)
        })
    }

    /// How many follow changes.
    pub(super) fn followers(&self) -> usize {
        MAX_HTTP_FOLLOWERS - self.followers.available_permits()
    }

    /// Room to read changes for one of them. Others who want the store don't wait for it.
    pub(super) async fn feed_read(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.feed_reads).acquire_owned().await;
        room.expect("nobody closes the semaphore")
    }

    /// Changes with each commit.
    pub(super) fn commits(&self) -> watch::Receiver<()> {
        self.commits.bell.clone()
    }

    /// The store, as commands know it.
    pub(super) fn local(&self) -> Local {
        self.local.clone()
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        self.local.store()
    }

    /// The links.
    pub(super) fn network(&self) -> Arc<Network> {
        Arc::clone(&self.facts.network)
    }

    /// Seconds since the node was started.
    pub(super) fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Calls that are at work on the store.
    pub(super) fn calls_under_way(&self) -> usize {
        MAX_HTTP_CALLS - self.calls.available_permits()
    }

    /// How the state's file was used when that was last measured. Has it measured again, if that
    /// was long ago; nobody waits for it.
    pub(super) fn measured_space(&self) -> Option<Space> {
        let (space, due) = {
            let mut known = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
            let due = known.next.take_if(|next| *next <= Instant::now()).is_some();
            (known.space, due)
        };
        if due {
            let (local, measured) = (self.local.clone(), Arc::clone(&self.measured));
            tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                let found = local.store().space();
                let wait = MEASURE_EVERY.max(begun.elapsed() * MEASURE_SHARE);
                let mut known = measured.lock().unwrap_or_else(PoisonError::into_inner);
                known.next = Some(Instant::now() + wait);
                // Else the store is closed, or damaged, and others say so.
                known.space = found.ok().or(known.space);
            });
        }
        space
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

    /// How the node is. Asks the store: where blocking is allowed.
    pub(super) fn status(&self) -> littoral::Result<Status> {
        let mut status = self.local.status()?;
        status.running = Some(self.running());
        Ok(status)
    }

    /// How the node was, no longer ago than that: many who ask at once cost one look.
    pub(super) async fn seen(&self, within: Duration) -> Answer<Arc<Seen>> {
        let mut seen = self.seen.lock().await;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.at.elapsed() < within) {
            return Ok(Arc::clone(seen));
        }
        let (this, at) = (self.clone(), Instant::now());
        let look = move |_: &Local| {
            let status = this.status()?;
            let mut quiet = status.clone();
            quiet.running.iter_mut().for_each(|running| running.uptime_s = 0);
            let sign = serde_json::to_string(&quiet).expect("a shape is JSON");
            Ok(Arc::new(Seen { status, sign, at }))
        };
        let fresh = self.call(look).await?;
        *seen = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// The running node, for its status.
    pub(super) fn running(&self) -> Running {
        Running {
            pid: std::process::id(),
            uptime_s: self.uptime_s(),
            listen: self.facts.listen.clone(),
            offline: !self.facts.network.is_online(),
            offline_since: links::offline_since(&self.facts.network),
            links: links::shapes(&self.facts.network),
            standings: links::standings(&self.facts.network),
            partings: links::partings(&self.facts.network),
            refused: links::refused(&self.facts.network),
            joins: links::joins(&self.facts.network),
            kept_off: links::kept_off(&self.facts.network),
        }
    }
}
