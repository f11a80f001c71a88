//! Activity: what a store has done since it was opened, and how long it took.
//!
//! Counted by atomics on the way of a commit, which takes no memory for it. Nothing decides by
//! these figures; they are for people. Does not know who asks, or how it is shown.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;
use super::commit::lock;
use super::queue::Item;
use crate::durations::{Durations, Measured};
use crate::error::Result;
use crate::id::NodeId;

/// What a store has done since it was opened. All of it only grows, but for what is queued and
/// what the cache holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Activity {
    /// Transactions that were written here.
    pub local: Flow,
    /// Transactions that came from elsewhere and were new.
    pub remote: Flow,
    /// Transactions that came and were here already.
    pub duplicates: u64,
    /// How often a document came to be in conflict.
    pub conflicts_arisen: u64,
    /// How often one ceased to be.
    pub conflicts_ended: u64,
    /// Bytes appended to the log.
    pub log_appended_bytes: u64,
    /// How long commits took, each of all that was queued together, syncing included.
    pub commits: Measured,
    /// How long syncs of the log took.
    pub syncs: Measured,
    /// Entries that wait to be committed at this moment.
    pub queued: u64,
    /// The cache of the state.
    pub cache: CacheUse,
}

/// Transactions that went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// How many.
    pub txns: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How the cache of the state is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUse {
    /// Pages that were found in it.
    pub hits: u64,
    /// Pages that were read from the file.
    pub misses: u64,
    /// How often pages had to make room.
    pub evictions: u64,
    /// Bytes in it at this moment.
    pub bytes: u64,
}

/// Counts what is done.
#[derive(Debug, Default)]
pub(super) struct Counters {
    local: FlowCounter,
    remote: FlowCounter,
    duplicates: AtomicU64,
    clock_lead_ms: AtomicU64,
    pub(super) commits: Durations,
    pub(super) syncs: Durations,
}

#[derive(Debug, Default)]
struct FlowCounter {
    txns: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// Transactions were committed.
    pub(super) fn committed(&self, items: &[Item], own: NodeId, wall_ms: u64) {
        for item in items {
            let flow = match item.signed.txn.dot.origin.node == own {
                true => &self.local,
                false => {
                    let lead_ms = item.signed.txn.time.millis().saturating_sub(wall_ms);
                    self.clock_lead_ms.store(lead_ms, Ordering::Relaxed);
                    &self.remote
                }
            };
            flow.txns.fetch_add(1, Ordering::Relaxed);
            flow.bytes.fetch_add(item.signed.bytes.len() as u64, Ordering::Relaxed);
        }
    }

    /// Transactions came that were here already.
    pub(super) fn duplicates(&self, count: usize) {
        self.duplicates.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl FlowCounter {
    fn read(&self) -> Flow {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Flow { txns: of(&self.txns), bytes: of(&self.bytes) }
    }
}

impl Store {
    /// By how many milliseconds the clock of its author was ahead of the one here when the last
    /// transaction came that was new; 0 if it was not ahead. More than a few seconds: one of the
    /// two clocks is wrong.
    pub fn clock_lead_ms(&self) -> u64 {
        self.inner.counters.clock_lead_ms.load(Ordering::Relaxed)
    }

    /// How many transactions of a collection are applied, if it is held.
    pub fn applied_count(&self, collection: &str) -> Option<u64> {
        Some(self.inner.read_heads().named(collection)?.row.transactions)
    }

    /// What the store has done since it was opened.
    ///
    /// Errors: [`Closed`](crate::ErrorKind::Closed).
    pub fn activity(&self) -> Result<Activity> {
        use redb::ReadableDatabase;
        let inner = &self.inner;
        let cache = inner.database()?.cache_stats();
        let (arisen, ended) = inner.read_heads().meter.conflicts();
        let queued = lock(&inner.queue).len() as u64;
        let log_appended_bytes =
            lock(&inner.committer).as_ref().map_or(0, |committer| committer.log().bytes());
        Ok(Activity {
            local: inner.counters.local.read(),
            remote: inner.counters.remote.read(),
            duplicates: inner.counters.duplicates.load(Ordering::Relaxed),
            conflicts_arisen: arisen,
            conflicts_ended: ended,
            log_appended_bytes,
            commits: inner.counters.commits.read(),
            syncs: inner.counters.syncs.read(),
            queued,
            cache: CacheUse {
                hits: cache.read_hits() + cache.write_hits(),
                misses: cache.read_misses() + cache.write_misses(),
                evictions: cache.evictions(),
                bytes: cache.used_bytes() as u64,
            },
        })
    }
}
