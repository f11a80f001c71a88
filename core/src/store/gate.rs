//! The gate: one local write builds its operations at a time.
//!
//! A write in progress holds up other local writes, and nothing else: transactions of
//! peers are committed beside it. The gate is open again before the write waits for the
//! disk, so that many writers share a sync. While the store is suspended the gate is shut.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::commit::lock;
use crate::error::{Error, ErrorKind, Result};

/// Lets one writer in at a time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    shut: bool,
    /// Counts how often everybody was put out: an entry of before frees nothing.
    turn: u64,
}

/// Whoever holds this is in.
#[derive(Debug)]
pub(super) struct Entry(Arc<Gate>, u64);

impl Gate {
    /// Enters, or gives up after `patience`.
    pub(super) fn enter(self: &Arc<Gate>, patience: Duration) -> Result<Entry> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        while state.taken || state.shut {
            if state.shut {
                return Err(Error::new(
                    ErrorKind::Suspended,
                    "the store is suspended; wake it before you write",
                ));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "another write has been open for over {} s; commit it or roll it back",
                        patience.as_secs()
                    ),
                ));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taken = true;
        Ok(Entry(self.clone(), state.turn))
    }

    /// Lets nobody in any more, and waits until whoever is in has left, at most until `deadline`.
    pub(super) fn shut(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        state.shut = true;
        self.freed.notify_all();
        let left = deadline.saturating_duration_since(Instant::now());
        let left = self.freed.wait_timeout_while(state, left, |state| state.taken);
        drop(left.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets others in again, when whoever is in has left.
    pub(super) fn unshut(&self) {
        lock(&self.state).shut = false;
    }

    /// Lets others in again, whoever was in before.
    pub(super) fn reset(&self) {
        let mut state = lock(&self.state);
        *state = State { turn: state.turn + 1, ..State::default() };
        self.freed.notify_all();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        if state.turn != self.1 {
            return;
        }
        state.taken = false;
        match state.shut {
            true => self.0.freed.notify_all(),
            false => self.0.freed.notify_one(),
        }
    }
}
