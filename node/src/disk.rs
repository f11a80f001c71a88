//! The disk under a store: whether there is room on it.

use std::path::Path;

use crate::output::bytes;
use crate::shape::FindingShape;

/// With less than this the store may soon refuse writes.
const LITTLE_BYTES: u64 = 256 << 20;

/// Whether the disk that a store lies on is nearly full.
pub(crate) fn check(path: &Path) -> Option<FindingShape> {
    let free = free_bytes(path).filter(|free| *free < LITTLE_BYTES)?;
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

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
