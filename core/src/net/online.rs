//! Going offline, and coming back: all links at once, as when a device leaves its network.
//!
//! Invariant: while the network is offline every link is paused, also one that is made meanwhile,
//! nobody who dials is taken in, and no ticket is shown or taken. What the links are told to do
//! (peers that were cut by themselves, addresses that are dialled) is kept for when it is back.
//!
//! Does not outlive the network: who starts it anew is online.

use std::time::{Duration, Instant};

use super::network::{Network, Shared};
use super::trust::unix_ms;
use crate::limits::CLOSE_TIMEOUT_MS;

impl Network {
    /// Cuts all links, makes none and takes in nobody, or goes back to what it was. Going offline
    /// returns when all is cut, after at most some seconds: what is written after it stays here
    /// until the network is online again. Peers that were cut by [`Network::set_enabled`] stay so.
    pub fn set_online(&self, online: bool) {
        self.shared.set_online(online);
    }

    /// Whether it links with its peers, as far as it may: it does from its start.
    pub fn is_online(&self) -> bool {
        self.shared.is_online()
    }

    /// Since when it is offline, in milliseconds since 1970; none while it is online.
    pub fn offline_since_ms(&self) -> Option<u64> {
        self.shared.links().offline_since_ms()
    }
}

impl Shared {
    fn set_online(&self, online: bool) {
        let mut links = self.links();
        links.set_online(online, unix_ms());
        links.revise_all(&self.site.us);
        drop(links);
        tracing::info!(online, "all links are switched");
        if online {
            return;
        }
        let deadline = Instant::now() + Duration::from_millis(CLOSE_TIMEOUT_MS);
        let cut = || self.links().iter().all(|entry| entry.is_cut()).then_some(());
        if self.bell.wait(deadline, cut).is_none() {
            tracing::warn!("a link takes long to end");
        }
    }

    /// Whether links are made at all.
    pub(super) fn is_online(&self) -> bool {
        self.links().is_online()
    }
}
