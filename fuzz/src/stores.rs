//! Stores on disks in memory, with fixed keys and a clock that stands still: every run is the same.

use std::sync::Arc;

use littoral::clock::WallClock;
use littoral::id::{NodeId, Origin};
use littoral::txn::{NetworkId, NodeKey, Scope};
use littoral::{Options, Result, Store};

use super::ram::RamDisk;

/// The collection of all targets.
pub(super) const NOTES: &str = "notes";

/// 2026-11-22, in milliseconds.
const NOON: u64 = 1_795_348_800_000;

struct Noon;

impl WallClock for Noon {
    fn now_ms(&self) -> u64 {
        NOON
    }
}

pub(super) fn key(n: u8) -> NodeKey {
    NodeKey::from_seed([n + 1; 32])
}

pub(super) fn scope() -> Scope<'static> {
    Scope { network: NetworkId::named("default"), collection: NOTES }
}

pub(super) fn origin(n: u8) -> Origin {
    Origin { node: key(n).id(), incarnation: 0 }
}

/// An origin that stands for a number, and back.
pub(super) fn numbered(number: u32) -> Origin {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Origin { node: NodeId::from_bytes(bytes), incarnation: number % 3 }
}

pub(super) fn number_of(origin: &Origin) -> u32 {
    u32::from_be_bytes(origin.node.as_bytes()[..4].try_into().expect("4 bytes"))
}

pub(super) fn open(n: u8, disk: &RamDisk) -> Result<Store> {
    Options::new()
        .key(key(n))
        .wall_clock(Arc::new(Noon))
        .cache_bytes(1 << 20)
        .incarnations(|| 77)
        .open_on(Arc::new(disk.clone()))
}

pub(super) fn new(n: u8) -> Store {
    open(n, &RamDisk::default()).expect("a new store opens")
}
