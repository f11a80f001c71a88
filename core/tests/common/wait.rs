//! Waiting for what is to come about in another thread.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes that comes about at all.
const LONG: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
