//! Where calls that block run: on threads beside those that serve links.
//!
//! How many are at work at once is bounded, by link and in all, and those that wait take turns:
//! a peer with much to apply keeps neither the threads nor the store from another.
//!
//! A runtime of one thread has nothing beside it. There they run in turn with everything else,
//! which is what a test wants: one order of events, one course of things.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place, spawn_blocking};

use crate::limits::MAX_LINK_CALLS;

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

type Call<T> = Box<dyn FnOnce() -> T + Send>;

/// Calls of one link that block.
pub(super) struct Calls<T> {
    /// Room for those of all links.
    room: Arc<Semaphore>,
    waiting: VecDeque<Call<T>>,
    at_work: usize,
}

impl<T: Send + 'static> Calls<T> {
    pub(super) fn new(room: Arc<Semaphore>) -> Calls<T> {
        Calls { room, waiting: VecDeque::new(), at_work: 0 }
    }

    /// Makes a call, as one of these tasks, when it is its turn.
    pub(super) fn make(
        &mut self,
        tasks: &mut JoinSet<T>,
        call: impl FnOnce() -> T + Send + 'static,
    ) {
        self.waiting.push_back(Box::new(call));
        self.start(tasks);
    }

    /// One of them has come back.
    pub(super) fn came_back(&mut self, tasks: &mut JoinSet<T>) {
        self.at_work = self.at_work.saturating_sub(1);
        self.start(tasks);
    }

    fn start(&mut self, tasks: &mut JoinSet<T>) {
        while self.at_work < MAX_LINK_CALLS {
            let Some(call) = self.waiting.pop_front() else { return };
            self.at_work += 1;
            tasks.spawn(run(Arc::clone(&self.room), call));
        }
    }
}

async fn run<T: Send + 'static>(room: Arc<Semaphore>, call: Call<T>) -> T {
    if has_one_thread() {
        return call();
    }
    // Nobody closes it.
    let _turn = room.acquire().await;
    match spawn_blocking(call).await {
        Ok(end) => end,
        // A panic is this task's, as if the call had been made here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
