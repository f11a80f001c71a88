//! What all links of a store hold together, and what each may.
//!
//! What a link holds is bounded by its session and its queues; a node has many links, so the sum is
//! bounded here as well. Each link tells what it holds whenever that has changed. If all hold more
//! than [`MAX_NETWORK_HELD_BYTES`], the one that holds the most is ended, again and again until it is
//! less: so nobody goes for what others hold. What QUIC itself holds is bounded by windows, which
//! are divided by the number of links.
//!
//! Invariants:
//! 1. A link that was told to end does not count any more: what it holds is on its way out.
//! 2. Only the links hold shares; dropping one gives all back.
//!
//! Does not know: what is held, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::limits::{
    LINK_WINDOW_BYTES, MAX_NETWORK_HELD_BYTES, MAX_NETWORK_WINDOW_BYTES, MIN_LINK_WINDOW_BYTES,
    NETWORK_TIGHT_BYTES,
};

/// What all links hold.
#[derive(Debug)]
pub(super) struct Holdings {
    /// Of each link that goes on, in the order in which they came.
    links: Mutex<Links>,
    total: AtomicUsize,
    /// How many links there are.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Links {
    next: u64,
    held: BTreeMap<u64, Of>,
}

#[derive(Debug)]
struct Of {
    bytes: usize,
    ends: watch::Sender<bool>,
}

impl Default for Holdings {
    fn default() -> Holdings {
        let count = watch::Sender::new(0);
        Holdings { links: Mutex::default(), total: AtomicUsize::new(0), count }
    }
}

impl Holdings {
    /// A further link.
    pub(super) fn begin(self: &Arc<Holdings>) -> Share {
        let (ends, told) = watch::channel(false);
        let mut links = self.links();
        let id = links.next;
        links.next += 1;
        links.held.insert(id, Of { bytes: 0, ends });
        self.count.send_replace(links.held.len());
        drop(links);
        let (holdings, count) = (Arc::clone(self), self.count.subscribe());
        Share { id, holdings, told, count, bytes: 0 }
    }

    /// Bytes that all links hold together.
    pub(super) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn set(&self, id: u64, bytes: usize) {
        let mut links = self.links();
        let Some(link) = links.held.get_mut(&id) else { return };
        link.bytes = bytes;
        let mut total: usize = links.held.values().map(|link| link.bytes).sum();
        while total > MAX_NETWORK_HELD_BYTES {
            let most = links.held.iter().max_by_key(|(_, link)| link.bytes);
            let Some(most) = most.map(|(id, _)| *id).and_then(|id| links.held.remove(&id)) else {
                break;
            };
            total -= most.bytes;
            most.ends.send_replace(true);
        }
        self.total.store(total, Ordering::Relaxed);
    }

    fn end(&self, id: u64) {
        let mut links = self.links();
        if let Some(link) = links.held.remove(&id) {
            self.total.fetch_sub(link.bytes, Ordering::Relaxed);
        }
        self.count.send_replace(links.held.len());
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one link holds. Dropping it gives that back.
#[derive(Debug)]
pub(super) struct Share {
    id: u64,
    holdings: Arc<Holdings>,
    told: watch::Receiver<bool>,
    count: watch::Receiver<usize>,
    bytes: usize,
}

impl Share {
    /// The link holds so many bytes now. Small differences are not told.
    pub(super) fn holds(&mut self, bytes: usize) {
        const STEP: usize = 64 << 10;
        if bytes.abs_diff(self.bytes) >= STEP || (bytes == 0 && self.bytes > 0) {
            self.bytes = bytes;
            self.holdings.set(self.id, bytes);
        }
    }

    /// Whether the link has to end, since it holds more than any other and all hold too much.
    pub(super) fn is_over(&self) -> bool {
        *self.told.borrow()
    }

    /// Whether all hold so much that a link with `bytes` to apply has to apply some of it first.
    pub(super) fn is_tight(&self, bytes: usize) -> bool {
        let links = (*self.count.borrow()).max(1);
        let tight = self.holdings.total.load(Ordering::Relaxed) > NETWORK_TIGHT_BYTES;
        tight && bytes > NETWORK_TIGHT_BYTES / links
    }

    /// What QUIC may hold for the link, in each direction.
    pub(super) fn window(&mut self) -> usize {
        window(*self.count.borrow_and_update())
    }

    /// Returns when the link has to end, or its window has changed.
    pub(super) async fn changed(&mut self) {
        let Share { told, count, .. } = self;
        // Neither fails: a link that was told to end is not asked, and the count is held here.
        tokio::select! {
            _ = told.wait_for(|over| *over) => (),
            _ = count.changed() => (),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.holdings.end(self.id);
    }
}

/// The share of one of so many links.
fn window(links: usize) -> usize {
    (MAX_NETWORK_WINDOW_BYTES / links.max(1)).clamp(MIN_LINK_WINDOW_BYTES, LINK_WINDOW_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_LINKS;

    #[test]
    fn who_holds_the_most_is_ended_when_all_hold_too_much_and_nobody_else() {
        let holdings = Arc::new(Holdings::default());
        let mut shares: Vec<Share> = (0..4).map(|_| holdings.begin()).collect();
        let part = MAX_NETWORK_HELD_BYTES / 4;
        shares[0].holds(part);
        shares[1].holds(part - 1_000_000);
        shares[2].holds(part);
        shares[3].holds(part + 1_000_000);
        assert!(shares.iter().all(|share| !share.is_over()), "as much as is allowed");
        shares[1].holds(part);
        let over: Vec<bool> = shares.iter().map(Share::is_over).collect();
        assert_eq!(over, [false, false, false, true]);
        // It does not count any more, though it has not gone yet.
        shares[2].holds(part + 2_000_000);
        assert!(!shares[2].is_over());
        shares.pop();
        shares[2].holds(2 * part + 1_000_000);
        assert!(shares[2].is_over());
    }

    #[test]
    fn windows_of_all_links_are_bounded_and_few_have_all_they_need() {
        assert_eq!(window(1), LINK_WINDOW_BYTES);
        assert_eq!(window(MAX_NETWORK_WINDOW_BYTES / LINK_WINDOW_BYTES), LINK_WINDOW_BYTES);
        for links in 1..=MAX_LINKS {
            let most = MAX_NETWORK_WINDOW_BYTES.max(links * MIN_LINK_WINDOW_BYTES);
            assert!(links * window(links) <= most);
        }
    }

    #[test]
    fn a_link_with_little_to_apply_goes_on_reading_while_others_hold_much() {
        let holdings = Arc::new(Holdings::default());
        let (mut much, mut little) = (holdings.begin(), holdings.begin());
        much.holds(NETWORK_TIGHT_BYTES);
        assert!(!much.is_tight(NETWORK_TIGHT_BYTES));
        little.holds(70_000);
        assert!(much.is_tight(NETWORK_TIGHT_BYTES));
        assert!(!little.is_tight(70_000));
        drop(much);
        assert!(!little.is_tight(NETWORK_TIGHT_BYTES));
    }
}
