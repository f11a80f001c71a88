//! The disk under a store: whether there is room on it.

use std::path::Path;

use crate::output::bytes;
use crate::shape::FindingShape;

/// With less than this the store may soon refuse writes.
pub(crate) const LITTLE_BYTES: u64 = 256 << 20;

/// The room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// What is free for us.
    pub(crate) free_bytes: u64,
    /// All of it.
    pub(crate) size_bytes: u64,
}

/// Whether the disk that a store lies on is nearly full.
pub(crate) fn check(path: &Path) -> Option<FindingShape> {
    let free = room(path).map(|room| room.free_bytes).filter(|free| *free < LITTLE_BYTES)?;
    Some(FindingShape {
        level: "warning".to_owned(),
        code: "disk-nearly-full".to_owned(),
        place: "the disk".to_owned(),
        what: format!(
            "{} are free: when it is full, writes are refused; nothing is lost by that",
            bytes(free)
        ),
        advice: "free some space; `littoral compact` may give some back".to_owned(),
    })
}

/// The room on the disk that a store lies on, if the system tells.
#[cfg(unix)]
pub(crate) fn room(path: &Path) -> Option<Room> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Room { free_bytes: bytes(found.f_bavail), size_bytes: bytes(found.f_blocks) })
}

/// The room on the disk that a store lies on, if the system tells.
#[cfg(not(unix))]
pub(crate) fn room(_: &Path) -> Option<Room> {
    None
}
