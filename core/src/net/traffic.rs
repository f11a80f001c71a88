//! Traffic: what went over all links since the network was started.
//!
//! Links come and go and count from zero; here is the sum, which only grows. Each driver adds
//! what its link did since it last looked. Nothing decides by these figures.

use std::sync::atomic::{AtomicU64, Ordering};

use super::status::CollectionStatus;
use crate::durations::{Durations, Measured};

/// What went over all links since the network was started. All of it only grows, but for what is
/// held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Transactions sent, each as often as it was.
    pub sent_txns: u64,
    /// Bytes of them, unpacked.
    pub sent_txn_bytes: u64,
    /// Transactions received, also those that were here already.
    pub received_txns: u64,
    /// Bytes of them, unpacked.
    pub received_txn_bytes: u64,
    /// Documents received in snapshots.
    pub snapshot_documents: u64,
    /// Bytes of them, unpacked.
    pub snapshot_bytes: u64,
    /// UDP bytes sent.
    pub sent_bytes: u64,
    /// UDP bytes received.
    pub received_bytes: u64,
    /// Links that came to be connected.
    pub connected: u64,
    /// Links that were connected and then lost, without a goodbye: partitions, mostly.
    pub lost: u64,
    /// How long it took links from when there was something to send or receive to when there was
    /// nothing left.
    pub syncs: Measured,
    /// Bytes that links hold at this moment: what was received and not yet applied, and what waits
    /// to be sent.
    pub held_bytes: u64,
}

/// Counts what goes over links.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: [AtomicU64; 8],
    connected: AtomicU64,
    lost: AtomicU64,
    pub(super) syncs: Durations,
}

/// What one link has done, as far as it was added.
#[derive(Debug, Default)]
pub(super) struct Added([u64; 8]);

impl Tally {
    /// Adds what a link did since this was last called with its `added`.
    pub(super) fn add<'a>(
        &self,
        added: &mut Added,
        collections: impl Iterator<Item = &'a CollectionStatus>,
        (received_bytes, sent_bytes): (u64, u64),
    ) {
        let mut now = [0, 0, 0, 0, 0, 0, sent_bytes, received_bytes];
        for CollectionStatus { progress, .. } in collections {
            let of = [
                progress.sent_txns,
                progress.sent_bytes,
                progress.received_txns,
                progress.received_bytes,
                progress.snapshot_documents,
                progress.snapshot_bytes,
            ];
            now.iter_mut().zip(of).for_each(|(sum, more)| *sum += more);
        }
        for ((count, before), now) in self.counts.iter().zip(&mut added.0).zip(now) {
            // One collection of a link may begin anew, and the others don't count twice for that.
            count.fetch_add(now.saturating_sub(*before), Ordering::Relaxed);
            *before = now;
        }
    }

    /// A link is connected.
    pub(super) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// A link that was connected is lost.
    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it.
    pub(super) fn read(&self, held_bytes: u64) -> Traffic {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let at = |at: usize| of(&self.counts[at]);
        Traffic {
            sent_txns: at(0),
            sent_txn_bytes: at(1),
            received_txns: at(2),
            received_txn_bytes: at(3),
            snapshot_documents: at(4),
            snapshot_bytes: at(5),
            sent_bytes: at(6),
            received_bytes: at(7),
            connected: of(&self.connected),
            lost: of(&self.lost),
            syncs: self.syncs.read(),
            held_bytes,
        }
    }
}
