//! Where calls that block run: on threads beside those that serve links.
//!
//! A runtime of one thread has nothing beside it. There they run in turn with everything else,
//! which is what a test wants: one order of events, one course of things.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinSet, block_in_place};

fn has_one_thread() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Makes a call that blocks, here and now.
pub(super) fn here<T>(call: impl FnOnce() -> T) -> T {
    match has_one_thread() {
        true => call(),
        false => block_in_place(call),
    }
}

/// Makes a call that blocks, as one of these tasks.
pub(super) fn beside<T: Send + 'static>(
    tasks: &mut JoinSet<T>,
    call: impl FnOnce() -> T + Send + 'static,
) {
    match has_one_thread() {
        true => tasks.spawn(async { call() }),
        false => tasks.spawn_blocking(call),
    };
}
